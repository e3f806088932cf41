use std::collections::HashMap;
use std::hash::RandomState;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, Method as HttpMethod, StatusCode};
use jsonwebtoken::Algorithm;
use serde_json::json;

use super::allow::AllowRules;
use super::stages::{AddressChecked, Authenticated, Authorized, check_address};
use super::testing::{Signer, at, claims, now};
use super::*;
use crate::decision::limit::{
    BucketKey, Limit, LimitId, LimitKey, LimitResult, LimitStatus, Quota, RateQuota, RouteLimits,
};
use crate::decision::outcome::{Cause, Denial};
use crate::decision::policy;
use crate::decision::request::{NormalizedRequest, RequestView, Scheme};
use crate::decision::response::{self, FixedAnswer};
use crate::diagnostics::Place;

static HASHER: LazyLock<BucketHasher> = LazyLock::new(|| BucketHasher::new(RandomState::new(), RandomState::new()));

fn corp(name: &str, issuer: &str) -> Arc<IdentityProvider> {
    let rules = jwt::JwtRules {
        issuer: issuer.to_owned(),
        audiences: vec![testing::AUDIENCE.to_owned()],
        client_ids: Vec::new(),
        algorithms: vec![Algorithm::ES256],
        keys: jwt::key_set::parse_jwks(testing::jwks().to_string().as_bytes()).unwrap().keys,
        longest: 16 << 10,
        leeway: 30,
        header: None,
        principal_claim: "sub".to_owned(),
        scope_claim: "scope".to_owned(),
        roles_claim: "roles".to_owned(),
    };
    let fingerprint = name.len() as u64;
    Arc::new(IdentityProvider { name: name.into(), fingerprint, method: IdentificationMethod::Jwt(rules) })
}

/// Knows the key made of these 32 bytes.
fn partners(name: &str, byte: u8, expires: Option<SystemTime>) -> Arc<IdentityProvider> {
    let principal = Principal {
        id: format!("partner-{byte}"),
        identity: name.into(),
        scopes: vec!["orders.read".to_owned()],
        roles: vec![],
        claims: serde_json::Map::new(),
        expires,
    };
    let keys = HashMap::from([(api_key::make(&[byte; 32]).1, Arc::new(principal))]);
    let rules = api_key::ApiKeyRules::new(HeaderName::from_static("x-api-key").into(), keys);
    Arc::new(IdentityProvider { name: name.into(), fingerprint: 7, method: IdentificationMethod::ApiKey(rules) })
}

fn key(byte: u8) -> String {
    api_key::make(&[byte; 32]).0.expose().clone()
}

fn scopes(scopes: &[&str]) -> AllowRules {
    AllowRules { scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(), ..AllowRules::default() }
}

fn route(access: AccessRules, limits: &[u32]) -> policy::Route {
    policy::Route {
        name: "orders".into(),
        place: Place::default(),
        addresses: None,
        access,
        limits: RouteLimits {
            before_identity: Vec::new(),
            after_identity: limits.iter().copied().map(LimitId).collect(),
        },
        action: policy::Action::Respond(FixedAnswer {
            status: StatusCode::OK,
            content_type: HeaderValue::from_static("text/plain"),
            body: bytes::Bytes::new(),
        }),
        response: Arc::new(response::ResponseRules::default()),
        bounds: crate::decision::bounds::RouteBounds { body: 0, body_idle: None, body_rate: None },
        retries: None,
        answers_half_closed: false,
    }
}

fn identified(identities: Vec<Arc<IdentityProvider>>) -> policy::Route {
    route(AccessRules::identified(identities, scopes(&["orders.read"]), false), &[])
}

struct Request {
    normal: NormalizedRequest,
    headers: HeaderMap,
}

