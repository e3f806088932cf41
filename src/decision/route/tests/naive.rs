//! The table equals a scan that is too simple to be wrong.

use http::HeaderName;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;
use crate::decision::request::fields::FieldName;

/// What the table is measured against: every alternative of every route that matches, and the greatest of them.
fn naive(matches: &[Match], asked: &Asked) -> RouteMatch {
    let mut best: Option<(Specificity, &Match, Parameters)> = None;
    let mut allowed = Vec::new();
    for matched in matches {
        if !naive_conditions(matched, asked) {
            continue;
        }
        for host in options(&matched.hosts) {
            for path in options(&matched.paths) {
                let Some(parameters) = naive_path(path, &asked.normal.path) else { continue };
                if !naive_host(host, &asked.normal.host) {
                    continue;
                }
                let mut methods = matched.methods.clone();
                if methods.contains(&Method::GET) {
                    methods.push(Method::HEAD);
                }
                if !methods.is_empty() && !methods.contains(&asked.method) {
                    allowed.extend(methods);
                    continue;
                }
                let specificity = Specificity::of(matched, host, path);
                if best.as_ref().is_none_or(|(best, ..)| specificity > *best) {
                    best = Some((specificity, matched, parameters));
                }
            }
        }
    }
    allowed.sort_by_key(|m: &Method| m.to_string());
    allowed.dedup();
    match best {
        Some((_, matched, parameters)) => RouteMatch::Route { id: matched.route, parameters },
        None if allowed.is_empty() => RouteMatch::NotFound,
        None => RouteMatch::MethodNotAllowed(allowed),
    }
}

fn options<T>(list: &[T]) -> Vec<Option<&T>> {
    if list.is_empty() { vec![None] } else { list.iter().map(Some).collect() }
}

fn naive_host(pattern: Option<&HostPattern>, host: &str) -> bool {
    match pattern {
        None => true,
        Some(HostPattern::Exact(name)) => host == name,
        Some(HostPattern::Wildcard(suffix)) => host.ends_with(&format!(".{suffix}")),
    }
}

fn naive_path(pattern: Option<&PathPattern>, path: &str) -> Option<Parameters> {
    let matches = match pattern {
        None => true,
        Some(PathPattern::Exact(exact)) => path == exact,
        Some(PathPattern::Prefix(prefix)) => format!("{path}/") == *prefix || path.starts_with(prefix.as_str()),
        Some(PathPattern::Regex(regex)) => regex.is_match(path),
        Some(PathPattern::Parameters(segments)) => {
            let text: String = segments
                .iter()
                .map(|segment| match segment {
                    Segment::Literal(text) => format!("/{}", regex::escape(text)),
                    Segment::Parameter(_) => "/([^/]+)".to_owned(),
                })
                .collect();
            let captures = Regex::new(&format!("^{text}$")).unwrap().captures(path)?;
            return Some(captures.iter().skip(1).flatten().map(|c| (c.start() as u32, c.end() as u32)).collect());
        }
    };
    matches.then(Parameters::new)
}

fn naive_conditions(matched: &Match, asked: &Asked) -> bool {
    let holds = |condition: &Condition, values: Vec<&str>| match condition {
        Condition::Present(wanted) => values.is_empty() != *wanted,
        Condition::Exact(value) => values == [value.to_str().unwrap()],
        Condition::Regex(regex) => values.len() == 1 && regex.is_match(values[0]),
    };
    let header =
        |name: &FieldName| asked.headers.get_all(name.header_name()).iter().map(|v| v.to_str().unwrap()).collect();
    let parameter = |name: &str| {
        let pairs = asked.normal.query.as_deref().unwrap_or("").split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(key, _)| *key == name).map(|(_, value)| value).collect()
    };
    let ConnectionMatch { listeners, scheme, tls } = &matched.connection;
    (listeners.is_empty() || listeners.iter().any(|name| name.is_empty()))
        && scheme.is_none_or(|scheme| scheme == asked.normal.scheme)
        && *tls != Some(true)
        && matched.headers.iter().all(|(name, condition)| holds(condition, header(name)))
        && matched.query.iter().all(|(name, condition)| holds(condition, parameter(name)))
}

const HOSTS: &[&str] = &["a.b", "c.a.b", "b", "*.b", "*.a.b"];
const PATHS: &[&str] = &[
    "/",
    "/a",
    "/a/",
    "/a/b",
    "/*",
    "/a/*",
    "/a/b/*",
    "/{x}",
    "/a/{x}",
    "/{x}/b",
    "/{x}/{y}",
    "/{x}/",
    "/{x}/b/{y}",
    "/a/{x}/b",
    "/a/{x}/{y}",
    "/{x}/b/a",
    "~/.*",
    "~/a/.*",
    "~/./b",
    "~/[ab]/?",
];

