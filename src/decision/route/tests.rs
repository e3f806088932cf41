mod naive;
mod spellings;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use regex::Regex;

use super::*;
use crate::decision::ids::RouteId;
use crate::decision::request::connection::ConnectionFacts;
use crate::decision::request::{NormalizedRequest, RawRequest, RequestView, Scheme};

/// A path pattern from the file's notation.
fn path(text: &str) -> PathPattern {
    if let Some(pattern) = text.strip_prefix('~') {
        PathPattern::Regex(Regex::new(&format!("^(?:{pattern})$")).unwrap())
    } else if let Some(prefix) = text.strip_suffix('*') {
        PathPattern::Prefix(prefix.to_owned())
    } else if text.contains('{') {
        let segment = |text: &str| match text.strip_prefix('{') {
            Some(name) => Segment::Parameter(name.trim_end_matches('}').to_owned()),
            None => Segment::Literal(text.to_owned()),
        };
        PathPattern::Parameters(text[1..].split('/').map(segment).collect())
    } else {
        PathPattern::Exact(text.to_owned())
    }
}

fn host(text: &str) -> HostPattern {
    match text.strip_prefix("*.") {
        Some(suffix) => HostPattern::Wildcard(suffix.to_owned()),
        None => HostPattern::Exact(text.to_owned()),
    }
}

fn unconditional(id: u32) -> Match {
    Match::any(RouteId(id))
}

fn route(id: u32, host_text: &str, path_text: &str) -> Match {
    let hosts = if host_text.is_empty() { vec![] } else { vec![host(host_text)] };
    let paths = if path_text.is_empty() { vec![] } else { vec![path(path_text)] };
    Match { hosts, paths, ..unconditional(id) }
}

#[derive(Debug)]
struct Asked {
    method: Method,
    normal: NormalizedRequest,
    headers: HeaderMap,
}

impl Asked {
    fn view(&self) -> RequestView<'_> {
        RequestView::for_test(&self.method, &self.normal, &self.headers)
    }

    fn find(&mut self, table: &Table) -> RouteMatch {
        let raw = RawRequest {
            method: &self.method,
            target: b"/",
            authority: None,
            fields: (&self.headers).into(),
            version: http::Version::HTTP_11,
            connection: ConnectionFacts::for_test(),
        };
        table.find(&raw, &mut self.normal)
    }
}

fn ask(method: Method, host: &str, target: &str) -> Asked {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let normal = NormalizedRequest {
        host: host.to_owned(),
        path: path.to_owned(),
        query: query.map(str::to_owned),
        ..NormalizedRequest::for_test()
    };
    Asked { method, normal, headers: HeaderMap::new() }
}

fn found(table: &Table, host: &str, target: &str) -> Option<u32> {
    match ask(Method::GET, host, target).find(table) {
        RouteMatch::Route { id, .. } => Some(id.0),
        _ => None,
    }
}

#[test]
fn hosts_go_before_paths() {
    let table = Table::build(vec![
        route(0, "", "/a"),
        route(1, "*.example.com", "/a"),
        route(2, "*.api.example.com", "/b"),
        route(3, "v1.api.example.com", "/*"),
        route(4, "example.com", ""),
    ])
    .unwrap();
    assert_eq!(found(&table, "v1.api.example.com", "/a"), Some(3));
    assert_eq!(found(&table, "v2.api.example.com", "/b"), Some(2));
    assert_eq!(found(&table, "v2.api.example.com", "/a"), Some(1), "a wildcard without the path falls back");
    assert_eq!(found(&table, "example.com", "/a"), Some(4), "a wildcard does not match the apex");
    assert_eq!(found(&table, "badexample.com", "/a"), Some(0));
    assert_eq!(found(&table, "other.example", "/b"), None);
}

#[test]
fn paths_go_from_exact_to_any() {
    let table = Table::build(vec![
        route(0, "", ""),
        route(1, "", "/a/*"),
        route(2, "", "/a/b/*"),
        route(3, "", "~/a/[a-z]+"),
        route(4, "", "~/a/.*x"),
        route(5, "", "/a/{x}"),
        route(6, "", "/a/b"),
        route(7, "", "/{x}/b/{y}"),
        route(8, "", "/a/{x}/{y}"),
        route(9, "", "/{x}/b/c"),
    ])
    .unwrap();
    for (path, id) in [
        ("/", 0),
        ("/ab", 0),
        ("/a", 1),
        ("/a/", 1),
        ("/a/b", 6),
        ("/a/c", 5),
        ("/a/b/", 2),
        ("/a/b/c", 9),
        ("/a/b/d", 8),
        ("/z/b/d", 7),
        ("/a/b/c/d", 2),
        ("/a/b/c/x", 4),
    ] {
        assert_eq!(found(&table, "h", path), Some(id), "{path}");
    }
}

