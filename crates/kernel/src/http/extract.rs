//! What comes in: bodies, queries, headers; each checked, each with a clear refusal.

use super::{FieldError, Problem, only_line};
use crate::{actor::Actor, card, platform::Value, text::is_blank};
use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Request},
};
use http::{HeaderMap, StatusCode, header, request::Parts};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, DeserializeOwned, Visitor},
};
use serde_json::value::RawValue;
use std::{collections::BTreeMap, fmt, marker::PhantomData, ops::RangeInclusive};
use uuid::Uuid;

/// A JSON body of this form: 415 when it is not declared as JSON, 400 when it is not JSON or has another form.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        require_json(request.headers())?;
        from_json(&read(request, state).await?).map(Self)
    }
}

/// The same where the body may be left out.
pub struct OptionalBody<T>(pub T);

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for OptionalBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let declared = require_json(request.headers());
        let bytes = read(request, state).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        declared?;
        from_json(&bytes).map(Self)
    }
}

/// The body of a route to which nothing needs to be said.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoMembers {}

async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    // The size was checked on the way in (`serve`); what fails here is a connection that broke off.
    Bytes::from_request(request, state).await.map_err(|_| Problem::malformed("The body could not be read."))
}

fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let content_type =
        only_line(headers, &header::CONTENT_TYPE)?.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json")) {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "not-json",
        "Send JSON, with the header `content-type: application/json`.",
    ))
}

fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let mut track = serde_path_to_error::Track::new();
    let body = object(serde_path_to_error::Deserializer::new(&mut json, &mut track)).map_err(|error| {
        let field = track.path().to_string();
        let message = without_value(&error.to_string());
        let problem = Problem::malformed(format!("The body is not as it should be: {message}"));
        if field == "." { problem } else { problem.with_errors(vec![FieldError { field, message }]) }
    })?;
    json.end().map_err(|_| Problem::malformed("There is something behind the JSON body."))?;
    Ok(body)
}

/// What serde says, without what was sent: that may be a card's number in the wrong place.
fn without_value(message: &str) -> String {
    match message.rsplit_once(", expected ") {
        Some((found, expected)) if found.starts_with("invalid ") => format!("expected {expected}"),
        _ => message.to_owned(),
    }
}

/// For serde: a struct, and only from an object. By itself serde also takes its fields from an array, in order.
///
/// # Errors
/// When it is no object, or not of the struct's form.
pub fn object<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct Object<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(de::value::MapAccessDeserializer::new(map))
        }
    }

    deserializer.deserialize_map(Object(PhantomData))
}

/// For serde: an integer of JSON Schema, which is any number without a fraction, such as `10`, `10.0` or `1.29e4`.
///
/// # Errors
/// When it is no integer.
pub fn integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    // As it was written: a float would make an integer of 1.00000000000000001.
    let number = Box::<RawValue>::deserialize(deserializer)?;
    whole(number.get()).ok_or_else(|| de::Error::custom("expected an integer"))
}

/// The value of a JSON number without a fraction. What is beyond 64 bits is the nearest of them, so that an absurd number
/// is told the rule, not called malformed.
fn whole(number: &str) -> Option<i64> {
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (mantissa, exponent) = match number.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => {
            let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            let size = are_digits(digits).then(|| digits.parse().unwrap_or(i64::MAX))?;
            (mantissa, if exponent.starts_with('-') { -size } else { size })
        }
        None => (number, 0),
    };
    let unsigned = mantissa.strip_prefix('-').unwrap_or(mantissa);
    let (before, behind) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    if !are_digits(before) || !are_digits(behind) || (before.len() > 1 && before.starts_with('0')) {
        return None;
    }
    let digits = format!("{before}{behind}");
    let digits = digits.trim_end_matches('0');
    // How many zeros follow on the digits until the point. Less than none: the point is within them.
    let zeros = exponent.saturating_add_unsigned(before.len() as u64).saturating_sub_unsigned(digits.len() as u64);
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Some(0);
    }
    let scale = u32::try_from(zeros).unwrap_or(u32::MAX);
    let size = digits.parse::<i128>().ok().zip(10_i128.checked_pow(scale)).and_then(|(it, by)| it.checked_mul(by));
    let size = size.unwrap_or(i128::MAX);
    let value = if number.starts_with('-') { -size } else { size };
    let nearest = value.clamp(i64::MIN.into(), i64::MAX.into());
    (zeros >= 0).then(|| i64::try_from(nearest).ok())?
}

