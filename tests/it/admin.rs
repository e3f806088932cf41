//! The admin listener: metrics and health.

use std::net::SocketAddr;
use std::time::Duration;

use crate::support::gateway::portcullis;
use crate::support::ports::free_port;
use crate::support::{Answer, Client, Gateway, Origin, Setup, client, wait};

const PASS: &str = "routes: [{ name: all, access: public, upstream: origin }]\n";
const FIXED: &str = "routes: [{ name: all, access: public, respond: {} }]\n";

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
    client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
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
    client::get_by_address(gateway.admin(), "/livez").expect_status(200);
    assert_eq!(client::get_by_address(gateway.admin(), "/readyz").expect_status(200).json()["ready"], true);
}

#[test]
fn not_ready_while_draining() {
    let origin = Origin::always(Answer::ok("ok").after(Duration::from_millis(1500)));
    let mut gateway = Gateway::before(&origin, PASS);
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    wait::until_true("the request to reach the origin", || origin.count() == 1);
    gateway.signal("TERM");
    wait::until_true("readiness to end", || match Client::try_connect(gateway.admin()) {
        Ok(_) => client::get_by_address(gateway.admin(), "/readyz").status == 503,
        Err(_) => false,
    });
    client::get_by_address(gateway.admin(), "/livez").expect_status(200);
    client.read_response().expect_status(200);
    assert_eq!(gateway.wait().code(), Some(0));
}

#[test]
fn its_answers_carry_protective_headers() {
    let gateway = Gateway::start("routes: [{ name: all, access: public, respond: {} }]");
    for path in ["/metrics", "/livez", "/readyz", "/unknown"] {
        client::get_by_address(gateway.admin(), path)
            .expect_header("X-Frame-Options", "DENY")
            .expect_header("X-Content-Type-Options", "nosniff")
            .expect_header("Cache-Control", "no-store");
    }
    client::get_by_address(gateway.admin(), "/unknown").expect_status(404);
    Client::connect(gateway.admin()).request("POST", "/livez", &[("Host", "localhost")], b"").expect_status(405);
}

#[test]
fn there_is_no_admin_on_the_public_listener() {
    let gateway = Gateway::start("routes: [{ name: one, match: { path: /one }, access: public, respond: {} }]");
    for path in ["/metrics", "/livez", "/readyz"] {
        gateway.get(path).expect_status(404);
    }
}

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn on_other_addresses_metrics_need_the_token_and_health_does_not() {
    let port = free_port();
    let gateway =
        Setup::new(&format!("admin: {{ address: \"0.0.0.0:<port>\", token: {{ env: ADMIN_TOKEN }} }}\n{FIXED}"))
            .with("port", port)
            .variable("ADMIN_TOKEN", TOKEN)
            .start();
    let admin = SocketAddr::from(([127, 0, 0, 1], port));
    wait::until_true("readiness", || {
        Client::try_connect(admin).is_ok_and(|mut client| client.get("/readyz").status == 200)
    });
    client::get_by_address(admin, "/livez").expect_status(200);
    let ask =
        |credentials: &str| Client::connect(admin).request("GET", "/metrics", &[("Authorization", credentials)], b"");
    for answer in
        [client::get_by_address(admin, "/metrics"), client::get_by_address(admin, "/"), ask("Bearer wrong"), ask(TOKEN)]
    {
        answer
            .expect_status(401)
            .expect_header("WWW-Authenticate", "Bearer")
            .expect_header("X-Frame-Options", "DENY")
            .expect_header("X-Content-Type-Options", "nosniff")
            .expect_header("Cache-Control", "no-store");
    }
    let answer = ask(&format!("Bearer {TOKEN}")).expect_status(200);
    assert!(answer.text().contains("portcullis_build_info"));
    assert!(!(gateway.stderr() + &gateway.stdout()).contains(TOKEN));
}

#[test]
fn other_addresses_without_a_token_are_refused() {
    let setup = Setup::new(&format!("admin: {{ address: \"0.0.0.0:9900\" }}\n{FIXED}"));
    let output = setup.output("check", &[]);
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{words}");
    assert!(words.contains("error[admin_not_loopback]") && words.contains("admin.token"), "{words}");
}

#[test]
fn a_slow_client_of_the_admin_listener_is_closed() {
    let gateway = Gateway::start(&format!("admin: {{ address: \"<admin>\", time: 300ms }}\n{FIXED}"));
    let mut silent = Client::connect(gateway.admin());
    let mut slow = Client::connect(gateway.admin());
    slow.send("GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Slow: ");
    assert!(silent.is_closed() && slow.is_closed());
    assert_eq!(gateway.metrics().sum("portcullis_bound_hits_total", &[("bound", "admin_time")]), 2.0);
}