fn condition() -> impl Strategy<Value = Condition> {
    select(vec![
        Condition::Exact(HeaderValue::from_static("1")),
        Condition::Exact(HeaderValue::from_static("2")),
        Condition::Regex(Regex::new("^[12]$").unwrap()),
        Condition::Present(true),
        Condition::Present(false),
    ])
}

fn conditions() -> impl Strategy<Value = Vec<(&'static str, Condition)>> {
    let some = (subsequence(vec!["p", "q"], 0..=2), prop::collection::vec(condition(), 2));
    prop_oneof![2 => Just(vec![]), 1 => some.prop_map(|(names, conditions)| names.into_iter().zip(conditions).collect())]
}

/// Requests come without TLS by a listener without a name.
fn any_connection() -> impl Strategy<Value = ConnectionMatch> {
    let listeners = subsequence(vec!["", "other"], 0..=2);
    let scheme = select(vec![Some(Scheme::Http), Some(Scheme::Https)]);
    let some = (listeners, prop::option::of(scheme), select(vec![None, Some(false), Some(true)]));
    prop_oneof![
        2 => Just(ConnectionMatch::default()),
        1 => some.prop_map(|(listeners, scheme, tls)| connection(&listeners, scheme.flatten(), tls)),
    ]
}

fn any_match() -> impl Strategy<Value = Match> {
    let methods = subsequence(vec![Method::GET, Method::POST, Method::HEAD], 0..=2);
    let hosts = subsequence(HOSTS.to_vec(), 0..=2);
    let paths = subsequence(PATHS.to_vec(), 0..=3);
    let all = (any_connection(), hosts, paths, methods, conditions(), conditions());
    all.prop_map(|(connection, hosts, paths, methods, headers, query)| Match {
        connection,
        hosts: hosts.into_iter().map(host).collect(),
        paths: paths.into_iter().map(path).collect(),
        methods,
        headers: headers.into_iter().map(|(name, c)| (HeaderName::from_static(name).into(), c)).collect(),
        query: query.into_iter().map(|(name, c)| (name.to_owned(), c)).collect(),
        ..unconditional(0)
    })
}

fn any_request() -> impl Strategy<Value = Asked> {
    let fields = || prop::collection::vec((select(vec!["p", "q"]), select(vec!["1", "2", "3"])), 0..3);
    let method = select(vec![Method::GET, Method::HEAD, Method::POST, Method::PUT]);
    let scheme = select(vec![Scheme::Http, Scheme::Https]);
    let target = prop_oneof![9 => "(/[abc]){1,3}/?|/", 1 => Just("*".to_owned())];
    let host = select(vec!["a.b", "c.a.b", "d.c.a.b", "x.b", "b", ""]);
    (method, scheme, host, target, fields(), fields()).prop_map(|(method, scheme, host, path, headers, query)| {
        let mut asked = ask(method, host, &path);
        asked.normal.scheme = scheme;
        for (name, value) in headers {
            asked.headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let query: Vec<_> = query.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        asked.normal.query = (!query.is_empty()).then(|| query.join("&"));
        asked
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn the_table_finds_what_a_naive_scan_finds(
        mut matches in prop::collection::vec(any_match(), 1..12),
        requests in prop::collection::vec(any_request(), 1..12),
    ) {
        for (id, matched) in matches.iter_mut().enumerate() {
            matched.route = RouteId(id as u32);
        }
        // Ambiguous routes are taken out until none is left.
        let table = loop {
            match Table::build(matches.clone()) {
                Ok(table) => break table,
                Err(ambiguities) => matches.retain(|matched| ambiguities.iter().all(|a| a.second != matched.route)),
            }
        };
        for mut asked in requests {
            prop_assert_eq!(asked.find(&table), naive(&matches, &asked), "{:?}", asked.normal);
        }
    }

    /// The naive scan would take the first of two that tie; here they tie only where nobody can compare them.
    #[test]
    fn routes_that_tie_without_regular_expressions_never_both_match(
        pair in (any_match(), any_match()),
        asked in any_request(),
    ) {
        let (a, b) = pair;
        let matches = vec![Match { route: RouteId(0), ..a }, Match { route: RouteId(1), ..b }];
        if Table::build(matches.clone()).is_err() || !matches.iter().all(|m| naive_conditions(m, &asked)) {
            return Ok(());
        }
        let takes = |m: &Match| m.takes_method(&asked.method);
        let alternatives = |m: &Match| {
            let mut all = Vec::new();
            for host in options(&m.hosts) {
                for path in options(&m.paths) {
                    let regex = matches!(path, Some(PathPattern::Regex(_)));
                    if !regex && naive_host(host, &asked.normal.host) && naive_path(path, &asked.normal.path).is_some() {
                        all.push(Specificity::of(m, host, path));
                    }
                }
            }
            all
        };
        let first = alternatives(&matches[0]);
        if !first.is_empty() && takes(&matches[0]) && takes(&matches[1]) {
            let second = alternatives(&matches[1]);
            prop_assert!(first.iter().all(|specificity| !second.contains(specificity)));
        }
    }
}
