//! Ejection: endpoints that fail requests are ejected, and return after a successful trial.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{PASS, before_all};
use crate::support::ports::free_address;
use crate::support::{Answer, Gateway, Origin, Setup, wait};

/// An origin called `one` that answers 503 while the flag is set.
fn sick_at_times() -> (Origin, Arc<AtomicBool>) {
    let sick = Arc::new(AtomicBool::new(true));
    let is_sick = sick.clone();
    let origin = Origin::start(move |_| {
        if is_sick.load(Ordering::SeqCst) { Answer::status(503).body("sick") } else { Answer::ok("one") }
    });
    (origin, sick)
}

fn ejections(gateway: &Gateway, reason: &str) -> f64 {
    gateway.metrics().sum("portcullis_upstream_ejections_total", &[("upstream", "origin"), ("reason", reason)])
}

/// Sends requests until `origin` was left out for `reason`.
#[track_caller]
fn until_ejected(gateway: &Gateway, reason: &str) {
    wait::until_true("an endpoint to be left out", || {
        gateway.get("/");
        ejections(gateway, reason) > 0.0
    });
}

#[test]
fn who_answers_503_in_a_row_is_left_out() {
    let ((one, _), two) = (sick_at_times(), Origin::saying("two"));
    let gateway =
        before_all(&[&one, &two], "endpoints: [\"<0>\", \"<1>\"], ejection: { consecutive_failures: 3, for: 1h }");
    until_ejected(&gateway, "consecutive_failures");
    assert_eq!(one.count(), 3);
    let mut client = gateway.connect();
    for _ in 0..10 {
        assert_eq!(client.get("/").expect_status(200).text(), "two");
    }
    let endpoint = one.address().to_string();
    let metrics = gateway.metrics();
    assert_eq!(metrics.sum("portcullis_upstream_endpoint_ejected", &[("endpoint", &endpoint)]), 1.0);
    assert_eq!(metrics.sum("portcullis_upstream_endpoint_healthy", &[("endpoint", &endpoint)]), 0.0);
    let words = gateway.stderr();
    assert!(words.contains(&format!("endpoint {endpoint} is left out for 3600s")), "{words}");
    assert!(words.contains("the last time with the status 503"), "{words}");
}

#[test]
fn a_trial_brings_it_back_once_it_works() {
    let ((one, sick), two) = (sick_at_times(), Origin::saying("two"));
    let gateway = before_all(
        &[&one, &two],
        "endpoints: [\"<0>\", \"<1>\"], ejection: { consecutive_failures: 2, for: 20ms, longest: 40ms }",
    );
    until_ejected(&gateway, "trial_failed");
    sick.store(false, Ordering::SeqCst);
    let mut client = gateway.connect();
    wait::until_true("the endpoint to be used again", || client.get("/").text() == "one");
    for _ in 0..10 {
        client.get("/").expect_status(200);
    }
    let metrics = gateway.metrics();
    assert_eq!(metrics.sum("portcullis_upstream_endpoint_ejected", &[]), 0.0);
    gateway.says("passed its trial");
}

#[test]
fn an_endpoint_that_cannot_be_reached_is_left_out_by_default() {
    let alive = Origin::saying("alive");
    let gateway = Setup::new(&format!("upstreams: {{ origin: {{ endpoints: [\"<dead>\", \"<alive>\"] }} }}\n{PASS}"))
        .with("dead", free_address())
        .with("alive", alive.address())
        .start();
    let mut client = gateway.connect();
    for _ in 0..10 {
        client.get("/").expect_status(200);
    }
    wait::until_true("the dead endpoint to be left out", || ejections(&gateway, "consecutive_failures") == 1.0);
    let failures = || gateway.metrics().sum("portcullis_upstream_connect_failures_total", &[("upstream", "origin")]);
    assert_eq!(failures(), 5.0);
    for _ in 0..10 {
        client.get("/").expect_status(200);
    }
    assert!(failures() <= 6.0, "nothing but a trial goes there");
}

#[test]
fn off_leaves_nobody_out() {
    let alive = Origin::saying("alive");
    let upstream = "endpoints: [\"<dead>\", \"<alive>\"], ejection: off";
    let gateway = Setup::new(&format!("upstreams: {{ origin: {{ {upstream} }} }}\n{PASS}"))
        .with("dead", free_address())
        .with("alive", alive.address())
        .start();
    let mut client = gateway.connect();
    for _ in 0..40 {
        client.get("/").expect_status(200);
    }
    let metrics = gateway.metrics();
    assert!(metrics.sum("portcullis_upstream_connect_failures_total", &[]) >= 20.0);
    assert!(!metrics.has("portcullis_upstream_ejections_total"));
}

