//! A panic in the gateway's code fails only its request.

use std::time::Duration;

use crate::support::h2_client::H2;
use crate::support::{Answer, Gateway, Origin, Setup, wait};

/// Places where a panic fails the request like anything else that goes wrong.
const CAUGHT: [&str; 4] = ["panic-in-fact", "panic-in-request", "panic-in-upstream", "panic-in-response"];

/// A gateway that panics on request, with one place for requests in progress.
fn faulty(origin: &Origin) -> Gateway {
    Setup::new(
        r#"
listeners: [{ name: main, address: "<listen>", http2: true }]
response_headers: { set: { X-Frame-Options: DENY } }
routes:
  - { name: narrow, match: { path: /narrow }, access: public, upstream: origin, limits: [{ name: one, key: gateway, concurrent: 1 }] }
  - { name: wide, access: public, upstream: origin }
"#,
    )
    .origin(origin)
    .variable("PORTCULLIS_FAULTS", "on")
    .variable("RUST_BACKTRACE", "0")
    .start()
}

fn panics(gateway: &Gateway) -> f64 {
    gateway.metrics().sum("portcullis_panics_total", &[])
}

/// The lines of the program log that tell of a panic.
fn panic_lines(gateway: &Gateway) -> Vec<String> {
    gateway.stderr().lines().filter(|line| line.contains("panicked")).map(str::to_owned).collect()
}

#[test]
fn a_panic_is_a_sealed_500_and_ends_the_connection() {
    let origin = Origin::saying("ok");
    let gateway = faulty(&origin);
    for fault in CAUGHT {
        let mut client = gateway.connect();
        let answer = client.request("GET", &format!("/{fault}"), &[("X-Portcullis-Fault", fault)], b"");
        let answer = answer.expect_status(500).expect_header("X-Frame-Options", "DENY");
        assert_eq!(answer.json()["code"], "internal_error");
        assert!(client.is_closed(), "{fault}");
        let line = gateway.logged_path(&format!("/{fault}"));
        assert_eq!((&line["status"], &line["decision"]), (&500.into(), &"fail".into()));
        assert_eq!(line["cause"], "internal_error");
    }
    gateway.get("/").expect_status(200);
    assert_eq!(gateway.logged(5).len(), 5, "one line for each request");
    assert_eq!(panics(&gateway), 4.0);
}

#[test]
fn a_panic_that_nothing_catches_closes_the_connection_and_is_recorded_all_the_same() {
    let origin = Origin::saying("ok");
    let gateway = faulty(&origin);
    let mut client = gateway.connect();
    client.send("GET /task HTTP/1.1\r\nHost: a\r\nX-Portcullis-Fault: panic-in-task\r\n\r\n");
    assert!(client.is_closed());
    let line = gateway.logged_path("/task");
    assert_eq!((&line["cause"], &line["decision"]), (&"internal_error".into(), &"fail".into()));
    assert_eq!(line.get("status"), None);
    wait::until_true("everything to be given back", || {
        let metrics = gateway.metrics();
        metrics.sum("portcullis_connections", &[]) == 0.0 && metrics.sum("portcullis_requests_in_flight", &[]) == 0.0
    });
    assert_eq!(panics(&gateway), 1.0);
    gateway.get("/").expect_status(200);
    assert_eq!(gateway.logged(2).len(), 2);
}

#[test]
fn a_panic_is_told_once_with_its_place_and_without_the_request() {
    let origin = Origin::saying("ok");
    let gateway = faulty(&origin);
    for (count, fault) in [(1, "panic-in-request"), (2, "panic-in-task")] {
        let headers = [("X-Portcullis-Fault", fault), ("Cookie", "session=s3cret")];
        let mut client = gateway.connect();
        let _ = client.send_request("GET", "/private?token=s3cret", &headers, b"");
        wait::until_true("the message", || panic_lines(&gateway).len() == count);
    }
    for line in panic_lines(&gateway) {
        assert!(line.contains(" ERROR portcullis::telemetry::program_log: panicked at src/faults.rs:"), "{line}");
        assert!(line.ends_with(": a fault was asked for"), "{line}");
    }
    assert!(!gateway.stderr().contains("s3cret") && !gateway.stderr().contains("/private"), "{}", gateway.stderr());
}

#[test]
fn a_panic_gives_back_the_place_in_a_limit() {
    let origin = Origin::saying("ok");
    let gateway = faulty(&origin);
    for fault in CAUGHT.into_iter().chain(["panic-in-task"]) {
        let _ = gateway.connect().send_request("GET", "/narrow", &[("X-Portcullis-Fault", fault)], b"");
        wait::until_true("the panic", || panics(&gateway) > 0.0);
        wait::until_true("the place", || gateway.get("/narrow").status == 200);
    }
}

#[test]
fn a_panic_ends_one_stream_and_the_others_of_its_connection_go_on() {
    let origin = Origin::always(Answer::ok("ok").after(Duration::from_millis(200)));
    let gateway = faulty(&origin);
    let mut client = H2::prior_knowledge(gateway.address());
    let url = "http://gateway.test/";
    let none: &[(&str, &str)] = &[];
    let answers = client.get_each(&[
        (url, none),
        (url, &[("x-portcullis-fault", "panic-in-task")]),
        (url, &[("x-portcullis-fault", "panic-in-request")]),
        (url, &[("x-portcullis-fault", "panic-in-response")]),
        (url, none),
    ]);
    let statuses: Vec<Option<u16>> = answers.iter().map(|answer| answer.as_ref().ok().map(|a| a.status)).collect();
    assert_eq!(statuses, [Some(200), None, Some(500), Some(500), Some(200)], "{answers:?}");
    assert!(answers[1].as_ref().is_err_and(h2::Error::is_reset), "{answers:?}");
    client.get(url).expect_status(200);
    assert_eq!(gateway.logged(6).len(), 6);
    let metrics = gateway.metrics();
    assert_eq!(metrics.sum("portcullis_connections_total", &[("listener", "main")]), 1.0);
    assert_eq!(metrics.sum("portcullis_panics_total", &[]), 3.0);
    assert_eq!(metrics.sum("portcullis_failures_total", &[("cause", "internal_error")]), 3.0);
}

#[test]
fn a_gateway_that_is_not_armed_ignores_the_header() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::before(&origin, "routes: [{ name: all, access: public, upstream: origin }]");
    gateway.get_with("/", &[("X-Portcullis-Fault", "panic-in-request")]).expect_status(200);
    assert_eq!(panics(&gateway), 0.0);
}
