use std::io;

use http::{HeaderValue, StatusCode};

use super::*;
use crate::config::environment::Environment;
use crate::config::load::SourceMap;
use crate::config::raw::route::Route;
use crate::decision::ids::UpstreamId;
use crate::decision::policy::Action;
use crate::decision::request::Scheme;
use crate::decision::rewrite::{PathRewrite, Piece, RedirectTarget, Template};
use crate::decision::route::{HostPattern, PathPattern, Segment};
use crate::decision::upstream::split::Destination;

struct Nothing;

impl Environment for Nothing {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn read(&self, _: &str) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// Compiles one route of a file with the upstreams `orders` and `users`; gives `path: code: message; help` where it fails.
pub(super) fn compiled(text: &str) -> Result<(Match, Action), Vec<String>> {
    let route: Route =
        serde_yaml::from_str(&format!("name: r\naccess: public\n{text}")).expect("the test's YAML is valid");
    let file = "version: 1\nupstreams: {orders: {endpoints: []}, users: {endpoints: []}}";
    let raw = serde_yaml::from_str(file).expect("the test's YAML is valid");
    let places = SourceMap::default();
    let mut ctx = CompileContext::new(&places, &Nothing);
    let path = DocPath::root().key("routes").index(0);
    let matched = matches(&mut ctx, &path, RouteId(0), &route, &raw);
    let action = matched.as_ref().and_then(|matched| action(&mut ctx, &path, &route, matched, &raw));
    let said: Vec<_> = ctx
        .into_diagnostics()
        .into_iter()
        .map(|d| format!("{}: {}: {}; {}", d.path, d.code, d.message, d.help.unwrap_or_default()))
        .collect();
    match (matched, action, said.is_empty()) {
        (Some(matched), Some(action), true) => Ok((matched, action)),
        (_, action, silent) => {
            assert!(!silent && action.is_none(), "a route fails exactly when something was said: {said:?}");
            Err(said)
        }
    }
}

fn matched(text: &str) -> Match {
    compiled(&format!("match: {text}\nupstream: orders")).expect("the match is valid").0
}

pub(super) fn done(text: &str) -> Action {
    compiled(&format!("match: {{path: '/a/{{x}}/{{y}}'}}\n{text}")).expect("the action is valid").1
}

/// Asserts that each text is refused with one diagnostic that contains all of the words.
pub(super) fn refused(cases: &[(&str, &[&str])]) {
    for (text, words) in cases {
        let said = compiled(text).expect_err(text);
        assert_eq!(said.len(), 1, "{text}: {said:#?}");
        for word in *words {
            assert!(said[0].contains(word), "{text}: {} lacks {word}", said[0]);
        }
    }
}

#[test]
fn every_form_of_a_match_is_compiled() {
    let found = matched(
        "{host: [API.example.com, '*.example.com', '[0::1]'], path: [/a, '/b/{x}/', '/c/*', '/*', {regex: '/d/.+'}],
          methods: GET, headers: {X-A: '1', x-b: {regex: a|b}, x-c: {present: false}}, query: {q: ''}}",
    );
    let exact = |host: &str| HostPattern::Exact(host.into());
    assert_eq!(found.hosts, [exact("api.example.com"), HostPattern::Wildcard("example.com".into()), exact("[::1]")]);
    assert_eq!(found.methods, [Method::GET]);
    assert!(matches!(&found.paths[0], PathPattern::Exact(path) if path == "/a"));
    let segments = [Segment::Literal("b".into()), Segment::Parameter("x".into()), Segment::Literal("".into())];
    assert!(matches!(&found.paths[1], PathPattern::Parameters(found) if *found == segments));
    assert!(matches!(&found.paths[2], PathPattern::Prefix(path) if path == "/c/"));
    assert!(matches!(&found.paths[3], PathPattern::Prefix(path) if path == "/"));
    assert!(matches!(&found.paths[4], PathPattern::Regex(regex) if regex.is_match("/d/e") && !regex.is_match("x/d/e")));
    assert!(matches!(&found.headers[1].1, Condition::Regex(regex) if regex.is_match("b") && !regex.is_match("bb")));
    assert!(matches!(&found.query[0].1, Condition::Exact(value) if value.is_empty()));
}

