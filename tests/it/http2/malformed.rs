//! Malformed or ambiguous requests: refused before anything is sent to an origin.

use super::{Bystander, SHORT, gate};
use crate::support::h2_origin::H2Origin;
use crate::support::h2_raw::{
    END_HEADERS, END_STREAM, End, HEADERS, PROTOCOL_ERROR, RawH2, STREAM_CLOSED, block, data, frame, get, headers,
    post, request,
};
use crate::support::{Answer, Origin, Setup};

/// What a refused stream may look like: 400, or a reset of the stream. Never an answer of the origin, nor the end of the connection.
fn is_refused(end: &End) -> bool {
    matches!(end, End::Answer(400, _) | End::Reset(PROTOCOL_ERROR))
}

#[test]
fn pseudo_header_tricks_are_refused() {
    let ok = request("GET", "/trick");
    let [method, scheme, authority, path] = ok;
    let regular = ("x-a", "a");
    let cases: &[(&str, &[(&str, &str)])] = &[
        ("no method", &[scheme, authority, path]),
        ("no scheme", &[method, authority, path]),
        ("no path", &[method, scheme, authority]),
        ("no authority and no host", &[method, scheme, path]),
        ("two methods", &[method, (":method", "POST"), scheme, authority, path]),
        ("two paths", &[method, scheme, authority, path, (":path", "/other")]),
        ("two authorities", &[method, scheme, authority, (":authority", "other.test"), path]),
        ("two schemes", &[method, scheme, (":scheme", "https"), authority, path]),
        ("pseudo after regular", &[method, scheme, authority, regular, path]),
        ("unknown pseudo", &[method, scheme, authority, path, (":admin", "1")]),
        ("a response's pseudo", &[method, scheme, authority, path, (":status", "200")]),
        ("a protocol without CONNECT", &[method, scheme, authority, path, (":protocol", "websocket")]),
        ("empty method", &[(":method", ""), scheme, authority, path]),
        ("method with a space", &[(":method", "GET / HTTP/1.1"), scheme, authority, path]),
        ("method with CR LF", &[(":method", "GET\r\nX: y"), scheme, authority, path]),
        ("empty path", &[method, scheme, authority, (":path", "")]),
        ("path without slash", &[method, scheme, authority, (":path", "trick")]),
        ("path with a space", &[method, scheme, authority, (":path", "/trick HTTP/1.1")]),
        ("path with CR LF", &[method, scheme, authority, (":path", "/trick\r\nX: y")]),
        ("path with NUL", &[method, scheme, authority, (":path", "/trick\0")]),
        ("absolute path", &[method, scheme, authority, (":path", "http://other.test/trick")]),
        ("asterisk for GET", &[method, scheme, authority, (":path", "*")]),
        ("userinfo", &[method, scheme, (":authority", "user@gateway.test"), path]),
        ("authority with a path", &[method, scheme, (":authority", "gateway.test/x"), path]),
        ("authority with a space", &[method, scheme, (":authority", "gateway test"), path]),
        ("empty authority", &[method, scheme, (":authority", ""), path]),
        ("another host", &[method, scheme, authority, path, ("host", "other.test")]),
        ("two hosts", &[method, scheme, authority, path, ("host", "gateway.test"), ("host", "gateway.test")]),
        ("upper-case name", &[method, scheme, authority, path, ("X-Upper", "a")]),
        ("empty name", &[method, scheme, authority, path, ("", "a")]),
        ("name with a space", &[method, scheme, authority, path, ("x a", "a")]),
        ("name with a colon", &[method, scheme, authority, path, ("x:a", "a")]),
        ("name with LF", &[method, scheme, authority, path, ("x\na", "a")]),
        ("value with CR", &[method, scheme, authority, path, ("x-a", "a\rb")]),
        ("value with LF", &[method, scheme, authority, path, ("x-a", "a\nX: y")]),
        ("value with NUL", &[method, scheme, authority, path, ("x-a", "a\0b")]),
        ("connection", &[method, scheme, authority, path, ("connection", "close")]),
        ("keep-alive", &[method, scheme, authority, path, ("keep-alive", "5")]),
        ("proxy-connection", &[method, scheme, authority, path, ("proxy-connection", "close")]),
        ("transfer-encoding", &[method, scheme, authority, path, ("transfer-encoding", "chunked")]),
        ("upgrade", &[method, scheme, authority, path, ("upgrade", "h2c")]),
        ("te of another kind", &[method, scheme, authority, path, ("te", "gzip")]),
    ];
    let origin = Origin::saying("reached");
    let gateway = gate(&origin);
    let mut bystander = Bystander::beside(&gateway);
    let mut wrong = Vec::new();
    for (what, fields) in cases {
        let mut client = RawH2::connect(gateway.address());
        client.send(&headers(1, END_STREAM, fields));
        let end = client.end_of(1);
        if !is_refused(&end) {
            wrong.push((what, end));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
    assert_eq!(origin.count(), 1, "only the bystander's: {:#?}", origin.requests());
    bystander.is_unharmed();
}

#[test]
fn what_is_unusual_and_has_one_reading_passes() {
    let origin = Origin::saying("reached");
    let gateway = gate(&origin);
    let [method, scheme, authority, path] = request("GET", "/plain");
    for fields in [
        &[path, authority, scheme, method][..],
        &[method, scheme, path, ("host", "gateway.test")],
        &[method, scheme, authority, path, ("host", "gateway.test")],
        &[method, scheme, authority, path, ("te", "trailers")],
        &[method, scheme, authority, path, ("x-empty", "")],
    ] {
        let mut client = RawH2::connect(gateway.address());
        client.send(&headers(1, END_STREAM, fields));
        assert_eq!(client.end_of(1), End::Answer(200, b"reached".to_vec()), "{fields:?}");
        let seen = origin.last_request();
        assert_eq!((seen.target.as_str(), seen.header("host")), ("/plain", Some("gateway.test")), "{}", seen.head);
    }
}

#[test]
fn te_trailers_reaches_an_http2_origin_as_grpc_needs() {
    let origin = H2Origin::start(None, |_| Answer::ok("reached"));
    let yaml = format!("{SHORT}\nupstreams: {{ origin: {{ endpoints: [\"<o>\"], http2: true }} }}\n");
    let gateway = Setup::new(&yaml).with("o", origin.address()).start();
    let mut client = RawH2::connect(gateway.address());
    client.send(&headers(1, END_STREAM, &[&request("GET", "/te")[..], &[("te", "trailers")]].concat()));
    assert_eq!(client.end_of(1), End::Answer(200, b"reached".to_vec()));
    assert_eq!(origin.requests()[0].values("te"), ["trailers"]);
}

#[test]
fn a_length_that_is_not_the_bodys_is_refused_before_the_origin_has_it_whole() {
    let origin = Origin::saying("reached");
    let gateway = gate(&origin);
    let post = |length: &str, end: u8| {
        let fields = [&request("POST", "/length")[..], &[("content-length", length)]].concat();
        headers(1, end, &fields)
    };
    let cases = [
        ("too little", [post("10", 0), data(1, END_STREAM, b"12345")].concat()),
        ("too much", [post("3", 0), data(1, END_STREAM, b"12345")].concat()),
        ("too much, in frames", [post("3", 0), data(1, 0, b"123"), data(1, END_STREAM, b"4")].concat()),
        ("none", post("5", END_STREAM)),
        ("none, in DATA", [post("5", 0), data(1, END_STREAM, b"")].concat()),
        ("not a number", [post("5x", 0), data(1, END_STREAM, b"12345")].concat()),
        ("negative", [post("-5", 0), data(1, END_STREAM, b"12345")].concat()),
        ("signed", [post("+5", 0), data(1, END_STREAM, b"12345")].concat()),
        ("two", [post("5, 6", 0), data(1, END_STREAM, b"12345")].concat()),
    ];
    let mut wrong = Vec::new();
    for (what, bytes) in cases {
        let mut client = RawH2::connect(gateway.address());
        client.send(&bytes);
        let end = client.end_of(1);
        if !is_refused(&end) {
            wrong.push((what, end));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
    assert_eq!(origin.count(), 0, "{:#?}", origin.requests());
}

#[test]
fn frames_that_no_stream_can_have_end_the_connection() {
    let fields = block(&request("GET", "/stream"));
    let head = |stream| frame(HEADERS, END_STREAM | END_HEADERS, stream, &fields);
    let cases = [
        ("HEADERS on stream 0", head(0)),
        ("an even stream", head(2)),
        ("a stream that is passed", [get(5, "/five"), head(3)].concat()),
        ("DATA on stream 0", data(0, 0, b"a")),
        ("DATA on a stream that never began", data(1, 0, b"a")),
        ("CONTINUATION without HEADERS", frame(9, END_HEADERS, 1, &fields)),
        ("another frame within a header block", [frame(HEADERS, 0, 1, &fields), frame(6, 0, 0, &[0; 8])].concat()),
        ("a push", frame(5, END_HEADERS, 1, &[&[0, 0, 0, 2], &fields[..]].concat())),
        ("a frame that is too long", frame(0, 0, 1, &vec![0; 16_385])),
        ("a ping of the wrong length", frame(6, 0, 0, &[0; 7])),
        ("no header compression at all", frame(HEADERS, END_STREAM | END_HEADERS, 1, &[0xff; 20])),
    ];
    let origin = Origin::saying("reached");
    let gateway = gate(&origin);
    let mut bystander = Bystander::beside(&gateway);
    for (what, bytes) in cases {
        let mut client = RawH2::connect(gateway.address());
        client.send(&bytes);
        let code = client.goaway();
        assert!(code.is_some_and(|code| code != 0), "{what}: {code:?}");
    }
    bystander.is_unharmed();
    assert!(origin.requests().iter().all(|request| request.target != "/stream"), "{:#?}", origin.requests());
}

#[test]
fn data_after_the_end_of_a_stream_does_not_reach_anyone() {
    let origin = Origin::saying("reached");
    let gateway = gate(&origin);
    let mut client = RawH2::connect(gateway.address());
    client.send(&[post(1, "/ended"), data(1, END_STREAM, b"whole"), data(1, END_STREAM, b"more")].concat());
    let end = client.end_of(1);
    let refused = matches!(end, End::Answer(200, _) | End::Reset(STREAM_CLOSED) | End::GoAway(_));
    assert!(refused, "{end:?}");
    assert!(origin.requests().iter().all(|request| request.body == b"whole"), "{:#?}", origin.requests());
}
