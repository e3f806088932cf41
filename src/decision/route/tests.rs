use http::HeaderMap;
use proptest::prelude::*;

use super::*;
use crate::decision::request::{Normal, Scheme};

fn normal(host: &str, path: &str, query: Option<&str>) -> Normal {
    Normal {
        host: host.into(),
        port: None,
        path: path.into(),
        query: query.map(Into::into),
        path_changed: false,
        client: [192, 0, 2, 1].into(),
        scheme: Scheme::Http,
        trusted_peer: false,
        request_id: None,
    }
}

fn any(route: u32) -> Match {
    Match { route: RouteId(route), hosts: vec![], paths: vec![], methods: vec![], headers: vec![], query: vec![] }
}

fn at(route: u32, host: &str, path: &str) -> Match {
    let mut found = any(route);
    found.hosts.extend(match host.strip_prefix("*.") {
        Some(parent) => Some(HostPattern::Wildcard(parent.into())),
        None => (!host.is_empty()).then(|| HostPattern::Exact(host.into())),
    });
    found.paths.extend((!path.is_empty()).then(|| pattern(path)));
    found
}

fn pattern(path: &str) -> PathPattern {
    if let Some(regex) = path.strip_prefix('~') {
        return PathPattern::Regex(Regex::new(&format!("^(?:{regex})$")).expect("valid"));
    }
    if let Some(prefix) = path.strip_suffix('*') {
        return PathPattern::Prefix(prefix.into());
    }
    if !path.contains('{') {
        return PathPattern::Exact(path.into());
    }
    let segment = |text: &str| match text.strip_prefix('{') {
        Some(name) => Segment::Parameter(name.trim_end_matches('}').into()),
        None => Segment::Literal(text.into()),
    };
    PathPattern::Parameters(path[1..].split('/').map(segment).collect())
}

fn build(matches: Vec<Match>) -> Table {
    Table::build(matches).expect("not ambiguous")
}

fn find(table: &Table, method: Method, host: &str, path: &str) -> Found {
    let (normal, headers) = (normal(host, path, None), HeaderMap::new());
    table.find(&RequestView { method: &method, normal: &normal, headers: &headers })
}

fn route(table: &Table, host: &str, path: &str) -> Option<u32> {
    match find(table, Method::GET, host, path) {
        Found::Route { id, .. } => Some(id.0),
        _ => None,
    }
}

#[test]
fn the_more_specific_host_wins_whatever_the_path() {
    let table = build(vec![at(0, "", "/a/b"), at(1, "*.example.com", "/a/*"), at(2, "x.example.com", "/*")]);
    assert_eq!(route(&table, "x.example.com", "/a/b"), Some(2));
    assert_eq!(route(&table, "y.example.com", "/a/b"), Some(1));
    assert_eq!(route(&table, "y.example.com", "/b"), None);
    assert_eq!(route(&table, "example.com", "/a/b"), Some(0), "a wildcard does not take the name itself");
    assert_eq!(route(&table, "a.b.example.com", "/a/x"), Some(1));
}

#[test]
fn a_host_without_a_fitting_path_falls_back() {
    let table = build(vec![at(0, "a.example", "/only"), at(1, "", "/*")]);
    assert_eq!(route(&table, "a.example", "/other"), Some(1));
}

#[test]
fn kinds_of_paths_win_in_order() {
    let table = build(vec![
        at(0, "", "/*"),
        at(1, "", "/a/*"),
        at(2, "", "~/a/[a-z]+"),
        at(3, "", "/a/{x}"),
        at(4, "", "/a/b"),
        at(5, "", "/{x}/b/c"),
        at(6, "", "/a/{y}/c"),
    ]);
    assert_eq!(route(&table, "h", "/a/b"), Some(4));
    assert_eq!(route(&table, "h", "/a/zz"), Some(3));
    assert_eq!(route(&table, "h", "/a/"), Some(1));
    assert_eq!(route(&table, "h", "/a"), Some(0));
    assert_eq!(route(&table, "h", "/a/b/c"), Some(6), "the earlier literal wins");
    assert_eq!(route(&table, "h", "/z/b/c"), Some(5));
    let table = build(vec![at(1, "", "/a/*"), at(2, "", "~/a/[a-z]+")]);
    assert_eq!(route(&table, "h", "/a/zz"), Some(2));
    assert_eq!(route(&table, "h", "/a/00"), Some(1));
}

