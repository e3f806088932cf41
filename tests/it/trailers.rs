//! Trailers of HTTP/1 origins (RFC 9110 §6.5): they reach who can take them, and nobody else is promised any.
//!
//! On the fast lane alone: Pingora's reader of HTTP/1 bodies drops them, and so the full lane announces none.

use http::{HeaderMap, Request, Version};

use crate::support::h2_script::{begin, connect, in_time, rest, run};
use crate::support::raw_origin::RawOrigin;
use crate::support::{Gateway, Setup};

const RULES: &str = "process: { fast_lane: \"on\" }
listeners: [{ name: main, address: \"<listen>\", http2: true }]
response_headers: { set: { X-Frame-Options: DENY } }
upstreams: { origin: { endpoints: [\"<o>\"] } }
routes: [ { name: all, access: public, upstream: origin } ]
";

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\n";

fn gateway(origin: &RawOrigin) -> Gateway {
    Setup::new(RULES).with("o", origin.address()).start()
}

fn sending(trailers: &str) -> RawOrigin {
    RawOrigin::answering(format!("{CHUNKED}{trailers}\r\n"))
}

/// The answer to `request`, which has its head and the end of it, up to `end`.
fn raw(gateway: &Gateway, request: &str, end: &str) -> String {
    let mut client = gateway.connect();
    client.send(request);
    client.read_until(end)
}

/// The body and the trailers that an HTTP/2 client gets.
fn by_http2(gateway: &Gateway) -> (String, Option<HeaderMap>) {
    let address = gateway.address();
    run(async {
        let sender = connect(address, None).await;
        let request = Request::get(format!("http://{address}/")).version(Version::HTTP_2).body(()).unwrap();
        let call = begin(&sender, request, true).await;
        let answer = in_time(call.answer).await.unwrap();
        assert_eq!(answer.headers()["trailer"], "X-Sum");
        let (body, trailers) = rest(&mut answer.into_body()).await.unwrap();
        (String::from_utf8(body).unwrap(), trailers)
    })
}

#[test]
fn a_client_that_asks_for_trailers_gets_them_and_the_origin_is_asked() {
    let origin = sending("X-Sum: 1\r\n");
    let gateway = gateway(&origin);
    let request = "GET / HTTP/1.1\r\nHost: gateway.test\r\nTE: gzip, trailers\r\nConnection: TE\r\n\r\n";
    let answer = raw(&gateway, request, "X-Sum: 1\r\n\r\n").to_ascii_lowercase();
    assert!(answer.contains("\r\ntrailer: x-sum\r\n"), "{answer}");
    assert!(answer.contains("\r\n5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n"), "{answer}");
    let seen = origin.seen(0).text().to_ascii_lowercase();
    assert!(seen.contains("\r\nte: trailers\r\n") && seen.contains("\r\nconnection: te\r\n"), "{seen}");
}

#[test]
fn who_does_not_ask_gets_none_and_is_promised_none() {
    let origin = sending("X-Sum: 1\r\n");
    let gateway = gateway(&origin);
    for (version, end) in [("1.1", "hello\r\n0\r\n\r\n"), ("1.0", "\r\n\r\nhello")] {
        let answer = raw(&gateway, &format!("GET / HTTP/{version}\r\nHost: gateway.test\r\nTE: gzip\r\n\r\n"), end);
        assert!(!answer.to_ascii_lowercase().contains("trailer"), "{answer}");
        assert!(!answer.contains("X-Sum"), "{answer}");
    }
    assert!(!origin.seen(0).text().to_ascii_lowercase().contains("\r\nte:"));
}

#[test]
fn an_answer_with_a_length_promises_none() {
    let origin = RawOrigin::answering("HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nContent-Length: 5\r\n\r\nhello");
    let gateway = gateway(&origin);
    let answer = raw(&gateway, "GET / HTTP/1.1\r\nHost: gateway.test\r\nTE: trailers\r\n\r\n", "hello");
    assert!(!answer.to_ascii_lowercase().contains("trailer"), "{answer}");
}

#[test]
fn an_http2_client_gets_them_unasked() {
    let origin = sending("X-Sum: 1\r\nX-More: a\r\nX-More: b\r\n");
    let (body, trailers) = by_http2(&gateway(&origin));
    let trailers = trailers.expect("trailers");
    assert_eq!((&*body, &trailers["x-sum"]), ("hello", &"1".parse().unwrap()));
    let more: Vec<_> = trailers.get_all("x-more").iter().collect();
    assert_eq!(more, ["a", "b"]);
}

#[test]
fn no_trailer_says_what_belongs_to_the_head_or_to_the_owner() {
    let hostile = "X-Frame-Options: ALLOWALL\r\nSet-Cookie: a=b\r\nContent-Length: 3\r\nTransfer-Encoding: gzip\r\n\
                   Bad Name: x\r\nno colon\r\n";
    let request = "GET / HTTP/1.1\r\nHost: gateway.test\r\nTE: trailers\r\n\r\n";
    let origin = sending(&format!("{hostile}X-Sum: 1\r\n"));
    let answer = raw(&gateway(&origin), request, "X-Sum: 1\r\n\r\n");
    assert!(answer.ends_with("hello\r\n0\r\nX-Sum: 1\r\n\r\n"), "{answer}");
    let origin = sending(hostile);
    let gateway = gateway(&origin);
    assert!(raw(&gateway, request, "\r\n0\r\n\r\n").ends_with("hello\r\n0\r\n\r\n"));
    assert_eq!(by_http2(&gateway), ("hello".into(), None));
}

#[test]
fn a_connection_is_used_again_after_trailers() {
    let origin = sending("X-Sum: 1\r\n");
    let gateway = gateway(&origin);
    let mut client = gateway.connect();
    for _ in 0..3 {
        client.send("GET / HTTP/1.1\r\nHost: gateway.test\r\nTE: trailers\r\n\r\n");
        assert!(client.read_until("X-Sum: 1\r\n\r\n").starts_with("HTTP/1.1 200 OK\r\n"));
    }
    assert_eq!(origin.connections(), 1);
}
