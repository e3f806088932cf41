//! Retries: what is retried, what is not, and the budget.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use h2::Reason;

use super::{before_all, failed};
use crate::support::h2_origin::H2Origin;
use crate::support::h2_script::{self, H2Script, head};
use crate::support::raw_origin::RawOrigin;
use crate::support::{Answer, Gateway, Origin, Setup, wait};

/// A gateway before one origin, with `retries` of the upstream and what else the route says.
fn with_route(origin: &Origin, upstream: &str, route: &str) -> Gateway {
    let yaml = format!(
        "upstreams: {{ origin: {{ endpoints: [\"<o>\"], {upstream} }} }}\nroutes: [{{ name: all, access: public, upstream: \
         origin, {route} }}]\n"
    );
    Setup::new(&yaml).with("o", origin.address()).start()
}

const NOW: &str = "backoff: { first: 0ms }";

/// Fails the first `times` requests with `answer`, and then works.
fn failing(times: usize, answer: Answer) -> Origin {
    let left = AtomicUsize::new(times);
    Origin::start(move |_| {
        let failing = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if failing { answer.clone() } else { Answer::ok("works") }
    })
}

fn retried(gateway: &Gateway, reason: &str) -> f64 {
    gateway.metrics().sum("portcullis_upstream_retries_total", &[("upstream", "origin"), ("reason", reason)])
}

// What is tried again.

#[test]
fn a_listed_status_is_tried_again() {
    let origin = failing(2, Answer::status(503));
    let gateway = with_route(&origin, &format!("retries: {{ on: [502, 503], {NOW} }}"), "");
    assert_eq!(gateway.get("/").expect_status(200).text(), "works");
    assert_eq!(origin.count(), 3);
    let line = gateway.logged_path("/");
    assert_eq!((&line["attempts"], &line["retried"], &line["cause"]), (&3.into(), &"status".into(), &().into()));
    assert_eq!(retried(&gateway, "status"), 2.0);
}

#[test]
fn another_endpoint_comes_before_the_same() {
    let (bad, good) = (Origin::always(Answer::status(503)), Origin::saying("works"));
    let gateway = before_all(
        &[&bad, &good],
        &format!("endpoints: [\"<0>\", \"<1>\"], retries: {{ on: 503, attempts: 2, {NOW} }}"),
    );
    for _ in 0..20 {
        gateway.get("/").expect_status(200);
    }
    assert!(bad.count() >= 5);
}

#[test]
fn the_last_answer_reaches_the_client_whole() {
    let origin = Origin::always(Answer::status(503).body("sorry").header("X-From", "origin"));
    let gateway = with_route(&origin, &format!("retries: {{ on: [503], attempts: 2, {NOW} }}"), "");
    let answer = gateway.get("/").expect_status(503).expect_header("X-From", "origin");
    assert_eq!((answer.text(), origin.count()), ("sorry".into(), 2));
    assert_eq!(gateway.logged_path("/")["decision"], "allow");
}

#[test]
fn statuses_and_resets_are_not_tried_again_unasked() {
    let origin = Origin::always(Answer::status(503));
    with_route(&origin, "timeouts: {}", "").get("/").expect_status(503);
    assert_eq!(origin.count(), 1);
    let origin = Origin::always(Answer::close());
    with_route(&origin, "timeouts: {}", "").get("/").expect_status(502);
    assert_eq!(origin.count(), 1);
}

#[test]
fn a_broken_connection_is_tried_again_as_often_as_the_file_says() {
    let origin = Origin::always(Answer::close());
    let gateway = with_route(&origin, &format!("retries: {{ on: [connect, reset], attempts: 4, {NOW} }}"), "");
    failed(&gateway, gateway.get("/"), 502, "connection_terminated", "upstream_closed");
    assert_eq!(origin.count(), 4);
    let origin = failing(3, Answer::close());
    let gateway = with_route(&origin, &format!("retries: {{ on: reset, attempts: 4, {NOW} }}"), "");
    gateway.get("/").expect_status(200);
    assert_eq!(retried(&gateway, "reset"), 3.0);
}

