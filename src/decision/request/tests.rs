use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use proptest::prelude::*;

use super::connection::ConnectionFacts;
use super::*;

/// A request under construction: `Host: example.com` from 192.0.2.1 unless told otherwise; 10.0.0.0/8 is trusted.
struct Asked {
    method: Method,
    target: Cow<'static, str>,
    authority: Option<&'static str>,
    headers: HeaderMap,
    version: Version,
    peer: &'static str,
    strict: bool,
}

fn get(target: impl Into<Cow<'static, str>>) -> Asked {
    let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("example.com"))]);
    Asked {
        method: Method::GET,
        target: target.into(),
        authority: None,
        headers,
        version: Version::HTTP_11,
        peer: "192.0.2.1",
        strict: false,
    }
}

impl Asked {
    fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        self
    }

    fn host(mut self, host: &'static str) -> Self {
        self.headers.insert(header::HOST, HeaderValue::from_static(host));
        self
    }

    fn without_host(mut self) -> Self {
        self.headers.remove(header::HOST);
        self
    }

    fn by_proxy(self) -> Self {
        Asked { peer: "10.0.0.1", ..self }
    }

    fn read(&self) -> Result<NormalizedRequest, Denial> {
        let rules = ReadRules {
            max_uri: 64,
            max_header_bytes: 512,
            max_header_count: 8,
            trusted_proxies: vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()],
            strict_target: self.strict,
            names: {
                let mut names = fields::FieldNames::default();
                names.add(HeaderName::from_static("x-tenant"));
                names
            },
            max_passes: 2,
            ..ReadRules::for_test()
        };
        read(
            &rules,
            &RawRequest {
                method: &self.method,
                target: self.target.as_bytes(),
                authority: self.authority,
                fields: (&self.headers).into(),
                version: self.version,
                connection: &ConnectionFacts::supposed(self.peer.parse().unwrap(), Scheme::Http),
            },
        )
    }

    fn normal(&self) -> NormalizedRequest {
        self.read().expect("the request is valid")
    }

    fn cause(&self) -> Cause {
        self.read().expect_err("the request is refused").cause
    }

    fn client(&self) -> String {
        self.normal().client.to_string()
    }
}

#[test]
fn a_plain_request_is_read_as_it_stands() {
    let normal = get("/v1/orders?x=%2F").normal();
    assert_eq!((normal.host.as_str(), normal.port), ("example.com", None));
    assert_eq!((normal.path.as_str(), normal.query.as_deref()), ("/v1/orders", Some("x=%2F")));
    assert!(!normal.path_changed && !normal.trusted_peer);
}

#[test]
fn a_changed_path_says_so() {
    let normal = get("/a/../b?").normal();
    assert_eq!((normal.path.as_str(), normal.query.as_deref(), normal.path_changed), ("/b", Some(""), true));
    assert!(!get("/a%20b").normal().path_changed);
}

#[test]
fn a_raw_query_is_escaped_and_says_so() {
    let normal = get("/a?x=\"|{caf\u{e9}}\\&y[]=%22'").normal();
    assert_eq!(normal.query.as_deref(), Some("x=%22%7C%7Bcaf%C3%A9%7D%5C&y[]=%22'"));
    assert!(normal.path_changed);
    for target in ["/a?b c", "/a?b\u{7f}", "/a?b#c"] {
        assert_eq!(get(target).cause(), Cause::PathInvalid, "{target}");
    }
}

#[test]
fn a_strict_target_has_its_escapes() {
    for target in ["/a|b", "/a?b|c", "/caf\u{e9}", "http://example.com/`"] {
        assert!(get(target).read().is_ok(), "{target}");
        assert_eq!(Asked { strict: true, ..get(target) }.cause(), Cause::PathInvalid, "{target}");
    }
    assert!(Asked { strict: true, ..get("/a%7Cb[0]?c[]=%7C") }.read().is_ok());
}

#[test]
fn a_host_of_http2_counts_as_the_field_that_it_is() {
    let http2 =
        |request: Asked| Asked { version: Version::HTTP_2, authority: Some("example.com"), ..request.without_host() };
    assert!((0..7).fold(http2(get("/")), |r, _| r.with("a", "b")).read().is_ok());
    assert_eq!((0..8).fold(http2(get("/")), |r, _| r.with("a", "b")).cause(), Cause::HeadersTooMany);
    let long: &'static str = Box::leak("v".repeat(512 - 4 - 1 - 4 - 4 - 11).into_boxed_str());
    assert!(http2(get("/")).with("a", long).read().is_ok());
    assert_eq!(http2(get("/")).with("aa", long).cause(), Cause::HeadersTooLarge);
}