/// For serde: an [`integer`] that may be left out, but is not null.
///
/// # Errors
/// When it is no integer.
pub fn optional_integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    integer(deserializer).map(Some)
}

/// For serde, with `#[serde(default)]`, in a PATCH: left out is `None`, given is `Some`, null included where `T` is an
/// option.
///
/// # Errors
/// When the value has another type.
pub fn patched<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Collects what is against the rules.
#[derive(Default)]
pub struct Checks(Vec<FieldError>);

impl Checks {
    /// A rule of one field.
    pub fn rule(&mut self, field: &str, holds: bool, message: impl Into<String>) {
        if !holds {
            self.0.push(FieldError { field: field.into(), message: message.into() });
        }
    }

    /// A text of people, which stays in the log: with so many characters, not [blank](is_blank) unless it may be empty, without
    /// control characters, and without anything that looks like the number of a card.
    pub fn text(&mut self, field: &str, text: &str, length: RangeInclusive<usize>) {
        let (least, most) = (*length.start(), *length.end());
        let fits = length.contains(&text.chars().count()) && (least == 0 || !is_blank(text));
        self.rule(field, fits, format!("must have {least} to {most} characters and not be blank"));
        let printable = text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t'));
        self.rule(field, printable, "must not have control characters");
        self.rule(field, !fits || !card::is_in(text), "must not have what looks like the number of a card");
    }

    /// The id of something outside the shop: short and printable.
    pub fn id(&mut self, field: &str, id: &str) {
        let fits =
            (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:@".contains(&b));
        self.rule(field, fits, "must have 1 to 64 characters out of letters, digits and - _ . : @");
    }

    /// An integer in this range.
    pub fn range(&mut self, field: &str, value: i64, range: RangeInclusive<i64>) {
        self.rule(field, range.contains(&value), format!("must be {} to {}", range.start(), range.end()));
    }

    /// All is well, or the problem (422).
    ///
    /// # Errors
    /// When a rule was broken.
    pub fn done(self) -> Result<(), Problem> {
        if self.0.is_empty() { Ok(()) } else { Err(Problem::invalid(self.0)) }
    }
}

/// The query of a list.
pub struct Query(BTreeMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|_| Problem::malformed("The query could not be read."))?;
        let mut query = BTreeMap::new();
        for (name, value) in pairs.0 {
            if query.insert(name.clone(), value).is_some() {
                return Err(Problem::malformed(format!("`{name}` stands twice in the query.")));
            }
        }
        Ok(Self(query))
    }
}

/// A part of a list, as it was asked for. `A` is what the list's cursors are.
#[derive(Debug)]
pub struct Listing<A = Uuid> {
    /// How many items at most: 1 to 100.
    pub limit: usize,
    /// Behind which item.
    pub after: Option<A>,
    filters: BTreeMap<String, String>,
}

impl<A> Listing<A> {
    /// A filter, if it was given.
    pub fn filter(&self, name: &str) -> Option<&str> {
        self.filters.get(name).map(String::as_str)
    }
}

