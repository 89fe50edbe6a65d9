//! What browsers are told, and which of their requests are let in (docs/decisions/0026-browsers.md).
//!
//! A browser sends requests for whichever page it shows, also to a shop in somebody's own network, where nobody else gets in.
//! It says which page that was; who says nothing of the kind is no browser.

use super::{Problem, only_line};
use crate::platform::Platform;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts};

/// The variable that names the origins whose pages may use the shop, with commas between them.
const ALLOWED_ORIGINS: &str = "allowed_origins";

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// How long a browser need not ask again, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");
/// What pages may do, send, and see of an answer, beside what every page may.
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE");
const HEADERS: HeaderValue = HeaderValue::from_static(
    "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Traceparent, X-Correlation-Id",
);
const EXPOSED: HeaderValue =
    HeaderValue::from_static("ETag, Location, Retry-After, WWW-Authenticate, X-Correlation-Id");

/// The origins whose pages may use the shop, beside its own.
pub(super) struct Origins(Vec<String>);

impl Origins {
    /// Those that the component's variable names.
    pub(super) async fn of(platform: &dyn Platform) -> Self {
        let named = platform.variable(ALLOWED_ORIGINS).await.unwrap_or_default();
        let named = named.split(',').map(|origin| origin.trim().trim_end_matches('/').to_ascii_lowercase());
        Self(named.filter(|origin| !origin.is_empty()).collect())
    }

    /// Lets a request in.
    ///
    /// # Errors
    /// 403 when it would change something and comes from a page of somebody else's; 400 when it is not clear from which page.
    pub(super) fn admit(&self, request: &Parts) -> Result<(), Problem> {
        let origin = text(&request.headers, &header::ORIGIN)?;
        let site = text(&request.headers, &FETCH_SITE)?;
        let host = text(&request.headers, &header::HOST)?;
        let host = host.or_else(|| request.uri.authority().map(|authority| authority.as_str()));
        let is_own = origin.is_none_or(|origin| is_of(origin, host)) && site != Some("cross-site");
        if request.method.is_safe() || is_own || origin.is_some_and(|origin| self.have(origin)) {
            return Ok(());
        }
        let detail = "A page of another site asks for this in somebody's browser; the shop does not let it.";
        Err(Problem::new(StatusCode::FORBIDDEN, "cross-site", detail))
    }

    /// The answer to a browser that asks beforehand what a page may do, if that is one of these.
    pub(super) fn preflight(&self, request: &Parts) -> Option<Response> {
        let is_preflight = request.method == Method::OPTIONS
            && request.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
            && self.origin(&request.headers).is_some();
        is_preflight.then(|| {
            let allowed = [
                (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
                (header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS),
                (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE),
            ];
            (StatusCode::NO_CONTENT, HeaderMap::from_iter(allowed)).into_response()
        })
    }

    /// The origin of the page that asks, if it is one of these.
    pub(super) fn origin(&self, request: &HeaderMap) -> Option<HeaderValue> {
        let origin = only_line(request, &header::ORIGIN).ok()??;
        origin.to_str().is_ok_and(|origin| self.have(origin)).then(|| origin.clone())
    }

    /// Writes on an answer what browsers need to know: who may see it, and that it is what it says it is.
    pub(super) fn mark(&self, origin: Option<HeaderValue>, answer: &mut HeaderMap) {
        answer.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        // Where no page may, the answer does not depend on which one asks.
        if !self.0.is_empty() {
            answer.append(header::VARY, HeaderValue::from_static("Origin"));
        }
        if let Some(origin) = origin {
            answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            answer.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
    }

    fn have(&self, origin: &str) -> bool {
        self.0.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin))
    }
}

/// Whether an origin is where the request was sent. By host and port alone: a proxy that speaks https with the browser may
/// speak http with us.
fn is_of(origin: &str, host: Option<&str>) -> bool {
    let Some((scheme, there)) = origin.split_once("://") else { return false };
    let port = if scheme == "https" { ":443" } else { ":80" };
    let without_port = |host: &str| host.strip_suffix(port).unwrap_or(host).to_ascii_lowercase();
    host.is_some_and(|here| without_port(here) == without_port(there))
}

/// A header that has one value, if it is there; empty if that is no text.
fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    Ok(only_line(headers, name)?.map(|value| value.to_str().unwrap_or_default()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "whatever goes wrong here is a failed test")]
mod tests {
    use super::*;

