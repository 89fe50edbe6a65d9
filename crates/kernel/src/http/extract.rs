//! What comes in: bodies, queries, headers; each checked, each with a clear refusal.

use super::{FieldError, Problem};
use crate::{platform::Value, text::is_blank};
use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Request},
};
use http::{HeaderMap, StatusCode, header, request::Parts};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, DeserializeOwned, Visitor},
};
use std::{collections::BTreeMap, fmt, marker::PhantomData, ops::RangeInclusive};

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

async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    // The size was checked on the way in (`serve`); what fails here is a connection that broke off.
    Bytes::from_request(request, state).await.map_err(|_| Problem::malformed("The body could not be read."))
}

fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
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

/// For serde: an integer of whatever size, so that an absurd one is told the rule, not called malformed.
///
/// # Errors
/// When it is no integer.
pub fn integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    struct Integer;

    impl Visitor<'_> for Integer {
        type Value = i64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an integer")
        }

        fn visit_i64<E>(self, value: i64) -> Result<i64, E> {
            Ok(value)
        }

        fn visit_u64<E>(self, value: u64) -> Result<i64, E> {
            Ok(i64::try_from(value).unwrap_or(i64::MAX))
        }

        fn visit_f64<E: de::Error>(self, value: f64) -> Result<i64, E> {
            // serde_json reads an integer beyond 64 bits as a float: it stays absurd as one of 64 bits.
            if value.abs() >= 9.2e18 {
                Ok(if value > 0.0 { i64::MAX } else { i64::MIN })
            } else {
                Err(E::invalid_type(de::Unexpected::Float(value), &self))
            }
        }
    }

    deserializer.deserialize_any(Integer)
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

    /// A text with so many characters, not [blank](is_blank) unless it may be empty, and without control characters.
    pub fn text(&mut self, field: &str, text: &str, length: RangeInclusive<usize>) {
        let (least, most) = (*length.start(), *length.end());
        let fits = length.contains(&text.chars().count()) && (least == 0 || !is_blank(text));
        self.rule(field, fits, format!("must have {least} to {most} characters and not be blank"));
        let printable = text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t'));
        self.rule(field, printable, "must not have control characters");
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

/// A part of a list, as it was asked for.
#[derive(Debug)]
pub struct Listing {
    /// How many items at most: 1 to 100.
    pub limit: usize,
    /// Behind which item.
    pub after: Option<String>,
    filters: BTreeMap<String, String>,
}

impl Listing {
    /// A filter, if it was given.
    pub fn filter(&self, name: &str) -> Option<&str> {
        self.filters.get(name).map(String::as_str)
    }

    /// The statement and its parameters for this part of a list: `base`, which ends in a condition, narrowed by the
    /// filters that were given (each with its column), newest first by `order`. One item more than is shown tells
    /// whether there is a next page.
    pub fn select(&self, base: &str, order: &str, filters: &[(&str, &str)]) -> (String, Vec<Value>) {
        let fetch = i64::try_from(self.limit).unwrap_or(i64::MAX).saturating_add(1);
        // No id sorts behind a tilde.
        let after = self.after.clone().unwrap_or_else(|| "~".into());
        let mut parameters = vec![after.into(), fetch.into()];
        let mut sql = format!("{base} AND {order} < ?1");
        for (filter, column) in filters {
            if let Some(value) = self.filter(filter) {
                parameters.push(value.into());
                sql.push_str(&format!(" AND {column} = ?{}", parameters.len()));
            }
        }
        sql.push_str(&format!(" ORDER BY {order} DESC LIMIT ?2"));
        (sql, parameters)
    }
}

impl Query {
    /// The list that is asked for, with these filters allowed.
    ///
    /// # Errors
    /// 400 for a parameter that the list does not have or a limit that is no number, 422 for one out of range.
    pub fn listing(mut self, filters: &[&str]) -> Result<Listing, Problem> {
        let limit = self.0.remove("limit");
        let after = self.0.remove("after");
        if let Some(name) = self.0.keys().find(|name| !filters.contains(&name.as_str())) {
            let known = [filters, &["limit", "after"]].concat().join("`, `");
            return Err(Problem::malformed(format!("There is no parameter `{name}` here, only `{known}`.")));
        }
        let limit = match limit.map(|limit| limit.parse::<i64>()) {
            None => 20,
            Some(Ok(limit @ 1..=100)) => limit,
            Some(Ok(_)) => return Err(Problem::invalid_field("limit", "must be 1 to 100")),
            Some(Err(_)) => {
                let errors = vec![FieldError { field: "limit".into(), message: "must be a number".into() }];
                return Err(Problem::malformed("`limit` must be a number.").with_errors(errors));
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
    pub fn new(mut items: Vec<T>, listing: &Listing, cursor: impl Fn(&T) -> String) -> Self {
        let more = items.len() > listing.limit;
        items.truncate(listing.limit);
        let next = if more { items.last().map(cursor) } else { None };
        Self { items, next }
    }
}

/// The `If-Match` header: the version that the caller expects.
pub struct IfMatch(pub Option<i64>);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get(header::IF_MATCH) else { return Ok(Self(None)) };
        let text = value.to_str().unwrap_or_default().trim();
        if text == "*" {
            return Ok(Self(None));
        }
        let etag = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        let Some(etag) = etag.filter(|etag| !etag.contains('"')) else {
            return Err(Problem::malformed("`If-Match` must be one ETag in quotes, such as \"3\", or *."));
        };
        // An ETag that we never gave matches nothing.
        Ok(Self(Some(etag.parse().unwrap_or(-1))))
    }
}

/// The `Idempotency-Key` header.
pub struct Key(pub Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for Key {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get("idempotency-key") else { return Ok(Self(None)) };
        match value.to_str() {
            Ok(key) if (1..=255).contains(&key.len()) => Ok(Self(Some(key.to_owned()))),
            _ => Err(Problem::malformed("`Idempotency-Key` must have 1 to 255 visible ASCII characters.")),
        }
    }
}