fn request(headers: &[(&'static str, &str)]) -> Request {
    from("192.0.2.1", headers)
}

fn from(client: &str, headers: &[(&'static str, &str)]) -> Request {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    let normal = NormalizedRequest {
        host: "api.example.com".to_owned(),
        client: client.parse::<IpAddr>().unwrap(),
        scheme: Scheme::Https,
        ..NormalizedRequest::for_test()
    };
    Request { normal, headers: map }
}

impl Request {
    fn view(&self) -> RequestView<'_> {
        RequestView::for_test(&HttpMethod::GET, &self.normal, &self.headers)
    }
}

/// Past the address rules of `route`, which name no list files.
fn address_checked(route: &policy::Route, request: &Request) -> Result<AddressChecked, Denial> {
    let no_lists: &[address::List] = &[];
    check_address(route.addresses.as_deref(), no_lists, request.normal.client)
}

/// Past identity, on a route without limits.
fn authenticated(
    route: &policy::Route,
    request: &Request,
    remembered: Option<Arc<Principal>>,
    now: SystemTime,
) -> Result<Authenticated, Denial> {
    let checked = address_checked(route, request)?.check_limits(&[], &[], &[])?;
    checked.authenticate(&route.access, (&request.headers).into(), remembered, now)
}

fn authorized(
    route: &policy::Route,
    request: &Request,
    remembered: Option<Arc<Principal>>,
    now: SystemTime,
) -> Result<Authorized, Denial> {
    authenticated(route, request, remembered, now)?.authorize(&route.access)
}

fn decide(route: &policy::Route, headers: &[(&'static str, &str)]) -> Result<Authorized, Denial> {
    authorized(route, &request(headers), None, now())
}

fn token_digest(route: &policy::Route, request: &Request) -> Option<CredentialDigest> {
    let checked = address_checked(route, request).unwrap().check_limits(&[], &[], &[]).unwrap();
    checked.token_digest(&route.access, (&request.headers).into())
}

fn refused(route: &policy::Route, headers: &[(&'static str, &str)]) -> (Cause, String) {
    let denial = decide(route, headers).expect_err("the request must be refused");
    (denial.cause, denial.challenge.map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default())
}

fn caller(route: &policy::Route, headers: &[(&'static str, &str)]) -> String {
    decide(route, headers).unwrap().principal().unwrap().id.clone()
}

fn bearer(claims: &serde_json::Value) -> String {
    format!("Bearer {}", testing::token(&json!({"alg": "ES256"}), claims, &Signer::P256))
}

const INVALID: &str = r#"Bearer realm="portcullis", error="invalid_token", error_description="The token is not valid""#;

#[test]
fn public_routes_ask_for_nothing() {
    assert_eq!(AccessRules::Public.to_string(), "public");
    let route = route(AccessRules::Public, &[]);
    assert!(decide(&route, &[("authorization", "Bearer junk")]).unwrap().principal().is_none());
    assert_eq!(token_digest(&route, &request(&[("authorization", "Bearer junk")])), None);
}

/// `route`, not for clients in 192.0.2.0/24.
fn denying(mut route: policy::Route, report_only: bool) -> policy::Route {
    let ranges = [address::parse_range("192.0.2.0/24").unwrap()].into_iter().collect();
    let deny = address::Addresses { ranges, lists: Vec::new() };
    route.addresses = Some(Box::new(address::AddressRules { allow: None, deny, report_only, place: Place::default() }));
    route
}

#[test]
fn address_rules_hold_on_public_routes_too() {
    let route = denying(route(AccessRules::Public, &[]), false);
    let cause = |client| address_checked(&route, &from(client, &[])).err().map(|denial| denial.cause);
    assert_eq!(cause("192.0.2.9"), Some(Cause::AddressDenied));
    assert_eq!(cause("::ffff:192.0.2.9"), Some(Cause::AddressDenied));
    assert_eq!(cause("198.51.100.9"), None);
}

#[test]
fn address_rules_are_asked_before_the_credentials() {
    let route = denying(identified(vec![corp("corp", testing::ISSUER)]), false);
    assert_eq!(refused(&route, &[]), (Cause::AddressDenied, String::new()));
    assert_eq!(refused(&route, &[("authorization", "Bearer junk")]).0, Cause::AddressDenied);
}

#[test]
fn an_address_rule_that_reports_is_what_the_permit_tells_first() {
    let route = denying(route(AccessRules::Public, &[]), true);
    let authorized = authorized(&route, &request(&[]), None, now()).unwrap();
    assert_eq!(authorized.check_limits(&[], &[], &[]).unwrap().would_deny(), Some(Cause::AddressDenied));

    let limits = [limit(LimitKey::Gateway, rate(), true)];
    let checked = address_checked(&route, &request(&[])).unwrap();
    let checked = checked.check_limits(&[LimitId(0)], &limits, &[result(false, 0)]).unwrap();
    let authenticated = checked.authenticate(&route.access, (&HeaderMap::new()).into(), None, now()).unwrap();
    let permit = authenticated.authorize(&route.access).unwrap().check_limits(&[], &limits, &[]).unwrap();
    assert_eq!(permit.would_deny(), Some(Cause::AddressDenied));
}

#[test]
fn missing_credentials_are_asked_for_in_every_way() {
    let route = identified(vec![corp("corp", testing::ISSUER), partners("partners", 1, None)]);
    let challenge = r#"Bearer realm="portcullis", ApiKey realm="portcullis", header="x-api-key""#;
    assert_eq!(refused(&route, &[]), (Cause::CredentialsMissing, challenge.to_owned()));
    assert_eq!(refused(&route, &[("authorization", "Basic YTpi")]).0, Cause::CredentialsMissing);
}

#[test]
fn the_first_credential_that_succeeds_says_who_it_is() {
    let route = identified(vec![corp("corp", testing::ISSUER), partners("partners", 1, None)]);
    assert_eq!(caller(&route, &[("authorization", &bearer(&claims()))]), "ann");
    assert_eq!(caller(&route, &[("x-api-key", &key(1))]), "partner-1");
    let both = [("authorization", "Bearer junk"), ("x-api-key", key(1).as_str())].map(|(n, v)| (n, v.to_owned()));
    let both: Vec<(&'static str, &str)> = both.iter().map(|(n, v)| (*n, v.as_str())).collect();
    assert_eq!(caller(&route, &both), "partner-1", "the key succeeds where the token does not");
    let good = bearer(&claims());
    assert_eq!(caller(&route, &[("authorization", &good), ("x-api-key", &key(2))]), "ann");
    assert_eq!(caller(&route, &[("authorization", &good), ("x-api-key", &key(1))]), "ann", "the first of both");
    let bad = [("authorization", "Bearer junk"), ("x-api-key", "junk")];
    assert_eq!(refused(&route, &bad), (Cause::TokenMalformed, INVALID.to_owned()), "the first one's refusal");
    let (key, good) = (key(1), bearer(&claims()));
    let ambiguous = [("authorization", good.as_str()), ("authorization", good.as_str()), ("x-api-key", key.as_str())];
    assert_eq!(refused(&route, &ambiguous).0, Cause::CredentialsAmbiguous);
}

#[test]
fn a_token_behind_a_bad_key_is_remembered_as_its_own() {
    let route = identified(vec![partners("partners", 1, None), corp("corp", testing::ISSUER)]);
    let request = request(&[("x-api-key", &key(2)), ("authorization", &bearer(&claims()))]);
    let digest = token_digest(&route, &request).unwrap();
    let (remembered, principal) = authenticated(&route, &request, None, now()).unwrap().verified().unwrap();
    assert_eq!((remembered, principal.id.as_str()), (digest, "ann"));
    let again = authenticated(&route, &request, Some(principal), now()).unwrap();
    assert!(again.verified().is_none() && again.principal().is_some_and(|caller| caller.id == "ann"));
}

#[test]
fn two_credentials_of_a_kind_are_refused() {
    let route = identified(vec![corp("corp", testing::ISSUER), partners("partners", 1, None)]);
    let good = bearer(&claims());
    let (cause, challenge) = refused(&route, &[("authorization", &good), ("authorization", &good)]);
    assert_eq!((cause, cause.status()), (Cause::CredentialsAmbiguous, StatusCode::BAD_REQUEST));
    assert!(challenge.contains(r#"error="invalid_request""#));
    assert_eq!(
        refused(&route, &[("authorization", &good), ("authorization", "Basic x")]).0,
        Cause::CredentialsAmbiguous
    );
    assert_eq!(refused(&route, &[("x-api-key", "a"), ("x-api-key", "a")]).0, Cause::CredentialsAmbiguous);
}

#[test]
fn a_bad_token_is_challenged_with_its_error() {
    let route = identified(vec![corp("corp", testing::ISSUER)]);
    let mut old = claims();
    old["exp"] = json!(at(-60));
    let (cause, challenge) = refused(&route, &[("authorization", &bearer(&old))]);
    assert_eq!(cause, Cause::TokenExpired);
    assert!(challenge.ends_with(r#"error="invalid_token", error_description="The token has expired""#));
    assert_eq!(refused(&route, &[("authorization", "Bearer")]), (Cause::TokenMalformed, INVALID.to_owned()));
}

#[test]
fn a_token_without_the_scope_is_told_which() {
    let access = AccessRules::identified(
        vec![corp("corp", testing::ISSUER), partners("partners", 1, None)],
        scopes(&["orders.read", "orders.write"]),
        false,
    );
    let route = route(access, &[]);
    let (cause, challenge) = refused(&route, &[("authorization", &bearer(&claims()))]);
    assert_eq!((cause, cause.status()), (Cause::ScopeMissing, StatusCode::FORBIDDEN));
    assert_eq!(challenge, r#"Bearer realm="portcullis", error="insufficient_scope", scope="orders.read orders.write""#);
    assert_eq!(refused(&route, &[("x-api-key", &key(1))]), (Cause::ScopeMissing, String::new()));
}

#[test]
fn unknown_and_expired_keys_are_told_apart_in_the_log() {
    let route = identified(vec![partners("partners", 1, Some(now()))]);
    let challenge = r#"ApiKey realm="portcullis", header="x-api-key""#.to_owned();
    assert_eq!(refused(&route, &[("x-api-key", &key(2))]), (Cause::ApiKeyUnknown, challenge.clone()));
    assert_eq!(refused(&route, &[("x-api-key", "")]).0, Cause::ApiKeyUnknown);
    assert_eq!(refused(&route, &[("x-api-key", &"x".repeat(513))]).0, Cause::ApiKeyUnknown);
    assert_eq!(refused(&route, &[("x-api-key", &key(1))]), (Cause::ApiKeyExpired, challenge));
    let ends = Some(now() + Duration::from_secs(1));
    assert_eq!(caller(&identified(vec![partners("partners", 1, ends)]), &[("x-api-key", &key(1))]), "partner-1");
}

#[test]
fn identities_that_share_a_header_are_told_apart() {
    let other = "https://other.example";
    let route = identified(vec![
        corp("corp", testing::ISSUER),
        corp("other", other),
        partners("first", 1, None),
        partners("second", 2, None),
    ]);
    let identity =
        |headers: &[(&'static str, &str)]| decide(&route, headers).unwrap().principal().unwrap().identity.clone();
    let mut theirs = claims();
    theirs["iss"] = json!(other);
    assert_eq!(&*identity(&[("authorization", &bearer(&claims()))]), "corp");
    assert_eq!(&*identity(&[("authorization", &bearer(&theirs))]), "other");
    assert_eq!(&*identity(&[("x-api-key", &key(2))]), "second");
    theirs["iss"] = json!("https://evil.example");
    assert_eq!(refused(&route, &[("authorization", &bearer(&theirs))]).0, Cause::TokenIssuerMismatch);
}

#[test]
fn a_verified_token_is_remembered_and_checked_again() {
    let route = identified(vec![corp("corp", testing::ISSUER)]);
    let request = request(&[("authorization", &bearer(&claims()))]);
    let digest = token_digest(&route, &request).unwrap();
    let fresh = authenticated(&route, &request, None, now()).unwrap();
    let (remembered, principal) = fresh.verified().unwrap();
    assert_eq!(remembered, digest);

    let known = || Some(Arc::clone(&principal));
    let again = authenticated(&route, &request, known(), now()).unwrap();
    assert!(again.principal().is_some() && again.verified().is_none());
    let late = now() + Duration::from_secs(330);
    assert_eq!(authenticated(&route, &request, known(), late).unwrap_err().cause, Cause::TokenExpired);

    let stricter = super::tests::route(
        AccessRules::identified(vec![corp("corp", testing::ISSUER)], scopes(&["orders.write"]), false),
        &[],
    );
    assert_eq!(authorized(&stricter, &request, known(), now()).unwrap_err().cause, Cause::ScopeMissing);

    let elsewhere = identified(vec![corp("branch", "https://other.example")]);
    assert_ne!(token_digest(&elsewhere, &request), Some(digest));
    assert_eq!(authenticated(&elsewhere, &request, known(), now()).unwrap_err().cause, Cause::TokenIssuerMismatch);
}

#[test]
fn only_tokens_of_bearable_length_are_looked_up() {
    let route = identified(vec![partners("partners", 1, None), corp("corp", testing::ISSUER)]);
    let needs = |headers: &[(&'static str, &str)]| token_digest(&route, &request(headers));
    assert!(needs(&[("authorization", "Bearer a.b.c")]).is_some());
    assert_ne!(needs(&[("authorization", "Bearer a.b.c")]), needs(&[("authorization", "Bearer a.b.d")]));
    let both = needs(&[("authorization", "Bearer a.b.c"), ("x-api-key", "k")]);
    assert_eq!(both, needs(&[("authorization", "Bearer a.b.c")]), "the key may not succeed");
    assert_eq!(needs(&[("x-api-key", "k")]), None);
    assert_eq!(needs(&[("authorization", &format!("Bearer {}", "a".repeat((16 << 10) + 1)))]), None);
    assert_eq!(needs(&[]), None);
}

#[test]
fn the_headers_with_credentials_are_known() {
    let both = || vec![corp("corp", testing::ISSUER), corp("b", "b"), partners("partners", 1, None)];
    let caller = Principal {
        id: "alice".to_owned(),
        identity: "b".into(),
        scopes: Default::default(),
        roles: Default::default(),
        claims: Default::default(),
        expires: None,
    };
    let names =
        |rules: &AccessRules| rules.hidden_headers(Some(&caller)).map(HeaderName::as_str).collect::<Vec<_>>().join(" ");
    let rules = |forward| AccessRules::identified(both(), AllowRules::default(), forward);
    assert_eq!(names(&rules(false)), "authorization x-api-key");
    // What was not verified is not forwarded with what was.
    assert_eq!(names(&rules(true)), "x-api-key");
    assert_eq!(names(&AccessRules::Public), "");
}

#[test]
fn without_identities_nobody_passes() {
    let route = route(AccessRules::identified(vec![], AllowRules::default(), false), &[]);
    assert_eq!(refused(&route, &[("authorization", "Bearer a")]), (Cause::CredentialsMissing, String::new()));
}

fn limit(key: LimitKey, quota: Quota, report_only: bool) -> Limit {
    Limit::new("per-caller".into(), "per-caller".into(), key, quota, report_only)
}

fn rate() -> Quota {
    Quota::Rate(RateQuota::new(10, Duration::from_secs(1), 10))
}

fn bucket(key: LimitKey, request: &Request, principal: Option<&Principal>) -> BucketKey {
    HASHER.bucket(&key, "orders", &request.view(), principal)
}

#[test]
fn clients_share_a_bucket_as_they_share_a_network() {
    let bucket = |client: &str| bucket(LimitKey::ClientAddress, &from(client, &[]), None);
    assert_ne!(bucket("192.0.2.1"), bucket("192.0.2.2"));
    assert_eq!(bucket("192.0.2.1"), bucket("::ffff:192.0.2.1"));
    assert_eq!(bucket("2001:db8:1:2::1"), bucket("2001:db8:1:2:ffff::9"));
    assert_ne!(bucket("2001:db8:1:2::1"), bucket("2001:db8:1:3::1"));
}

#[test]
fn buckets_of_different_kinds_never_meet() {
    let header = || LimitKey::Header(HeaderName::from_static("x-tenant").into());
    let request = request(&[("x-tenant", "orders")]);
    let principal = |identity: &str, id: &str| Principal {
        id: id.to_owned(),
        identity: identity.into(),
        scopes: vec![],
        roles: vec![],
        claims: serde_json::Map::new(),
        expires: None,
    };
    let buckets = [
        bucket(LimitKey::ClientAddress, &request, None),
        bucket(LimitKey::Principal, &request, Some(&principal("a", "bc"))),
        bucket(LimitKey::Principal, &request, Some(&principal("ab", "c"))),
        bucket(header(), &request, None),
        bucket(header(), &super::tests::request(&[("x-tenant", "ord"), ("x-tenant", "ers")]), None),
        bucket(LimitKey::Route, &request, None),
        bucket(LimitKey::Gateway, &request, None),
    ];
    for (index, one) in buckets.iter().enumerate() {
        assert!(!buckets[index + 1..].contains(one), "{index}");
    }
    assert_eq!(bucket(header(), &super::tests::request(&[]), None), buckets[0], "no header: by address");
}

/// Asks `limits` after identity, on a public route.
fn admit(limits: &[Limit], results: &[LimitResult]) -> Result<Permit, Denial> {
    let owed: Vec<LimitId> = (0..limits.len() as u32).map(LimitId).collect();
    let route = route(AccessRules::Public, &[]);
    authorized(&route, &request(&[]), None, now())?.check_limits(&owed, limits, results)
}

fn result(granted: bool, remaining: u64) -> LimitResult {
    LimitResult { granted, remaining, retry_after: Duration::from_secs(3), reset_after: Duration::from_secs(9) }
}

#[test]
fn the_first_enforcing_limit_that_refuses_decides() {
    let limits = [limit(LimitKey::Gateway, rate(), false), limit(LimitKey::Route, Quota::Concurrent(1), false)];
    let denial = admit(&limits, &[result(true, 5), result(false, 0)]).unwrap_err();
    assert_eq!((denial.cause, denial.retry_after), (Cause::ConcurrencyExceeded, Some(Duration::from_secs(3))));
    assert_eq!(denial.limit, Some(LimitStatus { limit: LimitId(1), result: result(false, 0) }));
    // The adapter may stop at the first refusal.
    assert_eq!(admit(&limits, &[result(false, 0)]).unwrap_err().cause, Cause::RateExceeded);
}

#[test]
fn a_limit_that_was_not_asked_does_not_agree() {
    let limits = [limit(LimitKey::Gateway, rate(), false), limit(LimitKey::Route, rate(), false)];
    assert_eq!(admit(&limits, &[result(true, 5)]).unwrap_err().cause, Cause::InternalError);
    let checked = address_checked(&route(AccessRules::Public, &[]), &request(&[])).unwrap();
    assert_eq!(checked.check_limits(&[LimitId(0)], &limits, &[]).unwrap_err().cause, Cause::InternalError);
}

#[test]
fn a_reporting_limit_only_reports() {
    let limits = [limit(LimitKey::Gateway, rate(), true), limit(LimitKey::Route, rate(), false)];
    let permit = admit(&limits, &[result(false, 0), result(true, 4)]).unwrap();
    assert_eq!(permit.would_deny(), Some(Cause::RateExceeded));
    assert_eq!(permit.limit_status().map(|status| status.limit), Some(LimitId(1)));
}

#[test]
fn the_status_is_that_of_the_tightest_rate() {
    let limits = [
        limit(LimitKey::Gateway, rate(), false),
        limit(LimitKey::Route, rate(), false),
        limit(LimitKey::Route, Quota::Concurrent(9), false),
    ];
    let permit = admit(&limits, &[result(true, 5), result(true, 2), result(true, 1)]).unwrap();
    assert_eq!(permit.limit_status(), Some(LimitStatus { limit: LimitId(1), result: result(true, 2) }));
    assert!(permit.would_deny().is_none() && permit.principal().is_none());
}

#[test]
fn limits_of_both_phases_are_compared() {
    let limits = [limit(LimitKey::Gateway, rate(), false), limit(LimitKey::Principal, rate(), false)];
    let route = route(AccessRules::Public, &[]);
    let checked = address_checked(&route, &request(&[])).unwrap();
    let checked = checked.check_limits(&[LimitId(0)], &limits, &[result(true, 2)]).unwrap();
    let authenticated = checked.authenticate(&route.access, (&HeaderMap::new()).into(), None, now()).unwrap();
    let authorized = authenticated.authorize(&route.access).unwrap();
    let permit = authorized.check_limits(&[LimitId(1)], &limits, &[result(true, 3)]).unwrap();
    assert_eq!(permit.limit_status().map(|status| status.limit), Some(LimitId(0)));
}