#[test]
fn connections_that_are_reset_in_a_storm_are_tried_again() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let origin = RawOrigin::start(move |wire| {
        while wire.head().is_some() {
            if count.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
                return wire.reset();
            }
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let gateway = Setup::new(&format!(
        "upstreams: {{ origin: {{ endpoints: [\"<o>\"], retries: {{ on: reset, attempts: 3, budget: 100%, {NOW} }} }} }}\n{}",
        super::PASS
    ))
    .with("o", origin.address())
    .start();
    for _ in 0..50 {
        gateway.get("/").expect_status(200);
    }
}

// What is not.

#[test]
fn a_post_is_repeated_only_where_the_route_vouches_for_it() {
    for answer in [Answer::status(503), Answer::close()] {
        let upstream = format!("retries: {{ on: [reset, 503], {NOW} }}");
        let origin = failing(1, answer.clone());
        let gateway = with_route(&origin, &upstream, "");
        assert!(gateway.request("POST", "/", &[], b"charge 5").status >= 502);
        assert_eq!(origin.count(), 1);

        let origin = failing(1, answer.clone());
        let gateway = with_route(&origin, &upstream, "retries: { unsafe: true }");
        gateway.request("POST", "/", &[("Idempotency-Key", "7")], b"charge 5").expect_status(200);
        let bodies: Vec<_> = origin.requests().into_iter().map(|request| request.body).collect();
        assert_eq!(bodies, [b"charge 5", b"charge 5"]);

        let origin = failing(1, answer);
        let gateway = with_route(&origin, &upstream, "retries: { unsafe: true, methods: [GET, PATCH] }");
        assert!(gateway.request("POST", "/", &[], b"charge 5").status >= 502);
        assert_eq!(origin.count(), 1);
    }
}

#[test]
fn a_route_says_otherwise_by_name() {
    let upstream = format!("retries: {{ on: [503], attempts: 3, {NOW} }}");
    let origin = Origin::always(Answer::status(503));
    with_route(&origin, &upstream, "retries: off").get("/").expect_status(503);
    assert_eq!(origin.count(), 1);
    let origin = Origin::always(Answer::status(503));
    with_route(&origin, &upstream, "retries: { attempts: 2 }").get("/").expect_status(503);
    assert_eq!(origin.count(), 2);
    let origin = Origin::always(Answer::status(503));
    with_route(&origin, &upstream, "retries: { on: [502] }").get("/").expect_status(503);
    assert_eq!(origin.count(), 1);
}

#[test]
fn a_body_is_repeated_up_to_what_is_kept_of_it() {
    for (length, asked) in [(0, 2), (1000, 2), (60_000, 2), (100_000, 1)] {
        let origin = failing(1, Answer::status(503));
        let gateway = with_route(&origin, &format!("retries: {{ on: [503], {NOW} }}"), "");
        let body = vec![b'x'; length];
        let status = gateway.request("PUT", "/", &[], &body).status;
        assert_eq!((status, origin.count()), (if asked == 2 { 200 } else { 503 }, asked), "{length}");
        assert!(origin.requests().iter().all(|request| request.body == body), "{length}");
    }
}

#[test]
fn a_body_that_is_sent_twice_counts_once_against_its_bound() {
    let origin = failing(1, Answer::status(503));
    let gateway = with_route(&origin, &format!("retries: {{ on: [503], {NOW} }}"), "body: 1000B");
    gateway.request("PUT", "/", &[], &[b'x'; 900]).expect_status(200);
}

#[test]
fn an_answer_that_has_begun_is_never_begun_again() {
    let origin = Origin::always(Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"));
    let gateway = with_route(&origin, &format!("retries: {{ on: [reset, 502], {NOW} }}"), "");
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(client.try_read_response(false).is_err());
    assert_eq!(origin.count(), 1);
    let hinted = Origin::always(Answer::raw("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"));
    with_route(&hinted, &format!("retries: {{ on: reset, {NOW} }}"), "").get("/").expect_status(502);
    assert_eq!(hinted.count(), 1);
}

#[test]
fn what_is_no_answer_is_not_asked_for_again() {
    let origin = Origin::always(Answer::raw("SSH-2.0-OpenSSH_9.9\r\nnot: HTTP\r\n\r\n"));
    let gateway = with_route(&origin, &format!("retries: {{ on: [connect, reset, timeout, 502], {NOW} }}"), "");
    failed(&gateway, gateway.get("/"), 502, "http_protocol_error", "upstream_protocol");
    assert_eq!(origin.count(), 1);
}

// Waits.

#[test]
fn an_origin_that_asks_for_a_longer_wait_is_left_alone() {
    for wait in ["2", "Wed, 21 Oct 2026 07:28:00 GMT"] {
        let origin = failing(1, Answer::status(503).header("Retry-After", wait));
        with_route(&origin, "retries: { on: [503] }", "").get("/").expect_status(503);
        assert_eq!(origin.count(), 1, "{wait}");
    }
}

#[test]
fn an_origin_is_asked_again_no_sooner_than_it_says() {
    let origin = failing(1, Answer::status(503).header("Retry-After", "1"));
    let gateway = with_route(&origin, "retries: { on: [503], backoff: { longest: 2s } }", "");
    let start = Instant::now();
    gateway.get("/").expect_status(200);
    assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
}

#[test]
fn a_try_that_takes_too_long_goes_to_another_endpoint() {
    let slow = Origin::always(Answer::ok("late").after(Duration::from_secs(30)));
    let fast = Origin::saying("fast");
    let gateway = before_all(
        &[&slow, &fast],
        &format!("endpoints: [\"<0>\", \"<1>\"], retries: {{ on: [timeout], try_timeout: 200ms, {NOW} }}"),
    );
    for _ in 0..4 {
        assert_eq!(gateway.get("/").expect_status(200).text(), "fast");
    }
    assert!(slow.count() >= 1);
    assert!(retried(&gateway, "timeout") >= 1.0);
}

#[test]
fn a_post_that_takes_too_long_is_504_and_sent_once() {
    let slow = Origin::always(Answer::ok("late").after(Duration::from_secs(30)));
    let gateway = with_route(&slow, &format!("retries: {{ on: [timeout], try_timeout: 200ms, {NOW} }}"), "");
    failed(&gateway, gateway.request("POST", "/", &[], b"x"), 504, "http_response_timeout", "upstream_timeout");
    assert_eq!(slow.count(), 1);
}

#[test]
fn a_body_may_take_longer_than_a_try() {
    let origin = RawOrigin::start(|wire| {
        while wire.head().is_some() {
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n");
            for byte in ["a", "b", "c", "d"] {
                std::thread::sleep(Duration::from_millis(700));
                wire.send(byte);
            }
        }
    });
    let gateway = Setup::new(&format!(
        "upstreams: {{ origin: {{ endpoints: [\"<o>\"], retries: {{ try_timeout: 500ms }} }} }}\n{}",
        super::PASS
    ))
    .with("o", origin.address())
    .start();
    // The second on the pooled connection of the first.
    for _ in 0..2 {
        assert_eq!(gateway.get("/").expect_status(200).text(), "abcd");
    }
}

#[test]
fn all_tries_together_have_an_end() {
    let slow = Origin::always(Answer::ok("late").after(Duration::from_secs(30)));
    let gateway = with_route(
        &slow,
        &format!("timeouts: {{ request: 700ms }}, retries: {{ on: timeout, attempts: 10, try_timeout: 300ms, {NOW} }}"),
        "",
    );
    failed(&gateway, gateway.get("/"), 504, "http_response_timeout", "upstream_timeout");
    assert!((1..=3).contains(&slow.count()), "{}", slow.count());
}

// The budget.

#[test]
fn an_outage_is_not_multiplied() {
    let (one, two) = (Origin::always(Answer::status(503)), Origin::always(Answer::status(503)));
    let gateway = before_all(
        &[&one, &two],
        &format!(
            "endpoints: [\"<0>\", \"<1>\"], retries: {{ on: 503, attempts: 5, budget: 20%, budget_floor: 1/m, {NOW} }}"
        ),
    );
    let mut client = gateway.connect();
    for _ in 0..200 {
        client.get("/").expect_status(503);
    }
    let asked = one.count() + two.count();
    assert!(asked > 200 && asked <= 240, "{asked}");
    let denied = "portcullis_upstream_retries_denied_total";
    assert!(gateway.metrics().sum(denied, &[("upstream", "origin"), ("reason", "status")]) >= 150.0);
}

#[test]
fn the_floor_lets_the_first_failures_be_tried_again() {
    let origin = Origin::always(Answer::status(503));
    let gateway =
        with_route(&origin, &format!("retries: {{ on: 503, attempts: 2, budget: 0%, budget_floor: 12/m, {NOW} }}"), "");
    for _ in 0..10 {
        gateway.get("/").expect_status(503);
    }
    assert_eq!(origin.count(), 12);
}

// HTTP/2 origins.

#[test]
fn a_refused_stream_is_sent_again_whatever_its_method() {
    h2_script::run(async {
        let refused = Arc::new(AtomicUsize::new(0));
        let count = refused.clone();
        let origin = H2Script::start(None, move |request, mut respond| {
            let refuse = count.fetch_add(1, Ordering::SeqCst) == 0;
            async move {
                if refuse {
                    return respond.send_reset(Reason::REFUSED_STREAM);
                }
                let mut body = request.into_body();
                let (read, _) = h2_script::rest(&mut body).await.expect("the body");
                let mut stream = respond.send_response(head(200, &[]), false).expect("an answer");
                stream.send_data(read.into(), true).expect("a body");
            }
        })
        .await;
        let gateway = http2_before(&origin.address.to_string(), "");
        let answer = tokio::task::spawn_blocking(move || {
            let answer = gateway.request("POST", "/", &[], b"charge 5").expect_status(200).text();
            assert_eq!(retried(&gateway, "refused"), 1.0);
            answer
        });
        assert_eq!(answer.await.unwrap(), "charge 5");
        assert_eq!(refused.load(Ordering::SeqCst), 2);
    });
}

#[test]
fn a_stream_that_goaway_leaves_out_is_sent_again_whatever_its_method() {
    let going = RawOrigin::start(|wire| {
        wire.until(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        wire.send([0, 0, 0, 4, 0, 0, 0, 0, 0]);
        while let Some(frame) = wire.take(9) {
            let length = usize::from(frame[0]) << 16 | usize::from(frame[1]) << 8 | usize::from(frame[2]);
            wire.take(length);
            match frame[3] {
                // SETTINGS, which are to be acknowledged.
                4 if frame[4] == 0 => drop(wire.send([0, 0, 0, 4, 1, 0, 0, 0, 0])),
                // HEADERS: GOAWAY, last stream 0, NO_ERROR.
                1 => {
                    wire.send([0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
                    wire.drain();
                    return;
                }
                _ => {}
            }
        }
    });
    let staying = H2Origin::start(None, |request| Answer::ok(request.body.clone()));
    let gateway = http2_before(&staying.address().to_string(), &format!(", \"{}\"", going.address()));
    wait::until_true("the origin that leaves to be asked", || {
        assert_eq!(gateway.request("POST", "/", &[], b"charge 5").expect_status(200).text(), "charge 5");
        going.connections() > 0
    });
    assert!(retried(&gateway, "refused") >= 1.0);
}

#[test]
fn a_stream_that_breaks_in_another_way_is_not_sent_again() {
    h2_script::run(async {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let origin = H2Script::start(None, move |_, mut respond| {
            count.fetch_add(1, Ordering::SeqCst);
            async move { respond.send_reset(Reason::INTERNAL_ERROR) }
        })
        .await;
        let gateway = http2_before(&origin.address.to_string(), "");
        let answer = tokio::task::spawn_blocking(move || gateway.request("POST", "/", &[], b"charge 5").status);
        assert_eq!(answer.await.unwrap(), 502);
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn an_http2_origin_is_tried_again_by_status_and_by_time() {
    let left = AtomicUsize::new(2);
    let origin = H2Origin::start(None, move |_| {
        match left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) {
            Ok(2) => Answer::status(503),
            Ok(_) => Answer::ok("late").after(Duration::from_secs(30)),
            Err(_) => Answer::ok("works"),
        }
    });
    let yaml = format!(
        "upstreams: {{ origin: {{ endpoints: [\"<o>\"], http2: true, retries: {{ on: [503, timeout], try_timeout: 300ms, \
         {NOW} }} }} }}\n{}",
        super::PASS
    );
    let gateway = Setup::new(&yaml).with("o", origin.address()).start();
    assert_eq!(gateway.get("/").expect_status(200).text(), "works");
    assert_eq!((origin.requests().len(), retried(&gateway, "status"), retried(&gateway, "timeout")), (3, 1.0, 1.0));
}

fn http2_before(address: &str, more: &str) -> Gateway {
    let yaml = format!(
        "upstreams: {{ origin: {{ endpoints: [\"<o>\"{more}], http2: true, retries: {{ {NOW} }} }} }}\n{}",
        super::PASS
    );
    Setup::new(&yaml).with("o", address).start()
}
