//! Read: the framing of HTTP/1 messages. Ambiguous framing is refused.

use crate::support::{Answer, Gateway, Origin};

const PASS: &str = "framing: deny\nroutes: [{ name: all, access: public, upstream: origin }]\n";

/// Sends each of `requests`, expects its status and cause with the declared headers, and an origin that saw none of them.
#[track_caller]
fn refused(requests: &[(&str, u16, &str)]) {
    let origin = Origin::saying("ok");
    let gateway = Gateway::before(&origin, PASS);
    for (request, status, cause) in requests {
        let mut client = gateway.connect();
        client.send(request);
        let response = match client.try_read_response(false) {
            Ok(response) => response,
            Err(error) => panic!("{request:?}: {error}"),
        };
        assert_eq!((response.status, response.json()["code"].as_str()), (*status, Some(*cause)), "{request:?}");
        response.expect_header("X-Frame-Options", "DENY").expect_header("Connection", "close");
        assert!(client.is_closed(), "{request:?}");
    }
    assert_eq!(origin.count(), 0);
    let lines = gateway.logged(requests.len());
    assert!(lines.iter().all(|line| line["decision"] == "deny" && line["status"].is_number()), "{lines:?}");
}

#[test]
fn lines_that_parsers_read_differently_are_refused() {
    refused(&[
        ("GET / HTTP/1.1\nHost: a\n\n", 400, "malformed_request"),
        ("GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400, "malformed_request"),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", 400, "malformed_request"),
        ("GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", 400, "malformed_request"),
        ("GET / HTTP/1.1\r\nHost: a\r\n X: b\r\n\r\n", 400, "malformed_request"),
        ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, "malformed_request"),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400, "malformed_request"),
        ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n", 400, "malformed_request"),
        ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding\x0b: chunked\r\n\r\n", 400, "malformed_request"),
        ("GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", 400, "malformed_request"),
        ("GET / HTTP/1.1\r\nHost: a\r\n: no name\r\n\r\n", 400, "malformed_request"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400, "malformed_request"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: \x7f\r\n\r\n", 400, "malformed_request"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX(y): z\r\n\r\n", 400, "malformed_request"),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "malformed_request"),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400, "malformed_request"),
        ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "malformed_request"),
        ("GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n", 400, "malformed_request"),
        ("G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "malformed_request"),
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "malformed_request"),
        ("GET / http/1.1\r\nHost: a\r\n\r\n", 400, "malformed_request"),
        ("GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400, "malformed_request"),
    ]);
}

#[test]
fn two_lengths_and_two_hosts_are_refused() {
    refused(&[
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400, "malformed_request"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400, "malformed_request"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello", 400, "malformed_request"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello", 400, "malformed_request"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\nhello", 400, "malformed_request"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nhello", 400, "malformed_request"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5 5\r\n\r\nhello", 400, "malformed_request"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", 400, "malformed_request"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 400, "malformed_request"),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
            "malformed_request",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
            400,
            "malformed_request",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
            "malformed_request",
        ),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, "malformed_request"),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "malformed_request"),
        ("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "malformed_request"),
        ("GET http://a@b/ HTTP/1.1\r\nHost: b\r\n\r\n", 400, "host_invalid"),
    ]);
}

#[test]
fn codings_and_versions_have_the_statuses_of_their_own() {
    let post = |coding: &str| format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {coding}\r\n\r\n0\r\n\r\n");
    let long = format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "A".repeat(33));
    let far = format!("GET /{} HTTP/1.1\r\n", "a".repeat(20_000));
    let wide = format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(50_000));
    refused(&[
        (&post("gzip, chunked"), 501, "transfer_coding_unknown"),
        (&post("identity"), 501, "transfer_coding_unknown"),
        (&post("xchunked"), 501, "transfer_coding_unknown"),
        (&post("chunked, identity"), 400, "malformed_request"),
        (&post("chunked, chunked"), 400, "malformed_request"),
        (&post("\"chunked\""), 400, "malformed_request"),
        (&post("chunked;a=b"), 400, "malformed_request"),
        (&post("\x0bchunked"), 400, "malformed_request"),
        (&post(""), 400, "malformed_request"),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "malformed_request"),
        ("GET /\r\n", 505, "version_unsupported"),
        ("GET / HTTP/0.9\r\n\r\n", 505, "version_unsupported"),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505, "version_unsupported"),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "version_unsupported"),
        (&long, 501, "method_too_long"),
        (&far, 414, "uri_too_long"),
        (&wide, 431, "headers_too_large"),
    ]);
}