impl Listing {
    /// The statement and its parameters for this part of a list: `base`, which ends in a condition, narrowed by the
    /// filters that were given (each with its column) and to what is the owners', newest first by `order`. One item more than is shown tells
    /// whether there is a next page.
    pub fn select(&self, base: &str, order: &str, filters: &[(&str, &str)], owners: &Owners) -> (String, Vec<Value>) {
        let fetch = i64::try_from(self.limit).unwrap_or(i64::MAX).saturating_add(1);
        // No id sorts behind a tilde.
        let after = self.after.map_or_else(|| "~".to_owned(), |after| after.to_string());
        let mut parameters = vec![after.into(), fetch.into()];
        let mut sql = format!("{base} AND {order} < ?1");
        for (filter, column) in filters {
            if let Some(value) = self.filter(filter) {
                parameters.push(value.into());
                sql.push_str(&format!(" AND {column} = ?{}", parameters.len()));
            }
        }
        sql.push_str(&owners.condition(&mut parameters));
        sql.push_str(&format!(" ORDER BY {order} DESC LIMIT ?2"));
        (sql, parameters)
    }
}

/// Whose items a list may show: it is part of the statement, so that nothing else is even read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owners {
    /// Everybody's.
    All,
    /// Those in which one of these conditions holds, each with the value of its `?`.
    Of(Vec<(&'static str, String)>),
}

impl Owners {
    /// Everybody's for whoever runs the shop; for others those in which one of these conditions holds, which are left out
    /// where they have no value.
    pub fn for_actor<'a>(actor: &Actor, own: impl IntoIterator<Item = (&'static str, Option<&'a str>)>) -> Self {
        if actor.runs_the_shop() {
            return Self::All;
        }
        Self::Of(own.into_iter().filter_map(|(column, value)| Some((column, value?.to_owned()))).collect())
    }

    fn condition(&self, parameters: &mut Vec<Value>) -> String {
        let Self::Of(own) = self else { return String::new() };
        let own = own.iter().map(|(condition, value)| {
            parameters.push(value.as_str().into());
            condition.replace('?', &format!("?{}", parameters.len()))
        });
        let own = own.collect::<Vec<_>>();
        if own.is_empty() { " AND false".to_owned() } else { format!(" AND ({})", own.join(" OR ")) }
    }
}

impl Query {
    /// The list that is asked for, with these filters allowed. Its cursors are ids that were made here.
    ///
    /// # Errors
    /// 400 for a parameter that the list does not have, a cursor that is none of its, or a limit that is no number; 422 for a
    /// limit out of range.
    pub fn listing(self, filters: &[&str]) -> Result<Listing, Problem> {
        self.listing_after(filters, "an id", |after| {
            after.parse().ok().filter(|id: &Uuid| id.get_version_num() == 7 && id.to_string() == after)
        })
    }

    /// The same for a list with cursors of its own: `what` names one, `cursor` reads it.
    ///
    /// # Errors
    /// Those of a [`listing`](Self::listing).
    pub fn listing_after<A>(
        mut self,
        filters: &[&str],
        what: &str,
        cursor: impl FnOnce(&str) -> Option<A>,
    ) -> Result<Listing<A>, Problem> {
        let limit = self.0.remove("limit");
        let after = self.0.remove("after");
        if let Some(name) = self.0.keys().find(|name| !filters.contains(&name.as_str())) {
            let known = [filters, &["limit", "after"]].concat().join("`, `");
            return Err(Problem::malformed(format!("There is no parameter `{name}` here, only `{known}`.")));
        }
        let limit = match limit.as_deref().map(whole) {
            None => 20,
            Some(Some(limit @ 1..=100)) => limit,
            Some(Some(_)) => return Err(Problem::invalid_field("limit", "must be 1 to 100")),
            Some(None) => {
                let errors = vec![FieldError { field: "limit".into(), message: "must be an integer".into() }];
                return Err(Problem::malformed("`limit` must be an integer.").with_errors(errors));
            }
        };
        let after = match after.as_deref().map(cursor) {
            None => None,
            Some(Some(after)) => Some(after),
            Some(None) => {
                let message = format!("must be {what}, as `next` has it");
                let errors = vec![FieldError { field: "after".into(), message: message.clone() }];
                return Err(Problem::malformed(format!("`after` {message}.")).with_errors(errors));
            }
        };
        Ok(Listing { limit: usize::try_from(limit).unwrap_or(20), after, filters: self.0 })
    }
}

