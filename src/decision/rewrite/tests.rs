use std::net::IpAddr;

use http::{HeaderMap, HeaderName, Method};

use super::*;
use crate::decision::access::Permit;
use crate::decision::request::RequestView;

fn normal(path: &str, trusted_peer: bool) -> Normal {
    Normal {
        host: "a.example".into(),
        port: Some(8080),
        path: path.into(),
        query: Some("q=1".into()),
        path_changed: false,
        client: [203, 0, 113, 9].into(),
        scheme: Scheme::Http,
        trusted_peer,
        request_id: None,
    }
}

fn path(rewrite: PathRewrite, path: &str) -> String {
    let mut normal = normal(path, false);
    normal.query = None;
    Rules { path: Some(rewrite), host: None }.target(&normal, &Parameters::new()).into_owned()
}

fn prefix(strip: &str, add: &str) -> PathRewrite {
    PathRewrite::Prefix { strip: strip.into(), add: add.into() }
}

#[test]
fn a_prefix_is_stripped_in_whole_segments() {
    assert_eq!(path(prefix("/api", ""), "/api/x"), "/x");
    assert_eq!(path(prefix("/api", ""), "/api"), "/");
    assert_eq!(path(prefix("/api", ""), "/apis/x"), "/apis/x");
    assert_eq!(path(prefix("/api", "/v2"), "/api/x"), "/v2/x");
    assert_eq!(path(prefix("/api", "/v2"), "/api"), "/v2");
    assert_eq!(path(prefix("", "/v2"), "/x"), "/v2/x");
}

#[test]
fn a_template_takes_the_parameters() {
    let template = Template(vec![Piece::Literal("/o/".into()), Piece::Parameter(0), Piece::Literal("/x".into())]);
    let rules = Rules { path: Some(PathRewrite::Template(template)), host: None };
    let parameters = Parameters::from_slice(&[(4, 6)]);
    assert_eq!(rules.target(&normal("/v1/42", false), &parameters), "/o/42/x?q=1");
}

#[test]
fn a_redirect_keeps_what_it_does_not_name() {
    let location = |scheme, host: Option<&str>, keep_query| {
        let target = Target::Parts { scheme, host: host.map(Into::into), path: None, keep_query };
        Redirect { status: StatusCode::PERMANENT_REDIRECT, target }.location(&normal("/x", false), &Parameters::new())
    };
    assert_eq!(location(Some(Scheme::Https), None, true), "https://a.example/x?q=1");
    assert_eq!(location(None, None, false), "http://a.example:8080/x");
    assert_eq!(location(None, Some("b.example"), false), "http://b.example/x");
}

fn edits(trusted: bool, pairs: &[(&'static str, &'static str)]) -> Vec<Edit> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_static(value));
    }
    let normal = normal("/x", trusted);
    let view = RequestView { method: &Method::GET, normal: &normal, headers: &headers };
    let peer: IpAddr = [10, 0, 0, 1].into();
    let credentials = [HeaderName::from_static("authorization")];
    forwarded(&Permit::for_test(), &view, peer, &credentials, "id-1").into_vec()
}

fn set(name: &'static str, value: &'static str) -> Edit {
    Edit::Set(HeaderName::from_static(name), HeaderValue::from_static(value))
}

#[test]
fn a_strangers_forwarding_headers_are_replaced() {
    let edits = edits(false, &[("x-forwarded-for", "1.1.1.1"), ("forwarded", "for=1.1.1.1")]);
    assert!(edits.contains(&set("x-forwarded-for", "10.0.0.1")));
    assert!(edits.contains(&set("x-forwarded-host", "a.example:8080")));
    assert!(edits.contains(&set("x-forwarded-proto", "http")));
    assert!(edits.contains(&set("x-request-id", "id-1")));
    assert!(edits.contains(&Edit::Remove(FORWARDED_NAME)));
    assert!(edits.contains(&Edit::Remove(HeaderName::from_static("authorization"))));
}

const FORWARDED_NAME: HeaderName = http::header::FORWARDED;

#[test]
fn a_trusted_peers_chain_is_continued() {
    let edits =
        edits(true, &[("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "2.2.2.2"), ("forwarded", "for=1.1.1.1")]);
    assert!(edits.contains(&set("x-forwarded-for", "1.1.1.1, 2.2.2.2, 10.0.0.1")));
    assert!(edits.contains(&set("forwarded", "for=1.1.1.1, for=10.0.0.1")));
}

#[test]
fn nobody_can_claim_an_identity() {
    let edits = edits(true, &[("x-portcullis-principal", "root"), ("x-portcullis_roles", "admin")]);
    assert!(edits.contains(&Edit::Remove(HeaderName::from_static("x-portcullis-principal"))));
    assert!(edits.contains(&Edit::Remove(HeaderName::from_static("x-portcullis_roles"))));
}
