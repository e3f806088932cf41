//! However a path is spelled, it comes to an origin through one route.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::decision::request::path as read_path;

fn with(id: u32, path_text: &str, encoded_separators: EncodedSeparators) -> Match {
    Match { encoded_separators, ..route(id, "", path_text) }
}

/// A request as it is read; `None` where that refuses it.
fn sent(target: &str) -> Option<Asked> {
    let reading = read_path::read(target.as_bytes()).ok()?;
    let mut asked = ask(Method::GET, "h", "/");
    asked.normal.path = reading.path.into_owned();
    asked.normal.spelling = reading.spelling;
    Some(asked)
}

/// The route that takes `target`, and the path that is forwarded; or the words of the refusal.
fn outcome(table: &Table, target: &str) -> Result<(u32, String), &'static str> {
    let mut asked = sent(target).ok_or("not read")?;
    match asked.find(table) {
        RouteMatch::Route { id, .. } => Ok((id.0, asked.normal.path)),
        RouteMatch::PathRefused(why) => Err(why),
        _ => Err("no route"),
    }
}

#[track_caller]
fn refused_for(table: &Table, target: &str, word: &str) {
    let why = outcome(table, target).expect_err(target);
    assert!(why.contains(word), "{target}: {why}");
}

#[test]
fn encoded_separators_go_by_the_route() {
    let table = Table::build(vec![
        with(0, "/*", EncodedSeparators::Reject),
        with(1, "/kept/*", EncodedSeparators::Keep),
        with(2, "/decoded/*", EncodedSeparators::Decode),
        with(3, "/decoded/secret/*", EncodedSeparators::Reject),
    ])
    .unwrap();
    let took = |id, path: &str| Ok((id, path.to_owned()));
    assert_eq!(outcome(&table, "/kept/a%2fb%5cc"), took(1, "/kept/a%2Fb%5Cc"));
    assert_eq!(outcome(&table, "/kept/a%252fb"), took(1, "/kept/a%252fb"));
    assert_eq!(outcome(&table, "/decoded/a%2fb%2F"), took(2, "/decoded/a/b/"));
    assert_eq!(outcome(&table, "/decoded%2fa"), took(2, "/decoded/a"));
    for target in [
        "/a%2fb",
        "/a%252fb",
        "/decoded/a%5cb",
        "/decoded/a%252fb",
        "/decoded/secret%2fx",
        "/decoded%2fsecret/x",
        "/kept%2fa",
    ] {
        refused_for(&table, target, "`encoded_separators`");
    }
}

#[test]
fn a_decoded_path_is_what_is_forwarded() {
    let table = Table::build(vec![with(0, "/f/{a}/{b}", EncodedSeparators::Decode)]).unwrap();
    let mut asked = sent("/f/x%2fyz").unwrap();
    let RouteMatch::Route { parameters, .. } = asked.find(&table) else { panic!("no route") };
    assert_eq!((asked.normal.path.as_str(), asked.normal.path_changed), ("/f/x/yz", true));
    assert_eq!(parameters.as_slice(), [(3, 4), (5, 7)]);
    assert_eq!(asked.normal.spelling, read_path::PathVariant::default());
}

#[test]
fn a_kept_separator_stays_in_its_parameter() {
    let table = Table::build(vec![with(0, "/f/{a}", EncodedSeparators::Keep)]).unwrap();
    let mut asked = sent("/f/x%2fy").unwrap();
    let RouteMatch::Route { parameters, .. } = asked.find(&table) else { panic!("no route") };
    assert_eq!((asked.normal.path.as_str(), parameters.as_slice()), ("/f/x%2Fy", &[(3, 8)][..]));
}

#[test]
fn empty_segments_go_by_the_route() {
    let kept = |id, path| Match { merge_slashes: false, ..route(id, "", path) };
    let table = Table::build(vec![
        kept(0, "/*"),
        route(1, "", "/admin/*"),
        route(2, "", "/merged/*"),
        kept(3, "/objects/*"),
        kept(4, "/objects/{bucket}/list"),
    ])
    .unwrap();
    let took = |id, path: &str| Ok((id, path.to_owned()));
    assert_eq!(outcome(&table, "/a//b"), took(0, "/a//b"));
    assert_eq!(outcome(&table, "//a"), took(0, "//a"));
    assert_eq!(outcome(&table, "/merged//a"), took(2, "/merged/a"));
    assert_eq!(outcome(&table, "//admin//x"), took(1, "/admin/x"));
    assert_eq!(outcome(&table, "/objects/b//k%2B;v=1"), took(3, "/objects/b//k%2B;v=1"));
    for target in ["//objects/k", "/objects//b/list", "/objects/b//../k"] {
        refused_for(&table, target, "`//`");
    }
}

