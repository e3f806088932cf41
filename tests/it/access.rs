//! Access: authentication and authorization.

mod deny;
mod keys;
mod token;

use serde_json::{Value, json};

use crate::support::{Gateway, Origin, Response, Setup, jwt};

const GATE: &str = r#"
identities:
  corp: { jwt: { issuer: "https://id.example.com", audience: orders, keys: { jwks_file: "<dir>/jwks.json" } } }
  internal: { jwt: { issuer: "https://id.example.com", audience: orders, header: X-Internal-Token, keys: { secret: { env: JWT_SECRET } } } }
  partners:
    api_key:
      keys:
        list:
          - { id: acme, hash: "<acme>", scopes: [orders.read], roles: [partner], claims: { plan: gold } }
          - { id: gone, hash: "<gone>", expires: "2020-01-01T00:00:00Z" }
routes:
  - { name: open, match: { path: /open }, access: public, upstream: origin }
  - { name: corp, match: { path: /corp }, access: { identity: corp }, upstream: origin }
  - { name: internal, match: { path: /internal }, access: { identity: internal }, upstream: origin }
  - { name: partners, match: { path: /partners }, access: { identity: partners }, upstream: origin }
  - { name: either, match: { path: /either }, access: { identity: [corp, partners] }, upstream: origin }
  - { name: shown, match: { path: /shown }, access: { identity: [corp, partners], forward_credentials: true }, upstream: origin }
  - { name: scope, match: { path: /scope }, access: { identity: [corp, partners], allow: { scope: [orders.read, orders.write] } }, upstream: origin }
  - { name: role, match: { path: /role }, access: { identity: [corp, partners], allow: { role: [admin, partner] } }, upstream: origin }
  - { name: claim, match: { path: /claim }, access: { identity: [corp, partners], allow: { claims: { plan: [gold, platinum] } } }, upstream: origin }
"#;

const ACME: &str = "acme-secret-key-0123456789abcdef";
const GONE: &str = "gone-secret-key-0123456789abcdef";

fn hash(key: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key.as_bytes());
    let digits: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}

fn gate(origin: &Origin) -> Gateway {
    Setup::new(GATE)
        .origin(origin)
        .file("jwks.json", jwt::jwks())
        .variable("JWT_SECRET", jwt::SECRET)
        .with("acme", hash(ACME))
        .with("gone", hash(GONE))
        .start()
}

fn with_token(gateway: &Gateway, path: &str, token: &str) -> Response {
    gateway.get_with(path, &[("Authorization", &jwt::bearer(token))])
}

/// Asserts a refusal with a challenge, and that the log has the true cause while the client does not get it.
#[track_caller]
fn challenged(gateway: &Gateway, response: Response, status: u16, error: Option<&str>, cause: &str) {
    let response = response.expect_status(status);
    let challenge = response.header("WWW-Authenticate").expect("a challenge").to_owned();
    assert!(challenge.starts_with("Bearer"), "{challenge}");
    match error {
        Some(error) => assert!(challenge.contains(&format!("error=\"{error}\"")), "{challenge}"),
        // RFC 6750 §3.1: no error code for a request that lacks any authentication information.
        None => assert!(!challenge.contains("error="), "{challenge}"),
    }
    let line = gateway.eventually_logged(|line| line["cause"] == cause);
    assert_eq!((&line["status"], &line["decision"]), (&json!(status), &json!("deny")));
}

#[test]
fn public_lets_everyone_in() {
    let origin = Origin::saying("ok");
    gate(&origin).get("/open").expect_status(200);
}

#[test]
fn a_good_token_is_let_in_by_every_algorithm_of_the_key_set() {
    let origin = Origin::saying("ok");
    let gateway = gate(&origin);
    for key in [&jwt::RSA, &jwt::EC] {
        let token = key.sign(&jwt::claims("ann", json!({})));
        // The second time it is remembered.
        for _ in 0..2 {
            with_token(&gateway, "/corp", &token).expect_status(200);
        }
    }
    for line in gateway.logged(4) {
        assert_eq!((&line["principal"], &line["decision"]), (&json!("ann"), &json!("allow")));
    }
}

