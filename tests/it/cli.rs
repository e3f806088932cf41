//! The command line: `check`, `schema`, `keys new`, `explain`.

use std::process::Output;

use crate::support::gateway::portcullis;
use crate::support::{Gateway, Setup};

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

#[test]
fn check_is_silent_about_nothing_and_ends_with_0() {
    let output = Setup::new("routes: [{ name: all, access: public, respond: {} }]").output("check", &[]);
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
}

/// Every problem with its line and column as written below.
const WRONG: &str = r#"version: 1
listeners: [{ name: main, address: "127.0.0.1" }]
admin: { address: "127.0.0.1:9" }
upstreams:
  orders:
    endpoints: ["127.0.0.1:9001"]
    timeuots: { connect: 1s }
limits: [{ name: calls, rate: 5 }]
routes:
  - { name: one, access: public, upstream: order }
  - { name: two, match: { path: /two }, upstream: orders }
"#;

#[test]
fn check_reports_every_problem_with_its_place_in_one_run() {
    let setup = Setup::new(WRONG);
    let output = setup.output("check", &[]);
    let words = words(&output);
    assert_eq!(output.status.code(), Some(78), "{words}");
    let file = setup.write().display().to_string();
    for (line, what) in
        [(2, "127.0.0.1"), (7, "did you mean `timeouts`"), (8, "unit"), (10, "did you mean `orders`"), (11, "access")]
    {
        let place = format!("{file}:{line}:");
        let from = words.find(&place).unwrap_or_else(|| panic!("no {place} in\n{words}"));
        let message: String = words[from..].lines().take(3).collect();
        assert!(message.contains(what), "no {what:?} at {place} in\n{words}");
    }
}

#[test]
fn run_refuses_what_check_refuses() {
    let output = Setup::new(WRONG).output("run", &[]);
    assert_eq!(output.status.code(), Some(78), "{}", words(&output));
    assert!(words(&output).contains("did you mean `timeouts`"));
}

#[test]
fn a_file_that_is_no_yaml_or_not_there_is_named() {
    let setup = Setup::new("routes: [}");
    let output = setup.output("check", &[]);
    assert_eq!(output.status.code(), Some(78), "{}", words(&output));
    assert!(words(&output).contains("portcullis.yaml:"), "{}", words(&output));
    let output = portcullis(&["check", "/nowhere/at/all.yaml"]);
    assert_eq!(output.status.code(), Some(78), "{}", words(&output));
    assert!(words(&output).contains("/nowhere/at/all.yaml"), "{}", words(&output));
}

#[test]
fn wrong_usage_is_told_from_a_wrong_file() {
    for arguments in [&["chekc"][..], &["run"], &["check", "--unknown"]] {
        let output = portcullis(arguments);
        let code = output.status.code().expect("an exit status");
        assert!(code != 0 && code != 78, "{arguments:?}: {code}");
        assert!(!output.stderr.is_empty());
    }
}

#[test]
fn schema_is_the_published_one() {
    let output = portcullis(&["schema"]);
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let published = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/conf/schema.json")).expect("conf/schema.json");
    let published: serde_json::Value = serde_json::from_slice(&published).expect("JSON");
    assert!(schema == published, "conf/schema.json is not what `portcullis schema` prints: write it again");
}

#[test]
fn a_new_key_works() {
    let output = portcullis(&["keys", "new", "--id", "acme"]);
    let words = words(&output);
    assert_eq!(output.status.code(), Some(0), "{words}");
    let hash =
        words.split_whitespace().map(unquoted).find(|word| word.starts_with("sha256:")).expect("a hash").to_owned();
    let key = words.split_whitespace().map(unquoted).find(|word| sha256(word) == hash);
    let key = key.unwrap_or_else(|| panic!("no key with the hash {hash} in\n{words}"));
    assert!(key.len() >= 32, "{key} is short");

    let gateway = Setup::new(
        r#"
identities: { partners: { api_key: { keys: { list: [{ id: acme, hash: "<hash>" }] } } } }
routes: [{ name: all, access: { identity: partners }, respond: {} }]
"#,
    )
    .with("hash", &hash)
    .start();
    gateway.get_with("/", &[("X-Api-Key", key)]).expect_status(200);
    gateway.get_with("/", &[("X-Api-Key", "guessed")]).expect_status(401);
}

