//! The size of a token: up to `bounds.token`, on both versions of HTTP.

use serde_json::{Value, json};

use crate::support::h2_client::H2;
use crate::support::{Gateway, Origin, Setup, jwt};

const CORP: &str = r#"
listeners: [{ name: main, address: "<listen>", http2: true }]
identities: { corp: { jwt: { issuer: "https://id.example.com", audience: orders, keys: { jwks_file: "<dir>/jwks.json" } } } }
routes: [{ name: all, access: { identity: corp }, upstream: origin }]
"#;

fn gate(origin: &Origin, more: &str) -> Gateway {
    Setup::new(&format!("{more}{CORP}")).origin(origin).file("jwks.json", jwt::jwks()).start()
}

/// A good token with as many groups as make it this long, within a few dozen bytes.
fn token_of(bytes: usize) -> String {
    let groups: Vec<Value> =
        (0..bytes.saturating_sub(700) / 52).map(|n| json!(format!("00000000-0000-0000-0000-{n:012}"))).collect();
    let padded =
        |padding: usize| jwt::RSA.sign(&jwt::claims("ann", json!({ "groups": groups, "pad": "x".repeat(padding) })));
    let short = padded(0).len();
    let token = padded(bytes.saturating_sub(short) * 3 / 4);
    assert!(token.len().abs_diff(bytes) < 64, "{} of {bytes} bytes", token.len());
    token
}

#[test]
fn a_token_of_many_groups_passes() {
    let origin = Origin::saying("ok");
    let gateway = gate(&origin, "");
    let mut http2 = H2::prior_knowledge(gateway.address());
    for bytes in [2_000, 8_300, 12_000, 16_200] {
        let bearer = jwt::bearer(&token_of(bytes));
        // The second time it is remembered.
        for _ in 0..2 {
            gateway.get_with("/", &[("Authorization", &bearer)]).expect_status(200);
            let answer =
                http2.request("GET", "http://gateway.test/", &[("authorization", &bearer)], b"").expect("an answer");
            answer.expect_status(200);
        }
    }
}

#[test]
fn a_token_over_the_bound_is_refused_with_its_own_cause() {
    let origin = Origin::saying("ok");
    let gateway = gate(&origin, "");
    let bearer = jwt::bearer(&token_of(16_600));
    let mut http2 = H2::prior_knowledge(gateway.address());
    for answer in [
        gateway.get_with("/one", &[("Authorization", &bearer)]),
        http2.request("GET", "http://gateway.test/two", &[("authorization", &bearer)], b"").expect("an answer"),
    ] {
        assert_eq!(answer.expect_status(431).json()["code"], "token_too_large");
    }
    for path in ["/one", "/two"] {
        let line = gateway.logged_path(path);
        assert_eq!(line["cause"], "token_too_large");
        assert!(line["detail"].as_str().unwrap().contains("`bounds.token`"), "{line}");
    }
    assert_eq!(gateway.metrics().sum("portcullis_bound_hits_total", &[("bound", "token")]), 2.0);
    assert_eq!(origin.count(), 0);
}

#[test]
fn the_bound_is_the_owners_and_takes_effect_by_a_reload() {
    let origin = Origin::saying("ok");
    let gateway = gate(&origin, "bounds: { token: 4KiB }\n");
    let bearer = jwt::bearer(&token_of(5_000));
    gateway.get_with("/", &[("Authorization", &bearer)]).expect_status(431);
    gateway.reload(&format!(
        "bounds: {{ token: 6KiB }}\n{CORP}upstreams: {{ origin: {{ endpoints: [\"{}\"] }} }}\n",
        origin.address()
    ));
    gateway.get_with("/", &[("Authorization", &bearer)]).expect_status(200);
    // What is remembered does not outlive a narrower bound.
    gateway.reload(&format!(
        "bounds: {{ token: 4KiB }}\n{CORP}upstreams: {{ origin: {{ endpoints: [\"{}\"] }} }}\n",
        origin.address()
    ));
    gateway.get_with("/", &[("Authorization", &bearer)]).expect_status(431);
}

#[test]
fn check_and_explain_know_the_bound() {
    let setup = Setup::new(&format!("bounds: {{ token: 64KiB }}\n{CORP}"));
    let setup = setup.with("origin", "").origin(&Origin::saying("ok")).file("jwks.json", jwt::jwks());
    let words = |output: std::process::Output| {
        String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
    };
    let said = words(setup.output("check", &[]));
    assert!(said.contains("bounds.token") && said.contains("header_bytes"), "{said}");
    let setup = Setup::new(&format!("bounds: {{ token: 4KiB }}\n{CORP}")).origin(&Origin::saying("ok"));
    let setup = setup.file("jwks.json", jwt::jwks());
    let header = format!("Authorization: {}", jwt::bearer(&token_of(5_000)));
    let explained = words(setup.output("explain", &["GET", "http://a.example/", "-H", &header]));
    assert!(explained.contains("431 token_too_large") && explained.contains("raise `bounds.token`"), "{explained}");
}
