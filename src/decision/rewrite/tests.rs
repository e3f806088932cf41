use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use proptest::prelude::*;

use super::*;
use crate::decision::access::{Permit, Principal};
use crate::decision::request::connection::ConnectionFacts;
use crate::decision::request::path;
use crate::decision::request::{ForwardedConflict, NormalizedRequest, RequestView, Scheme};
use crate::decision::route::Parameters;

fn normal(path: &str) -> NormalizedRequest {
    NormalizedRequest {
        host: "example.com".into(),
        port: Some(8080),
        path: path.into(),
        query: Some("a=b".into()),
        client: [203, 0, 113, 9].into(),
        ..NormalizedRequest::for_test()
    }
}

fn prefix(strip: &str, add: &str) -> RewriteRules {
    RewriteRules { path: Some(PathRewrite::Prefix { strip: strip.into(), add: add.into() }), host: None }
}

fn template() -> Template {
    Template(vec![Piece::Literal("/u/".into()), Piece::Parameter(1), Piece::Literal(".json".into())])
}

#[test]
fn prefixes_are_whole_segments() {
    for (rules, path, expected) in [
        (prefix("/api", ""), "/api/v1", "/v1"),
        (prefix("/api", ""), "/api", "/"),
        (prefix("/api", ""), "/api/", "/"),
        (prefix("/api", ""), "/apis", "/apis"),
        (prefix("/api", "/v2"), "/api", "/v2"),
        (prefix("/api", "/v2"), "/api/", "/v2/"),
        (prefix("/api", "/v2"), "/other", "/v2/other"),
        (prefix("", "/v2"), "/", "/v2/"),
        (prefix("", "/v2"), "*", "*"),
        (RewriteRules::default(), "/a", "/a"),
    ] {
        assert_eq!(rules.path(&normal(path), &Parameters::new()), expected, "{rules:?} {path}");
    }
    assert_eq!(prefix("/api", "").target(&normal("/api/v1"), &Parameters::new()), "/v1?a=b");
}

#[test]
fn templates_are_filled() {
    let rules = RewriteRules { path: Some(PathRewrite::Template(template())), host: None };
    let parameters = Parameters::from_slice(&[(1, 2), (3, 6)]);
    assert_eq!(rules.path(&normal("/a/bcd"), &parameters), "/u/bcd.json");
}

#[test]
fn the_host_is_the_rules_or_the_normal_one() {
    let rules = RewriteRules { host: Some("inner.example".into()), path: None };
    assert_eq!(rules.host(&normal("/")), "inner.example");
    assert_eq!(RewriteRules::default().host(&normal("/")), "example.com:8080");
}

#[test]
fn a_redirect_keeps_what_it_does_not_name() {
    let location = |scheme, host: Option<&str>, path, keep_query| {
        let target = RedirectTarget::Parts { scheme, host: host.map(str::to_owned), path, keep_query };
        let redirect = Redirect { status: StatusCode::FOUND, target };
        redirect.location(&normal("/x/bcd"), &Parameters::from_slice(&[(1, 2), (3, 6)]))
    };
    assert_eq!(location(Some(Scheme::Https), None, None, true), "https://example.com/x/bcd?a=b");
    assert_eq!(location(Some(Scheme::Http), None, None, true), "http://example.com:8080/x/bcd?a=b");
    assert_eq!(location(None, Some("www.example.com"), None, false), "http://www.example.com/x/bcd");
    assert_eq!(location(None, None, Some(template()), true), "http://example.com:8080/u/bcd.json?a=b");
}

#[derive(Default)]
struct Asked {
    headers: HeaderMap,
    trusted: bool,
    conflict: Option<ForwardedConflict>,
    principal: Option<Arc<Principal>>,
}

impl Asked {
    fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        self
    }

    /// The headers that the origin sees when 203.0.113.9 asks through 10.0.0.1 (or, untrusted, directly).
    fn shown(self) -> HeaderMap {
        let normal = NormalizedRequest { trusted_peer: self.trusted, conflict: self.conflict, ..normal("/") };
        let request = RequestView::for_test(&Method::GET, &normal, &self.headers);
        let peer = if self.trusted { [10, 0, 0, 1].into() } else { normal.client };
        let connection = ConnectionFacts::supposed(peer, Scheme::Http);
        let request = RequestView { connection: &connection, ..request };
        let permit = Permit::for_caller(self.principal);
        let (id, via) = (HeaderValue::from_static("id-1"), HeaderValue::from_static("1.1 portcullis"));
        let edits = forwarded(&permit, &request, &[http::header::AUTHORIZATION], &id, &via);
        let mut shown = self.headers.clone();
        for (index, edit) in edits.iter().enumerate() {
            assert!(edits[..index].iter().all(|earlier| earlier.name() != edit.name()), "{edit:?} is made twice");
            match edit.clone() {
                Edit::Remove(name) => drop(shown.remove(&name)),
                Edit::Set(name, value) => drop(shown.insert(name, value)),
                Edit::Append(name, value) => drop(shown.append(name, value)),
            }
        }
        shown
    }
}

