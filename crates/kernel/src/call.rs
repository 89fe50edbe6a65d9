//! Calls between contexts, signed, so that a stranger who reaches a private route is told apart from the shop
//! (docs/decisions/0023-signed-calls.md).
//!
//! Who belongs to the shop can read its database, and in there is the key. A call carries the caller's name, its time, and
//! an HMAC over these, the method, the path with its query, and the body. It may be repeated by whoever overhears it for
//! a minute; what is called that way does nothing more when it is called again.

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
const SCHEME: &str = "Mealkit-HMAC-SHA256";
/// How far the caller's clock may be from the callee's, in s.
const LEEWAY: u64 = 60;
/// How long ago the keys must have been read before they are read again because a call did not fit, in ms.
const PAUSE: u64 = 1_000;

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
    /// The platform's own message.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, String> {
        let answer = self.platform.send(self.sign(&request).await?).await?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        // The key was changed, or the clock. Whoever had read the keys just before that reads them again after a pause.
        self.platform.sleep(Duration::from_millis(PAUSE)).await;
        let known = self.read().await.map_err(|error| error.to_string())?;
        self.platform.send(self.signed(&request, &known)?).await
    }

    /// The request, signed.
    pub(crate) async fn sign(&self, request: &Request<Bytes>) -> Result<Request<Bytes>, String> {
        self.signed(request, &self.known().await.map_err(|error| error.to_string())?)
    }

    fn signed(&self, request: &Request<Bytes>, known: &Known) -> Result<Request<Bytes>, String> {
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
        let now = unix_ms(self.platform.now());
        let known = self.known().await?;
        if !fits(&known) && (now.abs_diff(known.read_at) < PAUSE || !fits(&self.read().await?)) {
            return Err(Refused::Call("its signature does not fit"));
        }
        let time = signature.time.parse::<i64>().map_err(|_| Refused::Call("it has no time"))?;
        if time.abs_diff(now / 1_000) > LEEWAY {
            return Err(Refused::Call("it is from another time: the clocks differ, or somebody repeats it"));
        }
        Ok(signature.caller)
    }

    async fn known(&self) -> Result<Known, Error> {
        let known = self.known.lock().map(|known| known.clone()).unwrap_or_default();
        if known.keys.is_empty() { self.read().await } else { Ok(known) }
    }

    async fn read(&self) -> Result<Known, Error> {
        let given = self.platform.variable("shop_key").await.unwrap_or_default();
        let mut keys: Vec<Vec<u8>> = given.split_whitespace().map(|key| key.as_bytes().to_vec()).collect();
        if keys.is_empty() {
            let rows = log::ask(&*self.platform, "SELECT key FROM shop_key ORDER BY id DESC", vec![]).await?;
            keys = rows.iter().filter_map(|row| Some(row.first().and_then(Value::text)?.as_bytes().to_vec())).collect();
        }
        let known = Known { keys, read_at: unix_ms(self.platform.now()) };
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
