//! Accept and read: clients that are slow, on purpose or not, each with the bound that ends the wait for them.

mod waiting;

use std::io::{ErrorKind, Read};
use std::time::{Duration, Instant};

use crate::support::client::Client;
use crate::support::{Answer, Gateway, Origin, wait};

const PASS: &str = "routes: [{ name: all, access: public, upstream: origin }]\n";

/// Sends `piece` again and again, slowly, until the gateway answers or closes; the time that took.
fn dribble(client: &mut Client, piece: &str) -> Duration {
    let start = Instant::now();
    wait::until_true("the gateway to lose patience", || client.has_input() || client.try_send(piece).is_err());
    start.elapsed()
}

#[track_caller]
fn bound_hits(gateway: &Gateway, bound: &str, count: f64) {
    wait::until_true("the metric", || {
        gateway.metrics().sum("portcullis_bound_hits_total", &[("bound", bound)]) == count
    });
}

#[test]
fn a_connection_that_never_asks_is_closed() {
    let gateway = Gateway::start(
        "bounds: { first_request: 200ms }\nroutes: [{ name: all, access: public, \
         respond: { body: hello } }]\n",
    );
    assert!(gateway.connect().is_closed());
    bound_hits(&gateway, "first_request", 1.0);
    // Silence is no request.
    gateway.get("/").expect_status(200);
    assert_eq!(gateway.logged(1).len(), 1);
}

#[test]
fn a_trickled_head_is_cut_off_and_answered() {
    let origin = Origin::saying("unused");
    let gateway = Gateway::before(&origin, &format!("bounds: {{ header_time: 300ms }}\n{PASS}"));
    let mut client = gateway.connect();
    client.send("GET /slow HTTP/1.1\r\nHost: a\r\n");
    let took = dribble(&mut client, "X-A: b\r\n");
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(client.read_response().expect_status(408).json()["code"], "request_timeout");
    let line = gateway.logged_path("/slow");
    assert_eq!((&line["cause"], &line["status"]), (&"request_timeout".into(), &408.into()));
    bound_hits(&gateway, "header_time", 1.0);
}

#[test]
fn empty_lines_do_not_keep_a_connection() {
    let gateway = Gateway::start(
        "bounds: { header_time: 200ms }\nroutes: [{ name: all, access: public, respond: { body: hello } }]\n",
    );
    let mut client = gateway.connect();
    client.send("\r\n");
    assert!(client.is_closed());
}

#[test]
fn a_body_that_stops_coming_is_cut_off() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::before(&origin, &format!("bounds: {{ body_idle: 200ms }}\n{PASS}"));
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n123");
    assert_eq!(client.read_response().expect_status(408).json()["code"], "request_timeout");
    bound_hits(&gateway, "body_idle", 1.0);
}

#[test]
fn a_trickled_body_is_cut_off() {
    let origin = Origin::saying("ok");
    let bounds = "bounds: { body_idle: 300ms, body_rate: 1MiB/s }";
    let gateway = Gateway::before(&origin, &format!("{bounds}\n{PASS}"));
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    dribble(&mut client, "1\r\nx\r\n");
    assert_eq!(client.read_response().expect_status(408).json()["code"], "request_timeout");
    bound_hits(&gateway, "body_rate", 1.0);
    assert_eq!(gateway.logged(1)[0]["cause"], "request_timeout");
}

#[test]
fn a_slow_origin_is_not_held_against_the_client() {
    // Longer than the client's bound, with nothing left for it to send.
    let origin = Origin::always(Answer::ok("late").after(Duration::from_millis(600)));
    let gateway = Gateway::before(&origin, &format!("bounds: {{ body_idle: 200ms, keepalive: 200ms }}\n{PASS}"));
    let mut client = gateway.connect();
    assert_eq!(client.request("POST", "/", &[], b"hello").expect_status(200).text(), "late");
}

#[test]
fn a_route_may_wait_longer_for_its_bodies() {
    let origin = Origin::start(|request| Answer::ok(request.body.clone()));
    let gateway = Gateway::before(
        &origin,
        "bounds: { body_idle: 100ms }\nroutes:\n  - { name: all, access: public, upstream: origin }\n  - { name: stream, \
         match: { path: /stream }, access: public, upstream: origin, body_idle: { off: it is quiet for long }, body_rate: { \
         off: it is quiet for long } }\n",
    );
    let head = |path| format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na");
    let (mut patient, mut cut) = (gateway.connect(), gateway.connect());
    patient.send(head("/stream"));
    cut.send(head("/"));
    // By then the other one has waited as long.
    cut.read_response().expect_status(408);
    patient.send("b");
    assert_eq!(patient.read_response().expect_status(200).text(), "ab");
}

#[test]
fn a_client_that_takes_nothing_is_cut_off() {
    let origin = Origin::always(Answer::ok(vec![b'x'; 32 << 20]));
    let bounds = "bounds: { write_idle: 300ms }";
    let gateway = Gateway::before(&origin, &format!("{bounds}\n{PASS}"));
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    bound_hits(&gateway, "write_idle", 1.0);
    let line = &gateway.logged(1)[0];
    assert_eq!((&line["cause"], &line["decision"]), (&"client_too_slow".into(), &"fail".into()));
    // A connection that is closed in order keeps for minutes what the kernel has taken for the client.
    let mut rest = Vec::new();
    let error = client.stream().read_to_end(&mut rest).expect_err("a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "after {} bytes", rest.len());
}

#[test]
fn a_client_that_takes_its_answer_steadily_is_not_cut_off_for_what_the_kernel_holds() {
    let origin = Origin::always(Answer::ok(vec![b'x'; 32 << 20]));
    let gateway = Gateway::before(&origin, &format!("bounds: {{ write_idle: 1500ms }}\n{PASS}"));
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    // At this speed the kernel, which has taken 4 MiB, asks for more only after some three seconds.
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(6) {
        client.stream().read_exact(&mut [0; 8 << 10]).expect("a part of the answer");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(gateway.log_lines().len(), 0, "{}", gateway.stdout());
    drop(client);
    assert_eq!(gateway.logged(1)[0]["cause"], "client_closed");
}

#[test]
fn a_client_that_takes_little_is_cut_off() {
    let origin = Origin::always(Answer::ok(vec![b'x'; 32 << 20]));
    let bounds = "bounds: { write_idle: 500ms, answer_rate: 1GiB/s }";
    let gateway = Gateway::before(&origin, &format!("{bounds}\n{PASS}"));
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut taken = Vec::new();
    wait::until_true("the gateway to lose patience", || {
        let mut some = [0; 64 << 10];
        let count = client.stream().read(&mut some).expect("a part of the answer");
        taken.extend_from_slice(&some[..count]);
        gateway.metrics().sum("portcullis_bound_hits_total", &[("bound", "answer_rate")]) == 1.0
    });
    let error = client.stream().read_to_end(&mut taken).expect_err("a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(taken.len() < 32 << 20, "all of {} bytes came", taken.len());
    assert_eq!(gateway.logged(1)[0]["cause"], "client_too_slow");
}

#[test]
fn an_idle_connection_is_closed_to_the_millisecond_and_silently() {
    let gateway = Gateway::start(
        "bounds: { keepalive: 300ms }\nroutes: [{ name: all, access: public, respond: { \
         body: hello } }]\n",
    );
    let mut client = gateway.connect();
    client.get("/").expect_status(200);
    client.get("/").expect_status(200);
    assert!(client.is_closed());
    bound_hits(&gateway, "keepalive", 1.0);
    assert_eq!(gateway.log_lines().len(), 2);
}
