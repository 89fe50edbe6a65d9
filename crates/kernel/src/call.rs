//! Calls between contexts, signed, so that a stranger who reaches a private route is told apart from the shop
//! (docs/decisions/0023-signed-calls.md).
//!
//! Who belongs to the shop can read its database, and in there is the key. A call carries the caller's name, its time, and
//! an HMAC over these, the method, the path with its query, and the body. It may be repeated by whoever overhears it for
//! a minute; what is called that way does nothing more when it is called again.
//!
//! Keys come and go while the shop is at work. Whoever is refused reads them again, and signs anew after a pause in which
//! everybody else may do so, too: so a call that was on its way when the key changed comes through, whatever each knew.

use crate::{
    error::Error,
    http::only_line,
    identity::Refused,
    log,
    platform::{Platform, Value, unix_ms},
};
use axum::body::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use token::{base64url, mac};

/// The scheme in the header `Authorization`.
pub(crate) const SCHEME: &str = "Mealkit-HMAC-SHA256";
/// How far the caller's clock may be from the callee's, in s.
const LEEWAY: u64 = 60;
/// How long the keys count as read, in ms: for so long one that was deleted may still be taken.
const KEPT: u64 = 10_000;
/// How long ago the keys must have been read before they are read again because a call did not fit, and how long whoever was
/// refused waits before the second try, in ms.
const PAUSE: u64 = 100;

/// The shop's keys, as an instance knows them: the first one signs, each one verifies.
pub struct Keys {
    context: &'static str,
    platform: Arc<dyn Platform>,
    known: Mutex<Known>,
}

#[derive(Clone, Default)]
struct Known {
    keys: Vec<Vec<u8>>,
    /// Unix time, ms.
    read_at: i64,
}

impl Keys {
    /// Those by which this context calls, and is called.
    pub fn new(context: &'static str, platform: Arc<dyn Platform>) -> Arc<Self> {
        Arc::new(Self { context, platform, known: Mutex::default() })
    }

    /// Sends a request to another context, and returns its whole answer.
    ///
    /// # Errors
    /// When the keys cannot be read, nobody answers, or the signature is not taken, twice.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, String> {
        let answer = self.platform.send(self.sign(&request).await?).await?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        // A key was changed, or a clock.
        self.read().await.map_err(|error| error.to_string())?;
        self.platform.sleep(Duration::from_millis(PAUSE)).await;
        let answer = self.platform.send(self.sign(&request).await?).await?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        Err(format!("the signature is not taken: {}", String::from_utf8_lossy(answer.body())))
    }

    /// The request, signed.
    pub(crate) async fn sign(&self, request: &Request<Bytes>) -> Result<Request<Bytes>, String> {
        let known = self.known().await.map_err(|error| error.to_string())?;
        let key = known.keys.first().ok_or("the shop has no key")?;
        let time = (unix_ms(self.platform.now()) / 1_000).to_string();
        let code = code(self.context, &time, request.method(), request.uri(), request.body());
        let signature = base64url::encode(&mac::of(key, &code.each_ref().map(Vec::as_slice)));
        let value = format!("{SCHEME} caller={},time={time},signature={signature}", self.context);
        let mut signed = request.clone();
        let value = HeaderValue::from_str(&value).map_err(|error| error.to_string())?;
        signed.headers_mut().insert(header::AUTHORIZATION, value);
        Ok(signed)
    }

    /// Which context made this call.
    ///
    /// # Errors
    /// [`Refused`]: none of the shop's did, or its clock is another one.
    pub(crate) async fn caller(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<String, Refused> {
        let signature = Signature::of(headers).ok_or(Refused::Call("it is not signed"))?;
        let code = code(&signature.caller, &signature.time, method, uri, body);
        let parts = code.each_ref().map(Vec::as_slice);
        let fits = |known: &Known| known.keys.iter().any(|key| mac::verify(key, &parts, &signature.code));
        let known = self.known().await?;
        let now = unix_ms(self.platform.now());
        if !fits(&known) && (now.abs_diff(known.read_at) < PAUSE || !fits(&self.read().await?)) {
            return Err(Refused::Call("its signature does not fit"));
        }
        let time = signature.time.parse::<i64>().map_err(|_| Refused::Call("it has no time"))?;
        if time.abs_diff(now / 1_000) > LEEWAY {
            return Err(Refused::Clock);
        }
        Ok(signature.caller)
    }

    async fn known(&self) -> Result<Known, Error> {
        let known = self.known.lock().map(|known| known.clone()).unwrap_or_default();
        let age = unix_ms(self.platform.now()).abs_diff(known.read_at);
        if known.keys.is_empty() || age >= KEPT { self.read().await } else { Ok(known) }
    }

    async fn read(&self) -> Result<Known, Error> {
        // Before they are: what was written since then may not be among them.
        let read_at = unix_ms(self.platform.now());
        let given = self.platform.variable("shop_key").await.unwrap_or_default();
        let mut keys: Vec<Vec<u8>> = given.split_whitespace().map(|key| key.as_bytes().to_vec()).collect();
        if keys.is_empty() {
            let rows = log::ask(&*self.platform, "SELECT key FROM shop_key ORDER BY id DESC", vec![]).await?;
            keys = rows.iter().filter_map(|row| Some(row.first().and_then(Value::text)?.as_bytes().to_vec())).collect();
        }
        let known = Known { keys, read_at };
        if let Ok(mut kept) = self.known.lock() {
            *kept = known.clone();
        }
        Ok(known)
    }
}