#[test]
fn separators_are_rejected_unless_the_route_says_otherwise() {
    let policy = |text: &str| compiled(&format!("{text}\nupstream: orders")).unwrap().0.encoded_separators;
    assert_eq!(policy("match: {path: '/a'}"), EncodedSeparators::Reject);
    assert_eq!(policy("encoded_separators: reject"), EncodedSeparators::Reject);
    assert_eq!(policy("match: {path: '/a%2Fb/{x}'}\nencoded_separators: keep"), EncodedSeparators::Keep);
    assert_eq!(policy("encoded_separators: decode"), EncodedSeparators::Decode);
    // A path with parameters is taken by a route that takes it without them too.
    assert_eq!(matched("{path: ['/a;v=1', '/{x}']}").paths.len(), 2);
}

#[test]
fn hosts_that_no_request_has_are_refused() {
    refused(&[
        ("match: {host: 'bücher.example'}\nupstream: orders", &["routes[0].match.host: invalid_host", "punycode"]),
        ("match: {host: [a.b, 'c d']}\nupstream: orders", &["routes[0].match.host[1]"]),
        ("match: {host: 'a.b:80'}\nupstream: orders", &["port 80", "write `a.b`"]),
        ("match: {host: 'a.*.b'}\nupstream: orders", &["only at the beginning"]),
        ("match: {host: '*.10.0.0.1'}\nupstream: orders", &["no labels"]),
        ("match: {host: ''}\nupstream: orders", &["empty"]),
    ]);
}

#[test]
fn paths_that_no_request_has_are_refused() {
    refused(&[
        ("match: {path: a}\nupstream: orders", &["invalid_path", "does not begin with `/`", "write `/a`"]),
        ("match: {path: '/a//b'}\nupstream: orders", &["not in normal form", "write `/a/b`"]),
        ("match: {path: '/a//b/*'}\nupstream: orders", &["write `/a/b/*`"]),
        ("match: {path: '/%7euser'}\nupstream: orders", &["write `/~user`"]),
        ("match: {path: '/café'}\nupstream: orders", &["write `/caf%C3%A9`"]),
        ("match: {path: '/a/../b/{x}'}\nupstream: orders", &["not in normal form", "no dot segments"]),
        ("match: {path: '/a%2Fb'}\nupstream: orders", &["encoded separator", "encoded_separators: keep"]),
        ("match: {path: '/a%2Fb'}\nencoded_separators: decode\nupstream: orders", &["encoded separator", "write `/`"]),
        ("match: {path: '/a/%2F..'}\nencoded_separators: keep\nupstream: orders", &["dot segment"]),
        ("match: {path: '/a;v=1/{x}'}\nupstream: orders", &["`/a/x`", "does not take"]),
        ("match: {path: '/a%2Cb/*'}\nupstream: orders", &["write `/a,b/`"]),
        ("match: {path: '/a?b=c'}\nupstream: orders", &["`?`"]),
        ("match: {path: '/a*'}\nupstream: orders", &["last segment `/*`"]),
        ("match: {path: '/*/a'}\nupstream: orders", &["last segment `/*`"]),
        ("match: {path: '/{x}/*'}\nupstream: orders", &["fixed number of segments", "regex"]),
        ("match: {path: '/a-{x}'}\nupstream: orders", &["one whole segment"]),
        ("match: {path: '/{x}/{x}'}\nupstream: orders", &["two parameters `x`"]),
        ("match: {path: '/{1x}'}\nupstream: orders", &["can't name a parameter"]),
        ("match: {path: {regex: 'a('}}\nupstream: orders", &["not a regular expression", "unclosed group"]),
        ("match: {path: {regex: 'a)|(?:b'}}\nupstream: orders", &["not a regular expression"]),
        ("match: {path: {regex: '(\\w{100}){100}'}}\nupstream: orders", &["1024 KiB"]),
    ]);
    let deep = format!("match: {{path: '/{{x}}{}'}}\nupstream: orders", "/a".repeat(64));
    refused(&[(&deep, &["at most 64 segments"])]);
}