#[test]
fn a_path_that_leads_to_two_routes_is_refused() {
    let table = Table::build(vec![
        route(0, "", "/*"),
        route(1, "", "/admin/*"),
        route(2, "", "/users/@me"),
        route(3, "", "/orders/{id}"),
    ])
    .unwrap();
    for target in [
        "/admin;a=b/x",
        "/admin%3Ba=b/x",
        "/admin%253Ba=b/x",
        "/;a/admin/x",
        "/%2561dmin/x",
        "/users/%40me",
        "/users/%2540me",
        "/orders;x/7",
    ] {
        refused_for(&table, target, "two readings");
    }
    for (target, id) in [
        ("/admin/x;a=b", 1),
        ("/orders/7;v=1", 3),
        ("/orders/a%2Cb", 3),
        ("/orders/https%253A%20x", 3),
        ("/else;x/a%40b", 0),
        ("/users/@me", 2),
    ] {
        let found = outcome(&table, target).expect(target);
        assert_eq!(found, (id, target.to_owned()), "forwarded as it came");
    }
    let only_admin = Table::build(vec![route(0, "", "/admin/*")]).unwrap();
    assert_eq!(outcome(&only_admin, "/admin;a=b/x"), Err("no route"));
}

/// What an origin may do with a path before it knows what is asked for.
#[derive(Clone, Copy, Debug)]
struct Origin {
    /// How many times it decodes escapes.
    decodes: u8,
    /// Whether it drops path parameters: before it decodes, and after.
    drops_parameters: (bool, bool),
    /// Whether it drops dots and spaces at the end of a name, as Windows does.
    drops_ends: bool,
    /// Whether it merges slashes and resolves dot segments, last of all.
    cleans: bool,
}

impl Origin {
    fn serves(self, forwarded: &str, decodes_separators: bool) -> Vec<u8> {
        let mut path = forwarded.as_bytes().to_vec();
        if self.drops_parameters.0 {
            path = without_parameters(&path);
        }
        for _ in 0..self.decodes {
            path = decode(&path, decodes_separators);
        }
        if self.drops_parameters.1 {
            path = without_parameters(&path);
        }
        // A path with such ends is the same file however slashes were merged before.
        let path = if self.drops_ends { without_ends(&path) } else { path };
        if self.cleans { clean(&path) } else { path }
    }
}

/// Dot segments are no names.
fn without_ends(path: &[u8]) -> Vec<u8> {
    let shorter = |segment: &[u8]| {
        let kept = segment.iter().rposition(|byte| !matches!(byte, b'.' | b' ')).map_or(0, |last| last + 1);
        if matches!(segment, b"." | b"..") { segment.to_vec() } else { segment[..kept].to_vec() }
    };
    path.split(|&b| b == b'/').map(shorter).collect::<Vec<_>>().join(&b'/')
}

fn without_parameters(path: &[u8]) -> Vec<u8> {
    let segments = path.split(|&b| b == b'/').map(|segment| segment.split(|&b| b == b';').next().unwrap());
    segments.collect::<Vec<_>>().join(&b'/')
}

/// Leniently: what is no escape stays.
fn decode(path: &[u8], separators: bool) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut rest = path;
    while let Some((&first, tail)) = rest.split_first() {
        let escape = (first == b'%').then(|| tail.get(..2)).flatten();
        let byte = escape.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        match byte {
            Some(b'/' | b'\\') if !separators => decoded.extend(rest[..3].to_ascii_uppercase()),
            Some(byte) => decoded.push(byte),
            None => decoded.push(first),
        }
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    decoded
}

