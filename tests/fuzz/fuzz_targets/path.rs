//! Paths: one normal form, and one route for all spellings that some origin takes for the same.
//!
//! The input is a path, or several in lines.

#![no_main]

use std::sync::LazyLock;

use http::header::HOST;
use http::{HeaderMap, HeaderValue, Method, Version};
use libfuzzer_sys::fuzz_target;
use percent_encoding::percent_decode;
use portcullis::config::snapshot::Snapshot;
use portcullis::decision::request::path::Reading;
use portcullis::decision::request::connection::ConnectionFacts;
use portcullis::decision::request::{self, RawRequest, Scheme, path};
use portcullis::decision::route::{EncodedSeparators, RouteMatch};
use portcullis_fuzz::{World, snapshot};

fuzz_target!(|input: &[u8]| {
    let lines: Vec<&[u8]> = input.split(|&byte| byte == b'\n').take(4).collect();
    for line in &lines {
        if let Ok(reading) = path::read(line) {
            is_normal(line, &reading);
        }
    }
    let taken: Vec<Taken> = lines.iter().filter_map(|line| Taken::by_route(line)).collect();
    for origin in Origin::all() {
        for one in &taken {
            for other in taken.iter().chain(&one.as_served_by(origin)) {
                meets_nobody_else(origin, one, other);
            }
        }
    }
});

fn is_normal(sent: &[u8], reading: &Reading<'_>) {
    let normal = &*reading.path;
    assert_eq!(path::read(normal.as_bytes()).as_ref(), Ok(reading), "the normal form is normal");
    keeps_its_form(normal);
    if !sent.windows(3).any(is_separator) {
        // An origin that decodes once and then resolves finds behind the gateway what it would have found before it.
        let decoded = |path: &[u8]| clean(&percent_decode(path).collect::<Vec<u8>>());
        assert_eq!(decoded(sent), decoded(normal.as_bytes()));
        assert_eq!(decoded(normal.as_bytes()), percent_decode(normal.as_bytes()).collect::<Vec<u8>>());
    }
    // A decoded separator leaves nothing to resolve, and none encoded.
    if let Ok(decoded) = path::decode_separators(normal) {
        keeps_its_form(&decoded.path);
        assert!(!decoded.path.contains("%2F") && !decoded.path.contains("%5C"));
        assert_eq!(path::read(decoded.path.as_bytes()), Ok(decoded.clone()));
    }
}

/// What the documentation of the normal form promises.
fn keeps_its_form(normal: &str) {
    assert!(normal.starts_with('/') && !normal.contains("//"));
    assert!(normal.split('/').all(|segment| segment != "." && segment != ".."));
    let mut rest = normal.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            assert!(is_plain(byte), "{normal}: {byte:#x} is not plain");
            continue;
        }
        let digits = [rest.next().expect("a digit"), rest.next().expect("a digit")];
        assert!(digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'A'..=b'F')), "{normal}");
        let digits = std::str::from_utf8(&digits).expect("digits");
        let escaped = u8::from_str_radix(digits, 16).expect("digits");
        assert!(escaped >= b' ' && escaped != 0x7f, "{normal}: a control character");
        assert!(!(escaped.is_ascii_alphanumeric() || b"-._~".contains(&escaped)), "{normal}: needlessly escaped");
    }
    assert!(percent_decode(normal.as_bytes()).decode_utf8().is_ok(), "{normal}");
}

/// RFC 3986's `pchar` without escapes, and the slash.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte)
}

/// Routes of every kind beside and below each other.
static SNAPSHOT: LazyLock<Snapshot> = LazyLock::new(|| {
    let routes: [(&str, &str); 10] = [
        ("'/*'", "reject"),
        ("'/a/*'", "reject"),
        ("'/a'", "reject"),
        ("'/a/b'", "keep"),
        ("'/k/*'", "keep"),
        ("'/k/{x}/b'", "reject"),
        ("'/d/*'", "decode"),
        ("'/d/s/*'", "reject"),
        ("'/u/@m'", "reject"),
        ("{ regex: '/r/[ab,]+' }", "decode"),
    ];
    let mut text = "
version: 1
listeners: [{ name: public, address: '127.0.0.1:8080' }]
upstreams: { app: { endpoints: ['127.0.0.1:9001'] } }
routes:
"
    .to_owned();
    for (index, (path, policy)) in routes.iter().enumerate() {
        text += &format!(
            "- {{ name: r{index}, match: {{ path: {path} }}, access: public, upstream: app, encoded_separators: {policy} }}\n"
        );
    }
    snapshot(&text, &World::default())
});