#[test]
fn conditions_that_never_hold_are_refused() {
    refused(&[
        ("match: {methods: get}\nupstream: orders", &["invalid_method", "write `GET`"]),
        ("match: {methods: 'G T'}\nupstream: orders", &["not a method"]),
        ("match: {methods: CONNECT}\nupstream: orders", &["CONNECT"]),
        ("match: {headers: {Host: a}}\nupstream: orders", &["match.headers.Host: invalid_header", "match.host"]),
        ("match: {headers: {'a b': a}}\nupstream: orders", &["not a header name"]),
        ("match: {headers: {x-a: a, X-A: b}}\nupstream: orders", &["already"]),
        ("match: {headers: {x-a: ' a'}}\nupstream: orders", &["invalid_condition", "write `a`"]),
        ("match: {query: {q: \"a\\nb\"}}\nupstream: orders", &["match.query.q", "control character"]),
        ("match: {query: {q: {regex: '['}}}\nupstream: orders", &["regular expression"]),
    ]);
}

#[test]
fn everything_wrong_is_said_at_once() {
    let said = compiled("match: {host: [':', 'a b'], path: [b], methods: [get, post]}\nupstream: orders").unwrap_err();
    assert_eq!(said.len(), 5, "{said:#?}");
    let said = compiled("rewrite: {strip_prefix: a, host: ':', path: b}\nrespond: {status: 99}\nupstream: nowhere");
    assert_eq!(said.unwrap_err().len(), 6);
}

#[test]
fn each_action_is_compiled() {
    let Action::Forward { to, rewrite, .. } =
        done("upstream: users\nrewrite: {strip_prefix: /a/, add_prefix: /v2, host: Inner.example:81}")
    else {
        panic!("not forwarded")
    };
    assert!(matches!(to, Destination::One(UpstreamId(1))));
    assert_eq!(rewrite.host.as_deref(), Some("inner.example:81"));
    assert_eq!(rewrite.path, Some(PathRewrite::Prefix { strip: "/a".into(), add: "/v2".into() }));

    let Action::Forward { rewrite, .. } = done("upstream: users\nrewrite: {path: '/{y}-{x}.json'}") else {
        panic!("not forwarded")
    };
    let literal = |text: &str| Piece::Literal(text.into());
    let pieces = vec![literal("/"), Piece::Parameter(1), literal("-"), Piece::Parameter(0), literal(".json")];
    assert_eq!(rewrite.path, Some(PathRewrite::Template(Template(pieces))));

    let Action::Respond(fixed) = done("respond: {status: 201, body: ok}") else { panic!("not answered") };
    assert_eq!((fixed.status, &*fixed.body), (StatusCode::CREATED, &b"ok"[..]));

    let Action::Redirect(redirect) = done("redirect: {scheme: https, keep_query: false}") else {
        panic!("not redirected")
    };
    let target = RedirectTarget::Parts { scheme: Some(Scheme::Https), host: None, path: None, keep_query: false };
    assert_eq!((redirect.status, redirect.target), (StatusCode::PERMANENT_REDIRECT, target));

    let Action::Redirect(redirect) = done("redirect: {to: 'https://a.b/c?d#e'}") else { panic!("not redirected") };
    assert_eq!(redirect.target, RedirectTarget::Fixed(HeaderValue::from_static("https://a.b/c?d#e")));
}

