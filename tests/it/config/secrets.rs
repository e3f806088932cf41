//! No command and no log prints a secret that was written in the wrong place or form.

use std::fs;
use std::process::Output;

use serde_json::Value;

use crate::support::gateway::portcullis;
use crate::support::{Client, Gateway, Setup};

/// Planted wherever a secret belongs. Each part of it is unlike anything else in the file.
const MARK: &str = "s3cr3t-Mark";
/// The same as a number.
const NUMBER: &str = "47110815";

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Every field that holds a secret, or says where one is kept; `<source>` and `<text>` are what stands there.
const FIELDS: &str = r#"
admin: { address: "127.0.0.1:0", token: <source> }
listeners:
  - { name: main, address: "<listen>" }
  - { name: tls, address: "127.0.0.1:0", tls: { certificates: [{ cert: a.pem, key: <text> }] } }
identities:
  corp: { jwt: { issuer: i, audience: a, keys: { secret: <source> } } }
  partners: { api_key: { keys: { list: [{ id: a, hash: <text> }] } } }
upstreams:
  app:
    endpoints: "127.0.0.1:9"
    sticky: { cookie: c, key: <source> }
    tls: { sni: a.example, client_certificate: { cert: a.pem, key: <text> } }
routes: [{ name: all, access: { identity: [corp, partners] }, upstream: app }]
"#;

/// What an owner may write in the place of `{env: NAME}`.
const SOURCES: &[&str] = &[
    "<mark>",
    "\"<mark>\"",
    "\"<mark>\\n<mark>\"",
    "[<mark>]",
    "[[<mark>], {a: <mark>}]",
    "{<mark>}",
    "{<mark>: <mark>}",
    "{value: <mark>}",
    "{env: [<mark>]}",
    "{file: {<mark>: <mark>}}",
    "{env: <mark>, file: <mark>}",
    "{env: <mark>}",
    "{file: <mark>}",
    "{file: \"<mark>/<mark>\"}",
    "{<mark>: 1, <mark>: 2}",
    "\"${<mark>}\"",
    "\"a${<mark>}b\"",
    "\"${MARK_IN_THE_ENVIRONMENT}\"",
    "!<mark> x",
    "&<mark> x",
    "{credential: <mark>}",
    "{credential: [<mark>]}",
    "{credential: <mark>, file: <mark>}",
    "{envv: <mark>}",
    "{env: <number>}",
    "<number>",
    "[<number>]",
    "<number>.5",
    "{<number>: 1}",
];

/// What an owner may write in the place of a hash, or of the path of a private key.
const TEXTS: &[&str] = &[
    "<mark>",
    "\"<mark>\"",
    "{credential: <mark>}",
    "{credential: [<mark>]}",
    "&<mark> x",
    "[<mark>]",
    "{<mark>}",
    "{env: <mark>}",
    "!<mark> x",
    "<number>",
    "[<number>]",
    "{<mark>: 1, <mark>: 2}",
    "\"${<mark>}\"",
    "\"-----BEGIN PRIVATE KEY-----\\n<mark>\\n-----END PRIVATE KEY-----\"",
];

/// What is no YAML in the place of any of them: the file is refused there.
const BROKEN: &[&str] = &[
    "*<mark>",
    "@<mark>",
    "%<mark>",
    "`<mark>`",
    "\"<mark>\\q\"",
    "'<mark>",
    "<mark>: <mark>",
    "? <mark>",
    "- <mark>",
    "|<mark>",
    "!!int <mark>",
    "{<mark>: *<mark>}",
];

/// What an owner may write in the place of what holds the field.
const PARENTS: &str = r#"
admin: <parent>
listeners:
  - { name: main, address: "<listen>" }
  - { name: tls, address: "127.0.0.1:0", tls: <parent> }
  - { name: one, address: "127.0.0.1:0", tls: { certificates: [<parent>] } }
identities:
  a: { jwt: { issuer: i, audience: a, keys: <parent> } }
  b: { jwt: <parent> }
  c: { api_key: <parent> }
  d: { api_key: { keys: <parent> } }
  e: { api_key: { keys: { list: [<parent>] } } }
  f: <parent>
upstreams:
  a: { endpoints: "127.0.0.1:9", sticky: <parent> }
  b: { endpoints: "127.0.0.1:9", tls: { sni: a, client_certificate: <parent> } }
  c: <parent>
