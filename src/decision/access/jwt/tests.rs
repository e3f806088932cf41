use std::iter;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use serde_json::json;

use super::super::testing::{self, Signer, at, claims, now, token};
use super::key_set::parse_jwks;
use super::keys::{parse_pem, shared_secret};
use super::*;

fn rules(keys: Vec<VerificationKey>, algorithms: &[Algorithm]) -> JwtRules {
    JwtRules {
        issuer: testing::ISSUER.to_owned(),
        audiences: vec!["other".to_owned(), testing::AUDIENCE.to_owned()],
        client_ids: Vec::new(),
        algorithms: algorithms.to_vec(),
        keys,
        longest: 1024,
        leeway: 30,
        header: None,
        principal_claim: "sub".to_owned(),
        scope_claim: "scope".to_owned(),
        roles_claim: "roles".to_owned(),
    }
}

fn key_set(algorithms: &[Algorithm]) -> JwtRules {
    rules(parse_jwks(testing::jwks().to_string().as_bytes()).unwrap().keys, algorithms)
}

fn verify(rules: &JwtRules, token: &str) -> Result<Principal, Denial> {
    rules.check(&"corp".into(), &Token::parse(token.as_bytes())?, now())
}

fn cause(rules: &JwtRules, token: &str) -> Cause {
    verify(rules, token).expect_err("the token must be refused").cause
}

/// The cause that a token with these changes to good claims is refused for.
fn changed(change: impl Fn(&mut Value)) -> Result<Principal, Cause> {
    let mut claims = claims();
    change(&mut claims);
    let token = token(&json!({"alg": "ES256"}), &claims, &Signer::P256);
    verify(&key_set(&[Algorithm::ES256]), &token).map_err(|denial| denial.cause)
}

#[test]
fn every_algorithm_verifies_what_its_key_signed() {
    let cases = [
        (Algorithm::RS256, "rsa", Signer::Rsa),
        (Algorithm::PS256, "rsa", Signer::RsaPss),
        (Algorithm::ES256, "p256", Signer::P256),
        (Algorithm::ES384, "p384", Signer::P384),
        (Algorithm::EdDSA, "ed25519", Signer::Ed25519),
    ];
    for (algorithm, kid, signer) in cases {
        let rules = key_set(&[algorithm]);
        for header in [json!({"alg": algorithm, "kid": kid}), json!({"alg": algorithm})] {
            let principal = verify(&rules, &token(&header, &claims(), &signer)).unwrap();
            assert_eq!((principal.id.as_str(), &*principal.identity), ("ann", "corp"));
            assert_eq!(principal.scopes, ["orders.read"]);
            assert_eq!(principal.roles, ["clerk"]);
            assert_eq!(principal.expires, Some(now() + Duration::from_secs(300)));
        }
    }
    let shared = rules(vec![shared_secret(testing::SECRET).unwrap()], &[Algorithm::HS256]);
    let token = token(&json!({"alg": "HS256", "kid": "any"}), &claims(), &Signer::Hmac(testing::SECRET.to_vec()));
    assert!(verify(&shared, &token).is_ok(), "a key without an id serves every `kid`");
}

#[test]
fn a_client_stands_for_the_audience_only_where_a_token_names_none() {
    let judged = |audiences: &[&str], client_ids: &[&str], change: fn(&mut Value)| {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let rules =
            JwtRules { audiences: words(audiences), client_ids: words(client_ids), ..key_set(&[Algorithm::ES256]) };
        let mut claims = claims();
        claims["client_id"] = json!("app-1");
        change(&mut claims);
        let token = token(&json!({"alg": "ES256"}), &claims, &Signer::P256);
        verify(&rules, &token).map(|_| ()).map_err(|denial| denial.cause)
    };
    let without: fn(&mut Value) = |claims| drop(claims.as_object_mut().unwrap().remove("aud"));
    let refused = Err(Cause::TokenAudienceMismatch);
    assert_eq!(judged(&[], &["app-0", "app-1"], without), Ok(()));
    assert_eq!(judged(&[], &["app-2"], without), refused);
    assert_eq!(judged(&["orders"], &[], without), refused);
    // An audience that is there is checked.
    assert_eq!(judged(&[], &["app-1"], |_| {}), refused);
    assert_eq!(judged(&[testing::AUDIENCE], &["app-2"], |_| {}), Ok(()));
    assert_eq!(judged(&["else"], &["app-1"], |_| {}), refused);
    assert_eq!(judged(&[], &["app-1"], |claims| drop(claims.as_object_mut().unwrap().remove("client_id"))), refused);
}

