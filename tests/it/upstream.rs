//! Upstream: which endpoint gets a request, and the answer if none can be used.

mod balance;
mod bounds;
mod drain;
mod ejection;
mod http2;
mod private;
mod retry;
mod stale;
mod sticky;
mod time;
mod tls;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::ports::free_address;
use crate::support::{Answer, Gateway, Origin, Response, Setup, wait};

const PASS: &str = "routes: [{ name: all, access: public, upstream: origin }]\n";

/// A gateway before several origins, `<0>`, `<1>`, … in the upstream's text.
fn before_all(origins: &[&Origin], upstream: &str) -> Gateway {
    let setup = Setup::new(&format!("upstreams: {{ origin: {{ {upstream} }} }}\n{PASS}"));
    origins.iter().enumerate().fold(setup, |setup, (n, origin)| setup.with(&n.to_string(), origin.address())).start()
}

/// Asserts a failure with its `Proxy-Status` (RFC 9209) and its cause in the body and in the log.
#[track_caller]
fn failed(gateway: &Gateway, response: Response, status: u16, error: &str, cause: &str) {
    let response = response.expect_status(status);
    let proxy_status = response.header("Proxy-Status").expect("Proxy-Status");
    assert!(proxy_status.contains(&format!("error={error}")), "{proxy_status}");
    assert_eq!(response.json()["code"], cause);
    let line = gateway.eventually_logged(|line| line["cause"] == cause);
    assert_eq!((&line["decision"], &line["status"]), (&"fail".into(), &status.into()));
}

// Failures to connect.

#[test]
fn a_dead_endpoint_fails_no_request() {
    let alive = Origin::saying("alive");
    let gateway = Setup::new(&format!("upstreams: {{ origin: {{ endpoints: [\"<dead>\", \"<alive>\"] }} }}\n{PASS}"))
        .with("dead", free_address())
        .with("alive", alive.address())
        .start();
    for n in 0..20 {
        let method = if n % 2 == 0 { "GET" } else { "POST" };
        gateway.request(method, "/", &[], b"").expect_status(200);
    }
    assert_eq!(alive.count(), 20);
    gateway.eventually_logged(|line| line["attempts"] == 2);
    assert!(gateway.metrics().sum("portcullis_upstream_retries_total", &[("upstream", "origin")]) >= 1.0);
}

#[test]
fn a_body_is_sent_whole_to_the_endpoint_that_works() {
    let alive = Origin::start(|request| Answer::ok(request.body.clone()));
    let gateway = Setup::new(&format!("upstreams: {{ origin: {{ endpoints: [\"<dead>\", \"<alive>\"] }} }}\n{PASS}"))
        .with("dead", free_address())
        .with("alive", alive.address())
        .start();
    let body = vec![b'x'; 300_000];
    for _ in 0..4 {
        assert!(gateway.request("POST", "/", &[], &body).expect_status(200).body == body);
    }
}

#[test]
fn an_endpoint_that_dies_meanwhile_fails_no_request() {
    let (one, two) = (Origin::saying("one"), Origin::saying("two"));
    let gateway = before_all(&[&one, &two], "endpoints: [\"<0>\", \"<1>\"], ejection: { for: 100ms }");
    let mut client = gateway.connect();
    for _ in 0..10 {
        client.get("/").expect_status(200);
    }
    one.stop();
    for _ in 0..20 {
        client.get("/").expect_status(200);
    }
    one.restart();
    let before = one.count();
    wait::until_true("the restarted endpoint to be used again", || {
        client.get("/").expect_status(200);
        one.count() > before
    });
}

#[test]
fn a_pooled_connection_that_the_origin_closed_fails_no_get() {
    let origin = Origin::always(Answer::ok("ok").then_close());
    let gateway = Gateway::before(&origin, PASS);
    let mut client = gateway.connect();
    for _ in 0..20 {
        client.get("/").expect_status(200);
    }
}

#[test]
fn connections_to_the_origin_are_reused() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::before(&origin, &format!("process: {{ threads: 1 }}\n{PASS}"));
    for _ in 0..10 {
        gateway.get("/").expect_status(200);
    }
    assert_eq!(origin.connections(), 1);
    assert_eq!(gateway.logged(10).iter().filter(|line| line["upstream_reused"] == true).count(), 9);
}

