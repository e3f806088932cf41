use std::collections::HashMap;
use std::io;

use super::*;
use crate::config::environment::Environment;
use crate::config::load::SourceMap;
use crate::decision::access::IdentificationMethod;
use crate::decision::access::testing;
use crate::diagnostics::{Diagnostic, Severity, has_errors};

/// Files and variables out of a table.
struct World(HashMap<&'static str, String>);

impl Environment for World {
    fn variable(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.0.get(path).map(|content| content.clone().into_bytes()).ok_or(io::ErrorKind::NotFound.into())
    }
}

const HASH: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000001";

fn world() -> World {
    World(HashMap::from([
        ("jwks.json", testing::jwks().to_string()),
        ("rsa.pem", testing::rsa_pem()),
        ("ed25519.pem", testing::ed25519_pem()),
        ("bad.json", "{".to_owned()),
        ("SECRET", "0123456789abcdef0123456789abcdef".to_owned()),
        ("SHORT", "0123456789".to_owned()),
        ("keys.yaml", format!("keys:\n- {{id: ann, hash: '{HASH}', scopes: [a], claims: {{tier: gold}}}}\n")),
        ("typo.yaml", format!("keys:\n- {{id: ann, hash: '{HASH}', scope: [a]}}\n")),
    ]))
}

/// Compiles the route's `access` with these `identities`, both as YAML.
fn compile(identities: &str, access: &str) -> (Option<AccessRules>, Vec<Diagnostic>) {
    // Through JSON, as `serde_yaml` writes enums by tags.
    let read = |text: &str| serde_yaml::from_str::<serde_json::Value>(text).unwrap();
    let config: raw::Config =
        serde_json::from_value(serde_json::json!({"version": 1, "identities": read(identities)})).unwrap();
    let access: Option<raw::access::Access> = serde_json::from_value(read(access)).unwrap();
    let (places, world) = (SourceMap::default(), world());
    let mut ctx = CompileContext::new(&places, &world);
    let identities = super::identities(&mut ctx, &config, &Bounds::default());
    let rules = super::access(&mut ctx, &DocPath("routes[0]".to_owned()), access.as_ref(), &identities);
    let diagnostics = ctx.into_diagnostics();
    assert_eq!(rules.is_none(), has_errors(&diagnostics), "{diagnostics:?}");
    (rules, diagnostics)
}

/// The only diagnostic.
#[track_caller]
fn problem(identities: &str, access: &str) -> Diagnostic {
    let (_, mut diagnostics) = compile(identities, access);
    assert_eq!(diagnostics.len(), 1, "{diagnostics:#?}");
    diagnostics.remove(0)
}

fn jwt(fields: &str) -> String {
    format!("{{corp: {{jwt: {{issuer: 'https://id.example.com', audience: orders, {fields}}}}}}}")
}

fn api_keys(fields: &str) -> String {
    format!("{{partners: {{api_key: {{{fields}}}}}}}")
}

#[track_caller]
fn check_jwt(fields: &str, code: &str, path: &str) -> Diagnostic {
    let found = problem(&jwt(fields), "identity: corp");
    assert_eq!((found.code, found.path.as_str()), (code, format!("identities.corp.jwt.{path}").as_str()), "{found}");
    found
}

#[track_caller]
fn check_key(fields: &str, code: &str, path: &str) -> Diagnostic {
    let found = problem(&api_keys(fields), "identity: partners");
    let expected = format!("identities.partners.api_key.{path}");
    assert_eq!((found.code, found.path.as_str()), (code, expected.as_str()), "{found}");
    found
}

#[test]
fn a_route_must_say_who_may_use_it() {
    let found = problem("{}", "null");
    assert_eq!((found.code, found.path.as_str()), ("access_missing", "routes[0]"));
    assert!(found.help.unwrap().contains("access: public"));
    assert!(matches!(compile("{}", "public").0, Some(AccessRules::Public)));
}

#[test]
fn good_identities_compile() {
    let keys = [
        "keys: {jwks_file: jwks.json}",
        "keys: {pem_file: rsa.pem}",
        "keys: {pem_file: ed25519.pem}, algorithms: EdDSA",
        "keys: {secret: {env: SECRET}}",
        "keys: {jwks_file: jwks.json}, algorithms: [PS256, ES384], leeway: 250ms, header: X-Token, roles_claim: a.b",
    ];
    for fields in keys {
        let (rules, diagnostics) = compile(&jwt(fields), "{identity: corp, allow: {scope: [a, b]}}");
        assert_eq!(diagnostics, []);
        assert_eq!(rules.unwrap().providers().len(), 1);
    }
    let (rules, diagnostics) = compile(&api_keys("keys: {file: keys.yaml}"), "{identity: partners}");
    assert_eq!(diagnostics, []);
    let rules = rules.unwrap();
    let IdentificationMethod::ApiKey(keys) = &rules.providers()[0].method else { panic!("an API key identity") };
    let principal = keys.keys.values().next().unwrap();
    assert_eq!(
        (principal.id.as_str(), &*principal.identity, principal.scopes.as_slice()),
        ("ann", "partners", &["a".to_owned()][..])
    );
    assert_eq!(principal.claims["tier"], "gold");
}

#[test]
fn an_identity_has_a_name_that_logs_and_metrics_can_hold() {
    for name in ["a b", "ü", &"a".repeat(65)] {
        let identities = format!("{{'{name}': {{jwt: {{issuer: i, audience: a, keys: {{jwks_file: jwks.json}}}}}}}}");
        let found = problem(&identities, &format!("identity: '{name}'"));
        assert_eq!((found.code, found.path), ("invalid_name", format!("identities.{name}")));
    }
}

#[test]
fn an_unknown_identity_gets_a_suggestion() {
    let found = problem(&jwt("keys: {jwks_file: jwks.json}"), "identity: [corp, crop]");
    assert_eq!((found.code, found.path.as_str()), ("unknown_identity", "routes[0].access.identity[1]"));
    assert_eq!(found.help.as_deref(), Some("did you mean `corp`?"));
    assert_eq!(problem("{}", "identity: []").code, "identity_missing");
}

#[test]
fn an_identity_that_fails_closes_its_routes_and_is_reported_once() {
    let (rules, diagnostics) = compile(&jwt("keys: {jwks_file: none.json}"), "identity: corp");
    assert!(rules.is_none());
    assert_eq!(diagnostics.iter().map(|found| found.code).collect::<Vec<_>>(), ["file_unreadable"]);
}

#[test]
fn an_identity_that_can_never_decide_is_refused() {
    let two = "{a: {jwt: {issuer: i, audience: x, keys: {jwks_file: jwks.json}}}, b: {jwt: {issuer: i, audience: y, keys: {jwks_file: jwks.json}}}}";
    assert_eq!(problem(two, "identity: [a, b]").code, "identity_unreachable");
    assert!(problem(two, "identity: [a, a]").message.contains("twice"));
}

#[test]
fn algorithms_are_known_unmixed_and_fit_the_keys() {
    let found = check_jwt("keys: {jwks_file: jwks.json}, algorithms: [RS265]", "unknown_algorithm", "algorithms[0]");
    assert!(found.help.unwrap().starts_with("did you mean `RS"));
    let none = check_jwt("keys: {jwks_file: jwks.json}, algorithms: none", "unknown_algorithm", "algorithms[0]");
    assert!(none.help.unwrap().contains("unsigned"));
    check_jwt("keys: {jwks_file: jwks.json}, algorithms: [RS256, HS256]", "algorithms_mixed", "algorithms");
    check_jwt("keys: {jwks_file: jwks.json}, algorithms: []", "algorithms_missing", "algorithms");
    let unfit = check_jwt("keys: {pem_file: ed25519.pem}", "key_unusable", "algorithms");
    assert!(unfit.help.unwrap().contains("EdDSA"));
    check_jwt("keys: {secret: {env: SECRET}}, algorithms: ES256", "key_unusable", "algorithms");
    check_jwt("keys: {secret: {env: SECRET}}, algorithms: HS512", "secret_too_short", "keys.secret");
}

#[test]
fn keys_are_checked_with_the_reason() {
    check_jwt("keys: {secret: {env: SHORT}}", "secret_too_short", "keys.secret");
    check_jwt("keys: {secret: {env: NONE}}", "variable_unset", "keys.secret.env");
    let found = check_jwt("keys: {jwks_file: bad.json}", "key_set_invalid", "keys.jwks_file");
    assert!(found.message.starts_with("`bad.json`: not a JSON Web Key Set: EOF"), "{found}");
    check_jwt("keys: {pem_file: bad.json}", "public_key_invalid", "keys.pem_file");
}

#[test]
fn settings_of_a_token_make_sense() {
    check_jwt("keys: {jwks_file: jwks.json}, leeway: 2h", "leeway_too_long", "leeway");
    check_jwt("keys: {jwks_file: jwks.json}, header: 'a b'", "header_invalid", "header");
    check_jwt("keys: {jwks_file: jwks.json}, principal_claim: ''", "value_missing", "principal_claim");
    let audience = "{corp: {jwt: {issuer: i, audience: [], keys: {jwks_file: jwks.json}}}}";
    assert_eq!(problem(audience, "identity: corp").code, "audience_missing");
}

#[test]
fn api_keys_are_checked_wherever_they_stand() {
    let list = |entries: &str| format!("keys: {{list: [{entries}]}}");
    let wrong = check_key(&list("{id: a, hash: 'pk_secret'}"), "api_key_hash_invalid", "keys.list[0].hash");
    assert!(!wrong.to_string().contains("pk_secret"), "a key pasted by mistake is not repeated: {wrong}");
    check_key(&list("{id: a, hash: 'sha256:00'}"), "api_key_hash_invalid", "keys.list[0].hash");
    check_key(&list(&format!("{{id: '', hash: '{HASH}'}}")), "value_missing", "keys.list[0].id");
    check_key(&list(&format!("{{id: a, hash: '{HASH}', expires: soon}}")), "time_invalid", "keys.list[0].expires");
    let twice = format!("{{id: a, hash: '{HASH}'}}, {{id: b, hash: '{HASH}'}}");
    check_key(&list(&twice), "duplicate_api_key", "keys.list[1].hash");
    let found = check_key("keys: {file: typo.yaml}", "api_keys_invalid", "keys.file");
    assert!(found.message.contains("unknown field `scope`") && found.place.line == 2, "{found}");
    check_key("header: Authorization, keys: {file: keys.yaml}", "header_reserved", "header");
}

#[test]
fn what_works_but_looks_wrong_is_a_warning() {
    let list = |entries: &str| format!("keys: {{list: [{entries}]}}");
    let past = format!("{{id: a, hash: '{HASH}', expires: '2001-01-31T00:00:00Z'}}");
    let other = HASH.replace('1', "2");
    let twins = format!("{{id: a, hash: '{HASH}'}}, {{id: a, hash: '{other}'}}");
    let cases = [
        (list(&past), "api_key_expired", "keys.list[0].expires"),
        (list(&twins), "duplicate_api_key_id", "keys.list[1].id"),
        (list(""), "no_api_keys", "keys.list"),
    ];
    for (fields, code, path) in cases {
        assert_eq!(check_key(&fields, code, path).severity, Severity::Warning);
    }
    let replaced = format!("{{id: a, hash: '{HASH}', expires: '2999-01-31T00:00:00Z'}}, {{id: a, hash: '{other}'}}");
    assert_eq!(compile(&api_keys(&list(&replaced)), "identity: partners").1, [], "a key on its way out");
}

#[test]
fn conditions_must_be_able_to_hold() {
    let keys = api_keys("keys: {file: keys.yaml}");
    let code = |allow: &str| problem(&keys, &format!("{{identity: partners, allow: {allow}}}")).code;
    assert_eq!(code("{scope: 'a b'}"), "scope_invalid");
    assert_eq!(code("{scope: 'a\"'}"), "scope_invalid");
    assert_eq!(code("{claims: {tier: []}}"), "claim_values_missing");
}

#[test]
fn the_fingerprint_follows_everything_that_matters() {
    let fingerprint =
        |identities: &str, access: &str| compile(identities, access).0.unwrap().providers()[0].fingerprint;
    let base = fingerprint(&jwt("keys: {jwks_file: jwks.json}"), "identity: corp");
    assert_eq!(base, fingerprint(&jwt("keys: {jwks_file: jwks.json}"), "identity: corp"));
    let changed = [
        "keys: {pem_file: rsa.pem}",
        "keys: {jwks_file: jwks.json}, algorithms: ES256",
        "keys: {jwks_file: jwks.json}, leeway: 31s",
        "keys: {jwks_file: jwks.json}, header: x-token",
        "keys: {jwks_file: jwks.json}, scope_claim: scp",
        "keys: {jwks_file: jwks.json}, roles_claim: groups",
        "keys: {jwks_file: jwks.json}, principal_claim: email",
    ];
    for fields in changed {
        assert_ne!(base, fingerprint(&jwt(fields), "identity: corp"), "{fields}");
    }
    let renamed = jwt("keys: {jwks_file: jwks.json}").replace("corp", "club");
    assert_ne!(base, fingerprint(&renamed, "identity: club"));
    let audience = jwt("keys: {jwks_file: jwks.json}").replace("orders", "bills");
    assert_ne!(base, fingerprint(&audience, "identity: corp"));
}
