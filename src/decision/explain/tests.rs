use std::hash::RandomState;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, Method, StatusCode};
use jsonwebtoken::Algorithm;
use serde_json::json;

use super::*;
use crate::decision::access::address::{self, List, ListId};
use crate::decision::access::limit::RateQuota;
use crate::decision::access::{Identity, allow, jwt, testing};
use crate::decision::request::fields::FieldNames;
use crate::decision::request::{ReadRules, Scheme};
use crate::decision::response::{Fixed, Operations};
use crate::decision::route::Table;
use crate::decision::rules::UpstreamId;

fn place(line: u32) -> Place {
    Place { file: "gateway.yaml".into(), line, column: 1 }
}

/// One route that wants a token with the scope `orders.write`, and limits callers.
fn rules() -> Rules {
    let jwt = jwt::Rules {
        issuer: testing::ISSUER.to_owned(),
        audiences: vec![testing::AUDIENCE.to_owned()],
        algorithms: vec![Algorithm::ES256],
        keys: jwt::keys::parse_jwks(testing::jwks().to_string().as_bytes()).unwrap().keys,
        leeway: 0,
        header: None,
        principal_claim: "sub".to_owned(),
        scope_claim: "scope".to_owned(),
        roles_claim: "roles".to_owned(),
    };
    let identity = Identity { name: "corp".into(), fingerprint: 0, method: access::Method::Jwt(jwt) };
    let allow = allow::Rules { scopes: vec!["orders.write".to_owned()], place: place(9), ..allow::Rules::default() };
    let operations = Operations {
        set: vec![(HeaderName::from_static("x-frame-options"), HeaderValue::from_static("DENY"))],
        ..Operations::default()
    };
    let response = Arc::new(response::Rules::new(operations, None, Default::default()));
    let rate = Quota::Rate(RateQuota::new(50, Duration::from_secs(1), 100));
    Rules {
        read: ReadRules { max_uri: 8192, max_header_bytes: 8192, max_header_count: 100, trusted_proxies: Vec::new() },
        table: Table::default(),
        routes: vec![Route {
            name: "orders".into(),
            place: place(5),
            addresses: None,
            access: access::Rules::identified(vec![Arc::new(identity)], allow, false),
            limits: vec![LimitId(0), LimitId(1)],
            action: Action::Respond(Fixed {
                status: StatusCode::OK,
                content_type: HeaderValue::from_static("text/plain"),
                body: Bytes::new(),
            }),
            response: Arc::clone(&response),
            max_body: 0,
            body_pacing: crate::decision::rules::Pacing { idle: None, rate: None },
            retries: None,
        }],
        limits: vec![
            Limit::new("per-caller".into(), "per-caller".into(), Key::Principal, rate, false),
            Limit::new("at-once".into(), "at-once".into(), Key::ClientAddress, Quota::Concurrent(3), false),
        ],
        address_lists: vec![List {
            file: "blocked.txt".into(),
            loaded: Arc::new(["2001:db8:1::/48"].iter().filter_map(|range| address::parse_range(range)).collect()),
        }],
        response,
        fields: FieldNames::default(),
    }
}

fn explained(claims: Option<Value>) -> Explanation {
    explained_by(&rules(), claims)
}

fn explained_by(rules: &Rules, claims: Option<Value>) -> Explanation {
    let normal = Normal {
        host: "api.example.com".to_owned(),
        port: None,
        path: "/orders".to_owned(),
        query: None,
        path_changed: false,
        spelling: Default::default(),
        client: "2001:db8:1:2::9".parse().unwrap(),
        scheme: Scheme::Https,
        trusted_peer: false,
        request_id: None,
    };
    let mut headers = HeaderMap::new();
    headers.insert("x-portcullis-principal", HeaderValue::from_static("forged"));
    let view = RequestView::for_test(&Method::GET, &normal, &headers);
    let claims = claims.map(|claims| match claims {
        Value::Object(claims) => claims,
        _ => Map::new(),
    });
    let hasher = BucketHasher::new(RandomState::new(), RandomState::new());
    let asked = Asked { view, parameters: Parameters::new() };
    explain_route(rules, RouteId(0), &asked, claims, testing::now(), &hasher)
}