#[test]
fn prefixes_end_at_a_segment() {
    let table = build(vec![at(0, "", "/admin/*")]);
    assert_eq!(route(&table, "h", "/administrator"), None);
    assert_eq!(route(&table, "h", "/admin/x"), Some(0));
}

#[test]
fn parameters_are_ranges_of_the_path() {
    let table = build(vec![at(0, "", "/v1/{a}/x/{b}")]);
    let Found::Route { parameters, .. } = find(&table, Method::GET, "h", "/v1/ab/x/c") else { panic!("found") };
    assert_eq!(parameters.as_slice(), [(4, 6), (9, 10)]);
    assert_eq!(route(&table, "h", "/v1//x/c"), None, "a parameter is not empty");
}

#[test]
fn a_wrong_method_tells_the_allowed_ones() {
    let mut get = at(0, "", "/a");
    get.methods = vec![Method::GET];
    let mut put = at(1, "", "/a");
    put.methods = vec![Method::PUT, Method::DELETE];
    let table = build(vec![get, put]);
    let allowed = vec![Method::DELETE, Method::GET, Method::HEAD, Method::PUT];
    assert_eq!(find(&table, Method::POST, "h", "/a"), Found::MethodNotAllowed(allowed));
    assert!(matches!(find(&table, Method::HEAD, "h", "/a"), Found::Route { id: RouteId(0), .. }));
    assert_eq!(find(&table, Method::POST, "h", "/b"), Found::NotFound);
}

#[test]
fn conditions_refine_and_repeated_values_match_nothing() {
    let mut beta = at(1, "", "/a");
    beta.headers.push((HeaderName::from_static("x-beta"), Condition::Exact(HeaderValue::from_static("1"))));
    let mut query = at(2, "", "/a");
    query.query.push(("v".into(), Condition::Exact(HeaderValue::from_static("a b"))));
    let table = build(vec![at(0, "", "/a"), beta, query]);
    let find = |query: Option<&str>, values: &[&'static str]| {
        let mut headers = HeaderMap::new();
        values.iter().for_each(|value| {
            headers.append("x-beta", HeaderValue::from_static(value));
        });
        let normal = normal("h", "/a", query);
        match table.find(&RequestView { method: &Method::GET, normal: &normal, headers: &headers }) {
            Found::Route { id, .. } => id.0,
            _ => panic!("a route takes it"),
        }
    };
    assert_eq!(find(None, &["1"]), 1);
    assert_eq!(find(None, &["1", "1"]), 0);
    assert_eq!(find(Some("v=a+b"), &[]), 2);
    assert_eq!(find(Some("%76=a%20b&w"), &[]), 2);
    assert_eq!(find(Some("v=a+b&v=c"), &[]), 0);
}

#[test]
fn equal_rights_are_ambiguous() {
    let pairs = [("/a/{x}", "/a/{y}"), ("/a", "/a"), ("/a/*", "/a/*"), ("~/a", "~/a"), ("", "")];
    for (first, second) in pairs {
        let ambiguities = Table::build(vec![at(0, "h", first), at(1, "h", second)]).expect_err("ambiguous");
        assert_eq!((ambiguities[0].first, ambiguities[0].second), (RouteId(0), RouteId(1)));
    }
    let mut get = at(0, "", "/a");
    get.methods = vec![Method::GET];
    let mut head = at(1, "", "/a");
    head.methods = vec![Method::HEAD];
    assert!(Table::build(vec![get, head]).is_err(), "GET takes HEAD too");
}

#[test]
fn explain_names_the_first_thing_that_differs() {
    let table = build(vec![at(0, "a", ""), at(1, "b", "/x"), at(2, "b", "/*"), at(3, "b", "/y")]);
    let (normal, headers) = (normal("b", "/x", None), HeaderMap::new());
    let reasons = table.explain(&RequestView { method: &Method::GET, normal: &normal, headers: &headers });
    let expected =
        vec![(RouteId(0), Mismatch::Host), (RouteId(2), Mismatch::LessSpecific), (RouteId(3), Mismatch::Path)];
    assert_eq!(reasons, expected);
}