fn clean(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let is_separator = |b: &u8| matches!(b, b'/' | b'\\');
    for segment in path.split(is_separator) {
        match segment {
            b"" | b"." => {}
            b".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    let mut clean = [&b"/"[..], &kept.join(&b'/')].concat();
    if path.ends_with(b"/") && clean.len() > 1 {
        clean.push(b'/');
    }
    clean
}

fn origins() -> impl Iterator<Item = Origin> {
    let all = (0..4).flat_map(|decodes| (0..16).map(move |bits| (decodes, bits)));
    all.map(|(decodes, bits): (u8, u8)| Origin {
        decodes,
        drops_parameters: (bits & 1 != 0, bits & 2 != 0),
        drops_ends: bits & 8 != 0,
        cleans: bits & 4 != 0,
    })
}

const PATHS: &[&str] = &[
    "", "/", "/a", "/b", "/a/b", "/a/", "/*", "/a/*", "/b/*", "/a/b/*", "/{x}", "/a/{x}", "/{x}/b", "/{x}/{y}",
    "/b/@a", "/a,b", "~/[ab].*", "~/a[^;]*", "~.*%.*", "~/.*/b",
];

fn tables() -> impl Strategy<Value = Table> {
    use EncodedSeparators::{Decode, Keep, Reject};
    let policies = prop::collection::vec((select(vec![Reject, Keep, Decode]), any::<bool>()), PATHS.len());
    (subsequence(PATHS, 2..9).prop_shuffle(), policies).prop_map(|(paths, policies)| {
        let routes = paths.iter().zip(policies).enumerate();
        let routes = routes
            .map(|(id, (path, (policy, merge_slashes)))| Match { merge_slashes, ..with(id as u32, path, policy) });
        Table::build(routes.collect()).expect("different paths are not ambiguous")
    })
}

/// Spellings of one piece of a path: for some origin, each is the same as the first.
fn spellings(piece: char) -> Vec<String> {
    match piece {
        '/' => [
            "/",
            "/",
            "/",
            "//",
            "/./",
            "/%2e/",
            "/b/../",
            "/b/%2E%2e/",
            "/;a/",
            "/;",
            "%2F",
            "%2f",
            "%5C",
            "%5c",
            "%252F",
        ]
        .map(str::to_owned)
        .to_vec(),
        // Nothing, or a parameter.
        ';' => ["", "", ";", ";a=b", "%3Ba", "%3b", "%253B", "%25253ba"].map(str::to_owned).to_vec(),
        // Nothing, or what some drop at the end of a name.
        ' ' => ["", "", ".", "%20", "..", ".%20", "%2520", "%20."].map(str::to_owned).to_vec(),
        // Nothing, or what some take for a step up.
        '.' => {
            ["", "", "/..", "/..;", "..%2f", "%2f..", "/%252e%252e", "%2f%2e%2e", "/.;a"].map(str::to_owned).to_vec()
        }
        other => {
            let code = format!("{:02X}", other as u32);
            let digits: String = code.bytes().map(|digit| format!("%{digit:02x}")).collect();
            vec![
                other.to_string(),
                other.to_string(),
                other.to_string(),
                format!("%{code}"),
                format!("%{}", code.to_lowercase()),
                format!("%25{code}"),
                format!("%2525{code}"),
                format!("%25{digits}"),
            ]
        }
    }
}

fn spelled() -> impl Strategy<Value = (String, String)> {
    let piece = select("//aabb. ;;,@%".chars().collect::<Vec<_>>());
    let pieces = prop::collection::vec((piece, any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..9);
    pieces.prop_map(|pieces| {
        let spell = |piece: char, choice: &prop::sample::Index| choice.get(&spellings(piece)).clone();
        let one: String = pieces.iter().map(|(piece, choice, _)| spell(*piece, choice)).collect();
        let other: String = pieces.iter().map(|(piece, _, choice)| spell(*piece, choice)).collect();
        (format!("/{one}"), format!("/{other}"))
    })
}

fn random() -> impl Strategy<Value = (String, String)> {
    let path = || "/(/|\\.|;|%2[eEfF05]|%5[cC]|%3[bB]|%25|[abAB235fF]){0,8}";
    (path(), path())
}

/// Through routes with different rules, no two spellings reach what an origin takes for one path.
///
/// Claimed of origins that decode escapes any number of times, drop path parameters before or after that or not at all, drop dots
/// and spaces at the end of a name or do not, and merge slashes, resolve dot segments and take a backslash for a slash, or do not; in every combination. An origin behind a
/// route with `keep` decodes everything but separators, which is what its owner vouches for; every other one decodes them too.
///
/// Not claimed of origins that ignore case, a trailing slash or a suffix (`/admin`, `/Admin`, `/admin/`, `/admin.json`),
/// nor of what a route's own `rewrite` makes of the path.
#[test]
fn no_two_spellings_reach_one_origin_path_through_different_routes() {
    let met = Cell::new(0);
    let pairs = prop_oneof![4 => spelled(), 1 => random()];
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(4000) });
    let result = runner.run(&(tables(), prop::collection::vec(pairs, 1..8)), |(table, pairs)| {
        for (one, other) in pairs {
            let (Ok((first, seen)), Ok((second, also))) = (outcome(&table, &one), outcome(&table, &other)) else {
                continue;
            };
            let keeps = |id: u32| table.matches()[id as usize].encoded_separators == EncodedSeparators::Keep;
            let decodes_separators = !keeps(first) && !keeps(second);
            for origin in origins() {
                if origin.serves(&seen, decodes_separators) == origin.serves(&also, decodes_separators) {
                    met.set(met.get() + usize::from(seen != also));
                    prop_assert_eq!(first, second, "{} and {} before {:?}", one, other, origin);
                }
            }
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    assert!(met.get() > 1000, "only {} pairs of different spellings met at an origin", met.get());
}