routes: [{ name: all, access: public, respond: {} }]
"#;

fn filled(form: &str) -> String {
    form.replace("<mark>", MARK).replace("<number>", NUMBER)
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

#[track_caller]
fn silent(what: &str, form: &str, words: &str) {
    for secret in [MARK, NUMBER, "s3cr3t"] {
        assert!(!words.contains(secret), "{what} prints what stands in `{form}`:\n{words}");
    }
}

/// What every command that reads the file says to it.
#[track_caller]
fn every_command_is_silent(yaml: &str, form: &str) -> String {
    let good = "routes: [{ name: all, access: public, respond: {} }]";
    let setup = Setup::new(yaml).variable("MARK_IN_THE_ENVIRONMENT", MARK);
    let good = Setup::new(good);
    let (good, bad) = (good.write().display().to_string(), setup.write().display().to_string());
    let checked = setup.output("check", &[]);
    assert_eq!(checked.status.code(), Some(78), "{form}: {}", words(&checked));
    for (command, output) in [
        ("check --format json", setup.output("check", &["--format", "json"])),
        ("explain", setup.output("explain", &["GET", "http://a.example/"])),
        ("diff", portcullis(&["diff", &good, &bad])),
        ("diff", portcullis(&["diff", &bad, &good])),
        ("run", setup.output("run", &[])),
    ] {
        assert_eq!(output.status.code(), Some(78), "{command} {form}: {}", words(&output));
        silent(command, form, &words(&output));
    }
    silent("check", form, &words(&checked));
    words(&checked)
}

#[test]
fn a_secret_in_the_wrong_form_is_never_printed() {
    for form in SOURCES {
        let yaml = FIELDS.replace("<source>", &filled(form)).replace("<text>", "/nowhere/at/all");
        let said = every_command_is_silent(&yaml, form);
        // The scanner refuses a file with an unknown tag or key before its values are looked at.
        for field in ["admin.token", "identities.corp.jwt.keys.secret", "upstreams.app.sticky.key"] {
            assert!(said.contains(field), "{field} is not named for `{form}`:\n{said}");
        }
        assert!(
            said.contains("{env:")
                || said.contains("{file:")
                || said.contains("LoadCredential=")
                || said.contains("${")
                || said.contains("path of a file")
                || said.contains("in quotes"),
            "no help for `{form}`:\n{said}"
        );
    }
    for form in TEXTS {
        let yaml = FIELDS.replace("<text>", &filled(form)).replace("<source>", "{env: NOWHERE_SET}");
        let said = every_command_is_silent(&yaml, form);
        for field in ["certificates[0].key", "keys.list[0].hash", "client_certificate.key"] {
            assert!(said.contains(field), "{field} is not named for `{form}`:\n{said}");
        }
    }
}

#[test]
fn a_secret_that_is_no_yaml_is_never_printed() {
    for form in BROKEN {
        let form = filled(form);
        for (source, text) in [(form.as_str(), "/nowhere/at/all"), ("{env: NOWHERE_SET}", &form)] {
            every_command_is_silent(&FIELDS.replace("<source>", source).replace("<text>", text), &form);
        }
    }
}

#[test]
fn a_secret_in_the_place_of_its_section_is_never_printed() {
    for form in ["<mark>", "[<mark>]", "{<mark>}", "{<mark>, <mark>x}", "<number>", "{<number>}"] {
        every_command_is_silent(&PARENTS.replace("<parent>", &filled(form)), form);
    }
}

#[test]
fn a_running_gateway_never_prints_a_secret_of_a_file_that_it_refuses() {
    let admin = "admin: { address: \"<admin>\", token: { file: <dir>/token } }\n";
    let good = format!("{admin}routes: [{{ name: all, access: public, respond: {{}} }}]\n");
    let gateway = Setup::new(&good).file("token", TOKEN).variable("PORTCULLIS_LOG", "trace").start();
    for form in SOURCES {
        let fields = FIELDS.replacen("admin: { address: \"127.0.0.1:0\"", "admin: { address: \"<admin>\"", 1);
        gateway.rewrite(&fields.replace("<source>", &filled(form)).replace("<text>", "[s3cr3t]"));
        silent("reload", form, &words(&gateway.order(&["reload"])));
        silent("reload --json", form, &words(&gateway.order(&["reload", "--json"])));
        silent("POST /reload", form, &admin_answer(&gateway, "POST", "/reload"));
        silent("GET /readyz", form, &admin_answer(&gateway, "GET", "/readyz"));
        silent("GET /status", form, &admin_answer(&gateway, "GET", "/status"));
        silent("status", form, &words(&gateway.order(&["status"])));
    }
    silent("the log", "any form", &gateway.stderr());
    silent("the access log", "any form", &gateway.stdout());
}

fn admin_answer(gateway: &Gateway, method: &str, path: &str) -> String {
    let authorization = format!("Bearer {TOKEN}");
    Client::connect(gateway.admin()).request(method, path, &[("Authorization", &authorization)], b"").text()
}

#[test]
fn a_file_of_keys_is_refused_without_showing_them() {
    let list = "identities: { a: { api_key: { keys: { file: <dir>/keys.yaml } } } }\n\
                routes: [{ name: all, access: { identity: a }, respond: {} }]";
    for form in [
        "<mark>",
        "[<mark>]",
        "keys: <mark>",
        "keys: [<mark>]",
        "keys: [{id: a, hash: [<mark>]}]",
        "keys: [{id: a, hash: <number>}]",
        "keys: [{id: a, hash: <mark>}]",
        "{<mark>: }",
        "keys: [{<mark>}]",
        "keys: !<mark> x",
        "keys: *<mark>",
        "keys: \"<mark>\\q\"",
        "keys: [{id: a, hash: \"sha256:<mark>\"}]",
        "keys: [{id: a, key: <mark>}]",
        "keys: [{id: a, <mark>: <mark>}]",
        "keys: {<mark>: <mark>}",
        "<mark>: <mark>",
    ] {
        let setup = Setup::new(list).file("keys.yaml", filled(form));
        let output = setup.output("check", &[]);
        assert_eq!(output.status.code(), Some(78), "{form}");
        silent("check", form, &words(&output));
    }
    let set = list.replace(
        "api_key: { keys: { file: <dir>/keys.yaml } }",
        "jwt: { issuer: i, audience: a, keys: { jwks_file: <dir>/keys.json } }",
    );
    for form in [
        "<mark>",
        "\"<mark>\"",
        "{\"keys\":\"<mark>\"}",
        "{\"keys\":[\"<mark>\"]}",
        "{\"keys\":[{\"kty\":\"oct\",\"k\":\"<mark>\"}]}",
        "{\"keys\":[{\"kty\":\"oct\",\"k\":<number>}]}",
        "{\"keys\":[{\"kty\":\"oct\",\"k\":[\"<mark>\"]}]}",
        "{\"keys\":[{\"<mark>\":1}]}",
        "{\"keys\":[{\"kty\":\"<mark>\"}]}",
        "{\"keys\":[{\"kty\":\"RSA\",\"kid\":1,\"n\":\"<mark>\"}]}",
        "{\"<mark>\":\"<mark>\"}",
        "{\"keys\":<mark>}",
    ] {
        let setup = Setup::new(&set).file("keys.json", filled(form));
        let output = setup.output("check", &[]);
        assert_eq!(output.status.code(), Some(78), "{form}");
        silent("check", form, &words(&output));
    }
}

/// A field that is added to the schema has to be planted above.
#[test]
fn every_secret_field_of_the_schema_is_planted() {
    fn count(schema: &Value, found: &mut usize) {
        match schema {
            Value::Object(entries) => {
                let is_source = |name: &Value| name == "#/$defs/SecretSource" || name == "#/$defs/KeyFile";
                let source = entries.get("$ref").is_some_and(is_source);
                let text = entries.get("writeOnly") == Some(&Value::Bool(true))
                    && entries.get("type") == Some(&"string".into());
                *found += usize::from(source) + usize::from(text);
                entries.values().for_each(|value| count(value, found));
            }
            Value::Array(items) => items.iter().for_each(|item| count(item, found)),
            _ => {}
        }
    }
    let schema = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/conf/schema.json")).expect("conf/schema.json");
    let mut found = 0;
    count(&serde_json::from_slice(&schema).expect("JSON"), &mut found);
    // `key` of a certificate is one field of the schema, and stands in two places.
    assert_eq!(found + 1, FIELDS.matches("<source>").count() + FIELDS.matches("<text>").count());
}