#[test]
fn no_token_is_challenged_without_an_error() {
    let origin = Origin::saying("ok");
    let gateway = gate(&origin);
    challenged(&gateway, gateway.get("/corp"), 401, None, "credentials_missing");
    assert_eq!(origin.count(), 0);
}

#[test]
fn a_refused_client_keeps_its_connection() {
    let origin = Origin::saying("ok");
    let gateway = gate(&origin);
    let mut client = gateway.connect();
    client.get("/corp").expect_status(401);
    client.get("/corp").expect_status(401);
    client.get("/open").expect_status(200);
}

#[test]
fn every_flaw_of_a_token_is_401_and_named_in_the_log() {
    let origin = Origin::saying("ok");
    let gateway = gate(&origin);
    let now = jwt::now();
    let good = jwt::RSA.sign(&jwt::claims("ann", json!({})));
    let claims = |extra: Value| jwt::RSA.sign(&jwt::claims("ann", extra));
    let mut tampered = good.clone();
    let middle = good.find('.').unwrap() + 5;
    tampered.replace_range(middle..=middle, if &good[middle..=middle] == "A" { "B" } else { "A" });
    for (cause, token) in [
        ("token_malformed", "not-a-token".to_owned()),
        ("token_malformed", "a.b.c".to_owned()),
        ("token_expired", claims(json!({ "exp": now - 60 }))),
        ("token_not_yet_valid", claims(json!({ "nbf": now + 600 }))),
        ("token_issuer_mismatch", claims(json!({ "iss": "https://evil.example" }))),
        ("token_audience_mismatch", claims(json!({ "aud": "billing" }))),
        ("token_signature_invalid", jwt::FORGED.sign(&jwt::claims("ann", json!({})))),
        ("token_signature_invalid", tampered),
        ("token_key_unknown", jwt::RSA.sign_as("other", &jwt::claims("ann", json!({})))),
        // The classic confusion: a public key set must never be used with a shared-secret algorithm.
        ("token_algorithm_refused", jwt::SHARED.sign_as("rsa", &jwt::claims("ann", json!({})))),
    ] {
        let gateway = if cause == "token_malformed" { &gate(&origin) } else { &gateway };
        challenged(gateway, with_token(gateway, "/corp", &token), 401, Some("invalid_token"), cause);
    }
    assert_eq!(origin.count(), 0);
}

#[test]
fn a_token_without_signature_is_refused() {
    let origin = Origin::saying("ok");
    let gateway = gate(&origin);
    // {"alg":"none","typ":"JWT"}
    let claims = jwt::RSA.sign(&jwt::claims("ann", json!({})));
    let claims = claims.split('.').nth(1).unwrap();
    for token in [
        format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{claims}."),
        format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{claims}.AAAA"),
    ] {
        with_token(&gateway, "/corp", &token).expect_status(401);
    }
    assert_eq!(origin.count(), 0);
}

#[test]
fn a_token_without_end_or_issuer_is_refused() {
    let origin = Origin::saying("ok");
    let gateway = gate(&origin);
    for missing in ["exp", "iss", "aud"] {
        let token = jwt::RSA.sign(&jwt::claims("ann", json!({ missing: null })));
        with_token(&gateway, "/corp", &token).expect_status(401);
    }
}

#[test]
fn clocks_may_disagree_by_the_leeway() {
    let origin = Origin::saying("ok");
    let gateway = gate(&origin);
    let now = jwt::now();
    for extra in [json!({ "exp": now - 10 }), json!({ "nbf": now + 10 })] {
        with_token(&gateway, "/corp", &jwt::RSA.sign(&jwt::claims("ann", extra))).expect_status(200);
    }
}

#[test]
fn a_remembered_token_still_expires() {
    let origin = Origin::saying("ok");
    let gateway =
        Setup::new(&GATE.replace("audience: orders, keys: { jwks", "audience: orders, leeway: 0s, keys: { jwks"))
            .origin(&origin)
            .file("jwks.json", jwt::jwks())
            .variable("JWT_SECRET", jwt::SECRET)
            .with("acme", hash(ACME))
            .with("gone", hash(GONE))
            .start();
    let token = jwt::EC.sign(&jwt::claims("ann", json!({ "exp": jwt::now() + 2 })));
    with_token(&gateway, "/corp", &token).expect_status(200);
    crate::support::wait::until_true("the token to expire", || with_token(&gateway, "/corp", &token).status == 401);
}

