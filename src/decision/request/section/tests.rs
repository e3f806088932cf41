use http::uri::{Authority, PathAndQuery};
use http::{HeaderName, HeaderValue, Method};
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

type Pair<'a> = (&'a str, &'a str);

const METHOD: Pair<'_> = (":method", "GET");
const SCHEME: Pair<'_> = (":scheme", "https");
const AUTHORITY: Pair<'_> = (":authority", "a.example");
const PATH: Pair<'_> = (":path", "/");

fn judge(fields: &[Pair<'_>]) -> SectionVerdict {
    request(fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())), true, false)
}

fn path(path: &str) -> SectionVerdict {
    judge(&[METHOD, SCHEME, AUTHORITY, (":path", path)])
}

#[test]
fn ordinary_requests_pass_as_they_are() {
    let ordinary: [&[Pair<'_>]; 6] = [
        &[METHOD, SCHEME, AUTHORITY, PATH],
        &[PATH, AUTHORITY, METHOD, SCHEME, ("accept", "*/*"), ("te", "trailers"), ("x", "")],
        &[METHOD, SCHEME, PATH, ("host", "a.example")],
        &[METHOD, SCHEME, AUTHORITY, PATH, ("host", "a.example"), ("content-length", "0")],
        &[METHOD, SCHEME, AUTHORITY, (":path", "/a[0]?b[]=%20&c='*"), ("cookie", "a=1"), ("cookie", "b=\"2\"")],
        &[(":method", "CONNECT"), AUTHORITY],
    ];
    for fields in ordinary {
        assert_eq!(judge(fields), SectionVerdict::Plain, "{fields:?}");
    }
}

#[test]
fn what_breaks_http2_is_malformed() {
    let cases: &[&[Pair<'_>]] = &[
        &[SCHEME, AUTHORITY, PATH],
        &[METHOD, AUTHORITY, PATH],
        &[METHOD, SCHEME, AUTHORITY],
        &[METHOD, SCHEME, AUTHORITY, (":path", "")],
        &[METHOD, METHOD, SCHEME, AUTHORITY, PATH],
        &[METHOD, SCHEME, AUTHORITY, ("x", "y"), PATH],
        &[METHOD, SCHEME, AUTHORITY, PATH, (":admin", "1")],
        &[METHOD, SCHEME, AUTHORITY, PATH, (":status", "200")],
        &[METHOD, SCHEME, AUTHORITY, PATH, (":protocol", "websocket")],
        &[(":method", "CONNECT"), AUTHORITY, PATH],
        &[METHOD, SCHEME, AUTHORITY, PATH, ("X-Upper", "a")],
        &[METHOD, SCHEME, AUTHORITY, PATH, ("", "a")],
        &[METHOD, SCHEME, AUTHORITY, PATH, ("x:a", "a")],
        &[METHOD, SCHEME, AUTHORITY, PATH, ("x", "a\r\nb")],
        &[METHOD, SCHEME, AUTHORITY, PATH, ("x", "a\0b")],
        &[METHOD, SCHEME, AUTHORITY, (":path", "/\r\nX: y")],
        &[METHOD, SCHEME, AUTHORITY, PATH, ("connection", "close")],
        &[METHOD, SCHEME, AUTHORITY, PATH, ("te", "gzip")],
        &[METHOD, SCHEME, AUTHORITY, PATH, ("content-length", "5")],
    ];
    for fields in cases {
        assert!(matches!(judge(fields), SectionVerdict::Malformed(_)), "{fields:?}");
    }
}

#[test]
fn what_http1_refuses_too_is_answered() {
    use SectionRefusal::*;
    let long = "A".repeat(MAX_METHOD_BYTES + 1);
    let cases: &[(&[Pair<'_>], SectionRefusal)] = &[
        (&[(":method", "G T"), SCHEME, AUTHORITY, PATH], MethodCharacter),
        (&[(":method", ""), SCHEME, AUTHORITY, PATH], MethodCharacter),
        (&[(":method", &long), SCHEME, AUTHORITY, PATH], MethodTooLong),
        (&[METHOD, (":scheme", "ftp"), AUTHORITY, PATH], SchemeUnknown),
        (&[METHOD, SCHEME, AUTHORITY, (":path", "/a b")], TargetCharacter),
        (&[METHOD, SCHEME, AUTHORITY, (":path", "/a#b")], TargetCharacter),
        (&[METHOD, SCHEME, AUTHORITY, (":path", "a")], TargetForm),
        (&[METHOD, SCHEME, AUTHORITY, (":path", "http://a.example/")], TargetForm),
        (&[METHOD, SCHEME, PATH], HostMissing),
        (&[METHOD, SCHEME, (":authority", ""), PATH], HostInvalid),
        (&[METHOD, SCHEME, (":authority", "u@a.example"), PATH], HostInvalid),
        (&[METHOD, SCHEME, (":authority", "a.example/x"), PATH], HostInvalid),
        (&[METHOD, SCHEME, (":authority", "[::1"), PATH], HostInvalid),
        (&[METHOD, SCHEME, AUTHORITY, PATH, ("host", "b.example")], HostsDisagree),
        (&[METHOD, SCHEME, AUTHORITY, PATH, ("host", "a.example"), ("host", "a.example")], TwoHosts),
        (&[METHOD, SCHEME, AUTHORITY, PATH, ("content-length", "5x")], LengthInvalid),
        (&[METHOD, SCHEME, AUTHORITY, PATH, ("content-length", "0"), ("content-length", "0")], LengthInvalid),
    ];
    for (fields, refusal) in cases {
        assert_eq!(judge(fields), SectionVerdict::Refused(*refusal), "{fields:?}");
    }
    assert_eq!(path(&format!("/{}", "a".repeat(70_000))), SectionVerdict::Refused(TargetTooLong));
    let invalid = request(
        [(&b":method"[..], &b"GET"[..]), (b":scheme", b"http"), (b":authority", b"a"), (b":path", b"/\xff")]
            .into_iter(),
        true,
        false,
    );
    assert_eq!(invalid, SectionVerdict::Refused(TargetCharacter));
}

#[test]
fn a_raw_target_is_encoded_or_refused() {
    for target in ["/a<b", "/a?\"", "/`", "/caf\u{e9}", "/a|b{c}^d\\e"] {
        assert_eq!(path(target), SectionVerdict::RawTarget, "{target}");
        let fields = [METHOD, SCHEME, AUTHORITY, (":path", target)];
        let fields = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        assert_eq!(request(fields, true, true), SectionVerdict::Refused(SectionRefusal::TargetRaw), "{target}");
    }
}

#[test]
fn trailers_have_regular_fields_alone() {
    let judge = |name: &'static str, value: &'static str| trailers([(name.as_bytes(), value.as_bytes())].into_iter());
    assert_eq!(judge("grpc-status", "0"), SectionVerdict::Plain);
    for (name, value) in [(":path", "/"), (":status", "200"), ("X-Upper", "a"), ("x", "a\n"), ("connection", "x")] {
        assert!(matches!(judge(name, value), SectionVerdict::Malformed(_)), "{name}");
    }
}

proptest! {
    /// What passes, the libraries behind take: none of them decides.
    #[test]
    fn no_library_refuses_what_passes(
        method in "[A-Z#^a-z ]{0,5}",
        authority in "[a-b0-9.:\\[\\]@%/-]{0,8}",
        target in "/?[ -~\u{e9}]{0,6}",
        name in prop_oneof![select(vec!["host", "te", "content-length", "connection"]).prop_map(str::to_owned), "[a-zA-Z!:_ -]{0,4}"],
        value in prop::collection::vec(prop_oneof![4 => 0x20u8..0x7f, 1 => any::<u8>()], 0..4),
    ) {
        let fields = [
            (&b":method"[..], method.as_bytes()),
            (b":scheme", b"http"),
            (b":authority", authority.as_bytes()),
            (b":path", target.as_bytes()),
            (name.as_bytes(), &value[..]),
        ];
        let verdict = request(fields.into_iter(), true, false);
        if matches!(verdict, SectionVerdict::Plain | SectionVerdict::RawTarget) {
            let mut encoded = Vec::new();
            target::encode(target.as_bytes(), &mut encoded);
            prop_assert!(Method::from_bytes(method.as_bytes()).is_ok());
            prop_assert!(Authority::try_from(authority.as_bytes()).is_ok(), "{}", authority);
            prop_assert!(PathAndQuery::try_from(&encoded[..]).is_ok(), "{}", target);
            prop_assert!(HeaderName::from_lowercase(name.as_bytes()).is_ok());
            prop_assert!(HeaderValue::from_bytes(&value).is_ok());
        }
    }
}
