//! Respond: every answer carries the declared headers, also generated ones.
//!
//! Pingora runs its hooks for some kinds of answers only; there is one test for each kind, so that none can lose the
//! headers unnoticed.

mod framing;
mod operations;
mod status_line;

use std::time::Duration;

use crate::support::certs::Authority;
use crate::support::h2_client::H2;
use crate::support::jwt;
use crate::support::ports::free_address;
use crate::support::{Answer, Gateway, Origin, Response, Setup};

/// What origins send of their own accord; the gateway's one value must leave instead.
const ORIGINS: [&[(&str, &str)]; 5] = [
    &[],
    &[("X-Frame-Options", "SAMEORIGIN")],
    &[("X-Frame-Options", "SAMEORIGIN"), ("X-Frame-Options", "ALLOWALL")],
    &[("x-FRAME-oPTIONS", "ALLOW-FROM https://evil.example")],
    &[("X-Frame-Options", "DENY"), ("x-frame-options", "SAMEORIGIN"), ("X-FRAME-OPTIONS", "")],
];

const GATE: &str = r#"
listeners: [{ name: main, address: "<listen>", http2: true }]
response_headers:
  set: { X-Frame-Options: DENY, X-Content-Type-Options: nosniff }
  remove: [Server, X-Powered-By]
bounds: { header_time: 300ms }
identities:
  corp: { jwt: { issuer: "https://id.example.com", audience: orders, keys: { secret: { env: JWT_SECRET } } } }
upstreams:
  origin: { endpoints: ["<origin>"], timeouts: { response: 300ms } }
  dead: { endpoints: ["<dead>"] }
  unresolvable: { endpoints: ["nothing.invalid:80"] }
routes:
  - { name: all, access: public, upstream: origin, match: { path: "/*" } }
  - { name: fixed, access: public, match: { path: /fixed }, respond: { status: 200, body: ok } }
  - { name: moved, access: public, match: { path: /moved }, redirect: { to: "https://www.example.com/" } }
  - { name: posted, access: public, match: { host: only.example, path: /posted, methods: POST }, respond: { body: ok } }
  - { name: secret, access: { identity: corp }, match: { path: /secret }, upstream: origin }
  - { name: scoped, access: { identity: corp, allow: { scope: admin } }, match: { path: /scoped }, upstream: origin }
  - { name: few, access: public, match: { path: /few }, respond: { body: ok }, limits: [{ name: few, rate: 1/h, burst: 1 }] }
  - { name: dead, access: public, match: { path: /dead }, upstream: dead }
  - { name: unresolvable, access: public, match: { path: /unresolvable }, upstream: unresolvable }
  - { name: small, access: public, match: { path: /small }, upstream: origin, body: 8B }
"#;

fn gate(origin: &Origin) -> Gateway {
    Setup::new(GATE).origin(origin).with("dead", free_address()).variable("JWT_SECRET", jwt::SECRET).start()
}

/// Asserts that exactly the declared headers left.
#[track_caller]
fn protected(response: Response) -> Response {
    response
        .expect_header("X-Frame-Options", "DENY")
        .expect_header("X-Content-Type-Options", "nosniff")
        .expect_no_header("X-Powered-By")
        .expect_no_header("Server")
}

fn answer(status: u16, headers: &[(&str, &str)]) -> Answer {
    let answer = Answer::status(status).body("body").header("Server", "Scripted/1").header("X-Powered-By", "scripts");
    headers.iter().fold(answer, |answer, (name, value)| answer.header(name, value))
}

#[test]
fn proxied_answers_of_every_status_carry_them() {
    for headers in ORIGINS {
        // `/204` is answered with 204.
        let origin = Origin::start(move |request| answer(request.target[1..].parse().unwrap(), headers));
        let gateway = gate(&origin);
        for status in [200, 201, 204, 206, 301, 304, 400, 401, 404, 429, 500, 502, 503] {
            protected(gateway.get(&format!("/{status}")).expect_status(status));
        }
    }
}

#[test]
fn proxied_answers_by_http2_carry_them() {
    for headers in ORIGINS {
        let origin = Origin::start(move |request| answer(request.target[1..].parse().unwrap(), headers));
        let gateway = gate(&origin);
        let mut client = H2::prior_knowledge(gateway.address());
        for status in [200, 204, 304, 404, 500] {
            protected(client.get(&format!("http://gateway.test/{status}")).expect_status(status));
        }
    }
}