#[test]
fn bounds_are_kept() {
    assert_eq!(get(format!("/{}", "a".repeat(64))).cause(), Cause::UriTooLong);
    assert!(get(format!("/{}", "a".repeat(63))).read().is_ok());
    assert_eq!((0..8).fold(get("/"), |r, _| r.with("a", "b")).cause(), Cause::HeadersTooMany);
    let long: &'static str = Box::leak("v".repeat(512 - 4 - 1 - 4 - 4 - 11).into_boxed_str());
    assert!(get("/").with("a", long).read().is_ok());
    assert_eq!(get("/").with("aa", long).cause(), Cause::HeadersTooLarge);
}

#[test]
fn absolute_form_must_agree_with_host() {
    let normal = get("http://EXAMPLE.com:80/a/./b?c").normal();
    assert_eq!((normal.path.as_str(), normal.query.as_deref(), normal.path_changed), ("/a/b", Some("c"), true));
    assert_eq!(get("HTTP://example.com").normal().path, "/");
    assert_eq!(get("http://example.com?a").normal().query.as_deref(), Some("a"));
    for (target, cause) in [
        ("http://other.example/", Cause::MalformedRequest),
        ("http://example.com:81/", Cause::MalformedRequest),
        ("https://example.com/", Cause::MalformedRequest),
        ("http://user@example.com/", Cause::HostInvalid),
        ("http:///a", Cause::HostInvalid),
        ("ftp://example.com/", Cause::PathInvalid),
        ("example.com", Cause::PathInvalid),
        ("", Cause::PathInvalid),
        ("http://example.com#a", Cause::PathInvalid),
        ("/a?b#c", Cause::PathInvalid),
    ] {
        assert_eq!(get(target).cause(), cause, "{target}");
    }
    assert_eq!(get("http://example.com/").without_host().cause(), Cause::HostMissing);
}

#[test]
fn the_asterisk_is_for_options() {
    assert_eq!(get("*").cause(), Cause::PathInvalid);
    let options = |target: &'static str| Asked { method: Method::OPTIONS, ..get(target) };
    assert_eq!(options("*").normal().path, "*");
    assert_eq!(options("http://example.com").normal().path, "*");
    assert_eq!(options("http://example.com/").normal().path, "/");
    assert_eq!(Asked { method: Method::CONNECT, ..get("example.com:443") }.cause(), Cause::ConnectRefused);
}

#[test]
fn exactly_one_host_is_accepted() {
    assert_eq!(get("/").host("Example.COM.:8080").normal().host, "example.com");
    assert_eq!(get("/").with("host", "example.com").cause(), Cause::MalformedRequest);
    assert_eq!(get("/").without_host().cause(), Cause::HostMissing);
    assert_eq!(get("/").host("").cause(), Cause::HostMissing);
    assert_eq!(get("/").host("a b").cause(), Cause::HostInvalid);
    assert_eq!(Asked { version: Version::HTTP_10, ..get("/").without_host() }.normal().host, "");
}

#[test]
fn http2_takes_the_authority() {
    let h2 = |authority, request: Asked| Asked { version: Version::HTTP_2, authority, ..request };
    assert_eq!(h2(Some("API.example"), get("/").without_host()).normal().host, "api.example");
    assert_eq!(h2(Some("example.com:80"), get("/")).normal().port, Some(80));
    assert_eq!(h2(None, get("/")).normal().host, "example.com");
    assert_eq!(h2(Some("other.example"), get("/")).cause(), Cause::MalformedRequest);
    assert_eq!(h2(None, get("/").without_host()).cause(), Cause::HostMissing);
}