/// What is signed.
fn code(caller: &str, time: &str, method: &Method, uri: &Uri, body: &[u8]) -> [Vec<u8>; 5] {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    [
        caller.as_bytes().to_vec(),
        time.as_bytes().to_vec(),
        method.as_str().as_bytes().to_vec(),
        path.as_bytes().to_vec(),
        mac::sha256(body).to_vec(),
    ]
}

struct Signature {
    caller: String,
    time: String,
    code: Vec<u8>,
}

impl Signature {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let value = only_line(headers, &header::AUTHORIZATION).ok()??.to_str().ok()?;
        let fields = value.strip_prefix(SCHEME)?.strip_prefix(' ')?;
        let mut fields = fields.splitn(3, ',');
        let mut field = |name: &str| fields.next()?.strip_prefix(name)?.strip_prefix('=').map(str::to_owned);
        Some(Self { caller: field("caller")?, time: field("time")?, code: base64url::decode(&field("signature")?)? })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

    use super::*;
    use crate::testing::Native;
    use axum::{Router, routing::post};

    const PATH: &str = "/internal/charges?of=1";
    const BODY: &str = r#"{"amount": 1}"#;

    /// What comes of a call.
    #[derive(Debug, PartialEq)]
    enum Taken {
        From(String),
        Not,
        Clock,
    }

    fn request(path: &str, body: &'static str) -> Request<Bytes> {
        Request::post(path).body(Bytes::from_static(body.as_bytes())).unwrap()
    }

    async fn signed(native: &Arc<Native>) -> Request<Bytes> {
        Keys::new("order", native.replica()).sign(&request(PATH, BODY)).await.unwrap()
    }

    async fn taken(keys: &Keys, call: &Request<Bytes>) -> Taken {
        match keys.caller(call.method(), call.uri(), call.headers(), call.body()).await {
            Ok(caller) => Taken::From(caller),
            Err(Refused::Clock) => Taken::Clock,
            Err(Refused::Call(_)) => Taken::Not,
            Err(refused) => panic!("{refused}"),
        }
    }

    fn rotate(native: &Native) {
        native.sql("INSERT INTO shop_key (key) VALUES (lower(hex(randomblob(32))))", vec![]);
    }

    fn retire(native: &Native) {
        native.sql("DELETE FROM shop_key WHERE id < (SELECT max(id) FROM shop_key)", vec![]);
    }

