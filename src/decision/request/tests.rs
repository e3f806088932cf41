use http::HeaderMap;
use proptest::prelude::*;

use super::*;

fn rules() -> ReadRules {
    ReadRules {
        max_uri: 100,
        max_header_bytes: 200,
        max_header_count: 5,
        trusted_proxies: vec!["10.0.0.0/8".parse().expect("valid")],
    }
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        map.append(*name, value.parse().expect("valid"));
    }
    map
}

fn read_with(target: &str, peer: &str, pairs: &[(&'static str, &str)]) -> Result<Normal, Cause> {
    let headers = headers(pairs);
    let raw = RawRequest {
        method: &Method::GET,
        target: target.as_bytes(),
        authority: None,
        headers: &headers,
        http2: false,
        http10: false,
        peer: peer.parse().expect("valid"),
        scheme: Scheme::Http,
    };
    read(&rules(), &raw).map_err(|denial| denial.cause)
}

fn path_of(target: &str) -> Result<String, Cause> {
    read_with(target, "192.0.2.1", &[("host", "a.example")]).map(|normal| normal.path)
}

fn host_of(host: &str) -> Result<(String, Option<u16>), Cause> {
    read_with("/", "192.0.2.1", &[("host", host)]).map(|normal| (normal.host, normal.port))
}

fn client_of(peer: &str, pairs: &[(&'static str, &str)]) -> String {
    let mut all = vec![("host", "a.example")];
    all.extend_from_slice(pairs);
    read_with("/", peer, &all).expect("readable").client.to_string()
}

#[test]
fn spellings_of_one_path_have_one_form() {
    for spelling in ["/a/b", "//a//b", "/a/./b", "/a/%2e/b", "/x/../a/b", "/x/%2E%2e/a/b", "/%61/b", "/a/c/..//b"] {
        assert_eq!(path_of(spelling).as_deref(), Ok("/a/b"), "{spelling}");
    }
    assert_eq!(path_of("/a%3fb%c3%a9").as_deref(), Ok("/a%3Fb%C3%A9"));
    assert_eq!(path_of("/a/").as_deref(), Ok("/a/"));
    assert_eq!(path_of("/a/.").as_deref(), Ok("/a/"));
    assert_eq!(path_of("/a/b/..").as_deref(), Ok("/a/"));
    assert_eq!(path_of("/").as_deref(), Ok("/"));
    assert_eq!(path_of("/.hidden/.x").as_deref(), Ok("/.hidden/.x"));
    assert_eq!(path_of("/a;v=1/b").as_deref(), Ok("/a;v=1/b"));
}

#[test]
fn a_double_encoding_stays_encoded() {
    assert_eq!(path_of("/a%252e%252e/b").as_deref(), Ok("/a%252e%252e/b"));
}

#[test]
fn paths_with_two_readings_are_refused() {
    for path in [
        "/a%2fb",
        "/a%2Fb",
        "/a%5cb",
        "/a\\b",
        "/%00",
        "/a%0d%0ab",
        "/%7f",
        "/..",
        "/a/../../b",
        "/%zz",
        "/%2",
        "/..;/a",
        "/a/..;x=y/b",
        "/%c0%ae%c0%ae/",
        "/%ff",
        "/a#b",
        "/a b",
        "a",
        "ftp://a.example/",
        "*",
    ] {
        assert_eq!(path_of(path), Err(Cause::PathInvalid), "{path}");
    }
}

#[test]
fn an_absolute_target_must_agree_with_host() {
    assert_eq!(path_of("http://a.example/x").as_deref(), Ok("/x"));
    assert_eq!(path_of("HTTP://A.example:80?q").map_err(|_| ()), Err(()), "another port is another authority");
    assert_eq!(path_of("http://a.example?q").as_deref(), Ok("/"));
    assert_eq!(path_of("http://b.example/x"), Err(Cause::HostInvalid));
    assert_eq!(path_of("http://u@a.example/x"), Err(Cause::HostInvalid));
}

#[test]
fn hosts_have_one_form() {
    assert_eq!(host_of("Api.Example.COM"), Ok(("api.example.com".into(), None)));
    assert_eq!(host_of("api.example.com.:8443"), Ok(("api.example.com".into(), Some(8443))));
    assert_eq!(host_of("[2001:DB8:0::1]:80"), Ok(("[2001:db8::1]".into(), Some(80))));
    for host in ["", "a..b", "a b", "u@a", "a:0", "a:65536", "a:+1", "a:", "[::1", "[::g]", "[::1]x", "a/b", "a,b"] {
        assert_eq!(host_of(host), Err(Cause::HostInvalid), "{host:?}");
    }
}

#[test]
fn host_is_needed_once() {
    assert_eq!(read_with("/", "192.0.2.1", &[]), Err(Cause::HostMissing));
    assert_eq!(read_with("/", "192.0.2.1", &[("host", "a"), ("host", "a")]), Err(Cause::MalformedRequest));
}

#[test]
fn only_trusted_proxies_are_believed() {
    let forged = [("x-forwarded-for", "203.0.113.9"), ("x-forwarded-proto", "https"), ("x-request-id", "mine")];
    assert_eq!(client_of("192.0.2.1", &forged), "192.0.2.1");
    assert_eq!(client_of("10.1.1.1", &forged), "203.0.113.9");
    assert_eq!(client_of("::ffff:10.1.1.1", &forged), "203.0.113.9");
    let mut all = vec![("host", "a")];
    all.extend(forged);
    let trusted = read_with("/", "10.1.1.1", &all).expect("readable");
    assert_eq!((trusted.scheme, trusted.request_id.as_deref()), (Scheme::Https, Some("mine")));
    let stranger = read_with("/", "192.0.2.1", &all).expect("readable");
    assert_eq!((stranger.scheme, stranger.request_id), (Scheme::Http, None));
}

#[test]
fn the_chain_is_followed_from_the_right_to_the_first_stranger() {
    let chain = [("x-forwarded-for", "1.1.1.1, 203.0.113.9, 10.2.2.2"), ("x-forwarded-for", "10.3.3.3:99")];
    assert_eq!(client_of("10.1.1.1", &chain), "203.0.113.9");
    assert_eq!(client_of("10.1.1.1", &[("x-forwarded-for", "203.0.113.9, junk, 10.2.2.2")]), "10.2.2.2");
    let rfc7239 = [("forwarded", "for=\"[2001:db8::7]:1\";proto=https, for=10.2.2.2")];
    assert_eq!(client_of("10.1.1.1", &rfc7239), "2001:db8::7");
}

#[test]
fn bounds_are_enforced() {
    let long = format!("/{}", "a".repeat(100));
    assert_eq!(path_of(&long), Err(Cause::UriTooLong));
    let many: Vec<_> = std::iter::once(("host", "a")).chain((0..5).map(|_| ("x-a", "b"))).collect();
    assert_eq!(read_with("/", "192.0.2.1", &many), Err(Cause::HeadersTooMany));
    let big = "b".repeat(190);
    assert_eq!(read_with("/", "192.0.2.1", &[("host", "a"), ("x", &big)]), Err(Cause::HeadersTooLarge));
}

proptest! {
    #[test]
    fn a_normal_path_is_its_own_normal_form(path in "/[a-c./%25;A-F0-9é\\\\]{0,24}") {
        if let Ok(once) = path::normalise(path.as_bytes()) {
            let twice = path::normalise(once.as_bytes());
            prop_assert_eq!(twice.as_deref(), Ok(&*once));
            prop_assert!(once.starts_with('/') && !once.contains("//"));
            prop_assert!(!once.split('/').any(|segment| segment == "." || segment == ".."));
        }
    }

    #[test]
    fn no_bytes_panic(path in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = path::normalise(&path);
    }
}
