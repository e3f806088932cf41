//! Read: one normal form of host, path and client, and bounds on requests.

use std::time::Duration;

use crate::support::{Answer, Gateway, Origin, Response};

const PASS: &str = "routes: [{ name: all, access: public, upstream: origin }]\n";

#[track_caller]
fn refused(gateway: &Gateway, head: &str, status: u16, cause: &str) -> Response {
    let mut client = gateway.connect();
    client.send(head);
    let response = client.read_response().expect_status(status);
    assert_eq!(response.json()["code"], cause, "{head:?}");
    response
}

#[test]
fn a_long_target_is_refused() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::before(&origin, &format!("bounds: {{ uri: 100B }}\n{PASS}"));
    gateway.get(&format!("/{}", "a".repeat(90))).expect_status(200);
    let response = gateway.get(&format!("/{}", "a".repeat(100))).expect_status(414);
    assert_eq!(response.json()["code"], "uri_too_long");
    gateway.get(&format!("/?{}", "a".repeat(200))).expect_status(414);
    assert_eq!(origin.count(), 1);
}

#[test]
fn too_many_header_bytes_are_refused() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::before(&origin, &format!("bounds: {{ header_bytes: 1KiB }}\n{PASS}"));
    gateway.get_with("/", &[("X-A", &"a".repeat(900))]).expect_status(200);
    let response = gateway.get_with("/", &[("X-A", &"a".repeat(1100))]).expect_status(431);
    assert_eq!(response.json()["code"], "headers_too_large");
    assert_eq!(origin.count(), 1);
}

#[test]
fn too_many_header_fields_are_refused() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::before(&origin, &format!("bounds: {{ header_count: 10 }}\n{PASS}"));
    let fields = |count| vec![("X-A", "1"); count];
    // `Host` is one of them.
    gateway.get_with("/", &fields(9)).expect_status(200);
    gateway.get_with("/", &fields(10)).expect_status(431);
    gateway.get_with("/", &fields(250)).expect_status(431);
    assert_eq!(origin.count(), 1);
}

#[test]
fn a_large_body_is_refused_by_its_announced_length() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::before(&origin, &format!("bounds: {{ body: 10B }}\n{PASS}"));
    gateway.request("POST", "/", &[], b"0123456789").expect_status(200);
    let response = gateway.request("POST", "/", &[], b"0123456789a").expect_status(413);
    assert_eq!(response.json()["code"], "body_too_large");
    assert_eq!(origin.count(), 1);
}

#[test]
fn a_large_body_is_refused_as_it_comes() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::before(&origin, &format!("bounds: {{ body: 10B }}\n{PASS}"));
    let chunked = [("Transfer-Encoding", "chunked")];
    gateway.request("POST", "/", &chunked, b"a\r\n0123456789\r\n0\r\n\r\n").expect_status(200);
    gateway.request("POST", "/", &chunked, b"6\r\n012345\r\n6\r\n012345\r\n0\r\n\r\n").expect_status(413);
}

#[test]
fn a_route_sets_its_own_bound_on_bodies() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::before(
        &origin,
        "bounds: { body: 10B }\nroutes:\n  - { name: all, access: public, upstream: origin }\n  - { name: upload, \
         match: { path: /upload }, access: public, upstream: origin, body: 1KiB }\n",
    );
    gateway.request("POST", "/", &[], &[b'x'; 100]).expect_status(413);
    gateway.request("POST", "/upload", &[], &[b'x'; 100]).expect_status(200);
}

#[test]
fn http1_needs_a_host() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::before(&origin, PASS);
    refused(&gateway, "GET / HTTP/1.1\r\n\r\n", 400, "host_missing");
    refused(&gateway, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "host_invalid");
    refused(&gateway, "GET / HTTP/1.1\r\nHost: user@a\r\n\r\n", 400, "host_invalid");
    assert_eq!(origin.count(), 0);
}

#[test]
fn http_1_0_may_come_without_host() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::before(&origin, PASS);
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(client.read_response().expect_status(200).text(), "ok");
}

#[test]
fn an_origin_gets_a_host_for_a_request_without_one() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::before(&origin, PASS);
    for head in ["GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0\r\nHost:\r\n\r\n"] {
        let mut client = gateway.connect();
        client.send(head);
        client.read_response().expect_status(200);
        let request = origin.last_request();
        assert_eq!(request.values("Host"), [origin.address().to_string()], "{}", request.head);
    }
    let named = Gateway::before(
        &origin,
        "routes: [{ name: all, access: public, upstream: origin, rewrite: { host: app.internal } }]",
    );
    let mut client = named.connect();
    client.send("GET / HTTP/1.0\r\n\r\n");
    client.read_response().expect_status(200);
    assert_eq!(origin.last_request().values("Host"), ["app.internal"]);
}