#[test]
fn head_answers_carry_them_and_no_body() {
    for headers in ORIGINS {
        let origin = Origin::start(move |_| answer(200, headers));
        let gateway = gate(&origin);
        let mut client = gateway.connect();
        let response = client.request("HEAD", "/a", &[], b"");
        protected(response.expect_status(200).expect_header("Content-Length", "4"));
        assert_eq!(client.get("/b").expect_status(200).text(), "body");
    }
}

#[test]
fn chunked_answers_carry_them() {
    let origin = Origin::always(Answer::raw(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nx-frame-options: SAMEORIGIN\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    ));
    let gateway = gate(&origin);
    assert_eq!(protected(gateway.get("/").expect_status(200)).text(), "abc");
}

#[test]
fn interim_answers_do_not_stop_the_final_one_from_carrying_them() {
    let origin = Origin::always(Answer::raw(
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-Frame-Options: SAMEORIGIN\r\n\r\nbody",
    ));
    let gateway = gate(&origin);
    assert_eq!(protected(gateway.get("/").expect_status(200)).text(), "body");
}

#[test]
fn fixed_answers_carry_them() {
    let gateway = gate(&Origin::saying("unused"));
    assert_eq!(protected(gateway.get("/fixed").expect_status(200)).text(), "ok");
    protected(gateway.request("HEAD", "/fixed", &[], b"").expect_status(200));
}

#[test]
fn redirects_carry_them() {
    let gateway = gate(&Origin::saying("unused"));
    protected(gateway.get("/moved").expect_status(308)).expect_header("Location", "https://www.example.com/");
}

#[test]
fn not_found_carries_them() {
    let yaml = GATE.replace("{ path: \"/*\" }", "{ path: /nowhere/at/all }");
    let origin = Origin::saying("unused");
    let gateway =
        Setup::new(&yaml).origin(&origin).with("dead", free_address()).variable("JWT_SECRET", jwt::SECRET).start();
    protected(gateway.get("/unknown").expect_status(404));
    protected(gateway.get_with("/posted", &[("Host", "only.example")]).expect_status(405))
        .expect_header("Allow", "POST");
}

#[test]
fn unauthorised_carries_them() {
    let gateway = gate(&Origin::saying("unused"));
    protected(gateway.get("/secret").expect_status(401));
}

#[test]
fn forbidden_carries_them() {
    let gateway = gate(&Origin::saying("unused"));
    let token = jwt::SHARED.sign(&jwt::claims("ann", serde_json::json!({ "scope": "read" })));
    protected(gateway.get_with("/scoped", &[("Authorization", &jwt::bearer(&token))]).expect_status(403));
}

#[test]
fn too_many_requests_carries_them() {
    let gateway = gate(&Origin::saying("unused"));
    protected(gateway.get("/few").expect_status(200));
    protected(gateway.get("/few").expect_status(429));
}

#[test]
fn bad_gateway_carries_them() {
    let gateway = gate(&Origin::always(Answer::close()));
    protected(gateway.get("/dead").expect_status(502));
    protected(gateway.get("/closed").expect_status(502));
}

#[test]
fn a_garbled_answer_of_the_origin_is_replaced_by_one_that_carries_them() {
    let gateway = gate(&Origin::always(Answer::raw("this is not HTTP\r\n\r\n")));
    protected(gateway.get("/").expect_status(502));
}

#[test]
fn service_unavailable_carries_them() {
    let gateway = gate(&Origin::saying("unused"));
    protected(gateway.get("/unresolvable").expect_status(503));
}

#[test]
fn gateway_timeout_carries_them() {
    let origin = Origin::always(Answer::ok("late").after(Duration::from_secs(2)));
    let gateway = gate(&origin);
    protected(gateway.get("/").expect_status(504));
}

#[test]
fn refused_bodies_carry_them() {
    let origin = Origin::saying("unused");
    let gateway = gate(&origin);
    protected(gateway.request("POST", "/small", &[], b"more than eight").expect_status(413));
    let chunks = b"f\r\nmore than eight\r\n0\r\n\r\n";
    let chunked = [("Transfer-Encoding", "chunked")];
    protected(gateway.request("POST", "/small", &chunked, chunks).expect_status(413));
}

#[test]
fn refused_heads_carry_them() {
    let gateway = gate(&Origin::saying("unused"));
    protected(gateway.get(&format!("/{}", "a".repeat(9000))).expect_status(414));
    protected(gateway.get_with("/", &[("X-Big", &"a".repeat(40_000))]).expect_status(431));
    protected(gateway.get("/a%2fb").expect_status(400));
}

