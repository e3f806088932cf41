//! One bad stream leaves its neighbours alone, and every one has a log line; what ends the connection has the right code.

use super::{Bystander, SHORT, gate};
use crate::support::h2_raw::{
    COMPRESSION_ERROR, END_HEADERS, END_STREAM, End, FRAME_SIZE_ERROR, HEADERS, PING, PROTOCOL_ERROR, RawH2, SETTINGS,
    data, frame, get, headers, post, request,
};
use crate::support::{Answer, Gateway, Origin, Setup, wait};

/// A gateway that forgives as many resets as there are cases.
fn patient(origin: &Origin) -> Gateway {
    let yaml = SHORT.replace("http2_resets: 20", "http2_resets: 1000").replace("body_idle: 400ms", "body_idle: 20s");
    Setup::new(&yaml).origin(origin).start()
}

type Fields = Vec<(&'static str, &'static str)>;

fn with(extra: &[(&'static str, &'static str)]) -> Fields {
    let mut fields: Fields = request("GET", "/bad").to_vec();
    fields.extend_from_slice(extra);
    fields
}

#[test]
fn a_malformed_request_is_reset_and_its_neighbours_are_answered() {
    let [method, scheme, authority, path] = request("GET", "/bad");
    let cases: Vec<(&str, Fields)> = vec![
        ("upper-case name", with(&[("X-Upper", "a")])),
        ("unknown pseudo-header", with(&[(":admin", "1")])),
        ("a response's pseudo-header", with(&[(":status", "200")])),
        ("CR in a value", with(&[("x-a", "a\rb")])),
        ("LF in a value", with(&[("x-a", "a\nb")])),
        ("NUL in a value", with(&[("x-a", "a\0b")])),
        ("a space in a name", with(&[("x a", "a")])),
        ("an empty name", with(&[("", "a")])),
        ("CR LF in the path", vec![method, scheme, authority, (":path", "/bad\r\nX: y")]),
        ("a path twice", vec![method, scheme, authority, path, path]),
        ("a pseudo-header after a field", vec![method, scheme, authority, ("x-a", "a"), path]),
        ("no method", vec![scheme, authority, path]),
        ("connection", with(&[("connection", "close")])),
        ("transfer-encoding", with(&[("transfer-encoding", "chunked")])),
        ("te", with(&[("te", "gzip")])),
        ("a length without a body", with(&[("content-length", "5")])),
    ];
    let origin = Origin::start(|request| Answer::ok(request.body.clone()));
    let gateway = patient(&origin);
    let mut client = RawH2::connect(gateway.address());
    client.send(&[post(1, "/neighbour"), data(1, 0, b"first ")].concat());
    let mut stream = 1;
    for (what, fields) in &cases {
        stream += 2;
        client.send(&headers(stream, END_STREAM, fields));
        assert_eq!(client.end_of(stream), End::Reset(PROTOCOL_ERROR), "{what}");
    }
    client.send(&data(1, END_STREAM, b"and last"));
    assert_eq!(client.end_of(1), End::Answer(200, b"first and last".to_vec()));
    client.send(&get(stream + 2, "/later"));
    assert_eq!(client.end_of(stream + 2), End::Answer(200, Vec::new()));
    assert!(origin.requests().iter().all(|request| !request.target.starts_with("/bad")), "{:#?}", origin.requests());
    let lines = gateway.logged(cases.len() + 2);
    let refused = lines.iter().filter(|line| line["cause"] == "malformed_request" && line["protocol"] == "HTTP/2");
    assert_eq!(refused.count(), cases.len(), "{lines:#?}");
}

#[test]
fn what_http1_answers_with_400_is_answered_with_400() {
    let [method, scheme, authority, path] = request("GET", "/bad");
    let cases: Vec<(&str, Fields, u16, &str)> = vec![
        ("a space in the path", vec![method, scheme, authority, (":path", "/bad HTTP/1.1")], 400, "path_invalid"),
        ("a fragment", vec![method, scheme, authority, (":path", "/bad#x")], 400, "path_invalid"),
        ("a URL", vec![method, scheme, authority, (":path", "http://other.test/bad")], 400, "path_invalid"),
        ("no host", vec![method, scheme, path], 400, "host_missing"),
        ("no name as host", vec![method, scheme, (":authority", "a b"), path], 400, "host_invalid"),
        ("userinfo", vec![method, scheme, (":authority", "user@gateway.test"), path], 400, "host_invalid"),
        ("another host", with(&[("host", "other.test")]), 400, "malformed_request"),
        ("two hosts", with(&[("host", "gateway.test"), ("host", "gateway.test")]), 400, "malformed_request"),
        ("a method with a space", vec![(":method", "G T"), scheme, authority, path], 400, "malformed_request"),
        (
            "a long method",
            vec![(":method", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), scheme, authority, path],
            501,
            "method_too_long",
        ),
        ("another scheme", vec![method, (":scheme", "ftp"), authority, path], 400, "malformed_request"),
        ("no number as length", with(&[("content-length", "5x")]), 400, "malformed_request"),
    ];
    let origin = Origin::saying("reached");
    let gateway = patient(&origin);
    // More than Pingora tolerates on one connection.
    let mut client = RawH2::connect(gateway.address());
    let mut stream = 1;
    for _ in 0..3 {
        for (what, fields, status, cause) in &cases {
            client.send(&headers(stream, END_STREAM, fields));
            let End::Answer(answered, body) = client.end_of(stream) else { panic!("{what}") };
            let body = String::from_utf8_lossy(&body);
            assert!(answered == *status && body.contains(cause), "{what}: {answered} {body}");
            stream += 2;
        }
    }
    client.send(&get(stream, "/later"));
    assert_eq!(client.end_of(stream), End::Answer(200, b"reached".to_vec()));
    assert_eq!(origin.count(), 1);
    let lines = gateway.logged(3 * cases.len() + 1);
    for (what, _, status, cause) in &cases {
        let of_case = |line: &&serde_json::Value| line["cause"] == *cause && line["status"] == *status;
        assert!(lines.iter().filter(of_case).count() >= 3, "{what}: {lines:#?}");
    }
}