#[test]
fn whoever_holds_connections_of_the_admin_listener_keeps_no_probe_out() {
    let gateway = Gateway::start(&format!("admin: {{ address: \"<admin>\", connections: 3 }}\n{FIXED}"));
    // Beside those, there are 16 that only probes may keep.
    let mut held: Vec<Client> = (0..40).map(|_| Client::connect(gateway.admin())).collect();
    client::get_by_address(gateway.admin(), "/livez").expect_status(200);
    assert!(held.iter_mut().take(21).all(Client::is_closed));
    assert!(gateway.metrics().sum("portcullis_bound_hits_total", &[("bound", "admin_connections")]) >= 21.0);
}

#[test]
fn whoever_holds_the_most_connections_takes_no_place_of_another_address() {
    let gateway = Gateway::start(&format!("admin: {{ address: \"<admin>\", connections: 4 }}\n{FIXED}"));
    let elsewhere = "127.0.0.2".parse().expect("an address");
    let mut probes = ["/livez", "/readyz", "/metrics"].map(|path| {
        let mut client = Client::connect_from(elsewhere, gateway.admin());
        client.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n"));
        client
    });
    let mut held: Vec<Client> = (0..100).map(|_| Client::connect(gateway.admin())).collect();
    assert!(held.iter_mut().take(80).all(Client::is_closed));
    for client in &mut probes {
        client.send("\r\n");
        client.read_response().expect_status(200);
    }
}

#[test]
fn a_probe_takes_no_place_of_another_request() {
    let gateway = Gateway::start(&format!("admin: {{ address: \"<admin>\", connections: 1 }}\n{FIXED}"));
    let mut scraper = Client::connect(gateway.admin());
    scraper.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n");
    for path in ["/livez", "/readyz"] {
        client::get_by_address(gateway.admin(), path).expect_status(200);
    }
    scraper.send("\r\n");
    scraper.read_response().expect_status(200);
}

#[test]
fn long_heads_and_bodies_are_refused_by_the_admin_listener() {
    let gateway = Gateway::start(FIXED);
    let ask = |headers: &[(&str, &str)], body: &[u8]| {
        Client::connect(gateway.admin())
            .request("GET", "/metrics", headers, body)
            .expect_header("X-Frame-Options", "DENY")
    };
    ask(&[("X-Long", &"a".repeat(20 << 10))], b"").expect_status(431);
    ask(&[("X-Many", "a"); 100], b"").expect_status(431);
    let host = ("Host", "localhost");
    ask(&[host], b"body").expect_status(413);
    ask(&[host, ("Transfer-Encoding", "chunked")], b"").expect_status(413);
    ask(&[("Host", "a"), ("Host", "b")], b"").expect_status(400);
}

#[test]
fn the_answer_to_head_has_the_length_and_no_body() {
    let gateway = Gateway::start(FIXED);
    let answer =
        Client::connect(gateway.admin()).request("HEAD", "/livez", &[("Host", "localhost")], b"").expect_status(200);
    answer.expect_header("Content-Length", "3").expect_header("Connection", "close");
}

#[test]
fn health_tells_ready_from_not_ready_and_from_nothing_there() {
    let health = |admin: SocketAddr, arguments: &[&str]| {
        let admin = admin.to_string();
        let output = portcullis(&[&["health", "--admin", &admin], arguments].concat());
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let gateway = Gateway::start(FIXED);
    assert_eq!(health(gateway.admin(), &[]), (Some(0), "ready\n".to_owned()));
    assert_eq!(health(gateway.admin(), &["--live"]), (Some(0), "alive\n".to_owned()));

    // Its public listener answers that path too, as it answers every path.
    let (code, words) = health(gateway.address(), &[]);
    assert_eq!(code, Some(69), "{words}");
    assert!(words.contains("is no admin listener"), "{words}");

    // One that drains, and lives.
    let origin = Origin::always(Answer::ok("late").after(Duration::from_secs(60)));
    let draining = Gateway::before(&origin, PASS);
    let mut client = draining.connect();
    client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    wait::until_true("the request to reach the origin", || origin.count() == 1);
    draining.signal("TERM");
    wait::until_true("readiness to end", || health(draining.admin(), &[]).0 == Some(1));
    assert!(health(draining.admin(), &[]).1.contains("not ready: draining"));
    assert_eq!(health(draining.admin(), &["--live"]).0, Some(0));

    // What says nothing, and what is not there.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("an address");
    let expected = format!("{address}/readyz: no answer in time\n");
    assert_eq!(health(address, &["--timeout", "200ms"]), (Some(69), expected));
    drop(silent);
    assert_eq!(health(address, &[]).0, Some(69));
}