    const SHOP: (&str, &str) = ("host", "shop.test");

    fn request(method: &str, headers: &[(&str, &str)]) -> Parts {
        let request = http::Request::builder().method(method).uri("/orders");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.body(()).unwrap().into_parts().0
    }

    fn origins() -> Origins {
        Origins(vec!["https://pages.test".into(), "http://localhost:5173".into()])
    }

    fn status(method: &str, headers: &[(&str, &str)]) -> u16 {
        origins().admit(&request(method, headers)).map_or_else(|problem| problem.status().as_u16(), |()| 200)
    }

    #[test]
    fn nothing_is_changed_for_a_page_of_another_site() {
        for foreign in [
            ("origin", "https://evil.test"),
            ("origin", "https://shop.test.evil.test"),
            ("origin", "https://evil.test:443"),
            ("origin", "https://shop.test:8443"),
            ("origin", "http://shop.test:443"),
            ("origin", "https://pages.test:8443"),
            ("origin", "http://pages.test"),
            ("origin", "https://pages.test.evil.test"),
            ("origin", "shop.test"),
            ("origin", "null"),
            ("origin", ""),
            ("sec-fetch-site", "cross-site"),
        ] {
            for method in ["POST", "PUT", "PATCH", "DELETE", "PURGE"] {
                assert_eq!(status(method, &[SHOP, foreign]), 403, "{method} {foreign:?}");
            }
            for method in ["GET", "HEAD", "OPTIONS"] {
                assert_eq!(status(method, &[SHOP, foreign]), 200, "{method} {foreign:?}");
            }
        }
        let both = [SHOP, ("origin", "https://shop.test"), ("sec-fetch-site", "cross-site")];
        assert_eq!(status("POST", &both), 403, "a page of our own is not of another site");
        assert_eq!(status("POST", &[("origin", "https://shop.test")]), 403, "nobody knows whose");
        assert_eq!(status("POST", &[SHOP, ("origin", "https://shop.test"), ("origin", "https://evil.test")]), 400);
    }

    #[test]
    fn pages_of_our_own_and_of_friends_and_whoever_is_no_browser_are_let_in() {
        for headers in [
            &[][..],
            &[SHOP],
            &[SHOP, ("origin", "https://shop.test")],
            &[SHOP, ("origin", "http://shop.test")],
            &[SHOP, ("origin", "https://shop.test"), ("sec-fetch-site", "same-origin")],
            &[SHOP, ("sec-fetch-site", "none")],
            &[("host", "Shop.test:443"), ("origin", "https://shop.test")],
            &[("host", "127.0.0.1:3000"), ("origin", "http://127.0.0.1:3000")],
            &[("host", "[::1]:3000"), ("origin", "http://[::1]:3000")],
            &[SHOP, ("origin", "https://pages.test"), ("sec-fetch-site", "cross-site")],
            &[("origin", "http://localhost:5173")],
        ] {
            assert_eq!(status("POST", headers), 200, "{headers:?}");
        }
        let mut chained = request("POST", &[("origin", "https://shop.test")]);
        chained.uri = "http://shop.test/orders".parse().unwrap();
        assert!(origins().admit(&chained).is_ok(), "where there is no Host, the URL says it");
    }

    #[test]
    fn a_page_asks_beforehand_and_is_told_if_it_is_a_friend() {
        let asks = ("access-control-request-method", "POST");
        let friend = ("origin", "https://pages.test");
        let told = origins().preflight(&request("OPTIONS", &[SHOP, friend, asks])).unwrap();
        assert_eq!(told.status(), 204);
        let headers = only_line(told.headers(), &header::ACCESS_CONTROL_ALLOW_HEADERS).unwrap().unwrap();
        assert!(headers.to_str().unwrap().contains("Authorization"));
        for (method, headers) in [
            ("OPTIONS", &[SHOP, ("origin", "https://evil.test"), asks][..]),
            ("OPTIONS", &[SHOP, ("origin", "https://shop.test"), asks]),
            ("OPTIONS", &[SHOP, friend]),
            ("OPTIONS", &[SHOP, asks]),
            ("POST", &[SHOP, friend, asks]),
        ] {
            assert!(origins().preflight(&request(method, headers)).is_none(), "{method} {headers:?}");
        }
        assert!(Origins(vec![]).preflight(&request("OPTIONS", &[SHOP, friend, asks])).is_none());
    }
}
