//! Key sets with keys that can't be used (RFC 7517 section 5).

use serde_json::{Value, json};

use crate::support::{Origin, Setup, jwt};

const CORP: &str = r#"
identities: { corp: { jwt: { issuer: "https://id.example.com", audience: orders, keys: { jwks_file: "<dir>/jwks.json" } } } }
routes: [{ name: all, access: { identity: corp }, upstream: origin }]
"#;

/// Keys that nobody can verify with, and what is said of each.
fn unusable() -> [(Value, &'static str); 7] {
    [
        (json!({ "kty": "AKP", "kid": "future", "alg": "ML-DSA-44", "pub": "AAAA" }), "(`future`) is left out: `kty`"),
        (
            json!({ "kty": "EC", "kid": "curve", "crv": "secp256k1", "x": "AA", "y": "AA" }),
            "(`curve`) is left out: `crv`",
        ),
        (json!({ "kty": "RSA", "kid": "short", "n": "AQAB", "e": "AQAB" }), "(`short`) is left out: "),
        (json!({ "kty": "RSA", "kid": "lacking", "e": "AQAB" }), "(`lacking`) is left out: `n` is missing"),
        (json!({ "kty": "RSA", "kid": "numbers", "n": 7, "e": 7 }), "(`numbers`) is left out: `n` is not text"),
        (json!({ "kid": "typeless" }), "(`typeless`) is left out: `kty` is missing"),
        (json!("no key"), "is left out: not a JSON object"),
    ]
}

fn set(good: bool) -> String {
    let mut set: Value = serde_json::from_str(&jwt::jwks()).expect("JSON");
    let keys = set["keys"].as_array_mut().expect("a list");
    if !good {
        keys.clear();
    }
    unusable().into_iter().for_each(|(key, _)| keys.insert(0, key));
    set.to_string()
}

fn checked(set: String) -> (Option<i32>, String) {
    let setup = Setup::new(CORP).origin(&Origin::saying("ok")).file("jwks.json", set);
    let output = setup.output("check", &[]);
    (output.status.code(), String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned())
}

#[test]
fn one_bad_key_does_not_take_its_set_down() {
    let origin = Origin::saying("ok");
    let gateway = Setup::new(CORP).origin(&origin).file("jwks.json", set(true)).start();
    for key in [&jwt::RSA, &jwt::EC] {
        let bearer = jwt::bearer(&key.sign(&jwt::claims("ann", json!({}))));
        gateway.get_with("/", &[("Authorization", &bearer)]).expect_status(200);
    }
    let bearer = jwt::bearer(&jwt::RSA.sign_as("short", &jwt::claims("ann", json!({}))));
    gateway.get_with("/bad", &[("Authorization", &bearer)]).expect_status(401);
    assert_eq!(gateway.logged_path("/bad")["cause"], "token_key_unknown");
}

#[test]
fn each_key_that_is_left_out_is_a_warning_that_names_it() {
    let (status, said) = checked(set(true));
    assert_eq!(status, Some(0), "{said}");
    for (_, words) in unusable() {
        assert!(said.contains(words), "no {words:?} in\n{said}");
    }
    assert_eq!(said.matches("warning[key_left_out]").count(), unusable().len(), "{said}");
}

#[test]
fn a_set_with_no_key_that_can_be_used_is_an_error_with_every_reason() {
    let (status, said) = checked(set(false));
    assert_eq!(status, Some(78), "{said}");
    assert!(said.contains("no key in it can verify signatures"), "{said}");
    for name in ["future", "curve", "short", "lacking", "numbers", "typeless"] {
        assert!(said.contains(&format!("(`{name}`)")), "{said}");
    }
}