fn refused(explanation: &Explanation) -> (Cause, Option<Place>) {
    match &explanation.verdict {
        Verdict::Refuse { denial, place } => (denial.cause, place.clone()),
        other => panic!("must be refused, is {other:?}"),
    }
}

#[test]
fn a_refusal_names_its_place_and_its_headers() {
    let explanation = explained(None);
    assert_eq!(refused(&explanation), (Cause::CredentialsMissing, Some(place(5))));
    assert_eq!(explanation.response_headers["www-authenticate"], r#"Bearer realm="portcullis""#);
    assert_eq!(explanation.response_headers["x-frame-options"], "DENY");
    assert!(explanation.limits.is_empty(), "a refused caller takes from no limit");
}

#[test]
fn authorization_is_decided_on_the_given_claims() {
    let explanation = explained(Some(json!({"sub": "ann", "scope": "orders.read"})));
    assert_eq!(refused(&explanation), (Cause::ScopeMissing, Some(place(9))));
    assert_eq!(refused(&explained(Some(json!({"scope": "orders.write"})))).0, Cause::TokenMalformed);
}

#[test]
fn an_admitted_request_names_its_limits() {
    let explanation = explained(Some(json!({"sub": "ann", "scope": "orders.write"})));
    assert_eq!(explanation.verdict, Verdict::Answer);
    let counted: Vec<&str> = explanation.limits.iter().map(|touched| touched.counted_by.as_str()).collect();
    assert_eq!(counted, ["principal ann of corp", "client network 2001:db8:1:2::/64"]);
    assert_eq!(explanation.principal.unwrap().id, "ann");
    let remaining = explanation.response_headers["ratelimit"].to_str().unwrap();
    assert!(remaining.starts_with("\"per-caller\";r=99"), "{remaining}");
    assert_eq!(explanation.response_headers["content-type"], "text/plain");
}

#[test]
fn the_origin_is_shown_what_it_would_be_shown() {
    let mut rules = rules();
    let rewrite = rewrite::Rules {
        path: Some(rewrite::PathRewrite::Prefix { strip: String::new(), add: "/api".to_owned() }),
        host: Some("orders.internal".to_owned()),
    };
    rules.routes[0].action = Action::Forward { to: Destination::One(UpstreamId(0)), rewrite, mirror: None };
    let explanation = explained_by(&rules, Some(json!({"sub": "ann", "scope": "orders.write"})));
    let Verdict::Forward { target, host, edits, .. } = &explanation.verdict else { panic!("must be forwarded") };
    assert_eq!((target.as_str(), host.as_str()), ("/api/orders", "orders.internal"));
    assert!(edits.contains(&Edit::Remove(HeaderName::from_static("authorization"))));
    let principal = HeaderName::from_static("x-portcullis-principal");
    assert!(edits.contains(&Edit::Set(principal, HeaderValue::from_static("ann"))));
}

#[test]
fn an_address_rule_refuses_before_anyone_asks_who_it_is() {
    let mut rules = rules();
    let deny = address::Addresses { lists: vec![(ListId(0), "blocked.txt".into())], ..address::Addresses::default() };
    let addresses = address::Rules { allow: None, deny, report_only: false, place: place(7) };
    rules.routes[0].addresses = Some(Box::new(addresses));
    let explanation = explained_by(&rules, None);
    assert_eq!(refused(&explanation), (Cause::AddressDenied, Some(place(7))));
    assert_eq!(explanation.response_headers["x-frame-options"], "DENY");
    let verdict = explanation.addresses.unwrap();
    assert_eq!(verdict.against.unwrap().detail, "2001:db8:1:2::9 is denied by `blocked.txt`");

    rules.routes[0].addresses.as_mut().unwrap().report_only = true;
    let explanation = explained_by(&rules, None);
    assert_eq!(refused(&explanation).0, Cause::CredentialsMissing);
    assert!(explanation.addresses.is_some_and(|verdict| verdict.report_only && verdict.against.is_some()));
}