#[test]
fn a_route_does_exactly_one_thing() {
    refused(&[
        ("match: {}", &["routes[0]: action_missing"]),
        ("upstream: orders\nrespond: {}", &["action_conflict", "`upstream` and `respond`"]),
        ("respond: {}\nrewrite: {host: a}", &["routes[0].rewrite: rewrite_without_upstream"]),
        ("upstream: order", &["routes[0].upstream: unknown_upstream", "did you mean `orders`?"]),
        ("upstream: else", &["declared are `orders`, `users`"]),
    ]);
}

#[test]
fn values_of_actions_are_checked() {
    refused(&[
        ("respond: {status: 199}", &["respond.status: invalid_status", "200 to 599"]),
        ("respond: {status: 600}", &["invalid_status"]),
        ("respond: {status: 204, body: x}", &["has no body"]),
        ("respond: {content_type: html}", &["respond.content_type: invalid_content_type"]),
        ("redirect: {status: 300, to: /a}", &["redirect.status: invalid_status"]),
        ("redirect: {}", &["does not say where"]),
        ("redirect: {to: /a, host: b}", &["redirect.host: invalid_redirect", "no effect"]),
        ("redirect: {to: //evil.example}", &["two slashes"]),
        ("redirect: {to: 'javascript:alert(1)'}", &["redirect.to"]),
        ("redirect: {to: 'https://user@a.b/'}", &["character"]),
        ("redirect: {to: '/a b'}", &["space"]),
        ("redirect: {scheme: ftp}", &["http or https"]),
        ("redirect: {host: 'a b'}", &["redirect.host"]),
        ("redirect: {path: '/{x}'}", &["no path of `match`", "give `match.path` a parameter"]),
        ("upstream: orders\nrewrite: {strip_prefix: '/{x}'}", &["without parameters"]),
        ("upstream: orders\nrewrite: {add_prefix: '/a/../b'}", &["normal form"]),
        ("upstream: orders\nrewrite: {path: /a, add_prefix: /b}", &["rewrite.path", "nothing to work on"]),
        ("match: {path: '/{id}'}\nredirect: {path: '/{ids}'}", &["did you mean `{id}`?"]),
        ("match: {path: ['/{id}', /a]}\nredirect: {path: '/{id}'}", &["every path"]),
        ("match: {path: ['/{a}/{b}', '/c/{b}']}\nredirect: {path: '/{b}'}", &["every path"]),
        ("match: {path: '/{id}'}\nredirect: {path: '/.{id}'}", &["begins with a dot"]),
        ("match: {path: '/{id}'}\nredirect: {path: '/{id'}", &["without `}`"]),
        ("match: {path: '/{id}'}\nredirect: {path: '/a//{id}'}", &["normal form"]),
        ("match: {path: '/{id}'}\nredirect: {path: '/{id}?a=b'}", &["`?`"]),
        ("match: {path: '/{id}'}\nencoded_separators: keep\nredirect: {path: '/{id}..'}", &["dot segment"]),
        (
            "match: {path: '/{a}/{b}'}\nencoded_separators: keep\nupstream: orders\nrewrite: {path: '/{a}.{b}'}",
            &["dot segment"],
        ),
        ("match: {path: '/{id}'}\nupstream: orders\nrewrite: {strip_prefix: '/a%2Fb'}", &["encoded separator"]),
    ]);
}

#[test]
fn an_ambiguous_pair_names_both_routes() {
    let places = SourceMap::default();
    let mut ctx = CompileContext::new(&places, &Nothing);
    let list = DocPath::root().key("routes");
    let route = |id| Match { route: RouteId(id), ..matched("{path: '/a/{x}'}") };
    let names = [(list.index(0), "first".into()), (list.index(1), "second".into())];
    assert!(table(&mut ctx, vec![route(0), route(1)], &names).is_none());
    let said = ctx.into_diagnostics();
    assert_eq!((said.len(), said[0].code, said[0].path.as_str()), (1, "ambiguous_routes", "routes[1].match"));
    for word in ["`first`", "`second`", "any host, path /a/{x}"] {
        assert!(said[0].message.contains(word), "{}", said[0].message);
    }
}