    /// A callee whose routes count what they took.
    fn answering(native: &Arc<Native>, keys: Arc<Keys>) {
        let route = async move |request: axum::extract::Request| {
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, 1_000).await.unwrap();
            match keys.caller(&parts.method, &parts.uri, &parts.headers, &body).await {
                Ok(_) => StatusCode::OK,
                Err(_) => StatusCode::UNAUTHORIZED,
            }
        };
        native.route("http://payment.spin.internal", Router::new().route("/internal/charges", post(route)));
    }

    async fn call(keys: &Keys) -> Result<StatusCode, String> {
        let request = request("http://payment.spin.internal/internal/charges", BODY);
        Ok(keys.send(request).await?.status())
    }

    #[tokio::test]
    async fn a_context_knows_who_calls_and_nothing_of_a_call_can_be_changed() {
        let native = Native::new();
        let keys = Keys::new("payment", native.clone());
        let good = signed(&native).await;
        assert_eq!(taken(&keys, &good).await, Taken::From("order".into()));
        let value = good.headers()[header::AUTHORIZATION].to_str().unwrap().to_owned();
        let said = |value: &str| {
            let mut call = good.clone();
            call.headers_mut().insert(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            call
        };
        let (head, signature) = value.rsplit_once('=').unwrap();
        let (scheme, fields) = value.split_once(' ').unwrap();
        let (caller, rest) = fields.split_once(',').unwrap();
        let (time, last) = rest.split_once(',').unwrap();
        let mut other = signature.to_owned().into_bytes();
        other[20] = if other[20] == b'A' { b'B' } else { b'A' };
        let other = String::from_utf8(other).unwrap();
        let forged = [
            value.replace("caller=order", "caller=journal"),
            value.replace("caller=order", "caller="),
            value.replace("time=1", "time=2"),
            value.replace("time=", "time=0"),
            format!("{head}={other}"),
            format!("{head}="),
            format!("{head}={}", &signature[..42]),
            format!("{value}="),
            format!("{value},{last}"),
            format!("{scheme} {time},{caller},{last}"),
            format!("{scheme} {caller},{time}"),
            format!("{scheme}  {fields}"),
            value.replace("SHA256", "SHA1"),
            value.to_lowercase(),
            format!("Bearer {signature}"),
            String::new(),
        ];
        for value in forged {
            assert_eq!(taken(&keys, &said(&value)).await, Taken::Not, "{value}");
        }
        let mut twice = good.clone();
        twice.headers_mut().append(header::AUTHORIZATION, HeaderValue::from_str(&value).unwrap());
        let mut without = good.clone();
        without.headers_mut().clear();
        let mut got = good.clone();
        *got.method_mut() = Method::GET;
        for (what, call) in [("twice", twice), ("not at all", without), ("by another method", got)] {
            assert_eq!(taken(&keys, &call).await, Taken::Not, "{what}");
        }
        let elsewhere =
            ["/internal/charges", "/internal/charges?of=2", "/internal/charges/?of=1", "/internal/settle?of=1"];
        for path in elsewhere {
            let mut call = good.clone();
            *call.uri_mut() = path.parse().unwrap();
            assert_eq!(taken(&keys, &call).await, Taken::Not, "{path}");
        }
        for body in ["", r#"{"amount": 2}"#, r#"{"amount": 1} "#] {
            let mut call = good.clone();
            *call.body_mut() = Bytes::from_static(body.as_bytes());
            assert_eq!(taken(&keys, &call).await, Taken::Not, "{body}");
        }
        assert_eq!(taken(&keys, &good).await, Taken::From("order".into()), "as it was, it is taken");
    }

    #[tokio::test]
    async fn a_call_is_taken_a_minute_before_and_after() {
        let native = Native::new();
        let keys = Keys::new("payment", native.clone());
        let call = signed(&native).await;
        let minute = Duration::from_secs(60);
        native.advance(minute);
        assert_eq!(taken(&keys, &call).await, Taken::From("order".into()));
        native.advance(Duration::from_secs(1));
        assert_eq!(taken(&keys, &call).await, Taken::Clock);
        native.set_back(2 * minute + Duration::from_secs(1));
        assert_eq!(taken(&keys, &call).await, Taken::From("order".into()));
        native.set_back(Duration::from_secs(1));
        assert_eq!(taken(&keys, &call).await, Taken::Clock);
        // A stranger learns nothing of the clock.
        let mut forged = call;
        *forged.body_mut() = Bytes::new();
        assert_eq!(taken(&keys, &forged).await, Taken::Not);
    }

    #[tokio::test]
    async fn another_shop_s_key_is_none() {
        let (ours, theirs) = (Native::new(), Native::new());
        assert_eq!(taken(&Keys::new("payment", ours), &signed(&theirs).await).await, Taken::Not);
    }

    #[tokio::test]
    async fn a_new_key_signs_and_the_old_one_is_taken_until_it_is_deleted() {
        let native = Native::new();
        let keys = Keys::new("payment", native.clone());
        let old = signed(&native).await;
        assert_eq!(taken(&keys, &old).await, Taken::From("order".into()));
        native.advance(Duration::from_millis(PAUSE));
        rotate(&native);
        let new = signed(&native).await;
        assert_ne!(new.headers(), old.headers());
        assert_eq!(taken(&keys, &new).await, Taken::From("order".into()), "it looks again for what does not fit");
        assert_eq!(taken(&keys, &old).await, Taken::From("order".into()));
        retire(&native);
        native.advance(Duration::from_millis(KEPT));
        assert_eq!(taken(&keys, &old).await, Taken::Not);
        assert_eq!(taken(&keys, &new).await, Taken::From("order".into()));
    }

    #[tokio::test]
    async fn who_knocks_with_anything_does_not_make_the_shop_read_its_keys_each_time() {
        let native = Native::new();
        let keys = Keys::new("payment", native.clone());
        let mut forged = signed(&native).await;
        *forged.body_mut() = Bytes::new();
        for reads in 1..=3 {
            for _ in 0..50 {
                assert_eq!(taken(&keys, &forged).await, Taken::Not);
            }
            assert_eq!(native.calls("FROM shop_key"), reads);
            native.advance(Duration::from_millis(PAUSE));
        }
    }

    #[tokio::test]
    async fn a_call_comes_through_whoever_knows_which_key() {
        let native = Native::new();
        let (order, payment) = (Keys::new("order", native.replica()), Keys::new("payment", native.replica()));
        answering(&native, payment.clone());
        // Both have read their keys a moment ago, and it changes at once: for the caller alone, for both.
        for _ in 0..3 {
            order.read().await.unwrap();
            payment.read().await.unwrap();
            rotate(&native);
            retire(&native);
            order.read().await.unwrap();
            assert_eq!(call(&order).await, Ok(StatusCode::OK));
            rotate(&native);
            retire(&native);
            payment.read().await.unwrap();
            assert_eq!(call(&order).await, Ok(StatusCode::OK));
        }
    }

    #[tokio::test]
    async fn a_clock_that_jumps_while_a_call_is_on_its_way_costs_a_second_try() {
        let native = Native::new();
        let (caller, callee) = (native.replica(), native.replica());
        let order = Keys::new("order", caller.clone());
        answering(&native, Keys::new("payment", callee));
        assert_eq!(call(&order).await, Ok(StatusCode::OK));
        for hour in [-1, 1] {
            let held = caller.hold("POST http://payment");
            let jump = async {
                held.reached().await;
                let hour_long = Duration::from_secs(3_600);
                if hour < 0 {
                    native.set_back(hour_long)
                } else {
                    native.advance(hour_long)
                }
                held.release();
            };
            let before = caller.calls("POST http://payment");
            let (answer, ()) = tokio::join!(call(&order), jump);
            assert_eq!((answer, caller.calls("POST http://payment") - before), (Ok(StatusCode::OK), 2));
            // What was known before the jump is of no harm after it.
            assert_eq!(call(&order).await, Ok(StatusCode::OK));
            assert_eq!(caller.calls("POST http://payment") - before, 3);
        }
    }

    #[tokio::test]
    async fn who_is_refused_twice_has_no_answer() {
        let native = Native::new();
        let caller = native.replica();
        let order = Keys::new("order", caller.clone());
        answering(&native, Keys::new("payment", Native::new()));
        let error = call(&order).await.unwrap_err();
        assert!(error.contains("the signature is not taken"), "{error}");
        assert_eq!(caller.calls("POST http://payment"), 2);
    }

    #[tokio::test]
    async fn a_secret_variable_replaces_the_table_and_may_hold_two_keys() {
        let native = Native::new();
        let of_table = signed(&native).await;
        let with = |keys: &str| {
            let replica = native.replica();
            replica.set_variable("shop_key", keys);
            replica
        };
        let signed = async |keys: &str| Keys::new("order", with(keys)).sign(&request(PATH, BODY)).await.unwrap();
        let payment = Keys::new("payment", with("of-today of-yesterday"));
        assert_eq!(taken(&payment, &of_table).await, Taken::Not);
        assert_eq!(taken(&payment, &signed("of-today of-tomorrow").await).await, Taken::From("order".into()));
        assert_eq!(taken(&payment, &signed("of-yesterday").await).await, Taken::From("order".into()));
        assert_eq!(taken(&payment, &signed("of-tomorrow of-today").await).await, Taken::Not);
    }
}