#[test]
fn all_endpoints_dead_is_502() {
    let gateway = Setup::new(&format!("upstreams: {{ origin: {{ endpoints: [\"<one>\", \"<two>\"] }} }}\n{PASS}"))
        .with("one", free_address())
        .with("two", free_address())
        .start();
    failed(&gateway, gateway.get("/"), 502, "connection_refused", "upstream_connect_failed");
}

#[test]
fn a_name_that_does_not_resolve_is_503() {
    let gateway =
        Gateway::start(&format!("upstreams: {{ origin: {{ endpoints: [\"nothing.invalid:80\"] }} }}\n{PASS}"));
    failed(&gateway, gateway.get("/"), 503, "dns_error", "upstream_unresolved");
}

#[test]
fn a_name_is_resolved() {
    let origin = Origin::saying("ok");
    let gateway = Setup::new(&format!("upstreams: {{ origin: {{ endpoints: [\"localhost:<port>\"] }} }}\n{PASS}"))
        .with("port", origin.address().port())
        .start();
    wait::until_true("the name to be resolved", || gateway.get("/").status == 200);
    gateway.get("/").expect_status(200);
}

#[test]
fn a_slow_answer_is_504() {
    let origin = Origin::always(Answer::ok("late").after(Duration::from_secs(2)));
    let gateway = before_all(&[&origin], "endpoints: [\"<0>\"], timeouts: { response: 150ms }");
    failed(&gateway, gateway.get("/"), 504, "http_response_timeout", "upstream_timeout");
    assert_eq!(origin.count(), 1);
}

#[test]
fn a_handshake_that_never_ends_is_504() {
    // Accepts, and waits for a plain request without a bound.
    let origin = Origin::saying("unused");
    let gateway = before_all(
        &[&origin],
        "endpoints: [\"<0>\"], timeouts: { connect: 150ms }, retries: off, tls: { sni: origin.test }",
    );
    failed(&gateway, gateway.get("/"), 504, "connection_timeout", "upstream_connect_timeout");
}

#[test]
fn garbage_is_502() {
    let origin = Origin::always(Answer::raw("SSH-2.0-OpenSSH_9.9\r\nnot: HTTP\r\n\r\n"));
    let gateway = Gateway::before(&origin, PASS);
    failed(&gateway, gateway.get("/"), 502, "http_protocol_error", "upstream_protocol");
}

#[test]
fn an_origin_that_breaks_off_is_502() {
    let origin = Origin::always(Answer::close());
    let gateway = Gateway::before(&origin, PASS);
    failed(&gateway, gateway.get("/"), 502, "connection_terminated", "upstream_closed");
    let half = Origin::always(Answer::raw("HTTP/1.1 200 OK\r\nContent-Le"));
    let gateway = Gateway::before(&half, PASS);
    failed(&gateway, gateway.get("/"), 502, "connection_terminated", "upstream_closed");
}

#[test]
fn a_request_that_may_have_had_an_effect_is_not_sent_twice() {
    let origin = Origin::always(Answer::close());
    let gateway = Gateway::before(&origin, PASS);
    gateway.request("POST", "/", &[], b"charge 5").expect_status(502);
    assert_eq!(origin.count(), 1);
}

#[test]
fn a_truncated_answer_is_not_made_whole() {
    let origin = Origin::always(Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"));
    let gateway = Gateway::before(&origin, PASS);
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let error = client.try_read_response(false).expect_err("a broken answer");
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof, "{error}");
    assert_eq!(gateway.logged(1)[0]["cause"], "upstream_closed");
}

#[test]
fn a_large_answer_passes_whole() {
    let body: Vec<u8> = (0..3_000_000u32).map(|n| (n % 253) as u8).collect();
    let sent = body.clone();
    let origin = Origin::start(move |_| Answer::ok(sent.clone()));
    let gateway = Gateway::before(&origin, PASS);
    assert!(gateway.get("/").expect_status(200).body == body);
}

