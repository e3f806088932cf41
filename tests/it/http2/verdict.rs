//! One request has one verdict on HTTP/1 and HTTP/2.

use crate::support::h2_raw::{END_STREAM, End, RawH2, headers, request};
use crate::support::{Gateway, Origin, Setup};

fn gate(origin: &Origin, settings: &str) -> Gateway {
    let yaml = format!(
        "listeners: [{{ name: main, address: \"<listen>\", http2: true }}]\n{settings}\n\
         response_headers: {{ set: {{ X-Frame-Options: DENY }} }}\n"
    );
    Setup::new(&yaml).origin(origin).start()
}

const PASS: &str = "routes: [{ name: all, access: public, upstream: origin }]";

/// The status of a GET with `fields` by HTTP/1 and by HTTP/2.
fn verdicts(gateway: &Gateway, target: &str, fields: &[(&str, &str)]) -> (u16, u16) {
    let lines: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let mut http1 = gateway.connect();
    http1.send(format!("GET {target} HTTP/1.1\r\nHost: gateway.test\r\n{lines}\r\n"));
    let mut http2 = RawH2::connect(gateway.address());
    http2.send(&headers(1, END_STREAM, &[&request("GET", target)[..], fields].concat()));
    let End::Answer(status, _) = http2.end_of(1) else { panic!("{target} is not answered by HTTP/2") };
    (http1.read_response().status, status)
}

/// What clients send though it should be escaped, and what it is once it is.
const RAW: &[(&str, &str)] = &[
    ("/a\"b", "/a%22b"),
    ("/a<b>c", "/a%3Cb%3Ec"),
    ("/a{b}|c", "/a%7Bb%7D%7Cc"),
    ("/a^b`c", "/a%5Eb%60c"),
    ("/caf\u{e9}/\u{65e5}\u{672c}", "/caf%C3%A9/%E6%97%A5%E6%9C%AC"),
    ("/q?a=\"<>{}|\\^`&b[]=\u{e9}", "/q?a=%22%3C%3E%7B%7D%7C%5C%5E%60&b[]=%C3%A9"),
    ("/q?a=%3c%zz", "/q?a=%3c%zz"),
];

#[test]
fn raw_characters_of_a_target_are_escaped_the_same_on_both() {
    let origin = Origin::saying("ok");
    let gateway = gate(&origin, PASS);
    let mut http2 = RawH2::connect(gateway.address());
    for (number, (target, seen)) in RAW.iter().enumerate() {
        let mut http1 = gateway.connect();
        http1.send(format!("GET {target} HTTP/1.1\r\nHost: gateway.test\r\n\r\n"));
        http1.read_response().expect_status(200);
        assert_eq!(origin.last_request().target, *seen, "{target} by HTTP/1");
        // On one connection, so that what follows a block that was changed is read too.
        let stream = 2 * number as u32 + 1;
        http2.send(&headers(stream, END_STREAM, &request("GET", target)));
        assert_eq!(http2.end_of(stream), End::Answer(200, b"ok".to_vec()), "{target} by HTTP/2");
        assert_eq!(origin.last_request().target, *seen, "{target} by HTTP/2");
    }
    // A backslash is the encoded separator that some origins take it for.
    assert_eq!(verdicts(&gateway, "/a\\b", &[]), (400, 400));
    let lines = gateway.logged(2 * RAW.len() + 2);
    assert!(lines.iter().all(|line| line["status"] == 200 || line["cause"] == "path_invalid"), "{lines:#?}");
}

#[test]
fn a_strict_target_is_refused_with_its_reason_on_both() {
    let origin = Origin::saying("ok");
    let gateway = gate(&origin, &format!("request: {{ target: strict }}\n{PASS}"));
    let raw: Vec<_> = RAW.iter().filter(|(target, seen)| target != seen).collect();
    for (target, seen) in &raw {
        assert_eq!(verdicts(&gateway, target, &[]), (400, 400), "{target}");
        assert_eq!(verdicts(&gateway, seen, &[]), (200, 200), "{seen}");
    }
    assert_eq!(origin.count(), 2 * raw.len());
    let lines = gateway.logged(4 * raw.len());
    let strict = |line: &&serde_json::Value| {
        line["cause"] == "path_invalid"
            && line["detail"].as_str().is_some_and(|detail| detail.contains("request.target"))
    };
    assert_eq!(lines.iter().filter(strict).count(), 2 * raw.len(), "{lines:#?}");
}

#[test]
fn cookie_crumbs_are_one_field() {
    let origin = Origin::saying("ok");
    let gateway = gate(
        &origin,
        "bounds: { header_count: 4, header_bytes: 1KiB }\nroutes:\n  - { name: all, access: public, upstream: origin }\n  - \
         { name: member, match: { headers: { Cookie: \"a=1; b=2\" } }, access: public, respond: { status: 202 } }",
    );
    let send = |fields: &[(&str, &str)]| {
        let mut client = RawH2::connect(gateway.address());
        client.send(&headers(1, END_STREAM, &[&request("GET", "/")[..], fields].concat()));
        match client.end_of(1) {
            End::Answer(status, _) => status,
            end => panic!("{end:?}"),
        }
    };
    // Host, Accept, X-A and the Cookie: four fields, in however many crumbs.
    let crumbs = [("cookie", "c=3"); 50];
    assert_eq!(send(&[&[("accept", "*/*"), ("x-a", "1")][..], &crumbs].concat()), 200);
    assert_eq!(origin.last_request().values("cookie"), [["c=3"; 50].join("; ").as_str()]);
    let joined = ["c=3"; 50].join("; ");
    let (accept, one, other, cookie) = (("accept", "*/*"), ("x-a", "1"), ("x-b", "1"), ("cookie", joined.as_str()));
    assert_eq!(verdicts(&gateway, "/", &[accept, one, cookie]), (200, 200));
    assert_eq!(verdicts(&gateway, "/", &[accept, one, other, cookie]), (431, 431));
    assert_eq!(send(&[&[accept, one, other][..], &crumbs].concat()), 431);
    // As many bytes as the Cookie has, not its crumbs.
    let value = "v".repeat(900);
    assert_eq!(verdicts(&gateway, "/", &[("cookie", &value)]), (200, 200));
    assert_eq!(send(&[("cookie", &value), ("cookie", "c=3")]), 200);
    // A rule sees it whole.
    assert_eq!(verdicts(&gateway, "/", &[("cookie", "a=1; b=2")]), (202, 202));
    assert_eq!(send(&[("cookie", "a=1"), ("cookie", "b=2")]), 202);
}

#[test]
fn bounds_on_fields_count_the_host_on_both() {
    let origin = Origin::saying("ok");
    let gateway = gate(&origin, &format!("bounds: {{ header_count: 5, header_bytes: 300B }}\n{PASS}"));
    for (count, status) in [(4, 200), (5, 431)] {
        assert_eq!(verdicts(&gateway, "/", &vec![("x-a", "1"); count]), (status, status), "{count}");
    }
    // `Host: gateway.test` and its line end are 20 bytes.
    for (length, status) in [(300 - 20 - 7, 200), (300 - 20 - 6, 431)] {
        assert_eq!(verdicts(&gateway, "/", &[("x-a", &"v".repeat(length))]), (status, status), "{length}");
    }
}