#[test]
fn two_lengths_are_refused() {
    assert!(get("/").with("content-length", "3").read().is_ok());
    assert!(get("/").with("transfer-encoding", "chunked").read().is_ok());
    for (name, value) in [("content-length", "3"), ("transfer-encoding", "chunked")] {
        let request = get("/").with("content-length", "3").with(name, value);
        assert_eq!(request.cause(), Cause::MalformedRequest);
    }
    assert_eq!(get("/").with("transfer-encoding", "gzip, chunked").cause(), Cause::TransferCodingUnknown);
    assert_eq!(get("/").with("content-length", "+3").cause(), Cause::MalformedRequest);
    let old = Asked { version: Version::HTTP_10, ..get("/").with("transfer-encoding", "chunked") };
    assert_eq!(old.cause(), Cause::MalformedRequest);
}

#[test]
fn connection_names_nothing_that_rules_go_by() {
    let named =
        ["close", "keep-alive, Upgrade", "Upgrade, HTTP2-Settings", "TE,close", "", ", close ,", "x-hop, close"];
    for value in named {
        assert!(get("/").with("connection", value).read().is_ok(), "{value}");
    }
    for value in ["X-Tenant", "close, X-Forwarded-For", "authorization", "content-length", "\"close\"", "close;x"] {
        assert_eq!(get("/").with("connection", value).cause(), Cause::MalformedRequest, "{value}");
        let second = get("/").with("connection", "close").with("connection", value);
        assert_eq!(second.cause(), Cause::MalformedRequest, "{value}");
    }
    let many = Box::leak(["close"; 10].join(",").into_boxed_str());
    assert_eq!(get("/").with("connection", many).cause(), Cause::MalformedRequest);
    let h2 = Asked { version: Version::HTTP_2, ..get("/").with("connection", "keep-alive") };
    assert_eq!(h2.cause(), Cause::MalformedRequest);
}

#[test]
fn strangers_are_not_believed() {
    let normal = get("/")
        .with("x-forwarded-for", "203.0.113.9")
        .with("x-forwarded-proto", "https")
        .with("x-request-id", "abc")
        .normal();
    assert_eq!(normal.client.to_string(), "192.0.2.1");
    assert_eq!((normal.scheme, normal.request_id), (Scheme::Http, None));
}