/// A page of a list.
#[derive(Debug, Serialize)]
pub struct Page<T> {
    items: Vec<T>,
    next: Option<String>,
}

impl<T> Page<T> {
    /// The page of what was fetched (see [`Listing::select`]); `cursor` names an item for `?after=`.
    pub fn new<A>(mut items: Vec<T>, listing: &Listing<A>, cursor: impl Fn(&T) -> String) -> Self {
        let more = items.len() > listing.limit;
        items.truncate(listing.limit);
        let next = if more { items.last().map(cursor) } else { None };
        Self { items, next }
    }
}

/// The `Idempotency-Key` header.
pub struct Key(pub Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for Key {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(value) = only_line(&parts.headers, "idempotency-key")? else { return Ok(Self(None)) };
        match value.to_str() {
            Ok(key) if (1..=255).contains(&key.len()) => Ok(Self(Some(key.to_owned()))),
            _ => Err(Problem::malformed("`Idempotency-Key` must have 1 to 255 visible ASCII characters.")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(cursor: &str) -> Result<Option<String>, u16> {
        let query = Query(BTreeMap::from([("after".to_owned(), cursor.to_owned())]));
        let listing = query.listing(&[]).map_err(|problem| problem.status().as_u16())?;
        Ok(listing.after.map(|after| after.to_string()))
    }

    #[test]
    fn a_list_goes_on_after_an_id_that_was_made_here() {
        let id = "01a204d9-bff9-722a-860f-a36cfafbc3a9";
        assert_eq!(after(id), Ok(Some(id.to_owned())));
        let others = [
            "",
            "~",
            "';--",
            "3",
            "unknown",
            " 01a204d9-bff9-722a-860f-a36cfafbc3a9",
            "01a204d9-bff9-722a-860f-a36cfafbc3a",
            "01A204D9-BFF9-722A-860F-A36CFAFBC3A9",
            "01a204d9bff9722a860fa36cfafbc3a9",
            "{01a204d9-bff9-722a-860f-a36cfafbc3a9}",
            "urn:uuid:01a204d9-bff9-722a-860f-a36cfafbc3a9",
            "00000000-0000-0000-0000-000000000000",
            "01a204d9-bff9-422a-860f-a36cfafbc3a9",
            "product-3",
        ];
        for other in others {
            assert_eq!(after(other), Err(400), "{other}");
        }
    }

    #[test]
    fn an_integer_is_a_number_without_a_fraction_however_it_is_written() {
        for (number, value) in [
            ("0", 0),
            ("-0.0", 0),
            ("0e99", 0),
            ("7", 7),
            ("-12", -12),
            ("10.0", 10),
            ("1.29e4", 12_900),
            ("12900E-2", 129),
            ("1.500E+1", 15),
            ("9007199254740993.0", 9_007_199_254_740_993),
            ("0.9007199254740993e16", 9_007_199_254_740_993),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808.0", i64::MIN),
            ("18446744073709551616", i64::MAX),
            ("-1e30", i64::MIN),
            ("1e99999999999999999999", i64::MAX),
            (&format!("1{}", "0".repeat(300)), i64::MAX),
            (&format!("0.{}1e301", "0".repeat(300)), 1),
        ] {
            assert_eq!(whole(number), Some(value), "{number}");
            let read = integer(&mut serde_json::Deserializer::from_str(number));
            assert_eq!(read.ok(), Some(value), "{number}");
        }
    }

    #[test]
    fn what_has_a_fraction_or_is_no_number_of_json_is_no_integer() {
        for text in [
            "1.5",
            "1.00000000000000001",
            "99.9999999999999999999",
            "5e-1",
            "1e-99999999999999999999",
            "",
            " ",
            "-",
            "+1",
            "01",
            "1.",
            ".5",
            "1e",
            "1e+",
            "1e1.0",
            "0x10",
            "1 ",
            "1_000",
            "--1",
            "NaN",
            "\"1\"",
            "null",
            "true",
            "[]",
            "１",
        ] {
            assert_eq!(whole(text), None, "{text}");
        }
    }
}