#[test]
fn a_prefix_takes_its_parent() {
    let table =
        Table::build(vec![route(0, "", "/*"), route(1, "", "/a/b/*"), route(2, "", "/c/*"), route(3, "", "/c")]);
    let table = table.unwrap();
    for (path, id) in [("/a/b", 1), ("/a/b/", 1), ("/a/bc", 0), ("/a", 0), ("/c", 3), ("/c/", 2)] {
        assert_eq!(found(&table, "h", path), Some(id), "{path}");
    }
}

fn connection(listeners: &[&str], scheme: Option<Scheme>, tls: Option<bool>) -> ConnectionMatch {
    ConnectionMatch { listeners: listeners.iter().map(|&name| name.into()).collect(), scheme, tls }
}

#[test]
fn conditions_on_the_connection_go_first() {
    let on = |id, connection, path| Match { connection, ..route(id, "", path) };
    let table = Table::build(vec![
        route(0, "h", "/a"),
        on(1, connection(&["plain"], None, None), "/*"),
        on(2, connection(&["plain"], None, None), "/acme/*"),
        on(3, connection(&[], Some(Scheme::Https), Some(false)), ""),
        on(4, connection(&[], None, Some(true)), "/tls"),
        route(5, "", ""),
    ])
    .unwrap();
    let taken = |listener: &str, tls, scheme, path| {
        let own = if tls { Scheme::Https } else { Scheme::Http };
        let facts = ConnectionFacts::supposed([192, 0, 2, 1].into(), own);
        let arrival = Arrival { connection: ConnectionFacts { listener: listener.into(), ..facts }, scheme };
        let sample = route(9, "h", "").samples(path).next().unwrap();
        sample.find(&table, &arrival).map(|(id, ..)| id.0)
    };
    for (listener, tls, scheme, path, id) in [
        ("plain", false, Scheme::Http, "/a", 1),
        ("plain", false, Scheme::Http, "/acme/x", 2),
        // Said by a trusted proxy.
        ("plain", false, Scheme::Https, "/a", 3),
        ("secure", true, Scheme::Https, "/a", 0),
        ("secure", true, Scheme::Https, "/tls", 4),
        ("secure", true, Scheme::Http, "/x", 5),
        ("other", false, Scheme::Http, "/tls", 5),
    ] {
        assert_eq!(taken(listener, tls, scheme, path), Some(id), "{listener} {tls} {scheme:?} {path}");
    }
}

#[test]
fn equal_routes_for_different_connections_are_not_ambiguous() {
    let build = |one, other| {
        let on = |id, connection| Match { connection, ..unconditional(id) };
        Table::build(vec![on(0, one), on(1, other)]).is_ok()
    };
    let (http, https) = (Some(Scheme::Http), Some(Scheme::Https));
    assert!(build(connection(&["a", "b"], None, None), connection(&["c"], None, None)));
    assert!(!build(connection(&["a", "b"], None, None), connection(&["b"], None, None)));
    assert!(build(connection(&[], http, None), connection(&[], https, None)));
    assert!(!build(connection(&[], http, None), connection(&[], None, Some(true))), "a proxy may say so");
    assert!(build(connection(&[], None, Some(false)), connection(&[], None, Some(true))));
    assert!(build(connection(&["a"], http, None), connection(&["a"], None, None)), "more conditions go first");
}

#[test]
fn parameters_are_ranges_of_the_path() {
    let table = Table::build(vec![route(0, "", "/v1/{user}/orders/{id}/")]).unwrap();
    let mut asked = ask(Method::GET, "h", "/v1/ada/orders/17/");
    let RouteMatch::Route { parameters, .. } = asked.find(&table) else { panic!("no route") };
    let values: Vec<_> = parameters.iter().map(|&(a, b)| &asked.normal.path[a as usize..b as usize]).collect();
    assert_eq!(values, ["ada", "17"]);
    assert_eq!(found(&table, "h", "/v1//orders/17/"), None, "a parameter is never empty");
}