#[test]
fn chunks_with_two_readings_are_refused_before_the_origin_has_a_request() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::before(&origin, PASS);
    let bodies = [
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5;a\rb\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhelloXX0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\n GET / HTTP/1.1\r\n\r\n",
        "5\r\nhello\r\n0\r\nGET / HTTP/1.1\r\n\r\n",
    ];
    for body in bodies {
        let mut client = gateway.connect();
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}"));
        let response = client.read_response();
        assert_eq!((response.status, response.json()["code"].as_str()), (400, Some("malformed_request")), "{body:?}");
        response.expect_header("X-Frame-Options", "DENY");
        assert!(client.is_closed(), "{body:?}");
    }
    assert_eq!(origin.count(), 0, "{:?}", origin.requests());
    assert_eq!(gateway.logged(bodies.len()).len(), bodies.len());
}

#[test]
fn chunks_reach_the_origin_in_one_plain_form() {
    let origin = Origin::start(|request| Answer::ok(request.body.clone()));
    let gateway = Gateway::before(&origin, PASS);
    let mut client = gateway.connect();
    for _ in 0..2 {
        client.send(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n03;x=y\r\nabc\r\n0A\r\n0123456789\r\n000\r\n\
             X-Trailer: dropped\r\n\r\n",
        );
        assert_eq!(client.read_response().expect_status(200).text(), "abc0123456789");
    }
    for request in origin.requests() {
        assert_eq!(request.values("Transfer-Encoding"), ["chunked"]);
        assert!(!request.head.contains("Trailer"), "{}", request.head);
    }
}

#[test]
fn a_head_in_pieces_is_read_as_the_whole() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::before(&origin, PASS);
    let mut client = gateway.connect();
    for byte in b"GET /pieces HTTP/1.1\r\nHost: a\r\nX-A: b\r\n\r\n" {
        client.send([*byte]);
    }
    client.read_response().expect_status(200);
    assert_eq!(origin.only_request().header("X-A"), Some("b"));
}

#[test]
fn what_a_client_sends_ahead_is_served_in_its_turn() {
    let origin = Origin::start(|request| Answer::ok(format!("{} {}", request.target, request.body.len())));
    let gateway = Gateway::before(
        &origin,
        "routes:\n  - { name: open, match: { path: /open }, access: public, upstream: origin }\n  - { name: closed, \
         match: { path: /closed }, access: public, respond: { status: 403 } }\n",
    );
    let mut client = gateway.connect();
    client.send(
        "GET /open HTTP/1.1\r\nHost: a\r\n\r\nPOST /open HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET /closed \
         HTTP/1.1\r\nHost: a\r\n\r\nPOST /open HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n\
         GET /open",
    );
    assert_eq!(client.read_response().expect_status(200).text(), "/open 0");
    assert_eq!(client.read_response().expect_status(200).text(), "/open 5");
    client.read_response().expect_status(403);
    assert_eq!(client.read_response().expect_status(200).text(), "/open 3");
    client.send(" HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.read_response().expect_status(200).text(), "/open 0");
    assert_eq!(origin.count(), 4);
    assert_eq!(gateway.logged(5).len(), 5);
}

#[test]
fn a_body_longer_than_its_length_is_the_next_request_and_refused() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::before(&origin, PASS);
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloX\r\n\r\n");
    client.read_response().expect_status(200);
    client.read_response().expect_status(400);
    assert_eq!(origin.only_request().body, b"hello");
}

#[test]
fn many_requests_sent_ahead_are_all_served() {
    let gateway = Gateway::start("routes: [{ name: all, access: public, respond: { body: hello } }]\n");
    let mut client = gateway.connect();
    // More than is read ahead: the rest waits in the kernel.
    let requests = "GET /some/path/that/takes/room HTTP/1.1\r\nHost: gateway.example\r\n\r\n".repeat(1000);
    client.send(requests);
    for _ in 0..1000 {
        client.read_response().expect_status(200);
    }
}

#[test]
fn a_refused_upload_lets_the_client_read_why() {
    let origin = Origin::saying("unused");
    let gateway = Gateway::before(&origin, &format!("bounds: {{ body: 1KiB }}\n{PASS}"));
    for _ in 0..20 {
        let mut client = gateway.connect();
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 400000\r\n\r\n");
        // The refusal may be there before all of this is sent; a reset would lose it.
        client.try_send(vec![b'x'; 400_000]).expect("the upload is taken");
        assert_eq!(client.read_response().expect_status(413).json()["code"], "body_too_large");
    }
    assert_eq!(origin.count(), 0);
}

#[test]
fn an_upload_that_is_refused_on_its_way_is_taken_to_its_end_too() {
    let origin = Origin::saying("unused");
    let gateway = Gateway::before(&origin, &format!("bounds: {{ body: 1KiB }}\n{PASS}"));
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..100 {
        client.try_send(format!("1000\r\n{}\r\n", "x".repeat(4096))).expect("the upload is taken");
    }
    assert_eq!(client.read_response().expect_status(413).json()["code"], "body_too_large");
}