#[test]
fn a_host_may_end_in_a_colon() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::before(
        &origin,
        "routes: [{ name: one, match: { host: shop.example }, access: public, upstream: origin }]",
    );
    gateway.get_with("/", &[("Host", "shop.example:")]).expect_status(200);
    assert_eq!(origin.only_request().header("Host"), Some("shop.example"));
}

#[test]
fn an_empty_expect_expects_nothing() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::before(&origin, PASS);
    gateway.get_with("/", &[("Expect", "")]).expect_status(200);
    assert_eq!(origin.only_request().values("Expect"), [""; 0]);
}

#[test]
fn what_was_matched_is_what_is_forwarded() {
    let origin = Origin::saying("ok");
    let gateway =
        Gateway::before(&origin, "routes: [{ name: one, match: { path: /a/b }, access: public, upstream: origin }]");
    for target in ["/a/b", "//a//b", "/a/./b", "/x/../a/b", "/%61/%62", "/a/c/%2e%2e/b"] {
        gateway.get(target).expect_status(200);
        assert_eq!(origin.last_request().target, "/a/b", "{target}");
    }
    gateway.get("/../a/b").expect_status(400);
    for target in ["/a/b/", "/A/b", "/a/b;x", "/a/%62c"] {
        gateway.get(target).expect_status(404);
    }
}

#[test]
fn the_query_is_forwarded_as_it_came() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::before(&origin, PASS);
    gateway.get("/a//b?x=%61&y=../z&z=a%2fb").expect_status(200);
    assert_eq!(origin.last_request().target, "/a/b?x=%61&y=../z&z=a%2fb");
}

#[test]
fn reserved_escapes_stay_escaped_in_upper_case() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::before(&origin, PASS);
    gateway.get("/a%20b%c3%a9%3f").expect_status(200);
    assert_eq!(origin.last_request().target, "/a%20b%C3%A9%3F");
}

#[test]
fn a_path_with_two_readings_is_refused() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::before(&origin, PASS);
    for path in ["/a%2fb", "/a%2Fb", "/a%5cb", "/a\\b", "/a\\..\\b", "/a%00b", "/a%zz", "/a%2"] {
        refused(&gateway, &format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"), 400, "path_invalid");
    }
    assert_eq!(origin.count(), 0);
}

#[test]
fn an_absolute_target_is_read_like_any_other() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::before(
        &origin,
        "routes: [{ name: one, match: { host: shop.example, path: /a }, access: public, upstream: origin }]",
    );
    let mut client = gateway.connect();
    client.send("GET http://shop.example/x/../a?q HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    client.read_response().expect_status(200);
    assert_eq!(origin.only_request().target, "/a?q");
    let mut client = gateway.connect();
    client.send("GET http://shop.example/a HTTP/1.1\r\nHost: other.example\r\n\r\n");
    client.read_response().expect_status(400);
}

#[test]
fn the_host_is_matched_without_case_port_and_trailing_dot() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::before(
        &origin,
        "routes: [{ name: one, match: { host: shop.example }, access: public, upstream: origin }]",
    );
    for host in ["shop.example", "SHOP.Example", "shop.example:8080", "shop.example."] {
        gateway.get_with("/", &[("Host", host)]).expect_status(200);
    }
    gateway.get_with("/", &[("Host", "myshop.example")]).expect_status(404);
}

#[test]
fn strangers_cannot_say_where_they_come_from() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::before(&origin, PASS);
    let forged = [
        ("X-Forwarded-For", "203.0.113.9"),
        ("x-forwarded-for", "203.0.113.10"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "evil.example"),
        ("Forwarded", "for=203.0.113.9;proto=https"),
        ("X-Real-Ip", "203.0.113.9"),
        ("X-Request-Id", "chosen-by-a-stranger"),
    ];
    gateway.get_with("/", &forged).expect_status(200);
    let request = origin.only_request();
    assert_eq!(request.header("X-Forwarded-For"), Some("127.0.0.1"));
    assert_eq!(request.header("X-Forwarded-Proto"), Some("http"));
    assert_eq!(request.header("X-Forwarded-Host"), Some("gateway.test"));
    assert!(!request.head.contains("203.0.113"), "{}", request.head);
    assert_ne!(request.header("X-Request-Id"), Some("chosen-by-a-stranger"));
    assert_eq!(gateway.logged(1)[0]["client"], "127.0.0.1");
}