#[test]
fn two_credentials_are_refused() {
    let origin = Origin::saying("ok");
    let gateway = gate(&origin);
    let good = jwt::bearer(&jwt::token("ann", "orders.read"));
    let response = gateway.get_with("/corp", &[("Authorization", &good), ("authorization", "Bearer x")]);
    assert_eq!(response.expect_status(400).json()["code"], "credentials_ambiguous");
    assert_eq!(origin.count(), 0);
}

#[test]
fn the_scheme_has_no_case_and_no_other_scheme_counts() {
    let origin = Origin::saying("ok");
    let gateway = gate(&origin);
    let token = jwt::token("ann", "");
    gateway.get_with("/corp", &[("Authorization", &format!("bearer {token}"))]).expect_status(200);
    gateway.get_with("/corp", &[("Authorization", "Basic YTpi")]).expect_status(401);
    gateway.get_with("/corp", &[("Authorization", &token)]).expect_status(401);
}

#[test]
fn a_token_may_come_in_a_header_of_its_own() {
    let origin = Origin::saying("ok");
    let gateway = gate(&origin);
    let token = jwt::SHARED.sign(&jwt::claims("job", json!({})));
    gateway.get_with("/internal", &[("X-Internal-Token", &token)]).expect_status(200);
    with_token(&gateway, "/internal", &token).expect_status(401);
    assert_eq!(origin.only_request().values("X-Internal-Token"), [""; 0]);
}

#[test]
fn a_missing_scope_is_403_with_the_scope_in_the_challenge() {
    let origin = Origin::saying("ok");
    let gateway = gate(&origin);
    with_token(&gateway, "/scope", &jwt::token("ann", "orders.read orders.write more")).expect_status(200);
    let listed = jwt::RSA.sign(&jwt::claims("ann", json!({ "scope": ["orders.read", "orders.write"] })));
    with_token(&gateway, "/scope", &listed).expect_status(200);
    let response = with_token(&gateway, "/scope", &jwt::token("ann", "orders.read"));
    let challenge = response.header("WWW-Authenticate").expect("a challenge").to_owned();
    assert!(challenge.contains("scope=\"orders.read orders.write\""), "{challenge}");
    challenged(&gateway, response, 403, Some("insufficient_scope"), "scope_missing");
    // A scope is a whole word.
    with_token(&gateway, "/scope", &jwt::token("ann", "orders.read orders.writer")).expect_status(403);
}

#[test]
fn a_missing_role_or_claim_is_403() {
    let origin = Origin::saying("ok");
    let gateway = gate(&origin);
    let token = |extra| jwt::RSA.sign(&jwt::claims("ann", extra));
    with_token(&gateway, "/role", &token(json!({ "roles": ["reader", "admin"] }))).expect_status(200);
    with_token(&gateway, "/role", &token(json!({ "roles": ["reader"] }))).expect_status(403);
    with_token(&gateway, "/claim", &token(json!({ "plan": "platinum" }))).expect_status(200);
    with_token(&gateway, "/claim", &token(json!({ "plan": "silver" }))).expect_status(403);
    with_token(&gateway, "/claim", &token(json!({}))).expect_status(403);
    let lines = gateway.logged(5);
    let mut causes: Vec<_> = lines.iter().filter_map(|line| line["cause"].as_str()).collect();
    causes.sort_unstable();
    assert_eq!(causes, ["claim_mismatch", "claim_mismatch", "role_missing"]);
}

#[test]
fn an_api_key_is_known_by_its_hash() {
    let origin = Origin::saying("ok");
    let gateway = gate(&origin);
    for path in ["/partners", "/either", "/role", "/claim"] {
        gateway.get_with(path, &[("X-Api-Key", ACME)]).expect_status(200);
    }
    gateway.get_with("/scope", &[("X-Api-Key", ACME)]).expect_status(403);
    assert_eq!(gateway.logged(1)[0]["principal"], "acme");
}

