//! A small HTTP client: one kept-alive connection.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// A request that a client sends.
pub type Call = Request<Full<Bytes>>;

/// A connection to the app. A call that fails leaves it unusable.
pub struct Client {
    sender: SendRequest<Full<Bytes>>,
    host: HeaderValue,
}

/// What the app answered.
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The body, whole.
    pub body: Bytes,
}

impl Client {
    /// Connects.
    pub async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("nobody listens on {address}"))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // It ends when the sender is dropped.
        tokio::spawn(connection);
        Ok(Self { sender, host: HeaderValue::from_str(&address.to_string())? })
    }

    /// Sends a request, and waits for the whole answer.
    pub async fn send(&mut self, mut call: Call) -> Result<Answer> {
        call.headers_mut().insert(header::HOST, self.host.clone());
        self.sender.ready().await?;
        let (head, body) = self.sender.send_request(call).await?.into_parts();
        Ok(Answer { status: head.status, body: body.collect().await?.to_bytes() })
    }
}

impl Answer {
    /// The body of an answer that is a success.
    pub fn json(&self) -> Result<Value> {
        if !self.status.is_success() {
            bail!("the app answered {}: {}", self.status, String::from_utf8_lossy(&self.body));
        }
        Ok(serde_json::from_slice(&self.body)?)
    }
}

/// `GET path`
pub fn get(path: &str) -> Result<Call> {
    Ok(Request::get(path).body(Full::default())?)
}

/// `POST path`, with a body in JSON.
pub fn post(path: &str, body: &Value) -> Result<Call> {
    let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
    Ok(request.body(Full::from(body.to_string()))?)
}

/// `PUT path`, with a body in JSON.
pub fn put(path: &str, body: &Value) -> Result<Call> {
    let mut call = post(path, body)?;
    *call.method_mut() = Method::PUT;
    Ok(call)
}

/// A call by whoever has this access token.
pub fn by(token: &str, mut call: Call) -> Result<Call> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}"))?;
    value.set_sensitive(true);
    call.headers_mut().insert(header::AUTHORIZATION, value);
    Ok(call)
}

/// `POST path` without a body.
pub fn post_nothing(path: &str) -> Result<Call> {
    Ok(Request::post(path).body(Full::default())?)
}
