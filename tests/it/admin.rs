//! The admin listener: metrics that move and health that tells the truth.

use std::time::Duration;

use crate::support::{Answer, Client, Gateway, Origin, client, wait};

const PASS: &str = "routes: [{ name: all, access: public, upstream: origin }]\n";

#[test]
fn requests_are_counted_and_timed_by_route() {
    let origin = Origin::start(|request| Answer::status(if request.target == "/bad" { 500 } else { 200 }));
    let gateway = Gateway::before(&origin, PASS);
    for path in ["/", "/", "/bad"] {
        gateway.get(path);
    }
    wait::until_true("three requests to be counted", || {
        gateway.metrics().sum("portcullis_requests_total", &[("route", "all")]) == 3.0
    });
    let metrics = gateway.metrics();
    assert_eq!(metrics.sum("portcullis_requests_total", &[("status_class", "5xx"), ("decision", "allow")]), 1.0);
    assert_eq!(metrics.sum("portcullis_request_duration_seconds_count", &[("route", "all")]), 3.0);
    assert_eq!(metrics.sum("portcullis_upstream_requests_total", &[("upstream", "origin")]), 3.0);
    assert_eq!(metrics.sum("portcullis_upstream_requests_total", &[("status_class", "5xx")]), 1.0);
}

#[test]
fn refusals_are_counted_by_cause() {
    let gateway = Gateway::start(
        "routes: [{ name: one, match: { path: /one }, access: public, respond: {}, limits: [{ name: calls, rate: 1/h }] }]",
    );
    for path in ["/one", "/one", "/other"] {
        gateway.get(path);
    }
    wait::until_true("the refusals to be counted", || {
        let metrics = gateway.metrics();
        metrics.sum("portcullis_denials_total", &[("route", "one"), ("cause", "rate_exceeded")]) == 1.0
            && metrics.sum("portcullis_denials_total", &[("cause", "route_not_found")]) == 1.0
    });
}

#[test]
fn connections_and_requests_in_flight_go_up_and_down() {
    let origin = Origin::always(Answer::ok("ok").after(Duration::from_millis(400)));
    let gateway = Gateway::before(&origin, PASS);
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    wait::until_true("the request to reach the origin", || origin.count() == 1);
    let metrics = gateway.metrics();
    assert_eq!(metrics.sum("portcullis_requests_in_flight", &[]), 1.0);
    assert_eq!(metrics.sum("portcullis_connections", &[("listener", "main")]), 1.0);
    client.read_response().expect_status(200);
    drop(client);
    wait::until_true("everything to be over", || {
        let metrics = gateway.metrics();
        metrics.sum("portcullis_requests_in_flight", &[]) == 0.0 && metrics.sum("portcullis_connections", &[]) == 0.0
    });
    assert_eq!(gateway.metrics().sum("portcullis_connections_total", &[("listener", "main")]), 1.0);
}

#[test]
fn bounds_that_bite_are_counted() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::before(&origin, &format!("bounds: {{ uri: 50B, body: 5B, header_count: 10 }}\n{PASS}"));
    gateway.get(&format!("/{}", "a".repeat(60))).expect_status(414);
    gateway.request("POST", "/", &[], b"too large").expect_status(413);
    gateway.get_with("/", &[("X-A", "1"); 20]).expect_status(431);
    wait::until_true("the bounds to be counted", || {
        let metrics = gateway.metrics();
        ["uri", "body", "header_count"]
            .iter()
            .all(|bound| metrics.sum("portcullis_bound_hits_total", &[("bound", bound)]) == 1.0)
    });
}

#[test]
fn the_gateway_tells_about_itself() {
    let origin = Origin::saying("ok");
    let metrics = Gateway::before(&origin, PASS).metrics();
    for name in [
        "portcullis_config_generation",
        "portcullis_config_last_reload_success",
        "portcullis_access_log_dropped_total",
        "portcullis_build_info",
        "portcullis_upstream_endpoint_healthy",
    ] {
        assert!(metrics.has(name), "{name} in\n{}", metrics.0);
    }
}

#[test]
fn labels_never_hold_what_a_client_sends() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::before(&origin, PASS);
    gateway
        .request("BREW", "/strange-path", &[("Host", "strange-host.test"), ("User-Agent", "strange-agent")], b"")
        .expect_status(200);
    gateway.logged(1);
    let metrics = gateway.metrics();
    assert!(!metrics.0.contains("strange") && !metrics.0.contains("BREW"), "{}", metrics.0);
}

#[test]
fn alive_and_ready_while_serving() {
    let gateway = Gateway::start("routes: [{ name: all, access: public, respond: {} }]");
    client::get(gateway.admin(), "/livez").expect_status(200);
    assert_eq!(client::get(gateway.admin(), "/readyz").expect_status(200).json()["ready"], true);
}

#[test]
fn not_ready_while_draining() {
    let origin = Origin::always(Answer::ok("ok").after(Duration::from_millis(1500)));
    let mut gateway = Gateway::before(&origin, PASS);
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    wait::until_true("the request to reach the origin", || origin.count() == 1);
    gateway.signal("TERM");
    wait::until_true("readiness to end", || match Client::try_connect(gateway.admin()) {
        Ok(_) => client::get(gateway.admin(), "/readyz").status == 503,
        Err(_) => false,
    });
    client::get(gateway.admin(), "/livez").expect_status(200);
    client.read_response().expect_status(200);
    assert_eq!(gateway.wait().code(), Some(0));
}

#[test]
fn its_answers_carry_protective_headers() {
    let gateway = Gateway::start("routes: [{ name: all, access: public, respond: {} }]");
    for path in ["/metrics", "/livez", "/readyz", "/unknown"] {
        client::get(gateway.admin(), path)
            .expect_header("X-Frame-Options", "DENY")
            .expect_header("X-Content-Type-Options", "nosniff")
            .expect_header("Cache-Control", "no-store");
    }
    client::get(gateway.admin(), "/unknown").expect_status(404);
    Client::connect(gateway.admin()).request("POST", "/livez", &[], b"").expect_status(405);
}

#[test]
fn there_is_no_admin_on_the_public_listener() {
    let gateway = Gateway::start("routes: [{ name: one, match: { path: /one }, access: public, respond: {} }]");
    for path in ["/metrics", "/livez", "/readyz"] {
        gateway.get(path).expect_status(404);
    }
}
