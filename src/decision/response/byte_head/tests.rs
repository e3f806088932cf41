use http::HeaderMap;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::decision::response::framing::FramingPolicy;
use crate::decision::response::page::Pages;
use crate::decision::response::program::Operations;
use crate::decision::response::rules::ResponseRules;

const NAMES: &[&str] = &[
    "x-a",
    "X-A",
    "x-B",
    "Set-Cookie",
    "Server",
    "X-Frame-Options",
    "Content-Security-Policy",
    "content-security-policy",
    "Content-Security-Policy-Report-Only",
];
const VALUES: &[&str] =
    &["", "1", "a=1; Path=/", "DENY", "default-src 'self'", "frame-ancestors *; img-src x", "caf\u{e9}", "a, b"];

fn fields() -> impl Strategy<Value = Vec<(&'static str, &'static str)>> {
    prop::collection::vec((select(NAMES), select(VALUES)), 0..10)
}

fn names() -> impl Strategy<Value = Vec<HeaderName>> {
    prop::collection::vec(select(NAMES).prop_map(|name| name.parse().unwrap()), 0..3)
}

fn pairs() -> impl Strategy<Value = Vec<(HeaderName, HeaderValue)>> {
    let pair =
        |(name, value): (&str, &str)| (name.parse().unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
    prop::collection::vec((select(NAMES), select(VALUES)).prop_map(pair), 0..3)
}

fn any_rules() -> impl Strategy<Value = ResponseRules> {
    let renames = prop::collection::vec((select(NAMES), select(NAMES)), 0..3).prop_map(|pairs| {
        let parse = |name: &str| name.parse::<HeaderName>().unwrap();
        pairs.into_iter().map(|(old, new)| (parse(old), parse(new))).collect::<Vec<_>>()
    });
    let framing = prop_oneof![Just(None), Just(Some(FramingPolicy::deny())), Just(Some(FramingPolicy::same_origin()))];
    (names(), renames, pairs(), pairs(), pairs(), pairs(), framing).prop_map(
        |(remove, rename, replace, default, set, append, framing)| {
            let operations = Operations { remove, rename, replace, default, set, append };
            ResponseRules::new(operations, framing, Pages::default())
        },
    )
}

fn sorted<'a>(lines: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut lines: Vec<_> = lines.map(|(name, value)| (name.to_ascii_lowercase(), value.to_vec())).collect();
    lines.sort_by(|one, other| one.0.cmp(&other.0));
    lines
}

proptest! {
    #[test]
    fn a_head_in_bytes_gets_the_fields_that_a_map_gets(rules in any_rules(), fields in fields()) {
        let head = fields.iter().map(|(name, value)| format!("{name}:  {value} \r\n")).collect::<String>();
        let head = format!("HTTP/1.1 200 OK\r\n{head}\r\n");
        let mut map = HeaderMap::new();
        for (name, value) in &fields {
            map.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let mut bytes = ByteHead::read(head.as_bytes()).unwrap();

        rules.apply(None, &mut map);
        rules.apply(None, &mut bytes);
        let of_map = || map.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
        prop_assert_eq!(sorted(of_map()), sorted(bytes.lines()));

        let mut written = Vec::new();
        bytes.write(&mut written);
        let again = ByteHead::read(&written).expect("what is written is a head");
        prop_assert_eq!(sorted(of_map()), sorted(again.lines()));
    }

    #[test]
    fn what_is_no_head_is_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = ByteHead::read(&bytes);
    }
}

#[test]
fn lines_that_nobody_edits_are_written_as_they_came() {
    let head = b"HTTP/1.1 200 OK\r\nx-lower: 1\r\nX-UPPER: 2\r\n\r\n";
    let mut read = ByteHead::read(head).unwrap();
    let mut written = Vec::new();
    read.write(&mut written);
    assert_eq!(written, head);

    read.set(&HeaderName::from_static("x-frame-options"), &HeaderValue::from_static("DENY"));
    read.set(&HeaderName::from_static("x-upper"), &HeaderValue::from_static("3"));
    written.clear();
    read.write(&mut written);
    assert_eq!(
        written.as_slice(),
        b"HTTP/1.1 200 OK\r\nx-lower: 1\r\nX-UPPER: 3\r\nX-Frame-Options: DENY\r\n\r\n".as_slice()
    );
}

#[test]
fn a_line_without_a_colon_is_no_line() {
    assert!(ByteHead::read(b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n").is_none());
    assert!(ByteHead::read(b"HTTP/1.1 200 OK\r\nx: 1\n\r\n").is_none());
    assert!(ByteHead::read(b"HTTP/1.1 200 OK\r\nx: 1\r\n").is_none());
}
