//! Each effect in an owner's words, and what it means for protection.

use std::collections::HashMap;
use std::io;

use serde_json::json;

use super::*;
use crate::config::compile::compile;
use crate::config::environment::Environment;
use crate::config::load::load_text;

mod effects;

/// Files by their content.
#[derive(Default)]
struct Files(HashMap<&'static str, String>);

impl Environment for Files {
    fn variable(&self, name: &str) -> Option<String> {
        name.strip_prefix("SECRET_").map(|end| format!("{end}-0123456789abcdef0123456789abcdef"))
    }
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.0.get(path).map(|content| content.clone().into_bytes()).ok_or(io::ErrorKind::NotFound.into())
    }
}

/// Sections that `text` does not have are added.
fn snapshot(text: &str, files: &Files) -> Snapshot {
    let mut text = format!("version: 1\n{text}\n");
    for (section, rest) in [
        ("listeners", "[{name: l, address: 127.0.0.1:8080}]"),
        ("routes", "[{name: r, access: public, respond: {}}]"),
        ("upstreams", "{a: {endpoints: [127.0.0.1:9001]}}"),
    ] {
        if !text.contains(&format!("\n{section}:")) {
            text.push_str(&format!("{section}: {rest}\n"));
        }
    }
    let (snapshot, diagnostics) = compile(&load_text("f", text.as_bytes(), files).unwrap(), files);
    snapshot.unwrap_or_else(|| panic!("{diagnostics:#?}\n{text}"))
}

/// What differs, line by line.
#[track_caller]
fn said(old: &str, new: &str) -> Vec<String> {
    let files = Files::default();
    let (old, new) = (snapshot(old, &files), snapshot(new, &files));
    for same in [&old, &new] {
        assert_eq!(diff(same, same), []);
    }
    diff(&old, &new).iter().map(ToString::to_string).collect()
}

#[test]
fn the_same_text_compiles_to_no_change() {
    let text = "response_headers: {set: {X-Frame-Options: DENY}}\nbounds: {body: 1MiB}";
    assert_eq!(said(text, text), [""; 0]);
    // Other words for the same.
    assert_eq!(said("bounds: {body: 1MiB}", "bounds: {body: 1024KiB}"), [""; 0]);
    let denied =
        |list: &str| format!("routes: [{{name: r, access: public, addresses: {{deny: {list}}}, respond: {{}}}}]");
    assert_eq!(said(&denied("[10.0.0.0/9, 10.128.0.0/9]"), &denied("[10.0.0.0/8]")), [""; 0]);
}

#[test]
fn what_weakens_protection_stands_first() {
    let old = "bounds: {connections: 10, header_time: 1s}
upstreams: {a: {endpoints: [127.0.0.1:9001]}}
identities: {i: {jwt: {issuer: x, audience: y, keys: {secret: {env: SECRET_A}}}}}
response_headers: {set: {X-Frame-Options: DENY}}
routes: [{name: r, access: {identity: i}, upstream: a}]";
    let new = "bounds: {connections: 9, header_time: 2s}
upstreams: {a: {endpoints: [127.0.0.1:9002]}}
response_headers: {set: {X-Frame-Options: SAMEORIGIN}}
routes: [{name: r, access: public, upstream: a}]";
    assert_eq!(
        said(old, new),
        [
            "route r: access: i -> public (weaker)",
            "every answer: header x-frame-options: DENY -> SAMEORIGIN (weaker)",
            "bounds: header_time: 1s -> 2s (weaker)",
            "identity i: removed: header: authorization; method: JWT; issuer: x; audience: y; algorithms: HS256; \
             principal claim: sub; scope claim: scope; roles claim: roles",
            "upstream a: endpoint 127.0.0.1:9001: weight 1 -> none",
            "upstream a: endpoint 127.0.0.1:9002: none -> weight 1",
            "bounds: connections: 10 -> 9 (stronger)",
        ]
    );
}

#[test]
fn only_what_the_process_holds_from_its_start_needs_an_upgrade() {
    let files = Files::default();
    let needed = |old: &str, new: &str| -> Vec<String> {
        needs_upgrade(&diff(&snapshot(old, &files), &snapshot(new, &files))).map(ToString::to_string).collect()
    };
    let listener = |written: &str| format!("listeners: [{{name: l, address: 127.0.0.1:8080}}, {written}]");
    let one = listener("{name: m, address: 127.0.0.1:8081}");
    for (old, new, expected) in [
        (
            one.as_str(),
            &*listener("{name: m, address: 127.0.0.1:8082}"),
            "listener m: address: 127.0.0.1:8081 -> 127.0.0.1:8082 (by `portcullis upgrade`)",
        ),
        (
            "",
            &one,
            "listener m: added: address: 127.0.0.1:8081; TLS: off; http2: false (weaker) (by `portcullis upgrade`)",
        ),
        (&one, "", "listener m: removed: address: 127.0.0.1:8081; TLS: off; http2: false (by `portcullis upgrade`)"),
        ("process: {threads: 1}", "process: {threads: 2}", "process: threads: 1 -> 2 (by `portcullis upgrade`)"),
        (
            "process: {user: web}",
            "process: {threads: 1}",
            "process: user: web -> none (weaker) (by `portcullis upgrade`)",
        ),
        (
            "process: {threads: 1}",
            "process: {threads: 1, sandbox: off}",
            "process: sandbox: best_effort -> off (weaker) (by `portcullis upgrade`)",
        ),
        (
            "process: {threads: 1, sandbox: {readable: [/a]}}",
            "process: {threads: 1, sandbox: required}",
            "process: sandbox: best_effort -> required (stronger) (by `portcullis upgrade`)",
        ),
        (
            "admin: {address: 127.0.0.1:9900}",
            "admin: {address: 127.0.0.1:9901}",
            "admin: address: 127.0.0.1:9900 -> 127.0.0.1:9901 (by `portcullis upgrade`)",
        ),
        ("", "admin: {address: 127.0.0.1:9900}", "admin: added: address: 127.0.0.1:9900 (by `portcullis upgrade`)"),
    ] {
        let said = needed(old, new);
        assert!(said.iter().any(|line| line == expected), "{said:#?}");
    }
    let live = "bounds: {body: 1MiB}\nadmin: {address: 127.0.0.1:9900}\naccess_log: {output: off}";
    assert_eq!(needed(live, "admin: {address: 127.0.0.1:9900, connections: 5}\nprocess: {drain: 5s}"), [""; 0]);
}

#[test]
fn a_change_is_told_to_programs_by_stable_words() {
    let files = Files::default();
    let changes = diff(&snapshot("", &files), &snapshot("bounds: {connections: 5}", &files));
    assert_eq!(
        changes.iter().map(ConfigChange::json).collect::<Vec<_>>(),
        [json!({
            "subject": { "kind": "bounds", "names": [] },
            "effect": "bound",
            "name": "connections",
            "before": "10000",
            "after": "5",
            "weight": "stronger",
            "apply": "live",
        })]
    );
}
