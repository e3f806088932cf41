//! What of an origin's status line and connection fields a client sees: nothing but the status.

use std::io::Read;

use crate::support::h2_client::H2;
use crate::support::raw_origin::RawOrigin;
use crate::support::{Gateway, Setup};

/// An origin that ends its answers with the connection.
fn before(answer: &str) -> (RawOrigin, Gateway) {
    let origin = RawOrigin::answering_then_closing(answer);
    let gateway = Setup::new(
        "listeners: [{ name: main, address: \"<listen>\", http2: true }]\nupstreams: { origin: { endpoints: [\"<o>\"] } }\n\
         routes: [{ name: all, access: public, upstream: origin }]",
    )
    .with("o", origin.address())
    .start();
    (origin, gateway)
}

/// The bytes of the answer to `request`, which ends with the connection.
fn bytes(gateway: &Gateway, request: &str) -> String {
    let mut client = gateway.connect();
    client.send(request);
    let mut answer = Vec::new();
    let _ = client.stream().read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

const OLD: &str = "HTTP/1.0 200 Pretty Good\r\nConnection: keep-alive, X-Internal\r\nKeep-Alive: timeout=9\r\n\
                   Proxy-Connection: keep-alive\r\nX-Internal: secret\r\nUpgrade: h2c\r\nX-Kept: 1\r\n\r\nold";

#[test]
fn an_http_1_0_origin_is_answered_for_in_the_gateways_own_version() {
    let (_origin, gateway) = before(OLD);
    for version in ["1.1", "1.0"] {
        let text = bytes(&gateway, &format!("GET / HTTP/{version}\r\nHost: a\r\nConnection: close\r\n\r\n"));
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
        let (head, body) = text.split_once("\r\n\r\n").expect("a whole head");
        let head = head.to_ascii_lowercase();
        for own in ["keep-alive", "x-internal", "upgrade", "proxy-connection"] {
            assert!(!head.contains(own), "{text}");
        }
        assert!(head.contains("x-kept: 1") && body.contains("old"), "{text}");
    }
    let response =
        H2::prior_knowledge(gateway.address()).get("http://a/").expect_status(200).expect_header("X-Kept", "1");
    assert_eq!(response.text(), "old");
    response.expect_no_header("Keep-Alive").expect_no_header("X-Internal").expect_no_header("Upgrade");
}

#[test]
fn a_phrase_is_the_statuss_own_or_none() {
    let line = |answer: &str| {
        let (_origin, gateway) = before(answer);
        let text = bytes(&gateway, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        text.lines().next().unwrap_or_default().to_owned()
    };
    assert_eq!(line("HTTP/1.1 404 Nothing To See\r\nContent-Length: 0\r\n\r\n"), "HTTP/1.1 404 Not Found");
    assert_eq!(line("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"), "HTTP/1.1 200 OK");
    assert!(!line("HTTP/1.1 299 Own Words\r\nContent-Length: 0\r\n\r\n").contains("Words"));
}

#[test]
fn connection_fields_end_here_without_a_connection_field_too() {
    let (_origin, gateway) = before("HTTP/1.1 200 OK\r\nUpgrade: h2c, websocket\r\nContent-Length: 0\r\n\r\n");
    gateway.get("/").expect_status(200).expect_no_header("Upgrade");
}