/// The specificity of `found` for a request that it takes: its most specific alternative that takes it.
///
/// `matches` are all of the table: of regular expressions, the one whose text was written first for a host comes first.
fn specificity(found: &Match, matches: &[Match], host: &str, path: &str) -> Specificity {
    let written = |text: &str| {
        let same = |pattern: &PathPattern| matches!(pattern, PathPattern::Regex(regex) if regex.as_str() == text);
        matches.iter().position(|other| other.hosts == found.hosts && other.paths.iter().any(same)).unwrap_or_default()
    };
    let hosts = found.hosts.iter().filter(|pattern| pattern.takes(host)).map(|pattern| match pattern {
        HostPattern::Exact(_) => HostRank::Exact,
        HostPattern::Wildcard(parent) => HostRank::Wildcard(parent.len()),
    });
    let paths = found.paths.iter().filter(|pattern| pattern.takes(path)).map(|pattern| match pattern {
        PathPattern::Exact(_) => PathRank::Exact,
        PathPattern::Prefix(prefix) => PathRank::Prefix(prefix.len()),
        PathPattern::Regex(regex) => PathRank::Regex(regex.as_str().len(), Reverse(written(regex.as_str()))),
        PathPattern::Parameters(segments) => {
            PathRank::Parameters(segments.iter().map(|segment| matches!(segment, Segment::Literal(_))).collect())
        }
    });
    Specificity {
        host: hosts.max().unwrap_or(HostRank::Any),
        path: paths.max().unwrap_or(PathRank::Any),
        conditions: found.conditions(),
    }
}

fn arbitrary_match() -> impl Strategy<Value = Match> {
    let host = prop::sample::select(vec!["", "a.b", "b", "*.b", "*.a.b"]);
    let path = prop::sample::select(vec![
        "", "/", "/a", "/a/b", "/a/*", "/*", "/a/b/*", "/{x}", "/{x}/b", "/a/{x}", "/{x}/{y}", "~/a/.*", "~/[ab]",
        "/a/",
    ]);
    let methods = prop::sample::subsequence(vec![Method::GET, Method::PUT], 0..=2);
    let header = prop::option::of(prop::sample::select(vec!["1", "2"]));
    (host, path, methods, header).prop_map(|(host, path, methods, header)| {
        let mut found = at(0, host, path);
        found.methods = methods;
        let condition = |value| (HeaderName::from_static("x-c"), Condition::Exact(HeaderValue::from_static(value)));
        found.headers.extend(header.map(condition));
        found
    })
}

proptest! {
    #[test]
    fn the_table_equals_a_naive_scan(
        mut matches in prop::collection::vec(arbitrary_match(), 1..12),
        host in prop::sample::select(vec!["a.b", "b", "x.a.b", "c.b", "c"]),
        path in prop::sample::select(vec!["/", "/a", "/b", "/a/", "/a/b", "/b/b", "/a/b/c", "/c/d", "/c"]),
        method in prop::sample::select(vec![Method::GET, Method::PUT, Method::HEAD, Method::POST]),
        header in prop::option::of(prop::sample::select(vec!["1", "2"])),
    ) {
        for (index, found) in matches.iter_mut().enumerate() {
            found.route = RouteId(index as u32);
        }
        let Ok(table) = Table::build(matches.clone()) else { return Ok(()) };
        let mut headers = HeaderMap::new();
        headers.extend(header.map(|value| (HeaderName::from_static("x-c"), HeaderValue::from_static(value))));
        let normal = normal(host, path, None);
        let view = RequestView { method: &method, normal: &normal, headers: &headers };

        let taking = matches.iter().filter(|found| found.mismatch(&view).is_none());
        let best = taking.max_by_key(|found| specificity(found, &matches, host, path));
        let expected = best.map(|found| found.route);
        let found = match table.find(&view) {
            Found::Route { id, .. } => Some(id),
            _ => None,
        };
        prop_assert_eq!(found, expected);
    }
}
