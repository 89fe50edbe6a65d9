//! Bodies that take their time.

use axum::body::{Body, Bytes};
use futures::{Stream, StreamExt, stream};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use kernel::{
    http::{Access, Answer, Layer, Routes},
    testing::{Native, guarded},
};
use serde_json::Value as Json;
use std::{convert::Infallible, time::Duration};
use tokio::time::{Instant, sleep};

/// So many bytes, one after each pause.
fn dribbling(bytes: usize, pause: Duration) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::iter(0..bytes).then(move |_| async move {
        sleep(pause).await;
        Ok(Bytes::from_static(b"x"))
    })
}

/// Status and body of the answer, and when it came.
async fn answer(body: impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static) -> (StatusCode, Json, Duration) {
    let routes = Routes::new().post("/", Access::Everybody, async |body: Bytes| Answer::ok(body.len()));
    let routes = guarded(&Native::new(), routes.with_state(()));
    let request = Request::post("/").body(Body::from_stream(body)).unwrap();
    let began = Instant::now();
    let answer = Layer::of("test", Native::new()).await.serve(routes, request).await;
    let (took, status) = (began.elapsed(), answer.status());
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap(), took)
}

#[tokio::test(start_paused = true)]
async fn a_body_has_ten_seconds() {
    let (status, bytes, took) = answer(dribbling(9, Duration::from_secs(1))).await;
    assert_eq!((status, bytes, took.as_secs()), (StatusCode::OK, 9.into(), 9));
    // Each byte in time, and all of them not; and one that ends nowhere.
    let endless = dribbling(1, Duration::from_millis(1)).chain(stream::pending());
    for body in [dribbling(100, Duration::from_secs(1)).boxed(), endless.boxed()] {
        let (status, problem, took) = answer(body).await;
        assert_eq!((status, took.as_secs()), (StatusCode::REQUEST_TIMEOUT, 10));
        assert_eq!(problem["type"], "/problems/slow-body");
    }
}
