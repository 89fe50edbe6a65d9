//! Conditions (RFC 9110, section 13): a request that is only meant for a resource as its sender knows it, or does not.
//!
//! No route takes care of them. Those of a change go with its [`Trace`](crate::Trace) and are held against the version on
//! which the command is decided; those of a question are held against the ETag of its answer, by the layer around all
//! routes. The crate `headers` leaves out what it cannot read in a list; here that is told (400).

use super::{Answer, Problem};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use std::{
    fmt,
    hash::{DefaultHasher, Hasher},
};

/// An entity tag of ours. They are all strong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ETag(String);

impl ETag {
    /// That of the version of a resource.
    pub fn of_version(version: i64) -> Self {
        Self(version.to_string())
    }

    /// That of an answer with this body. Another build may have another for the same; it is sent again then.
    pub fn of_body(body: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write(body.as_bytes());
        Self(format!("{:016x}", hasher.finish()))
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

/// What the headers `If-Match` and `If-None-Match` say, of however many lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    if_match: Option<Tags>,
    if_none_match: Option<Tags>,
}

impl Conditions {
    /// The conditions of a request.
    ///
    /// # Errors
    /// 400 when one of them is neither `*` nor a list of entity tags.
    pub fn of_request(headers: &HeaderMap) -> Result<Self, Problem> {
        let tags = |name: HeaderName| {
            let lines: Vec<_> = headers.get_all(&name).iter().map(HeaderValue::as_bytes).collect();
            if lines.is_empty() {
                return Ok(None);
            }
            let unreadable =
                || Problem::malformed(format!("`{name}` must be * or ETags in quotes, such as \"3\", \"4\"."));
            Tags::parse(&lines.join(&b","[..])).map(Some).ok_or_else(unreadable)
        };
        Ok(Self { if_match: tags(header::IF_MATCH)?, if_none_match: tags(header::IF_NONE_MATCH)? })
    }

    /// Whether they let a change happen to what there is: something that has this ETag, or none.
    pub(crate) fn allow_change(&self, etag: Option<&ETag>) -> bool {
        self.expect(etag) && !self.know(etag)
    }

    /// What a question is answered, given what it would be answered without conditions.
    pub(super) fn held_against(&self, answer: Answer) -> Answer {
        let etag = answer.etag();
        if answer.status() != StatusCode::OK || etag.is_none() {
            answer
        } else if !self.expect(etag) {
            Problem::stale("It is not what `If-Match` says.").answer()
        } else if self.know(etag) {
            answer.not_modified()
        } else {
            answer
        }
    }

    /// A weak tag says that something is as good as the same, which is not enough to act on it.
    fn expect(&self, etag: Option<&ETag>) -> bool {
        self.if_match.as_ref().is_none_or(|tags| tags.have(etag, |tag| !tag.is_weak))
    }