#[test]
fn malformed_http1_carries_them() {
    let gateway = gate(&Origin::saying("unused"));
    for head in [
        "GET / HTTP/1.1\r\nHost: a\r\nno colon here\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nBad Name: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: one\r\n\r\n",
        "GET /\x01 HTTP/9.9\r\nHost: a\r\n\r\n",
        "\x16\x03\x01\x02\x00\r\n\r\n",
    ] {
        let mut client = gateway.connect();
        client.send(head);
        let response = client.try_read_response(false).unwrap_or_else(|error| panic!("{head:?}: {error}"));
        protected(response.expect_status(400));
    }
}

#[test]
fn a_preface_of_http2_in_the_midst_of_http1_carries_them() {
    let origin = Origin::saying("ok");
    let gateway = gate(&origin);
    let mut client = gateway.connect();
    client.get("/").expect_status(200);
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    protected(client.read_response().expect_status(505));
}

#[test]
fn more_fields_than_can_be_parsed_are_refused_as_such() {
    let gateway = gate(&Origin::saying("unused"));
    let mut client = gateway.connect();
    client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X-A: b\r\n".repeat(300)));
    protected(client.read_response().expect_status(431));
}

#[test]
fn an_answer_after_an_interim_one_that_was_the_last_carries_them() {
    let origin = Origin::always(Answer::raw("HTTP/1.1 102 Processing\r\n\r\n").then_close());
    let gateway = gate(&origin);
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut response = client.read_response();
    if response.status == 102 {
        response = client.read_response();
    }
    protected(response.expect_status(502));
}

#[test]
fn a_switch_of_protocols_that_nobody_asked_for_is_refused() {
    let smuggled =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nHTTP/1.1 200 OK\r\n\r\nevil";
    let origin = Origin::always(Answer::raw(smuggled).then_close());
    protected(gate(&origin).get("/").expect_status(502));
}

#[test]
fn connect_carries_them() {
    let gateway = gate(&Origin::saying("unused"));
    let mut client = gateway.connect();
    client.send("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n");
    protected(client.read_response().expect_status(405));
}

#[test]
fn http2_with_too_large_a_header_list_carries_them() {
    let gateway = gate(&Origin::saying("unused"));
    // Beyond the gateway's own bound, and beyond what an HTTP/2 implementation takes at all.
    for size in [40_000, 100_000] {
        let mut client = H2::prior_knowledge(gateway.address());
        let big = "a".repeat(size);
        let response = client.request("GET", "http://gateway.test/", &[("x-big", &big)], b"");
        protected(response.unwrap_or_else(|error| panic!("{size}: {error}")).expect_status(431));
    }
}

#[test]
fn http2_with_a_bad_authority_carries_them() {
    let gateway = gate(&Origin::saying("unused"));
    let mut client = H2::prior_knowledge(gateway.address());
    let response = client.request("GET", "http://user@gateway.test/", &[], b"").expect("an answer");
    protected(response.expect_status(400));
    let response = client.request("GET", "http://gateway.test/", &[("host", "other.test")], b"").expect("an answer");
    protected(response.expect_status(400));
}

#[test]
fn http2_over_tls_refusals_carry_them() {
    let authority = Authority::new("test");
    let identity = authority.issue(&["gateway.test"]);
    let yaml = GATE.replace(
        "address: \"<listen>\", http2: true",
        "address: \"<listen>\", tls: { certificates: [{ cert: \"<dir>/edge.pem\", key: \"<dir>/edge.key\" }] }",
    );
    let origin = Origin::saying("unused");
    let gateway = Setup::new(&yaml)
        .origin(&origin)
        .with("dead", free_address())
        .variable("JWT_SECRET", jwt::SECRET)
        .file("edge.pem", &identity.cert_pem)
        .file("edge.key", &identity.key_pem)
        .start();
    let mut client = H2::tls(gateway.address(), "gateway.test", &authority.certificate());
    protected(client.get("https://gateway.test/secret").expect_status(401));
    protected(client.get("https://gateway.test/dead").expect_status(502));
    protected(client.get("https://gateway.test/fixed").expect_status(200));
}

#[test]
fn a_head_that_trickles_in_is_cut_off_and_nothing_leaves_without_them() {
    let gateway = gate(&Origin::saying("unused"));
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n");
    // The bound is 300 ms: the connection ends, or a refusal with the headers comes first.
    if let Ok(response) = client.try_read_response(false) {
        protected(response.expect_status(408));
    }
    assert!(client.is_closed());
}