#[test]
fn the_first_untrusted_address_from_the_right_is_the_client() {
    for (list, client) in [
        ("203.0.113.9", "203.0.113.9"),
        ("203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("198.51.100.1, 203.0.113.9,10.0.0.2", "203.0.113.9"),
        ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("203.0.113.9, unknown, 10.0.0.2", "10.0.0.2"),
        ("garbage", "10.0.0.1"),
        ("203.0.113.9,, 10.0.0.2,", "203.0.113.9"),
        ("203.0.113.9:4711", "203.0.113.9"),
        ("203.0.113.9:", "10.0.0.1"),
        ("[2001:db9::1]:80, [2001:db8::7]", "2001:db9::1"),
        ("2001:db9::1", "2001:db9::1"),
        ("::ffff:203.0.113.9, ::ffff:10.0.0.2", "203.0.113.9"),
    ] {
        assert_eq!(get("/").by_proxy().with("x-forwarded-for", list).client(), client, "{list}");
    }
    let two_lines = get("/").by_proxy().with("x-forwarded-for", "203.0.113.9").with("x-forwarded-for", "10.0.0.2");
    assert_eq!(two_lines.client(), "203.0.113.9");
    let mapped = Asked { peer: "::ffff:10.0.0.1", ..get("/") }.with("x-forwarded-for", "203.0.113.9");
    assert_eq!(mapped.client(), "203.0.113.9");
    assert_eq!(get("/").by_proxy().client(), "10.0.0.1");
}

#[test]
fn forwarded_serves_where_the_older_header_is_absent() {
    for (list, client) in [
        ("for=203.0.113.9", "203.0.113.9"),
        ("For=\"203.0.113.9:80\";proto=https;by=10.0.0.9, for=10.0.0.2", "203.0.113.9"),
        ("for=\"[2001:db9::1]:4711\"", "2001:db9::1"),
        ("for=203.0.113.9, for=_hidden", "10.0.0.1"),
        ("proto=https", "10.0.0.1"),
        ("for=203.0.113.9;for=203.0.113.8", "10.0.0.1"),
        // A client's quotation mark must not swallow what the proxy appended.
        ("for=\"x, for=203.0.113.9", "203.0.113.9"),
        ("host=\"a,b\";for=203.0.113.9", "203.0.113.9"),
    ] {
        assert_eq!(get("/").by_proxy().with("forwarded", list).client(), client, "{list}");
    }
    let both = get("/").by_proxy().with("forwarded", "for=203.0.113.9").with("x-forwarded-for", "198.51.100.1");
    assert_eq!(both.client(), "198.51.100.1");
}

#[test]
fn the_scheme_is_that_of_the_client_among_the_addresses() {
    let scheme = |addresses, protos| {
        get("/").by_proxy().with("x-forwarded-for", addresses).with("x-forwarded-proto", protos).normal().scheme
    };
    for (addresses, protos, expected) in [
        ("203.0.113.9, 10.0.0.2", "https, http", Scheme::Https),
        ("203.0.113.9, 10.0.0.2", "HTTPS , http,", Scheme::Https),
        ("203.0.113.9, 10.0.0.2", "https", Scheme::Https),
        // What stands left of the client's element is hearsay, and so is its scheme.
        ("198.51.100.1, 203.0.113.9", "https, http", Scheme::Http),
        ("203.0.113.9", "https, http", Scheme::Http),
    ] {
        assert_eq!(scheme(addresses, protos), expected, "{addresses}; {protos}");
    }
    let two_lines = get("/").by_proxy().with("x-forwarded-for", "203.0.113.9, 10.0.0.2");
    let two_lines = two_lines.with("x-forwarded-proto", "https").with("x-forwarded-proto", "http");
    assert_eq!(two_lines.normal().scheme, Scheme::Https);
}

#[test]
fn forwarded_says_client_scheme_and_host_in_one_element() {
    let said = |list: &'static str| {
        let normal = get("/").by_proxy().with("forwarded", list).normal();
        (normal.client.to_string(), normal.scheme, normal.host, normal.port)
    };
    let own = |client: &str, scheme| (client.to_owned(), scheme, "example.com".to_owned(), None);
    let shop = |port| ("203.0.113.9".to_owned(), Scheme::Https, "shop.example".to_owned(), port);
    for (list, expected) in [
        ("for=203.0.113.9;proto=https;host=shop.example", shop(None)),
        ("For=\"203.0.113.9\";Proto=HTTPS;Host=\"Shop.example:8443\"", shop(Some(8443))),
        // The inner proxy's own element is about the outer one.
        ("for=203.0.113.9;proto=https;host=shop.example, for=10.0.0.2;proto=http;host=inner.example", shop(None)),
        // Nothing is taken from another element, nor from what the client wrote.
        ("for=198.51.100.1;proto=https;host=evil.example, for=203.0.113.9", own("203.0.113.9", Scheme::Http)),
        ("for=203.0.113.9, for=10.0.0.2;proto=https;host=inner.example", own("203.0.113.9", Scheme::Http)),
        // Who hides its client says the rest all the same.
        ("for=_hidden;proto=https", own("10.0.0.1", Scheme::Https)),
        ("for=203.0.113.9;host=\"a b\";proto=https;proto=http", own("203.0.113.9", Scheme::Http)),
        ("for=203.0.113.9;by=\"a;host=evil.example\"", own("203.0.113.9", Scheme::Http)),
    ] {
        assert_eq!(said(list), expected, "{list}");
    }
    let stranger = get("/").with("forwarded", "for=203.0.113.9;proto=https;host=evil.example").normal();
    assert_eq!((stranger.scheme, stranger.host.as_str()), (Scheme::Http, "example.com"));
}

#[test]
fn of_two_statements_the_older_one_is_believed_whole() {
    let both = |older: &[(&'static str, &'static str)], forwarded| {
        let request = older.iter().fold(get("/").by_proxy(), |request, (name, value)| request.with(name, value));
        request.with("forwarded", forwarded).normal()
    };
    let address = ("x-forwarded-for", "203.0.113.9");
    let normal = both(&[address], "for=198.51.100.1;proto=https;host=shop.example");
    assert_eq!((normal.client.to_string().as_str(), normal.scheme), ("203.0.113.9", Scheme::Http));
    assert_eq!((normal.host.as_str(), normal.conflict), ("example.com", Some(ForwardedConflict::Client)));
    let normal = both(&[address, ("x-forwarded-proto", "http")], "for=203.0.113.9;proto=https");
    assert_eq!((normal.scheme, normal.conflict), (Scheme::Http, Some(ForwardedConflict::Scheme)));
    let host = ("x-forwarded-host", "other.example");
    assert_eq!(both(&[address, host], "host=shop.example").conflict, Some(ForwardedConflict::Host));
    let agreed = both(&[address, ("x-forwarded-proto", "https")], "for=203.0.113.9;proto=https;host=shop.example");
    assert_eq!((agreed.scheme, agreed.conflict), (Scheme::Https, None));
    let only_proto = both(&[("x-forwarded-proto", "https")], "for=203.0.113.9");
    assert_eq!((only_proto.client.to_string().as_str(), only_proto.scheme), ("10.0.0.1", Scheme::Https));
}