#[test]
fn what_is_no_token_is_malformed() {
    let rules = key_set(&[Algorithm::ES256]);
    let good = token(&json!({"alg": "ES256"}), &claims(), &Signer::P256);
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let (message, signature) = good.rsplit_once('.').unwrap();
    let cases = [
        String::new(),
        "a".to_owned(),
        message.to_owned(),
        format!("{good}.x"),
        format!("!{good}"),
        format!("{}.e30.x", encode("[]")),
        format!("{}.e30.x", encode("{}")),
        format!("{}.e30.x", encode(r#"{"alg": 1}"#)),
        format!("{}.e30.x", encode(r#"{"alg": "ES256", "alg": "ES256"}"#)),
        format!("{message}.{signature}="),
        format!("{message}.{signature}AAA!"),
        "é.é.é".to_owned(),
        testing::sign(&format!("{}.!", encode(r#"{"alg":"ES256"}"#)), &Signer::P256),
        testing::sign(&format!("{}.{}", encode(r#"{"alg":"ES256"}"#), encode("[1]")), &Signer::P256),
    ];
    for case in cases {
        assert_eq!(cause(&rules, &case), Cause::TokenMalformed, "{case}");
    }
    assert_eq!(Token::parse(b"\xff.a.b").err().map(|denial| denial.cause), Some(Cause::TokenMalformed));
}

#[test]
fn a_token_over_the_bound_is_not_looked_at() {
    let name: Arc<str> = "corp".into();
    let rules = JwtRules { longest: 4, ..key_set(&[Algorithm::ES256]) };
    let verify = |token: &[u8]| {
        let denial =
            JwtRules::verify(iter::once(()).map(|()| Peer { name: &name, rules: &rules }), token, now()).unwrap_err();
        denial.cause
    };
    assert_eq!((verify(b"....."), verify(b"....")), (Cause::TokenTooLarge, Cause::TokenMalformed));
    assert_eq!(rules.longest_remembered(), 4);
}

#[test]
fn critical_extensions_are_refused() {
    for crit in [json!(["b64"]), json!([]), json!(null)] {
        let header = json!({"alg": "ES256", "crit": crit, "b64": false});
        let token = token(&header, &claims(), &Signer::P256);
        assert_eq!(cause(&key_set(&[Algorithm::ES256]), &token), Cause::TokenMalformed);
    }
}

#[test]
fn an_algorithm_that_is_not_listed_is_refused() {
    let rules = key_set(&[Algorithm::ES256]);
    for algorithm in ["none", "None", "NONE", "", "HS256", "RS256", "ES512", "es256"] {
        let token = token(&json!({"alg": algorithm}), &claims(), &Signer::P256);
        assert_eq!(cause(&rules, &token), Cause::TokenAlgorithmRefused, "{algorithm}");
    }
    let unsigned = token(&json!({"alg": "none"}), &claims(), &Signer::P256);
    let unsigned = format!("{}.", unsigned.rsplit_once('.').unwrap().0);
    assert_eq!(cause(&rules, &unsigned), Cause::TokenAlgorithmRefused);
}

/// The classic confusion: the public key, which everyone has, taken for a shared secret.
#[test]
fn a_public_key_is_never_a_shared_secret() {
    let pem = testing::rsa_pem();
    let forged = token(&json!({"alg": "HS256"}), &claims(), &Signer::Hmac(pem.clone().into_bytes()));
    let public = || parse_pem(pem.as_bytes()).unwrap();
    assert_eq!(cause(&rules(vec![public()], &[Algorithm::RS256]), &forged), Cause::TokenAlgorithmRefused);
    // Even where a wrong configuration lists both, the key's own type decides.
    let mixed = rules(vec![public()], &[Algorithm::RS256, Algorithm::HS256]);
    assert_eq!(cause(&mixed, &forged), Cause::TokenKeyUnknown);
}

#[test]
fn the_key_is_the_one_that_the_token_names() {
    let rules = key_set(&[Algorithm::ES256, Algorithm::RS256]);
    let named = |kid: &str| token(&json!({"alg": "ES256", "kid": kid}), &claims(), &Signer::P256);
    assert!(verify(&rules, &named("p256")).is_ok());
    assert_eq!(cause(&rules, &named("p257")), Cause::TokenKeyUnknown);
    assert_eq!(cause(&rules, &named("rsa")), Cause::TokenKeyUnknown, "this key is of another type");
    let denial = verify(&rules, &named("gone\n")).unwrap_err();
    assert_eq!(denial.detail, "no key `gone\\n` for ES256");
}

#[test]
fn a_signature_by_another_key_is_refused() {
    let rules = key_set(&[Algorithm::ES256, Algorithm::EdDSA]);
    let forged = token(&json!({"alg": "ES256"}), &claims(), &Signer::Ed25519);
    assert_eq!(cause(&rules, &forged), Cause::TokenSignatureInvalid);
    let (message, _) = forged.rsplit_once('.').unwrap();
    assert_eq!(cause(&rules, &format!("{message}.")), Cause::TokenSignatureInvalid);
}

#[test]
fn issuer_and_audience_must_match() {
    assert_eq!(changed(|claims| claims["iss"] = json!("https://evil.example")), Err(Cause::TokenIssuerMismatch));
    assert_eq!(changed(|claims| claims["iss"] = json!([testing::ISSUER])), Err(Cause::TokenIssuerMismatch));
    assert_eq!(changed(|claims| drop(claims.as_object_mut().unwrap().remove("iss"))), Err(Cause::TokenIssuerMismatch));
    assert_eq!(changed(|claims| claims["aud"] = json!("ordersx")), Err(Cause::TokenAudienceMismatch));
    assert_eq!(changed(|claims| claims["aud"] = json!([])), Err(Cause::TokenAudienceMismatch));
    assert_eq!(
        changed(|claims| drop(claims.as_object_mut().unwrap().remove("aud"))),
        Err(Cause::TokenAudienceMismatch)
    );
    assert!(changed(|claims| claims["aud"] = json!(["x", "orders"])).is_ok());
}

#[test]
fn times_are_checked_with_leeway() {
    let expiring = |exp: Value| changed(|claims| claims["exp"] = exp.clone()).err();
    assert_eq!(expiring(json!(at(1))), None);
    assert_eq!(expiring(json!(at(-29))), None);
    assert_eq!(expiring(json!(at(-30))), Some(Cause::TokenExpired));
    assert_eq!(expiring(json!(0)), Some(Cause::TokenExpired));
    assert_eq!(expiring(json!(at(-29) as f64 + 0.5)), None);
    for wrong in [json!("1700000300"), json!(-1), json!(1e300), json!(u64::MAX), json!(null)] {
        assert_eq!(expiring(wrong.clone()), Some(Cause::TokenMalformed), "{wrong}");
    }
    assert_eq!(changed(|claims| drop(claims.as_object_mut().unwrap().remove("exp"))), Err(Cause::TokenMalformed));

    let starting = |nbf: Value| changed(|claims| claims["nbf"] = nbf.clone()).err();
    assert_eq!(starting(json!(at(30))), None);
    assert_eq!(starting(json!(at(31))), Some(Cause::TokenNotYetValid));
    assert_eq!(starting(json!("soon")), Some(Cause::TokenMalformed));
}

#[test]
fn a_token_must_name_its_caller() {
    for sub in [json!(""), json!(7), json!(null)] {
        assert_eq!(changed(|claims| claims["sub"] = sub.clone()), Err(Cause::TokenMalformed));
    }
}

#[test]
fn claims_may_be_lists_texts_or_nested() {
    let mut rules = key_set(&[Algorithm::ES256]);
    rules.roles_claim = "realm_access.roles".to_owned();
    rules.scope_claim = "scp".to_owned();
    let mut claims = claims();
    claims["realm_access"] = json!({"roles": ["admin", 7]});
    claims["scp"] = json!(["a", "b"]);
    let signed = |claims: &Value| token(&json!({"alg": "ES256"}), claims, &Signer::P256);
    let principal = verify(&rules, &signed(&claims)).unwrap();
    assert_eq!((principal.roles, principal.scopes), (vec!["admin".to_owned()], vec!["a".to_owned(), "b".to_owned()]));
    claims["realm_access.roles"] = json!("clerk");
    claims["scp"] = json!({"a": 1});
    let principal = verify(&rules, &signed(&claims)).unwrap();
    assert_eq!((principal.roles, principal.scopes), (vec!["clerk".to_owned()], vec![]));
}

#[test]
fn the_scheme_is_bearer_in_any_case() {
    for (value, token) in [("Bearer abc", "abc"), ("bEARER   abc ", "abc"), ("Bearer", ""), ("bearer ", "")] {
        assert_eq!(bearer(value.as_bytes()), Some(token.as_bytes()), "{value}");
    }
    for value in ["", "Basic abc", "Bearerabc", "Bearer\tabc", "Bear"] {
        assert_eq!(bearer(value.as_bytes()), None, "{value}");
    }
}

/// What is said of a set that can't be used.
fn jwks_error(set: &Value) -> String {
    parse_jwks(set.to_string().as_bytes()).expect_err("the set must be refused").to_string()
}

/// What is said of the one key that `change` makes unusable; the others of the set are used.
fn left_out(change: impl Fn(&mut Value)) -> String {
    let mut set = testing::jwks();
    change(&mut set);
    let read = parse_jwks(set.to_string().as_bytes()).expect("the other keys can be used");
    let [one] = read.left_out.as_slice() else { panic!("{:?}", read.left_out) };
    assert_eq!(read.keys.len(), set["keys"].as_array().unwrap().len() - 1);
    format!("{}: {}", one.name, one.reason)
}

#[test]
fn broken_and_weak_keys_are_left_out_with_the_reason() {
    assert_eq!(left_out(|set| set["keys"][0]["n"] = json!("!")), "keys[0] (`rsa`): `n` is not valid base64url");
    assert_eq!(left_out(|set| set["keys"][0]["n"] = json!(7)), "keys[0] (`rsa`): `n` is not text");
    assert_eq!(left_out(|set| set["keys"][0]["n"] = Value::Null), "keys[0] (`rsa`): `n` is missing");
    assert_eq!(
        left_out(|set| set["keys"][1]["x"] = json!("AAAA")).as_str(),
        "keys[1] (`p256`): `x` and `y` must have 32 bytes each"
    );
    assert_eq!(
        left_out(|set| set["keys"][1]["x"] = set["keys"][1]["y"].clone()),
        "keys[1] (`p256`): not a valid P-256 public key"
    );
    assert_eq!(
        left_out(|set| set["keys"][3]["x"] = json!("AAAA")),
        "keys[3] (`ed25519`): not a valid Ed25519 public key"
    );
    assert_eq!(
        left_out(|set| set["keys"][0]["alg"] = json!("ES256")),
        "keys[0] (`rsa`): `alg` is ES256, which does not fit this key"
    );
    assert_eq!(
        left_out(|set| set["keys"][0]["e"] = json!("AQ")),
        "keys[0] (`rsa`): the RSA key's exponent is not a sound one"
    );
    let short = URL_SAFE_NO_PAD.encode([0xff; 128]);
    assert_eq!(
        left_out(|set| set["keys"][0]["n"] = json!(short)),
        "keys[0] (`rsa`): an RSA key of 1024 bits; 2048 to 8192 are accepted"
    );
    let weak = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode([1; 31])});
    assert!(left_out(|set| set["keys"][0] = weak.clone()).contains("31 bytes"));
    assert_eq!(left_out(|set| set["keys"][0] = json!("x")), "keys[0]: not a JSON object");
}

#[test]
fn keys_of_unknown_kinds_are_left_out_with_the_reason() {
    for (member, value) in [("kty", "AKP"), ("crv", "P-521"), ("alg", "ML-DSA-44")] {
        let said = left_out(|set| set["keys"][1][member] = json!(value));
        assert_eq!(said, format!("keys[1] (`p256`): `{member}` is `{value}`, which is not supported"));
        let said = left_out(|set| set["keys"][1][member] = json!("hunter2"));
        assert_eq!(said, format!("keys[1] (`p256`): `{member}` has a value that is not supported"));
    }
    assert_eq!(left_out(|set| set["keys"][1]["kty"] = Value::Null), "keys[1] (`p256`): `kty` is missing");
    assert_eq!(left_out(|set| set["keys"][1]["crv"] = Value::Null), "keys[1] (`p256`): `crv` is missing");
}

#[test]
fn a_set_without_a_key_that_can_be_used_is_refused_with_every_reason() {
    assert!(jwks_error(&json!([])).starts_with("not a JSON Web Key Set"));
    assert!(jwks_error(&json!({"keys": 7})).starts_with("not a JSON Web Key Set"));
    assert_eq!(jwks_error(&json!({"keys": []})), "no key in it can verify signatures: the list is empty");
    let key = testing::jwks()["keys"][1].clone();
    assert!(jwks_error(&json!({"keys": vec![key.clone(); 65]})).contains("65 keys"));
    let (mut broken, mut other) = (key.clone(), key);
    broken["x"] = json!("!");
    (other["use"], other["kid"]) = (json!("enc"), json!("two"));
    assert_eq!(
        jwks_error(&json!({"keys": [broken, other]})),
        "no key in it can verify signatures: keys[0] (`p256`): `x` is not valid base64url; keys[1] (`two`): it is for encryption"
    );
}

#[test]
fn keys_for_other_purposes_are_passed_over_in_silence() {
    let mut set = testing::jwks();
    set["keys"][0]["use"] = json!("enc");
    set["keys"][1]["key_ops"] = json!(["sign"]);
    let set = parse_jwks(set.to_string().as_bytes()).unwrap();
    assert_eq!(set.keys.iter().map(|key| key.id.as_deref()).collect::<Vec<_>>(), [Some("p384"), Some("ed25519")]);
    assert_eq!(set.left_out, []);
    assert!(!set.has_private);
}

#[test]
fn the_alg_of_a_key_narrows_it() {
    let mut set = testing::jwks();
    set["keys"][0]["alg"] = json!("PS256");
    set["keys"][0]["d"] = json!("AAAA");
    let set = parse_jwks(set.to_string().as_bytes()).unwrap();
    assert_eq!(set.keys[0].algorithms, [Algorithm::PS256]);
    assert!(set.has_private);
}

#[test]
fn a_pem_file_holds_one_public_key() {
    use aws_lc_rs::signature::KeyPair;
    assert_eq!(parse_pem(testing::rsa_pem().as_bytes()).unwrap().algorithms.len(), 6);
    let pkcs1 = testing::pem("RSA PUBLIC KEY", testing::RSA.public_key().as_ref());
    let key = parse_pem(pkcs1.as_bytes()).unwrap();
    let signed = token(&json!({"alg": "RS256"}), &claims(), &Signer::Rsa);
    assert!(verify(&rules(vec![key], &[Algorithm::RS256]), &signed).is_ok());
    let key = parse_pem(testing::p256_pem().as_bytes()).unwrap();
    let signed = token(&json!({"alg": "ES256"}), &claims(), &Signer::P256);
    assert!(verify(&rules(vec![key], &[Algorithm::ES256]), &signed).is_ok());
    let key = parse_pem(testing::ed25519_pem().as_bytes()).unwrap();
    let signed = token(&json!({"alg": "EdDSA"}), &claims(), &Signer::Ed25519);
    assert!(verify(&rules(vec![key], &[Algorithm::EdDSA]), &signed).is_ok());

    let error = |text: &str| parse_pem(text.as_bytes()).expect_err("the file must be refused").to_string();
    assert_eq!(error("hello"), "not a PEM file");
    assert!(error(&testing::pem("PRIVATE KEY", b"x")).contains("private key"));
    assert!(error(&testing::pem("CERTIFICATE", b"x")).contains("certificate"));
    assert!(error(&testing::rsa_pem().repeat(2)).contains("more than one"));
    assert!(error(&testing::pem("PUBLIC KEY", b"x")).contains("not a public key"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn no_changed_byte_passes(position in any::<prop::sample::Index>(), byte: u8) {
        for (algorithm, signer) in [("ES256", Signer::P256), ("RS256", Signer::Rsa), ("EdDSA", Signer::Ed25519)] {
            let rules = key_set(&[Algorithm::ES256, Algorithm::RS256, Algorithm::EdDSA]);
            let mut token = token(&json!({"alg": algorithm}), &claims(), &signer).into_bytes();
            let position = position.index(token.len());
            prop_assume!(token[position] != byte);
            token[position] = byte;
            let passed = Token::parse(&token).and_then(|token| rules.check(&"corp".into(), &token, now()));
            prop_assert!(passed.is_err());
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let rules = key_set(&[Algorithm::ES256]);
        let passed = Token::parse(&bytes).and_then(|token| rules.check(&"corp".into(), &token, now()));
        prop_assert!(passed.is_err());
        let _ = parse_jwks(&bytes);
        let _ = parse_pem(&bytes);
    }
}