    fn know(&self, etag: Option<&ETag>) -> bool {
        self.if_none_match.as_ref().is_some_and(|tags| tags.have(etag, |_| true))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Tags {
    /// `*`: whatever there is.
    Any,
    These(Vec<Tag>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Tag {
    is_weak: bool,
    opaque: Vec<u8>,
}

impl Tags {
    /// `"*" / #entity-tag`. Elements may be empty (section 5.6.1), and so may the list.
    fn parse(text: &[u8]) -> Option<Self> {
        let mut rest = text.trim_ascii();
        if rest == b"*" {
            return Some(Self::Any);
        }
        let mut tags = Vec::new();
        while !rest.is_empty() {
            if let Some(behind) = rest.strip_prefix(b",") {
                rest = behind.trim_ascii_start();
                continue;
            }
            let weak = rest.strip_prefix(b"W/");
            let quoted = weak.unwrap_or(rest).strip_prefix(b"\"")?;
            let (opaque, behind) = quoted.split_at_checked(quoted.iter().position(|byte| *byte == b'"')?)?;
            if !opaque.iter().all(|byte| matches!(byte, 0x21..=0x7e | 0x80..)) {
                return None;
            }
            tags.push(Tag { is_weak: weak.is_some(), opaque: opaque.to_vec() });
            rest = behind.strip_prefix(b"\"")?.trim_ascii_start();
            if !matches!(rest.first(), None | Some(b',')) {
                return None;
            }
        }
        Some(Self::These(tags))
    }

    /// Whether what has this ETag, or none, is among them.
    fn have(&self, etag: Option<&ETag>, counts: impl Fn(&Tag) -> bool) -> bool {
        match self {
            Self::Any => true,
            Self::These(tags) => {
                etag.is_some_and(|etag| tags.iter().any(|tag| counts(tag) && tag.opaque == etag.0.as_bytes()))
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "whatever goes wrong here is a failed test")]
mod tests {
    use super::*;

    fn conditions(lines: &[(HeaderName, &[u8])]) -> Result<Conditions, Problem> {
        let line = |(name, value): &(HeaderName, &[u8])| (name.clone(), HeaderValue::from_bytes(value).unwrap());
        Conditions::of_request(&lines.iter().map(line).collect())
    }

    #[test]
    fn if_match_takes_what_a_list_of_entity_tags_is() {
        let three = ETag::of_version(3);
        let expects = |lines: &[&[u8]]| {
            let lines: Vec<_> = lines.iter().map(|line| (header::IF_MATCH, *line)).collect();
            conditions(&lines).map(|it| it.allow_change(Some(&three))).map_err(|problem| problem.status().as_u16())
        };
        for holds in [
            &[b"\"3\"".as_slice()][..],
            &[b"*"],
            &[b" * "],
            &[b"\"0\", \"3\""],
            &[b"\"0\",\"3\""],
            &[b",, \"0\" ,\t\"3\" ,"],
            &[b"\"0\"", b"\"3\""],
            &[b"", b"\"3\""],
            &[b"W/\"3\", \"3\""],
            &[b"\"a,b\", \"\xe4\", \"\", \"3\""],
        ] {
            assert_eq!(expects(holds), Ok(true), "{holds:?}");
        }
        for fails in
            [&[b"\"4\"".as_slice()][..], &[b"W/\"3\""], &[b"\"\""], &[b""], &[b","], &[b"\"03\""], &[b"\"3,\""]]
        {
            assert_eq!(expects(fails), Ok(false), "{fails:?}");
        }
        for unreadable in [
            &[b"3".as_slice()][..],
            &[b"\""],
            &[b"\"3"],
            &[b"3\""],
            &[b"w/\"3\""],
            &[b"W/ \"3\""],
            &[b"W/3"],
            &[b"\"3\" \"4\""],
            &[b"\"3\"\"4\""],
            &[b"\"3\"; \"4\""],
            &[b"\"3 4\""],
            &[b"*, \"3\""],
            &[b"*", b"*"],
            &[b"\"3\", 4"],
        ] {
            assert_eq!(expects(unreadable), Err(400), "{unreadable:?}");
        }
    }

    #[test]
    fn what_has_no_etag_is_something_all_the_same() {
        let allowed = |name, value: &'static [u8]| conditions(&[(name, value)]).unwrap().allow_change(None);
        assert!(allowed(header::IF_MATCH, b"*") && allowed(header::IF_NONE_MATCH, b"\"3\""));
        assert!(!allowed(header::IF_MATCH, b"\"3\"") && !allowed(header::IF_NONE_MATCH, b"*"));
    }

    #[test]
    fn a_question_is_answered_anew_unless_the_answer_is_known() {
        let answer = || Answer::ok("body").version(3);
        let asked = |lines: &[(HeaderName, &[u8])]| conditions(lines).unwrap().held_against(answer());
        for known in [b"\"3\"".as_slice(), b"*", b"W/\"3\"", b"\"1\", W/\"3\""] {
            assert_eq!(asked(&[(header::IF_NONE_MATCH, known)]), answer().not_modified(), "{known:?}");
        }
        for unknown in [b"\"4\"".as_slice(), b"W/\"4\"", b""] {
            assert_eq!(asked(&[(header::IF_NONE_MATCH, unknown)]), answer(), "{unknown:?}");
        }
        // What must be so comes first.
        let both = |expected: &'static [u8]| asked(&[(header::IF_MATCH, expected), (header::IF_NONE_MATCH, b"\"3\"")]);
        assert_eq!(
            (both(b"\"4\"").status(), both(b"\"3\"").status()),
            (StatusCode::PRECONDITION_FAILED, StatusCode::NOT_MODIFIED)
        );
        let missing = || Problem::not_found("There is none.").answer();
        assert_eq!(conditions(&[(header::IF_MATCH, b"\"3\"")]).unwrap().held_against(missing()), missing());
        let list = || Answer::ok("a list");
        assert_eq!(conditions(&[(header::IF_NONE_MATCH, b"*")]).unwrap().held_against(list()), list());
    }
}