// Health.

#[test]
fn a_sick_endpoint_is_taken_out_and_brought_back() {
    let sick = Arc::new(AtomicBool::new(false));
    let is_sick = sick.clone();
    let one = Origin::start(move |request| match request.target.as_str() {
        "/healthz" if is_sick.load(Ordering::SeqCst) => Answer::status(503),
        _ => Answer::ok("one"),
    });
    let two = Origin::saying("two");
    let gateway = before_all(
        &[&one, &two],
        "endpoints: [\"<0>\", \"<1>\"], health: { http: { path: /healthz, interval: 50ms, timeout: 1s, healthy_after: 1, \
         unhealthy_after: 2 } }",
    );
    let endpoint = one.address().to_string();
    let healthy = || gateway.metrics().sum("portcullis_upstream_endpoint_healthy", &[("endpoint", &endpoint)]) == 1.0;
    assert!(healthy());
    sick.store(true, Ordering::SeqCst);
    wait::until_true("the sick endpoint to be taken out", || !healthy());
    let mut client = gateway.connect();
    for _ in 0..10 {
        assert_eq!(client.get("/").expect_status(200).text(), "two");
    }
    sick.store(false, Ordering::SeqCst);
    wait::until_true("the endpoint to be brought back", healthy);
    wait::until_true("the endpoint to be used again", || client.get("/").text() == "one");
}

#[test]
fn a_tcp_probe_notices_a_closed_port() {
    let (one, two) = (Origin::saying("one"), Origin::saying("two"));
    let gateway = before_all(
        &[&one, &two],
        "endpoints: [\"<0>\", \"<1>\"], health: { tcp: { interval: 50ms, healthy_after: 1, unhealthy_after: 1 } }",
    );
    one.stop();
    let endpoint = one.address().to_string();
    wait::until_true("the closed port to be noticed", || {
        gateway.metrics().sum("portcullis_upstream_endpoint_healthy", &[("endpoint", &endpoint)]) == 0.0
    });
}

#[test]
fn all_unhealthy_is_used_all_the_same_or_refused() {
    let origin = || {
        Origin::start(|request| if request.target == "/healthz" { Answer::status(500) } else { Answer::ok("works") })
    };
    let health = "health: { http: { path: /healthz, interval: 50ms, unhealthy_after: 1 } }";
    let out = |gateway: &Gateway| {
        wait::until_true("the endpoint to be taken out", || {
            gateway.metrics().sum("portcullis_upstream_endpoint_healthy", &[]) == 0.0
        });
    };
    let first = origin();
    let refusing = before_all(&[&first], &format!("endpoints: [\"<0>\"], all_unhealthy: refuse, {health}"));
    out(&refusing);
    failed(&refusing, refusing.get("/"), 503, "destination_unavailable", "upstream_unhealthy");
    let second = origin();
    let using = before_all(&[&second], &format!("endpoints: [\"<0>\"], {health}"));
    out(&using);
    using.get("/").expect_status(200);
}

#[test]
fn an_endpoint_that_can_not_be_reached_is_told_with_the_reason() {
    let gateway = Setup::new(&format!(
        "dns: {{ servers: [\"<dns>\"], timeout: 200ms }}\nupstreams:\n  origin: {{ endpoints: [\"<dead>\"] }}\n  gone: {{ \
         endpoints: [\"gone.test:80\"] }}\n{}",
        "routes:\n  - { name: gone, match: { path: /gone }, access: public, upstream: gone }\n  - { name: all, access: \
         public, upstream: origin }\n"
    ))
    .with("dns", crate::support::dns::DnsServer::start().address())
    .with("dead", free_address())
    .start();
    failed(&gateway, gateway.get("/"), 502, "connection_refused", "upstream_connect_failed");
    failed(&gateway, gateway.get("/gone"), 503, "dns_error", "upstream_unresolved");
    for (path, why) in [("/", "the endpoint refuses connections"), ("/gone", "`gone.test`: ")] {
        let line = gateway.logged_path(path);
        assert!(line["detail"].as_str().unwrap().contains(why), "{line}");
    }
}
