//! Bounds on concurrent requests, priorities and zones.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{before_all, failed};
use crate::support::{Answer, Origin, wait};

/// An origin that answers `/hold` only once the flag is cleared.
fn holding(name: &'static str) -> (Origin, Arc<AtomicBool>) {
    let held = Arc::new(AtomicBool::new(true));
    let hold = held.clone();
    let origin = Origin::start(move |request| {
        if request.target == "/hold" {
            wait::until_true("the test to go on", || !hold.load(Ordering::SeqCst));
        }
        Answer::ok(name)
    });
    (origin, held)
}

#[test]
fn an_upstream_at_its_bound_refuses_at_once() {
    let (origin, held) = holding("one");
    let gateway = before_all(&[&origin], "endpoints: [\"<0>\"], circuit_breaker: { requests: 1 }");
    let mut first = gateway.connect();
    first.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    wait::until_true("the request to be held", || origin.count() == 1);
    failed(&gateway, gateway.get("/"), 503, "connection_limit_reached", "upstream_overloaded");
    assert_eq!(gateway.metrics().sum("portcullis_bound_hits_total", &[("bound", "circuit_breaker")]), 1.0);
    held.store(false, Ordering::SeqCst);
    first.read_response().expect_status(200);
    wait::until_true("the place to be free", || gateway.get("/").status == 200);
}

#[test]
fn an_endpoint_at_its_bound_is_passed_over() {
    let ((one, one_held), (two, two_held)) = (holding("one"), holding("two"));
    let gateway =
        before_all(&[&one, &two], "endpoints: [\"<0>\", \"<1>\"], circuit_breaker: { requests_per_endpoint: 1 }");
    let mut first = gateway.connect();
    first.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    wait::until_true("the request to be held", || one.count() + two.count() == 1);
    let (held_by, free) = if one.count() == 1 { ("one", "two") } else { ("two", "one") };
    // One after the other: the place of an answered request is free only when its end is known.
    for _ in 0..10 {
        let answer = wait::until("a free place", || Some(gateway.get("/")).filter(|answer| answer.status == 200));
        assert_eq!(answer.text(), free);
    }
    wait::until_true("it to be counted", || {
        gateway.metrics().sum("portcullis_upstream_endpoint_full_total", &[("upstream", "origin")]) >= 5.0
    });
    one_held.store(false, Ordering::SeqCst);
    two_held.store(false, Ordering::SeqCst);
    assert_eq!(first.read_response().expect_status(200).text(), held_by);
}

#[test]
fn the_second_tier_takes_over_when_the_first_is_gone() {
    let (one, two) = (Origin::saying("one"), Origin::saying("two"));
    let gateway = before_all(&[&one, &two], "endpoints: [\"<0>\", { address: \"<1>\", priority: 1 }]");
    let mut client = gateway.connect();
    for _ in 0..20 {
        assert_eq!(client.get("/").expect_status(200).text(), "one");
    }
    one.stop();
    for _ in 0..20 {
        assert_eq!(client.get("/").expect_status(200).text(), "two");
    }
}

#[test]
fn the_own_zone_is_preferred_and_the_others_take_over() {
    let (one, two) = (Origin::saying("one"), Origin::saying("two"));
    let gateway =
        before_all(&[&one, &two], "endpoints: [{ address: \"<0>\", zone: a }, { address: \"<1>\", zone: b }], zone: b");
    let mut client = gateway.connect();
    for _ in 0..20 {
        assert_eq!(client.get("/").expect_status(200).text(), "two");
    }
    two.stop();
    for _ in 0..20 {
        assert_eq!(client.get("/").expect_status(200).text(), "one");
    }
}