#[test]
fn unknown_expired_and_missing_keys_are_401() {
    let origin = Origin::saying("ok");
    let gateway = gate(&origin);
    for (key, cause) in
        [(Some("wrong"), "api_key_unknown"), (Some(GONE), "api_key_expired"), (None, "credentials_missing")]
    {
        let fields: Vec<_> = key.iter().map(|key| ("X-Api-Key", *key)).collect();
        // RFC 9110 §15.5.2: a 401 carries a challenge.
        let response = gateway.get_with("/partners", &fields).expect_status(401);
        assert!(response.header("WWW-Authenticate").is_some(), "{response:?}");
        gateway.eventually_logged(|line| line["cause"] == cause);
    }
    // Its hash is not the key.
    gateway.get_with("/partners", &[("X-Api-Key", &hash(ACME))]).expect_status(401);
    assert_eq!(origin.count(), 0);
}

#[test]
fn any_of_several_credentials_will_do() {
    let origin = Origin::saying("ok");
    let gateway = gate(&origin);
    let token = jwt::bearer(&jwt::token("ann", "orders.read"));
    let expired = jwt::bearer(&jwt::RSA.sign(&jwt::claims("ann", json!({ "exp": 1 }))));
    let both = |bearer: &str, key: &str| gateway.get_with("/either", &[("Authorization", bearer), ("X-Api-Key", key)]);
    let caller = || origin.last_request().header("X-Portcullis-Principal").map(str::to_owned);
    for (bearer, key, principal) in [
        ("Bearer not-a-token", ACME, "acme"),
        (expired.as_str(), ACME, "acme"),
        (token.as_str(), "wrong", "ann"),
        (token.as_str(), GONE, "ann"),
        // The first in the order of the route.
        (token.as_str(), ACME, "ann"),
        // Remembered by now.
        (token.as_str(), "wrong", "ann"),
    ] {
        both(bearer, key).expect_status(200);
        assert_eq!(caller().as_deref(), Some(principal), "{bearer} {key}");
        let request = origin.last_request();
        assert_eq!((request.header("Authorization"), request.header("X-Api-Key")), (None, None), "neither is shown");
    }
    challenged(&gateway, both("Bearer not-a-token", "wrong"), 401, Some("invalid_token"), "token_malformed");
    let twice = [("Authorization", token.as_str()), ("Authorization", token.as_str()), ("X-Api-Key", ACME)];
    gateway.get_with("/either", &twice).expect_status(400);
}

#[test]
fn a_client_id_stands_for_an_audience_that_a_token_has_not() {
    let origin = Origin::saying("ok");
    let gateway = Setup::new(
        r#"
identities: { cognito: { jwt: { issuer: "https://id.example.com", client_id: app-1, keys: { jwks_file: "<dir>/jwks.json" } } } }
routes: [{ name: all, access: { identity: cognito }, upstream: origin }]
"#,
    )
    .origin(&origin)
    .file("jwks.json", jwt::jwks())
    .start();
    let signed = |client: &str, audience: bool| {
        let mut claims = jwt::claims("ann", json!({ "client_id": client, "token_use": "access" }));
        if !audience {
            claims.as_object_mut().expect("claims").remove("aud");
        }
        jwt::RSA.sign(&claims)
    };
    with_token(&gateway, "/", &signed("app-1", false)).expect_status(200);
    for token in [signed("app-2", false), signed("app-1", true)] {
        with_token(&gateway, "/", &token).expect_status(401);
        gateway.eventually_logged(|line| line["cause"] == "token_audience_mismatch");
    }
}