#[test]
fn trailers_with_pseudo_headers_never_complete_a_request() {
    let origin = Origin::saying("reached");
    let gateway = patient(&origin);
    let mut client = RawH2::connect(gateway.address());
    for (number, trailer) in
        [(":path", "/other"), (":status", "200"), ("X-Upper", "a"), ("x-a", "a\nb")].iter().enumerate()
    {
        let stream = 2 * number as u32 + 1;
        client
            .send(&[post(stream, "/bad"), data(stream, 0, b"body"), headers(stream, END_STREAM, &[*trailer])].concat());
        assert_eq!(client.end_of(stream), End::Reset(PROTOCOL_ERROR), "{trailer:?}");
    }
    client.send(&[post(9, "/good"), data(9, 0, b"body"), headers(9, END_STREAM, &[("x-sum", "1")])].concat());
    assert_eq!(client.end_of(9), End::Answer(200, b"reached".to_vec()));
    assert_eq!(origin.only_request().target, "/good");
    let lines = gateway.logged(5);
    assert_eq!(lines.iter().filter(|line| line["cause"] == "malformed_request").count(), 4, "{lines:#?}");
}

#[test]
fn a_request_whose_length_is_not_its_bodys_never_reaches_an_origin_whole() {
    let origin = Origin::saying("reached");
    let gateway = patient(&origin);
    let mut client = RawH2::connect(gateway.address());
    for (number, length) in ["0", "4"].iter().enumerate() {
        let stream = 4 * number as u32 + 1;
        let fields = [&request("POST", "/length")[..], &[("content-length", length)]].concat();
        client.send(&headers(stream, 0, &fields));
        let announced = usize::from(*length != "0") * 4;
        client.send(&data(stream, 0, &b"body"[..announced]));
        // The gateway has all of that when it answers a later request, and waits for the end of the stream.
        client.send(&get(stream + 2, "/after"));
        assert_eq!(client.end_of(stream + 2), End::Answer(200, b"reached".to_vec()));
        client.send(&data(stream, END_STREAM, b"GET /smuggled HTTP/1.1\r\n\r\n"));
        assert_eq!(client.end_of(stream), End::Reset(PROTOCOL_ERROR), "{length}");
    }
    wait::until_true("a line for each", || gateway.log_lines().len() == 4);
    assert!(origin.requests().iter().all(|request| request.target == "/after"), "{:#?}", origin.requests());

    let fields = [&request("POST", "/right")[..], &[("content-length", "4")]].concat();
    client.send(&[headers(9, 0, &fields), data(9, 0, b"body"), data(9, END_STREAM, b"")].concat());
    assert_eq!(client.end_of(9), End::Answer(200, b"reached".to_vec()));
    assert_eq!(origin.last_request().body, b"body");
    let fields = [&request("POST", "/none")[..], &[("content-length", "0")]].concat();
    client.send(&[headers(11, 0, &fields), data(11, END_STREAM, b"")].concat());
    assert_eq!(client.end_of(11), End::Answer(200, b"reached".to_vec()));
    assert_eq!(origin.last_request().target, "/none");
}

#[test]
fn connection_errors_have_the_code_that_rfc_9113_names() {
    let cases = [
        ("no HPACK", frame(HEADERS, END_STREAM | END_HEADERS, 1, &[0xff; 20]), COMPRESSION_ERROR),
        ("an index of no entry", frame(HEADERS, END_STREAM | END_HEADERS, 1, &[0xfe]), COMPRESSION_ERROR),
        ("a string that goes on", frame(HEADERS, END_STREAM | END_HEADERS, 1, b"\x00\x05a"), COMPRESSION_ERROR),
        ("a ping of the wrong length", frame(PING, 0, 0, &[0; 7]), FRAME_SIZE_ERROR),
        ("a promise of a client's", frame(5, END_HEADERS, 1, &[0, 0, 0, 2]), PROTOCOL_ERROR),
        ("half a setting", frame(SETTINGS, 0, 0, &[0; 5]), FRAME_SIZE_ERROR),
        ("a frame that is too long", frame(0, 0, 1, &vec![0; 16_385]), FRAME_SIZE_ERROR),
        ("an even stream", get(2, "/even"), PROTOCOL_ERROR),
    ];
    let origin = Origin::saying("reached");
    let gateway = gate(&origin);
    let mut bystander = Bystander::beside(&gateway);
    for (what, bytes, code) in cases {
        let mut client = RawH2::connect(gateway.address());
        client.send(&bytes);
        assert_eq!(client.goaway(), Some(code), "{what}");
    }
    bystander.is_unharmed();
    let unreadable = |line: &serde_json::Value| line["detail"] == "a header block that is no HPACK";
    wait::until_true("a line for each block", || {
        gateway.log_lines().iter().filter(|line| unreadable(line)).count() == 3
    });
}