#[test]
fn statuses_do_not_count_by_default() {
    let ((one, _), two) = (sick_at_times(), Origin::saying("two"));
    let gateway = before_all(&[&one, &two], "endpoints: [\"<0>\", \"<1>\"]");
    let mut client = gateway.connect();
    for _ in 0..40 {
        client.get("/");
    }
    assert_eq!(one.count(), 20);
}

#[test]
fn no_more_are_left_out_than_may_be() {
    let (one, _) = sick_at_times();
    let (two, _) = sick_at_times();
    let gateway =
        before_all(&[&one, &two], "endpoints: [\"<0>\", \"<1>\"], ejection: { consecutive_failures: 2, for: 1h }");
    let mut client = gateway.connect();
    for _ in 0..30 {
        // Not the gateway's own refusal: one of them still gets everything.
        assert_eq!(client.get("/").expect_status(503).text(), "sick");
    }
    wait::until_true("the ejections to be counted", || {
        let withheld = gateway.metrics().sum("portcullis_upstream_ejections_withheld_total", &[("upstream", "origin")]);
        ejections(&gateway, "consecutive_failures") == 1.0 && withheld >= 1.0
    });
}

#[test]
fn who_fails_more_often_than_the_others_is_left_out() {
    let turn = Arc::new(AtomicBool::new(false));
    let one =
        Origin::start(
            move |_| {
                if turn.fetch_xor(true, Ordering::SeqCst) { Answer::status(502) } else { Answer::ok("one") }
            },
        );
    let two = Origin::saying("two");
    let gateway = before_all(
        &[&one, &two],
        "endpoints: [\"<0>\", \"<1>\"], ejection: { consecutive_failures: 100, for: 1h, \
         error_rate: { window: 1h, requests: 10, at_least: 30%, times: 2 } }",
    );
    until_ejected(&gateway, "error_rate");
    assert!((10..14).contains(&one.count()), "{}", one.count());
    for _ in 0..10 {
        assert_eq!(gateway.get("/").expect_status(200).text(), "two");
    }
}

#[test]
fn silence_and_broken_connections_count() {
    for answer in [Answer::ok("late").after(Duration::from_secs(3)), Answer::close()] {
        let (one, two) = (Origin::always(answer), Origin::saying("two"));
        let gateway = before_all(
            &[&one, &two],
            "endpoints: [\"<0>\", \"<1>\"], timeouts: { response: 100ms }, \
             ejection: { consecutive_failures: 2, for: 1h }",
        );
        until_ejected(&gateway, "consecutive_failures");
        gateway.get("/").expect_status(200);
    }
}

#[test]
fn a_client_that_leaves_is_no_failure_of_the_endpoint() {
    let one = Origin::always(Answer::ok("one").after(Duration::from_millis(200)));
    let two = Origin::saying("two");
    let gateway =
        before_all(&[&one, &two], "endpoints: [\"<0>\", \"<1>\"], ejection: { consecutive_failures: 1, for: 1h }");
    for _ in 0..4 {
        let mut client = gateway.connect();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        drop(client);
    }
    gateway.logged(4);
    assert!(!gateway.metrics().has("portcullis_upstream_ejections_total"));
}

#[test]
fn with_everything_left_out_the_owner_decides() {
    let (one, _) = sick_at_times();
    let (two, _) = sick_at_times();
    let ejection = "ejection: { consecutive_failures: 1, for: 1h, most: 100% }";
    let refusing =
        before_all(&[&one, &two], &format!("endpoints: [\"<0>\", \"<1>\"], all_unhealthy: refuse, {ejection}"));
    wait::until_true("a refusal", || {
        let response = refusing.get("/");
        response.header("Content-Type").is_some_and(|kind| kind.contains("problem"))
            && response.json()["code"] == "upstream_unhealthy"
    });
    let using = before_all(&[&one, &two], &format!("endpoints: [\"<0>\", \"<1>\"], {ejection}"));
    for _ in 0..6 {
        assert_eq!(using.get("/").expect_status(503).text(), "sick");
    }
}
