//! A small blocking client. It checks what must hold for every answer.

use crate::{Json, People, Person};
use contract_tests::Api;
use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

/// Talks to a shop.
#[derive(Clone)]
pub struct Client {
    agent: ureq::Agent,
    url: String,
    people: People,
}

/// A request that is being put together.
pub struct Call<'a> {
    client: &'a Client,
    request: http::request::Builder,
    what: String,
    body: Option<Vec<u8>>,
    /// Nobody says who they are.
    anonymous: bool,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// What was asked.
    pub what: String,
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: http::HeaderMap,
    /// Its body.
    pub body: String,
}

impl Client {
    /// For the shop at this URL.
    pub fn new(url: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .max_redirects(0)
            .proxy(None)
            .max_idle_connections_per_host(64)
            .timeout_global(Some(Duration::from_secs(60)))
            .build();
        Self { agent: config.into(), url: url.to_owned(), people: People::default() }
    }

    /// The same way in, for those who know what is whose.
    pub fn knowing(self, people: &People) -> Self {
        Self { people: people.clone(), ..self }
    }

    /// Where the shop is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A request.
    pub fn call(&self, method: &str, path: &str) -> Call<'_> {
        let request = http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        Call { client: self, request, what: format!("{method} {path}"), body: None, anonymous: false }
    }

    /// Sends this as it is; returns all that comes back.
    pub fn raw(&self, request: &str) -> String {
        let address = self.url.trim_start_matches("http://");
        let mut connection = TcpStream::connect(address).expect("the shop");
        connection.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out");
        connection.write_all(request.as_bytes()).expect("the shop listens");
        let mut answer = vec![];
        connection.read_to_end(&mut answer).expect("an answer, and then the end");
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl Call<'_> {
    /// From this person.
    pub fn by(self, person: &Person) -> Self {
        self.header("authorization", &person.authorization())
    }

    /// From nobody who says who they are.
    pub fn anonymous(mut self) -> Self {
        self.anonymous = true;
        self
    }

    /// With a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    /// With a JSON body.
    pub fn json(self, body: &Json) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    /// With a body as it is.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// The answer.
    pub fn send(self) -> Answer {
        let what = self.what.clone();
        self.try_send().unwrap_or_else(|error| panic!("{what}: no answer: {error}"))
    }

    /// The answer, if one comes.
    ///
    /// # Errors
    /// When the shop is gone.
    pub fn try_send(self) -> Result<Answer, ureq::Error> {
        self.exchange().inspect(Answer::check)
    }

    /// The answer; none when the instance trapped before all of it was there: then the host answers in its place, or
    /// the body is missing.
    pub fn unless_trapped(self) -> Option<Answer> {
        self.exchange().ok().filter(|answer| !answer.body.is_empty()).inspect(Answer::check)
    }

    /// The answer as it is, if one comes: whether it is as it has to be says [`Answer::flaw`].
    ///
    /// # Errors
    /// When the shop is gone.
    pub fn exchange(mut self) -> Result<Answer, ureq::Error> {
        let agent = &self.client.agent;
        let is_said = self.request.headers_ref().is_some_and(|headers| headers.contains_key("authorization"));
        if !self.anonymous && !is_said {
            let (method, path) = self.what.split_once(' ').unwrap_or_default();
            let authorization = self.client.people.authorization(method, path, self.body.as_deref());
            self.request = self.request.header("authorization", authorization);
        }
        let mut response = match self.body {
            Some(body) => agent.run(self.request.body(body)?)?,
            None => agent.run(self.request.body(())?)?,
        };
        let body = response.body_mut().read_to_string()?;
        self.client.people.learn(&body);
        Ok(Answer { what: self.what, status: response.status().as_u16(), headers: response.headers().clone(), body })
    }
}

impl Answer {
    /// What is wrong with it that may never be, whatever was asked: it is no failure of ours, it is JSON, and it says which
    /// conversation it belongs to.
    pub fn flaw(&self) -> Option<String> {
        let json = if self.status < 400 { "application/json" } else { "application/problem+json" };
        let flaw = if self.status >= 500 && self.status != 503 {
            "a failure of ours"
        } else if self.header("x-correlation-id").is_none_or(str::is_empty) {
            "no x-correlation-id"
        } else if self.header("x-content-type-options") != Some("nosniff") {
            "a browser may take it for something else"
        } else if self.header("cache-control") != Some(self.keeping()) {
            "somebody on the way may keep it, or may not who should"
        } else if self.status == 304 && (self.header("content-type").is_some() || !self.body.is_empty()) {
            "a body for whoever has it already"
        } else if ![204, 304].contains(&self.status) && self.header("content-type") != Some(json) && !self.is_text() {
            "not JSON"
        } else if self.status == 503 && self.header("retry-after").is_none() {
            "a 503 that does not say when to come back"
        } else if self.what.starts_with("GET /events") {
            // Some tests put into the log what no context would; whether it is in order is for `breach` where none did.
            return None;
        } else {
            return self.breach();
        };
        Some(format!("{flaw}: {self}"))
    }

    /// Who may keep it: nobody, but for what everybody may see.
    fn keeping(&self) -> &'static str {
        let is_public = self.what == "GET /"
            || ["GET /products", "HEAD /products", "GET /.well-known"].iter().any(|it| self.what.starts_with(it));
        if is_public && self.status < 400 { "no-cache" } else { "no-store" }
    }

    /// The figures for Prometheus are the only answer that is no JSON.
    fn is_text(&self) -> bool {
        self.what == "GET /metrics" && self.header("content-type").is_some_and(|it| it.starts_with("text/plain"))
    }

    /// What of it is not as `docs/openapi.yaml` promises for its route.
    pub fn breach(&self) -> Option<String> {
        let (method, path) = self.what.split_once(' ')?;
        let header = |name: &str| self.header(name).map(str::to_owned);
        let checked = Api::shop().check(method, path, self.status, header, &self.body);
        checked.err().map(|breach| format!("{breach}\n{self}"))
    }

    fn check(&self) {
        if let Some(flaw) = self.flaw() {
            panic!("{flaw}");
        }
    }

    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body, which must have come with this status.
    pub fn is(&self, status: u16) -> Json {
        assert_eq!(self.status, status, "{self}");
        self.json()
    }

    /// Nothing more than this status.
    pub fn is_empty(&self, status: u16) {
        assert_eq!((self.status, &*self.body), (status, ""), "{self}");
    }

    /// The problem (RFC 9457) of this status.
    pub fn problem(&self, status: u16) -> Json {
        let problem = self.is(status);
        assert_eq!(problem["status"], status, "{self}");
        for member in ["type", "title", "detail"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "no {member}: {self}");
        }
        assert_eq!(problem["correlation_id"].as_str(), self.header("x-correlation-id"), "{self}");
        problem
    }

    /// The body.
    pub fn json(&self) -> Json {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("not JSON ({error}): {self}"))
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} -> {} {}", self.what, self.status, self.body)
    }
}