fn trusted() -> Asked {
    Asked { trusted: true, ..Asked::default() }
}

#[test]
fn a_strangers_forwarding_headers_are_replaced() {
    let shown = Asked::default()
        .with("x-forwarded-for", "127.0.0.1")
        .with("x-forwarded-for", "127.0.0.2")
        .with("x-forwarded-proto", "https")
        .with("x-forwarded-host", "evil.example")
        .with("x-forwarded-prefix", "/evil")
        .with("x-real-ip", "127.0.0.1")
        .with("x-original-url", "/admin")
        .with("x-rewrite-url", "/admin")
        .with("forwarded", "for=127.0.0.1")
        .with("x-request-id", "theirs")
        .with("authorization", "Bearer secret")
        .with("accept", "*/*")
        .shown();
    assert_eq!(shown.get_all("x-forwarded-for").iter().collect::<Vec<_>>(), ["203.0.113.9"]);
    assert_eq!(shown["x-forwarded-proto"], "http");
    assert_eq!(shown["x-forwarded-host"], "example.com:8080");
    assert_eq!(shown["x-request-id"], "id-1");
    assert_eq!(shown["accept"], "*/*");
    assert_eq!(shown["via"], "1.1 portcullis");
    assert_eq!(shown.len(), 6);
}

#[test]
fn the_origin_is_told_of_one_client_and_one_host() {
    let contradicted = |conflict| {
        let asked = trusted().with("x-forwarded-for", "203.0.113.9").with("forwarded", "for=198.51.100.1");
        Asked { conflict, ..asked }.shown()
    };
    assert!(!contradicted(Some(ForwardedConflict::Client)).contains_key("forwarded"));
    assert_eq!(contradicted(None)["forwarded"], "for=198.51.100.1, for=10.0.0.1");
    // The host that `Forwarded` says is what rules went by, whatever else was passed on.
    let host = ("x-forwarded-host", "theirs.example");
    let shown = trusted().with(host.0, host.1).with("forwarded", "for=203.0.113.9;host=example.com:8080").shown();
    assert_eq!(shown["x-forwarded-host"], "example.com:8080");
    assert_eq!(trusted().with(host.0, host.1).with("x-forwarded-for", "203.0.113.9").shown()[host.0], host.1);
}

#[test]
fn via_is_continued() {
    let shown = trusted().with("via", "1.0 fred").shown();
    assert_eq!(shown.get_all("via").iter().collect::<Vec<_>>(), ["1.0 fred", "1.1 portcullis"]);
}

#[test]
fn a_trusted_peers_forwarding_headers_are_continued() {
    let shown = trusted()
        .with("x-forwarded-for", "203.0.113.9")
        .with("x-forwarded-for", "10.0.0.2")
        .with("x-forwarded-host", "www.example.com")
        .with("x-forwarded-prefix", "/kept")
        .with("forwarded", "for=203.0.113.9;proto=https")
        .shown();
    assert_eq!(shown.get_all("x-forwarded-for").iter().collect::<Vec<_>>(), ["203.0.113.9, 10.0.0.2, 10.0.0.1"]);
    assert_eq!(shown["x-forwarded-host"], "www.example.com");
    assert_eq!(shown["x-forwarded-prefix"], "/kept");
    assert_eq!(shown["forwarded"], "for=203.0.113.9;proto=https, for=10.0.0.1");
    let only_new = trusted().with("forwarded", "for=203.0.113.9").shown();
    assert_eq!(only_new["x-forwarded-for"], "203.0.113.9, 10.0.0.1");
}

#[test]
fn what_an_origin_could_take_for_our_fields_does_not_pass() {
    let mistakable = [
        "x_forwarded_for",
        "x-forwarded_proto",
        "x_forwarded_prefix",
        "x.forwarded.host",
        "x_real_ip",
        "x_request_id",
        "x_portcullis_roles",
        "content_length",
        "transfer_encoding",
        "proxy",
    ];
    for from in [Asked::default, trusted] {
        let shown = mistakable.into_iter().fold(from(), |asked, name| asked.with(name, "forged")).shown();
        assert!(shown.values().all(|value| value != "forged"), "{shown:?}");
    }
    let shown = Asked::default().with("x_tenant", "a").with("api_version", "2").shown();
    assert_eq!((&shown["x_tenant"], &shown["api_version"]), (&"a".parse().unwrap(), &"2".parse().unwrap()));
}

