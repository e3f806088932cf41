//! The loader and the compiler: every text is a configuration or is told what is wrong with it, and where.
//!
//! The input is the main file. Further sections begin with the byte 0x1C and a line that names a file: those in `conf/` are
//! merged with the main file, the others are what a configuration may refer to (`jwks.json`, `keys.yaml`, …; without a
//! section of their own they are good ones).

#![no_main]

use std::sync::LazyLock;

use http::{HeaderMap, HeaderValue, Method, Version, header};
use libfuzzer_sys::fuzz_target;
use portcullis::config;
use portcullis::config::snapshot::Snapshot;
use portcullis::decision::explain::explain;
use portcullis::decision::request::connection::ConnectionFacts;
use portcullis::decision::request::{RawRequest, Scheme};
use portcullis::diagnostics::{Diagnostic, Severity, has_errors};
use portcullis_fuzz::{World, files, hasher, now};

fuzz_target!(|input: &[u8]| {
    let mut sections = input.split(|&byte| byte == 0x1c);
    let mut world = World { variables: GOOD.variables.clone(), ..World::default() };
    world = world.file("conf/main.yaml", sections.next().unwrap_or_default());
    for section in sections.take(8) {
        let end = section.iter().position(|&byte| byte == b'\n').unwrap_or(section.len());
        let Ok(name) = std::str::from_utf8(&section[..end]) else { return };
        world = world.file(name, section.get(end + 1..).unwrap_or_default());
    }
    world.files.extend(GOOD.files.iter().cloned());

    let (snapshot, diagnostics) = config::open("conf", &world);
    assert_eq!(snapshot.is_some(), !has_errors(&diagnostics), "{diagnostics:?}");
    for diagnostic in &diagnostics {
        can_be_acted_on(diagnostic, &world);
    }
    assert!(diagnostics.is_sorted_by(|a, b| a.place <= b.place), "in the order of the files");
    match snapshot {
        Some(snapshot) => decides(&snapshot),
        None => assert_eq!(config::open("conf", &world).1, diagnostics, "the same file says the same"),
    }
});

static GOOD: LazyLock<World> = LazyLock::new(|| {
    files().variable("ORIGIN", "127.0.0.1:9001").variable("SECRET", "0123456789abcdef0123456789abcdef")
});

fn can_be_acted_on(diagnostic: &Diagnostic, world: &World) {
    let Diagnostic { code, severity, place, message, help, .. } = diagnostic;
    assert!(
        !code.is_empty() && code.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase() || byte.is_ascii_digit())
    );
    assert!(!message.trim().is_empty() && help.as_ref().is_none_or(|help| !help.is_empty()), "{diagnostic:?}");
    assert!(*severity == Severity::Error || help.is_some(), "a warning says what to do: {diagnostic:?}");
    if &*place.file == "conf" {
        return;
    }
    let file = world.files.iter().find(|(name, _)| *name == *place.file);
    let (_, content) = file.unwrap_or_else(|| panic!("{diagnostic:?} is in no file"));
    let text = String::from_utf8_lossy(content);
    let lines: Vec<&str> = text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).collect();
    let (line, column) = (place.line as usize, place.column as usize);
    assert!(line <= lines.len() && (line == 0) == (column == 0), "{diagnostic:?}");
    assert!(column <= 1 + text.chars().count(), "{diagnostic:?}");
}

/// What has been compiled decides about any request without a panic.
fn decides(snapshot: &Snapshot) {
    for host in ["example.com", "a.example.com", "[::1]:8080"] {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static(host));
        for target in ["/", "/a", "/a/b", "/a/b/c?d=e&f", "/v1/orders/7"] {
            for (method, scheme) in [(Method::GET, Scheme::Http), (Method::POST, Scheme::Https)] {
                let raw = RawRequest {
                    method: &method,
                    target: target.as_bytes(),
                    authority: None,
                    fields: (&headers).into(),
                    version: Version::HTTP_11,
                    connection: &ConnectionFacts::supposed([192, 0, 2, 1].into(), scheme),
                };
                explain(&snapshot.rules, &raw, None, now(), hasher());
                headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer e30.e30.e30"));
            }
            headers.remove(header::AUTHORIZATION);
        }
    }
}