#[test]
fn a_wrong_method_names_the_right_ones() {
    let with = |id, methods: &[Method], path| Match { methods: methods.to_vec(), ..route(id, "", path) };
    let table = Table::build(vec![
        with(0, &[Method::POST, Method::GET], "/a"),
        with(1, &[Method::PUT, Method::GET], "/{x}"),
        with(2, &[Method::PATCH], "/b"),
    ])
    .unwrap();
    let find = |method, path| ask(method, "h", path).find(&table);
    let allowed = vec![Method::GET, Method::HEAD, Method::POST, Method::PUT];
    assert_eq!(find(Method::DELETE, "/a"), RouteMatch::MethodNotAllowed(allowed));
    assert!(matches!(find(Method::HEAD, "/a"), RouteMatch::Route { id: RouteId(0), .. }));
    assert!(
        matches!(find(Method::PUT, "/b"), RouteMatch::Route { id: RouteId(1), .. }),
        "the less specific route takes it"
    );
    assert_eq!(find(Method::GET, "/c/d"), RouteMatch::NotFound);
}

#[test]
fn equal_routes_are_ambiguous() {
    let pairs = |matches| match Table::build(matches) {
        Ok(_) => vec![],
        Err(ambiguities) => ambiguities.into_iter().map(|a| (a.first.0, a.second.0, a.overlap)).collect::<Vec<_>>(),
    };
    let header =
        |id, condition| Match { headers: vec![(HeaderName::from_static("x").into(), condition)], ..unconditional(id) };
    let exact = |value| Condition::Exact(HeaderValue::from_static(value));
    let regex = |text: &str| Condition::Regex(Regex::new(text).unwrap());
    let overlap = "host a.b, path /a/{y}".to_owned();
    assert_eq!(pairs(vec![route(0, "a.b", "/a/{x}"), route(1, "a.b", "/a/{y}")]), [(0, 1, overlap)]);
    assert_eq!(pairs(vec![route(0, "", "/a/*"), route(1, "", "/a/*")]).len(), 1);
    assert_eq!(pairs(vec![route(0, "", "~a"), route(1, "", "~a"), route(2, "", "~b")]).len(), 1);
    assert_eq!(pairs(vec![unconditional(0), unconditional(1), unconditional(2)]).len(), 2, "each is reported once");
    assert_eq!(pairs(vec![header(0, exact("a")), header(1, regex("^[a-c]$"))]).len(), 1);
    for fine in [
        vec![route(0, "", "/a/{x}"), route(1, "", "/{x}/a")],
        vec![header(0, exact("a")), header(1, exact("b"))],
        vec![header(0, Condition::Present(true)), header(1, Condition::Present(false))],
        vec![header(0, exact("a")), header(1, Condition::Present(false))],
        vec![header(0, exact("a")), header(1, regex("^[b-c]$"))],
        vec![header(0, exact("a")), unconditional(1)],
        vec![
            Match { methods: vec![Method::GET], ..unconditional(0) },
            Match { methods: vec![Method::PUT], ..unconditional(1) },
        ],
        vec![Match { paths: vec![path("/a"), path("/a")], ..unconditional(0) }],
    ] {
        assert_eq!(pairs(fine), []);
    }
    let head = Match { methods: vec![Method::HEAD], ..unconditional(0) };
    assert_eq!(
        pairs(vec![head, Match { methods: vec![Method::GET], ..unconditional(1) }]).len(),
        1,
        "GET stands for HEAD"
    );
}

#[test]
fn explain_says_what_kept_a_route_away() {
    let header = HeaderName::from_static("x-a");
    let table = Table::build(vec![
        route(0, "h", "/a"),
        route(1, "i", "/a"),
        route(2, "h", "/b"),
        Match { methods: vec![Method::PUT], ..route(3, "h", "/a") },
        Match { headers: vec![(header.clone().into(), Condition::Present(true))], ..route(4, "h", "/a") },
        Match { query: vec![("q".into(), Condition::Present(true))], ..route(5, "h", "/a") },
        route(6, "", "/{x}"),
    ])
    .unwrap();
    let asked = ask(Method::GET, "h", "/a");
    let why: Vec<_> = table.explain(&asked.view(), Some(RouteId(0))).into_iter().map(|(_, why)| why).collect();
    let header = Mismatch::Header(header);
    let query = Mismatch::Query("q".into());
    assert_eq!(why, [Mismatch::Host, Mismatch::Path, Mismatch::Method, header, query, Mismatch::LessSpecific]);
}
