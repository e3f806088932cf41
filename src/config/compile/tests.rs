//! What only the system knows: who can read a file, and who exists.

use std::io;

use super::*;
use crate::config::environment::Environment;
use crate::config::load::load_text;
use crate::config::snapshot::Snapshot;
use crate::diagnostics::{Diagnostic, has_errors};

/// A machine with one user and one group `web`, where every file has the same content and mode.
struct Machine {
    mode: Option<u32>,
    content: &'static str,
}

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

impl Environment for Machine {
    fn variable(&self, name: &str) -> Option<String> {
        match name {
            "TOKEN" => Some(TOKEN.to_owned()),
            "SHORT" => Some("0123456789abcde".to_owned()),
            "SPACED" => Some("0123456789abcdef 0123456789".to_owned()),
            _ => None,
        }
    }
    fn read(&self, _: &str) -> io::Result<Vec<u8>> {
        Ok(self.content.into())
    }
    fn mode(&self, _: &str) -> Option<u32> {
        self.mode
    }
    fn knows_user(&self, name: &str) -> bool {
        name == "web"
    }
    fn knows_group(&self, name: &str) -> bool {
        name == "web"
    }
}

const REST: &str =
    "version: 1\nlisteners: [{name: l, address: 127.0.0.1:8080}]\nroutes: [{name: r, access: public, respond: {}}]\n";

fn compiled(text: &str, machine: &Machine) -> (Option<Snapshot>, Vec<Diagnostic>) {
    compile(&load_text("f", format!("{REST}{text}").as_bytes(), machine).unwrap(), machine)
}

/// `path code` of each thing that is wrong.
fn wrong(text: &str, machine: &Machine) -> String {
    let (snapshot, diagnostics) = compiled(text, machine);
    assert_eq!(snapshot.is_none(), has_errors(&diagnostics), "{diagnostics:?}");
    diagnostics.iter().map(|d| format!("{} {}", d.path, d.code)).collect::<Vec<_>>().join("; ")
}

const MACHINE: Machine = Machine { mode: None, content: TOKEN };

#[test]
fn a_secret_that_others_can_read_or_change_is_a_warning() {
    let text = "admin: {address: 127.0.0.1:9900, token: {file: token}}";
    for (mode, expected) in [
        (None, ""),
        (Some(0o600), ""),
        (Some(0o400), ""),
        (Some(0o640), ""),
        (Some(0o644), "admin.token.file key_readable"),
        (Some(0o604), "admin.token.file key_readable"),
        (Some(0o660), "admin.token.file key_readable"),
        (Some(0o602), "admin.token.file key_readable"),
    ] {
        assert_eq!(wrong(text, &Machine { mode, ..MACHINE }), expected, "{mode:?}");
    }
    let (_, diagnostics) = compiled(text, &Machine { mode: Some(0o644), ..MACHINE });
    assert_eq!(diagnostics[0].message, "every user of this machine can read the secret in `token` (mode 644)");
    assert!(diagnostics[0].help.as_ref().unwrap().starts_with("`chmod 600 token`"));
}

#[test]
fn a_list_of_keys_may_be_read_and_not_changed_by_everyone() {
    let text = "identities: {i: {api_key: {keys: {file: keys.yaml}}}}";
    let content = "keys: [{id: a, hash: 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'}]";
    let unused = "identities.i unused";
    for (mode, expected) in [(0o644, unused), (0o664, unused), (0o646, "identities.i.api_key.keys.file key_writable")] {
        let said = wrong(text, &Machine { mode: Some(mode), content });
        assert!(said.contains(expected) && said.contains(unused), "{mode:o}: {said}");
    }
}

#[test]
fn a_token_opens_the_admin_listener_to_other_addresses() {
    let check = |text: &str| wrong(&format!("admin: {text}"), &MACHINE);
    assert_eq!(check("{address: 0.0.0.0:9900}"), "admin.address admin_not_loopback");
    assert_eq!(check("{address: 0.0.0.0:9900, token: {env: TOKEN}}"), "");
    assert_eq!(check("{address: 127.0.0.1:9900, token: {env: TOKEN}}"), "");
    assert_eq!(check("{address: 0.0.0.0:9900, token: {env: NONE}}"), "admin.token.env variable_unset");
    assert_eq!(check("{address: 0.0.0.0:9900, token: {env: SHORT}}"), "admin.token secret_too_short");
    assert_eq!(check("{address: 0.0.0.0:9900, token: {env: SPACED}}"), "admin.token invalid_token");
    assert_eq!(check("{address: 127.0.0.1:9900, connections: 0}"), "admin.connections out_of_range");
    assert_eq!(check("{address: 127.0.0.1:9900, time: 0s}"), "admin.time out_of_range");

    let (_, diagnostics) = compiled("admin: {address: 0.0.0.0:9900}", &MACHINE);
    assert!(diagnostics[0].help.as_ref().unwrap().contains("admin.token"));
    let (snapshot, _) = compiled("admin: {address: 0.0.0.0:9900, token: {env: TOKEN}}", &MACHINE);
    let admin = snapshot.unwrap().admin.unwrap();
    assert!(admin.token.as_ref().unwrap().equals(TOKEN.as_bytes()));
    assert!(!format!("{admin:?}").contains(TOKEN));
}

#[test]
fn a_user_is_a_name_with_or_without_a_group() {
    let user = |written: &str| {
        let (snapshot, diagnostics) = compiled(&format!("process: {{user: '{written}'}}"), &MACHINE);
        let codes = diagnostics.iter().map(|d| d.code).collect::<Vec<_>>().join("; ");
        (snapshot.and_then(|snapshot| snapshot.process.user).map(|user| user.to_string()), codes)
    };
    let known = |written: &str, codes: &str| assert_eq!(user(written), (Some(written.to_owned()), codes.to_owned()));
    known("web", "");
    known("web:web", "");
    known("other", "unknown_user");
    known("web:other", "unknown_group");
    known("root:web", "user_is_root; unknown_user");
    for written in ["", ":", "web:", ":web", "web:web:web", "we b", "-web"] {
        assert_eq!(user(written), (None, "invalid_user".to_owned()), "{written}");
    }
}