#[test]
fn every_new_key_is_another() {
    let hash = || {
        let output = portcullis(&["keys", "new", "--id", "acme"]);
        words(&output).split_whitespace().map(unquoted).find(|word| word.starts_with("sha256:")).map(str::to_owned)
    };
    assert_ne!(hash(), hash());
}

fn unquoted(word: &str) -> &str {
    word.trim_matches(|c: char| matches!(c, '"' | '\'' | ',' | '`'))
}

fn sha256(text: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    let digits: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}

const EXPLAINED: &str = r#"
identities: { corp: { jwt: { issuer: "https://id.example.com", audience: orders, keys: { secret: { env: JWT_SECRET } } } } }
upstreams: { shop: { endpoints: ["127.0.0.1:9001"] } }
response_headers: { set: { X-Frame-Options: DENY } }
routes:
  - { name: open, match: { path: /open/* }, access: public, upstream: shop }
  - name: orders
    match: { path: "/orders/{id}", methods: GET }
    access: { identity: corp, allow: { scope: orders.read } }
    limits: [{ name: per-caller, key: principal, rate: 5/s }]
    upstream: shop
"#;

#[track_caller]
fn explained(arguments: &[&str], expected: &[&str]) {
    let setup = Setup::new(EXPLAINED).variable("JWT_SECRET", crate::support::jwt::SECRET);
    let output = setup.output("explain", arguments);
    let words = words(&output);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{words}");
    for part in expected {
        assert!(words.contains(part), "no {part:?} in\n{words}");
    }
}

#[test]
fn explain_shows_the_way_of_an_admitted_request() {
    explained(&["GET", "http://shop.example/open/./a//b"], &["/open/a/b", "open", "shop", "DENY"]);
}

#[test]
fn explain_shows_why_a_request_is_refused_and_where_the_file_says_so() {
    explained(&["GET", "http://shop.example/orders/7"], &["orders", "credentials_missing", "portcullis.yaml:"]);
    explained(&["POST", "http://shop.example/orders/7"], &["method_not_allowed"]);
    explained(&["GET", "http://shop.example/other"], &["route_not_found"]);
    explained(&["GET", "http://shop.example/open/a%2fb"], &["path_invalid"]);
}

#[test]
fn explain_takes_claims_instead_of_a_token() {
    let claims = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(claims.path(), r#"{"sub":"ann","scope":"orders.read"}"#).expect("a writable file");
    let path = claims.path().display().to_string();
    explained(&["GET", "http://shop.example/orders/7", "--claims", &path], &["orders", "ann", "per-caller", "shop"]);
    std::fs::write(claims.path(), r#"{"sub":"ann","scope":"other"}"#).expect("a writable file");
    explained(&["GET", "http://shop.example/orders/7", "--claims", &path], &["scope_missing"]);
}

#[test]
fn explain_and_the_gateway_agree() {
    let gateway = Setup::new(EXPLAINED).variable("JWT_SECRET", crate::support::jwt::SECRET).start();
    for path in ["/orders/7", "/other", "/open/a%2Fb"] {
        gateway.get(path);
        let cause = gateway.logged_path(path)["cause"].as_str().expect("a cause").to_owned();
        explained(&["GET", &format!("http://gateway.test{path}")], &[&cause]);
    }
}

#[test]
fn version_is_printed() {
    let output = portcullis(&["--version"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains(env!("CARGO_PKG_VERSION")), "{}", words(&output));
}

#[test]
fn an_unset_variable_is_a_problem_of_the_file() {
    let output = Setup::new("routes: [{ name: all, access: public, respond: { body: \"${NOWHERE_SET}\" } }]")
        .output("check", &[]);
    assert_eq!(output.status.code(), Some(78), "{}", words(&output));
    assert!(words(&output).contains("NOWHERE_SET"), "{}", words(&output));
}

#[test]
fn the_gateway_says_where_it_listens() {
    let gateway = Gateway::start("routes: [{ name: all, access: public, respond: {} }]");
    gateway.says(&gateway.address().to_string());
    assert_eq!(gateway.stdout(), "");
}