#[test]
fn a_request_that_has_passed_too_often_is_refused() {
    let via = |line: &'static str| get("/").with("via", line);
    assert!(via("1.1 portcullis, 2 other, 1.0 portcullis").read().is_ok());
    assert!(via("1.1 a, 1.1 b, 1.1 c, 1.1 portcullis-2").read().is_ok());
    let third = via("1.1 portcullis, 2 portcullis").with("via", "1.1 Portcullis");
    let denial = third.read().unwrap_err();
    assert_eq!((denial.cause, denial.cause.status().as_u16()), (Cause::LoopDetected, 508));
}

#[test]
fn a_trusted_peer_names_scheme_and_request_id() {
    let proto = |value| get("/").by_proxy().with("x-forwarded-proto", value).normal().scheme;
    for (value, scheme) in [
        ("https", Scheme::Https),
        ("HTTPS", Scheme::Https),
        ("wss", Scheme::Https),
        ("http", Scheme::Http),
        ("ftp", Scheme::Http),
        ("", Scheme::Http),
        // Without addresses only the peer's own word counts.
        ("https, http", Scheme::Http),
        ("http, https", Scheme::Https),
    ] {
        assert_eq!(proto(value), scheme, "{value}");
    }
    let id = |value| get("/").by_proxy().with("x-request-id", value).normal().request_id;
    assert_eq!(id("a-B_9.z").as_deref(), Some("a-B_9.z"));
    assert_eq!(id(""), None);
    assert_eq!(id("a b"), None);
    assert_eq!(id(Box::leak("a".repeat(65).into_boxed_str())), None);
    assert_eq!(get("/").by_proxy().with("x-request-id", "a").with("x-request-id", "b").normal().request_id, None);
}

proptest! {
    #[test]
    fn a_normal_request_reads_as_itself(target in "/[a-c./;%2eE3~?&=]{0,20}") {
        let Ok(mut once) = get(target).read() else { return Ok(()) };
        // What was sent with empty segments remembers them, for routes that keep them.
        once.spelling.unmerged = None;
        let again = match &once.query {
            Some(query) => format!("{}?{query}", once.path),
            None => once.path.clone(),
        };
        let again = get(again).normal();
        prop_assert!(!again.path_changed);
        prop_assert_eq!(NormalizedRequest { path_changed: once.path_changed, ..again }, once);
    }

    #[test]
    fn forwarding_headers_never_make_it_panic(list in "[ -~\t]{0,40}") {
        let value = HeaderValue::try_from(list).unwrap();
        for name in ["x-forwarded-for", "forwarded"] {
            let mut request = get("/").by_proxy();
            request.headers.insert(name, value.clone());
            prop_assert!(request.read().is_ok());
        }
    }
}

#[test]
fn only_100_continue_may_be_expected() {
    for expected in ["100-Continue", ""] {
        assert!(get("/").with("expect", expected).read().is_ok(), "{expected}");
    }
    for expected in ["100-continue, 200-ok", "200-ok"] {
        let denial = get("/").with("expect", expected).read().unwrap_err();
        assert_eq!((denial.cause, denial.cause.status().as_u16()), (Cause::ExpectationFailed, 417), "{expected}");
    }
    let denial = get("/").with("expect", "100-continue").with("expect", "more").read().unwrap_err();
    assert_eq!(denial.cause, Cause::ExpectationFailed);
}

#[test]
fn trace_is_refused() {
    let denial = Asked { method: Method::TRACE, ..get("/") }.read().unwrap_err();
    assert_eq!((denial.cause, denial.cause.status().as_u16()), (Cause::TraceRefused, 405));
}