#[test]
fn the_origin_sees_the_caller_and_not_its_credentials() {
    let origin = Origin::saying("ok");
    let gateway = gate(&origin);
    let token = jwt::token("ann", "orders.read");
    with_token(&gateway, "/corp", &token).expect_status(200);
    gateway.get_with("/either", &[("X-Api-Key", ACME)]).expect_status(200);
    let requests = origin.requests();
    assert!(!requests[0].head.contains(&token), "{}", requests[0].head);
    assert!(!requests[1].head.contains(ACME), "{}", requests[1].head);
    for (request, caller, identity) in [(&requests[0], "ann", "corp"), (&requests[1], "acme", "partners")] {
        assert_eq!(request.header("X-Portcullis-Principal"), Some(caller));
        assert_eq!(request.header("X-Portcullis-Identity"), Some(identity));
        assert_eq!(request.header("X-Portcullis-Scopes"), Some("orders.read"));
    }
}

#[test]
fn credentials_are_shown_where_the_route_asks_for_it() {
    let origin = Origin::saying("ok");
    let gateway = gate(&origin);
    let bearer = jwt::bearer(&jwt::token("ann", ""));
    gateway.get_with("/shown", &[("Authorization", &bearer)]).expect_status(200);
    gateway.get_with("/shown", &[("X-Api-Key", ACME)]).expect_status(200);
    let requests = origin.requests();
    assert_eq!(requests[0].header("Authorization"), Some(bearer.as_str()));
    assert_eq!(requests[1].header("X-Api-Key"), Some(ACME));
}

#[test]
fn nobody_can_forge_the_identity_headers() {
    let origin = Origin::saying("ok");
    let gateway = gate(&origin);
    for name in ["Principal", "Identity", "Scopes", "Roles"] {
        // Some origins read `_` as `-`.
        for name in [format!("X-Portcullis-{name}"), format!("x_portcullis_{name}"), format!("x-portcullis_{name}")] {
            gateway.get_with("/open", &[(&name, "root")]).expect_status(200);
            assert!(!origin.last_request().head.contains("root"), "{}", origin.last_request().head);
            let token = jwt::bearer(&jwt::token("ann", "orders.read"));
            gateway.get_with("/corp", &[(&name, "root"), ("Authorization", &token)]).expect_status(200);
            assert!(!origin.last_request().head.contains("root"), "{}", origin.last_request().head);
        }
    }
}

#[test]
fn no_credential_is_ever_printed() {
    let origin = Origin::saying("ok");
    let gateway = gate(&origin);
    let token = jwt::token("ann", "");
    with_token(&gateway, "/corp", &token).expect_status(200);
    with_token(&gateway, "/role", &token).expect_status(403);
    gateway.get_with("/either", &[("X-Api-Key", ACME)]).expect_status(200);
    gateway.get_with("/partners", &[("X-Api-Key", "a-wrong-but-secret-key")]).expect_status(401);
    gateway.logged(4);
    let printed = gateway.stdout() + &gateway.stderr();
    let signature = token.rsplit('.').next().unwrap();
    for secret in [token.as_str(), signature, ACME, "a-wrong-but-secret-key", jwt::SECRET] {
        assert!(!printed.contains(secret), "{printed}");
    }
}

#[test]
fn a_route_that_says_nothing_about_access_is_refused() {
    let setup = Setup::new("routes: [{ name: forgotten, respond: { body: secret } }]");
    for command in ["check", "run"] {
        let output = setup.output(command, &[]);
        let words = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned();
        assert_eq!(output.status.code(), Some(78), "{words}");
        assert!(words.contains("access") && words.contains("public"), "{words}");
    }
}

#[test]
fn a_key_set_that_cannot_be_read_never_becomes_allow() {
    let setup = Setup::new(
        r#"
identities: { corp: { jwt: { issuer: a, audience: b, keys: { jwks_file: "<dir>/missing.json" } } } }
routes: [{ name: all, access: { identity: corp }, respond: { body: secret } }]
"#,
    );
    let output = setup.output("run", &[]);
    assert_eq!(output.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&output.stderr).contains("missing.json"));
    let empty = Setup::new(
        r#"
identities: { corp: { jwt: { issuer: a, audience: b, keys: { jwks_file: "<dir>/empty.json" } } } }
routes: [{ name: all, access: { identity: corp }, respond: { body: secret } }]
"#,
    )
    .file("empty.json", "{\"keys\":[]}");
    assert_eq!(empty.output("run", &[]).status.code(), Some(78));
}