#[test]
fn a_trusted_proxy_says_where_the_client_is() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::before(&origin, &format!("trusted_proxies: [127.0.0.0/8, 10.0.0.0/8]\n{PASS}"));
    let said = [
        ("X-Forwarded-For", "198.51.100.1, 203.0.113.9, 10.1.2.3"),
        ("X-Forwarded-Proto", "https"),
        ("X-Request-Id", "from-the-edge-7"),
    ];
    gateway.get_with("/", &said).expect_status(200);
    let request = origin.only_request();
    // The rightmost address that is not a trusted proxy; everything before it came from the client.
    assert_eq!(gateway.logged(1)[0]["client"], "203.0.113.9");
    assert_eq!(request.values("X-Forwarded-For").join(", "), "198.51.100.1, 203.0.113.9, 10.1.2.3, 127.0.0.1");
    assert_eq!(request.header("X-Forwarded-Proto"), Some("https"));
    assert_eq!(request.header("X-Request-Id"), Some("from-the-edge-7"));
}

#[test]
fn a_trusted_proxy_may_speak_rfc_7239() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::before(&origin, &format!("trusted_proxies: [127.0.0.1]\n{PASS}"));
    gateway.get_with("/", &[("Forwarded", "for=\"[2001:db8::1]:4711\";proto=https")]).expect_status(200);
    assert_eq!(gateway.logged(1)[0]["client"], "2001:db8::1");
}

#[test]
fn every_request_has_an_id_of_its_own() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::before(&origin, PASS);
    gateway.get("/1").expect_status(200);
    gateway.get("/2").expect_status(200);
    let mut ids: Vec<_> =
        origin.requests().iter().map(|r| r.header("X-Request-Id").expect("an id").to_owned()).collect();
    assert_ne!(ids[0], ids[1]);
    let mut logged: Vec<_> =
        gateway.logged(2).iter().map(|line| line["request_id"].as_str().unwrap().to_owned()).collect();
    ids.sort_unstable();
    logged.sort_unstable();
    assert_eq!(logged, ids);
}

#[test]
fn an_ugly_request_id_is_not_kept_even_from_a_trusted_proxy() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::before(&origin, &format!("trusted_proxies: [127.0.0.1]\n{PASS}"));
    for ugly in ["a b", "<script>", &"a".repeat(500)] {
        gateway.get_with("/", &[("X-Request-Id", ugly)]).expect_status(200);
        assert_ne!(origin.last_request().header("X-Request-Id"), Some(ugly));
    }
}

#[test]
fn hop_by_hop_fields_stop_here() {
    let origin = Origin::always(
        Answer::ok("ok")
            .header("Keep-Alive", "timeout=5")
            .header("Proxy-Authenticate", "Basic")
            .header("Trailer", "X-Sum")
            .header("X-Kept", "1"),
    );
    let gateway = Gateway::before(&origin, PASS);
    let fields = [
        ("Connection", "keep-alive, te"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Authorization", "Basic eDp5"),
        ("TE", "gzip"),
        ("X-Bar", "for the origin"),
    ];
    let response = gateway.get_with("/", &fields).expect_status(200);
    response
        .expect_no_header("Keep-Alive")
        .expect_no_header("Trailer")
        .expect_no_header("Proxy-Authenticate")
        .expect_header("X-Kept", "1");
    let request = origin.only_request();
    for name in ["Connection", "Keep-Alive", "Proxy-Authorization", "TE"] {
        assert_eq!(request.values(name), [""; 0], "{name}");
    }
    assert_eq!(request.header("X-Bar"), Some("for the origin"));
}

#[test]
fn connection_cannot_name_away_what_the_gateway_says() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::before(&origin, PASS);
    let mut client = gateway.connect();
    let fields = [("Connection", "x-forwarded-for, x-request-id"), ("X-Forwarded-For", "1.2.3.4")];
    let response = client.request("GET", "/", &fields, b"").expect_status(400);
    assert_eq!((&response.json()["code"], origin.count()), (&"malformed_request".into(), 0));
}

#[test]
fn expect_continue_gets_its_body_through() {
    let origin = Origin::start(|request| Answer::ok(request.body.clone()));
    let gateway = Gateway::before(&origin, PASS);
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    std::thread::sleep(Duration::from_millis(50));
    client.send("hello");
    assert_eq!(client.read_response().expect_status(200).text(), "hello");
}
