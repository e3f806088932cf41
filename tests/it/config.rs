//! The configuration file: variables, folders, secrets.

mod language;
mod leaks;
mod secrets;

use std::fs;

use crate::support::gateway::portcullis;
use crate::support::{Gateway, Setup, jwt};

#[test]
fn variables_are_put_in() {
    let gateway = Setup::new("routes: [{ name: all, access: public, respond: { status: \"${STATUS}\", body: \"${BODY:-default} $${BODY}\" } }]")
        .variable("STATUS", "201")
        .start();
    assert_eq!(gateway.get("/").expect_status(201).text(), "default ${BODY}");
}

#[test]
fn a_value_cannot_change_the_shape_of_the_file() {
    let gateway = Setup::new("routes: [{ name: all, access: public, respond: { body: \"${BODY}\" } }]")
        .variable("BODY", "x\" }, { name: evil: [\n- y")
        .start();
    assert_eq!(gateway.get("/").text(), "x\" }, { name: evil: [\n- y");
}

#[test]
fn a_folder_is_read_as_one_file() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = |name: &str, text: &str| fs::write(dir.path().join(name), text).expect("a writable folder");
    file("10-main.yaml", "version: 1\nlisteners: [{ name: main, address: \"${LISTEN}\" }]\n");
    file("20-a.yaml", "routes: [{ name: a, match: { path: /a }, access: public, respond: { body: a } }]\n");
    file("30-b.yaml", "routes: [{ name: b, match: { path: /b }, access: public, respond: { body: b } }]\n");
    let gateway = Setup::existing(dir.path().to_owned()).start();
    assert_eq!([gateway.get("/a").text(), gateway.get("/b").text()], ["a", "b"]);

    file("40-bad.yaml", "routes:\n  - { name: c, match: { path: /c }, respond: {} }\n");
    let output = Setup::existing(dir.path().to_owned()).output("check", &[]);
    let words = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned();
    assert_eq!(output.status.code(), Some(78), "{words}");
    assert!(words.contains("40-bad.yaml:2:"), "{words}");
}

#[test]
fn a_secret_may_stand_in_a_file() {
    let gateway = Setup::new(
        r#"
identities: { corp: { jwt: { issuer: "https://id.example.com", audience: orders, keys: { secret: { file: "<dir>/secret" } } } } }
routes: [{ name: all, access: { identity: corp }, respond: {} }]
"#,
    )
    .file("secret", format!("{}\n", jwt::SECRET))
    .start();
    let token = jwt::SHARED.sign(&jwt::claims("ann", serde_json::json!({})));
    gateway.get_with("/", &[("Authorization", &jwt::bearer(&token))]).expect_status(200);
}

#[test]
fn a_secret_is_never_printed() {
    let setup = Setup::new(
        r#"
identities: { corp: { jwt: { issuer: a, audience: b, keys: { secret: { env: JWT_SECRET } } } } }
routes: [{ name: all, access: { identity: corp }, respond: {} }]
"#,
    )
    .variable("JWT_SECRET", "too-short");
    let output = setup.output("check", &[]);
    let words = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned();
    assert_eq!(output.status.code(), Some(78), "{words}");
    assert!(!words.contains("too-short"), "{words}");
}

#[test]
fn the_admin_listener_stays_on_loopback() {
    let output =
        Setup::new("admin: { address: \"0.0.0.0:9901\" }\nroutes: [{ name: all, access: public, respond: {} }]")
            .output("check", &[]);
    assert_eq!(output.status.code(), Some(78));
}

#[test]
fn framing_that_contradicts_itself_is_refused() {
    for headers in [
        "X-Frame-Options: ALLOW-FROM https://a.example",
        "X-Frame-Options: SAMEORIGN",
        "X-Frame-Options: DENY, Content-Security-Policy: \"frame-ancestors *\"",
    ] {
        let yaml = format!(
            "response_headers: {{ set: {{ {headers} }} }}\nroutes: [{{ name: all, access: public, respond: {{}} }}]"
        );
        let output = Setup::new(&yaml).output("check", &[]);
        let words = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned();
        assert!(words.contains("X-Frame-Options") || words.contains("x-frame-options"), "{headers}: {words}");
        // What no browser understands is refused; what contradicts is at least told.
        if !headers.contains("Content-Security-Policy") {
            assert_eq!(output.status.code(), Some(78), "{headers}: {words}");
        }
    }
}

#[test]
fn every_unknown_field_is_refused() {
    for yaml in [
        "unknown: 1\nroutes: [{ name: all, access: public, respond: {} }]",
        "routes: [{ name: all, acces: public, respond: {} }]",
        "bounds: { uri: 1KiB, boddy: 1KiB }\nroutes: [{ name: all, access: public, respond: {} }]",
    ] {
        assert_eq!(Setup::new(yaml).output("check", &[]).status.code(), Some(78), "{yaml}");
    }
}

#[test]
fn an_empty_file_is_told_what_it_lacks() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let output = portcullis(&["check", &file.path().display().to_string()]);
    assert_eq!(output.status.code(), Some(78));
    assert!(!output.stderr.is_empty() || !output.stdout.is_empty());
}

#[test]
fn a_gateway_without_an_admin_listener_serves() {
    let setup = Setup::existing({
        let dir = tempfile::tempdir().expect("a temporary folder").keep();
        fs::write(
            dir.join("only.yaml"),
            "version: 1\nlisteners: [{ name: main, address: \"${LISTEN}\" }]\nroutes: [{ name: all, access: public, \
             respond: { body: ok } }]\n",
        )
        .expect("a writable folder");
        dir.join("only.yaml")
    });
    let gateway: Gateway = setup.start();
    assert_eq!(gateway.get("/").expect_status(200).text(), "ok");
}