#[test]
fn a_credential_in_another_spelling_stays_here() {
    let key = HeaderName::from_static("x-api-key");
    let headers = HeaderMap::from_iter([
        (key.clone(), HeaderValue::from_static("k")),
        (HeaderName::from_static("x_api_key"), HeaderValue::from_static("k")),
    ]);
    let normal = normal("/");
    let request = RequestView::for_test(&Method::GET, &normal, &headers);
    let edits_for = |credentials: &[HeaderName]| {
        let id = HeaderValue::from_static("id");
        forwarded(&Permit::for_test(), &request, credentials, &id, &id)
    };
    let removed = |name: &str, edits: &Edits| edits.contains(&Edit::Remove(name.parse().unwrap()));
    let edits = edits_for(&[key]);
    assert!(removed("x-api-key", &edits) && removed("x_api_key", &edits));
    assert!(!removed("x_api_key", &edits_for(&[])), "it is the origin's own where the route knows no such credential");
}

#[test]
fn only_the_gateway_names_the_caller() {
    let forged = || {
        trusted()
            .with("x-portcullis-principal", "root")
            .with("x_portcullis_principal", "root")
            .with("x-portcullis_roles", "admin")
            .with("x-portcullis-anything", "x")
    };
    assert!(forged().shown().keys().all(|name| !name.as_str().contains("portcullis")));
    let principal = Principal {
        id: "ada, \u{e9}%0a\r\n".into(),
        identity: "corp".into(),
        scopes: vec!["a".into(), "b c".into()],
        roles: vec![],
        claims: Default::default(),
        expires: None,
    };
    let shown = Asked { principal: Some(Arc::new(principal)), ..forged() }.shown();
    assert_eq!(shown["x-portcullis-principal"], "ada%2C%20%C3%A9%250a%0D%0A");
    assert_eq!(shown["x-portcullis-identity"], "corp");
    assert_eq!(shown["x-portcullis-scopes"], "a,b%20c");
    assert_eq!(shown.keys().filter(|name| name.as_str().contains("portcullis")).count(), 3);
}

proptest! {
    #[test]
    fn rewritten_paths_stay_normal(path in "/[a-c./;%2eE~]{0,16}", strip in "(/[a-c]){0,2}", add in "(/[a-c]){0,2}") {
        let Ok(path::Reading { path, .. }) = path::read(path.as_bytes()) else { return Ok(()) };
        let normal = normal(&path);
        let rewritten = prefix(&strip, &add).path(&normal, &Parameters::new()).into_owned();
        let again = path::read(rewritten.as_bytes()).map(|reading| reading.path.into_owned());
        prop_assert_eq!(again, Ok(rewritten));
    }

    /// Whatever a parameter holds, and however separators are spelled in it, it stays one segment and no dot segment.
    #[test]
    fn filled_templates_stay_normal(value in "[a-c.;%25fFeE@,]{1,12}", rest in "[a-c/]{0,4}") {
        let sent = format!("/{value}/{rest}");
        let Ok(path::Reading { path, .. }) = path::read(sent.as_bytes()) else { return Ok(()) };
        let Some(end) = path[1..].find('/').map(|end| end + 1).filter(|&end| end > 1) else { return Ok(()) };
        let parameters = Parameters::from_slice(&[(1, end as u32)]);
        let template = Template(vec![
            Piece::Literal("/u/".into()),
            Piece::Parameter(0),
            Piece::Literal("/x-".into()),
            Piece::Parameter(0),
            Piece::Literal(".json".into()),
        ]);
        let filled = template.fill(&path, &parameters);
        prop_assert_eq!(path::read(filled.as_bytes()).map(|reading| reading.path.into_owned()), Ok(filled.clone()));
        prop_assert_eq!(filled.matches(&path[1..end]).count(), 2, "spelled as matched");
        let from_root = Template(vec![Piece::Literal("/".into()), Piece::Parameter(0), Piece::Literal("/x".into())]);
        let target = RedirectTarget::Parts { scheme: None, host: None, path: Some(from_root), keep_query: false };
        let redirect = Redirect { status: StatusCode::FOUND, target };
        let location = redirect.location(&NormalizedRequest { host: String::new(), port: None, ..normal(&path) }, &parameters);
        let location = location.to_str().unwrap();
        prop_assert!(location.starts_with('/') && !location.starts_with("//") && !location.contains('\\'), "{}", location);
    }

    #[test]
    fn no_request_redirects_to_another_host(target in "/[/.@:;%\\\\a-c2eE5]{0,16}") {
        let Ok(path::Reading { path, .. }) = path::read(target.as_bytes()) else { return Ok(()) };
        let target = RedirectTarget::Parts { scheme: None, host: None, path: None, keep_query: true };
        let redirect = Redirect { status: StatusCode::FOUND, target };
        let location = |host: &str| {
            let location = redirect.location(&NormalizedRequest { host: host.into(), port: None, ..normal(&path) }, &Parameters::new());
            location.to_str().unwrap().to_owned()
        };
        prop_assert!(location("example.com").starts_with("http://example.com/"));
        let alone = location("");
        prop_assert!(alone.starts_with('/') && !alone.starts_with("//") && !alone.contains('\\'));
    }
}
