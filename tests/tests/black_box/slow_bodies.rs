//! Clients that say what they want, and then take their time.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};
use tests::{Shop, shared, unique};

shared!(a_body_that_dribbles_in_is_given_up_and_keeps_nobody_waiting);

/// How long a body may take, and how much later that may be noticed on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);
const GRACE: Duration = Duration::from_secs(6);
/// More than an instance answers at once.
const CLIENTS: usize = 24;

fn a_body_that_dribbles_in_is_given_up_and_keeps_nobody_waiting(shop: &Shop) {
    let kit = shop.kit(5);
    let member = unique("member");
    let order = Shop::order_body(&kit, &member, 1).to_string();
    thread::scope(|scope| {
        let dribbling: Vec<_> = (0..CLIENTS)
            .map(|number| {
                scope.spawn({
                    let order = &order;
                    move || dribble(shop, order, number % 2 == 0)
                })
            })
            .collect();
        let mut slowest = Duration::ZERO;
        while !dribbling.iter().all(|client| client.is_finished()) {
            let began = Instant::now();
            shop.get("/orders?limit=1").is(200);
            slowest = slowest.max(began.elapsed());
            thread::sleep(Duration::from_millis(100));
        }
        assert!(slowest < Duration::from_secs(3), "others waited for {slowest:?}");
        for client in dribbling {
            let (answer, took) = client.join().unwrap();
            assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
            assert!(answer.contains("/problems/slow-body"), "{answer}");
            assert!(PATIENCE <= took && took < PATIENCE + GRACE, "{took:?}: {answer}");
        }
    });
    assert_eq!(shop.get(&format!("/orders?member_id={member}")).is(200)["items"].as_array().unwrap().len(), 0);
}

/// Sends an order, a byte now and then. Returns all that comes back until the connection is closed, and when that was.
fn dribble(shop: &Shop, order: &str, chunked: bool) -> (String, Duration) {
    let address = shop.client().url().trim_start_matches("http://");
    let mut connection = TcpStream::connect(address).expect("the shop");
    connection.set_read_timeout(Some(PATIENCE + GRACE)).expect("a time-out");
    let length = if chunked { "transfer-encoding: chunked".into() } else { format!("content-length: {}", order.len()) };
    let head =
        format!("POST /orders HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n{length}\r\n\r\n");
    connection.write_all(head.as_bytes()).expect("the shop listens");
    let began = Instant::now();
    let mut writer = connection.try_clone().expect("the other half");
    thread::scope(|scope| {
        scope.spawn(move || {
            for byte in order.bytes() {
                let byte = char::from(byte);
                let part = if chunked { format!("1\r\n{byte}\r\n") } else { byte.to_string() };
                // The shop has given it up.
                if writer.write_all(part.as_bytes()).is_err() {
                    return;
                }
                thread::sleep(Duration::from_millis(500));
            }
        });
        let mut answer = vec![];
        // What was on its way when the shop closed the connection is an error of the connection, behind the answer.
        let end = connection.read_to_end(&mut answer);
        let took = began.elapsed();
        let _ = connection.shutdown(std::net::Shutdown::Both);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(!answer.is_empty(), "{end:?}");
        (answer, took)
    })
}