/// A path that a route takes.
struct Taken {
    route: u32,
    forwarded: String,
    keeps_separators: bool,
}

impl Taken {
    fn by_route(sent: &[u8]) -> Option<Taken> {
        let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static("a"))]);
        let raw = RawRequest {
            method: &Method::GET,
            target: sent,
            authority: None,
            fields: (&headers).into(),
            version: Version::HTTP_11,
            connection: &ConnectionFacts::supposed([192, 0, 2, 1].into(), Scheme::Http),
        };
        let mut normal = request::read(&SNAPSHOT.rules.read, &raw).ok()?;
        let table = &SNAPSHOT.rules.table;
        let RouteMatch::Route { id, parameters } = table.find(&raw, &mut normal) else { return None };
        keeps_its_form(&normal.path);
        for &(start, end) in &parameters {
            assert!(normal.path.get(start as usize..end as usize).is_some_and(|value| !value.contains('/')));
        }
        let policy = table.matches()[id.0 as usize].encoded_separators;
        let encoded = normal.path.contains("%2F") || normal.path.contains("%5C");
        assert!(!encoded || policy == EncodedSeparators::Keep, "{} goes to route {}", normal.path, id.0);
        Some(Taken { route: id.0, forwarded: normal.path, keeps_separators: policy == EncodedSeparators::Keep })
    }

    /// What the client could have sent to begin with: the path that `origin` makes of this one.
    fn as_served_by(&self, origin: Origin) -> Option<Taken> {
        let served = origin.serves(&self.forwarded, !self.keeps_separators);
        let mut plain = String::with_capacity(served.len());
        for byte in served {
            match is_plain(byte) {
                true => plain.push(char::from(byte)),
                false => plain += percent_encoding::percent_encode_byte(byte),
            }
        }
        if plain == self.forwarded { None } else { Taken::by_route(plain.as_bytes()) }
    }
}

/// No origin is reached through two routes at one of its paths. An origin behind a route that keeps separators decodes
/// everything else: that is what its owner vouches for.
fn meets_nobody_else(origin: Origin, one: &Taken, other: &Taken) {
    let separators = !one.keeps_separators && !other.keeps_separators;
    if one.route != other.route {
        let (seen, also) = (&one.forwarded, &other.forwarded);
        let apart = origin.serves(seen, separators) != origin.serves(also, separators);
        assert!(apart, "{origin:?} takes {seen} (route {}) for {also} (route {})", one.route, other.route);
    }
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
    /// Whether it merges slashes, resolves dot segments and takes a backslash for a slash, last of all.
    cleans: bool,
}

impl Origin {
    fn all() -> impl Iterator<Item = Origin> {
        (0..4).flat_map(|decodes| {
            (0..16).map(move |bits| Origin {
                decodes,
                drops_parameters: (bits & 1 != 0, bits & 2 != 0),
                drops_ends: bits & 8 != 0,
                cleans: bits & 4 != 0,
            })
        })
    }

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
    path.split(|&byte| byte == b'/').map(shorter).collect::<Vec<_>>().join(&b'/')
}

fn without_parameters(path: &[u8]) -> Vec<u8> {
    let segments = path.split(|&byte| byte == b'/');
    let names = segments.map(|segment| segment.split(|&byte| byte == b';').next().unwrap_or_default());
    names.collect::<Vec<_>>().join(&b'/')
}

/// Leniently: what is no escape stays.
fn decode(path: &[u8], separators: bool) -> Vec<u8> {
    let decoded: Vec<u8> = percent_decode(path).collect();
    if separators || !decoded.iter().any(|byte| b"/\\".contains(byte)) {
        return decoded;
    }
    // The escapes of separators stay, and everything between them is decoded.
    let mut kept = Vec::new();
    let mut rest = path;
    while let Some(at) = rest.windows(3).position(is_separator) {
        kept.extend(percent_decode(&rest[..at]));
        kept.extend(rest[at..at + 3].to_ascii_uppercase());
        rest = &rest[at + 3..];
    }
    kept.extend(percent_decode(rest));
    kept
}

fn is_separator(escape: &[u8]) -> bool {
    escape.eq_ignore_ascii_case(b"%2F") || escape.eq_ignore_ascii_case(b"%5C")
}

fn clean(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut ends_in_folder = false;
    for segment in path.split(|&byte| byte == b'/' || byte == b'\\') {
        ends_in_folder = matches!(segment, b"" | b"." | b"..");
        match segment {
            b"" | b"." => {}
            b".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    let mut clean = [&b"/"[..], &kept.join(&b'/')].concat();
    if ends_in_folder && clean.len() > 1 {
        clean.push(b'/');
    }
    clean
}
