use std::hash::RandomState;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, Method, StatusCode, Version};
use serde_json::json;

use super::*;
use crate::decision::access::address::{self, List, ListId};
use crate::decision::access::{self, allow, testing};
use crate::decision::ids::UpstreamId;
use crate::decision::limit::{RateQuota, RouteLimits};
use crate::decision::request::connection::ConnectionFacts;
use crate::decision::request::{ReadRules, Scheme};
use crate::decision::response::{self, FixedAnswer, Operations};
use crate::decision::route::{Match, Table};

fn place(line: u32) -> Place {
    Place { file: "gateway.yaml".into(), line, column: 1 }
}

/// One route that wants a token with the scope `orders.write`, and limits callers.
fn rules() -> Policy {
    let allow =
        allow::AllowRules { scopes: vec!["orders.write".to_owned()], place: place(9), ..allow::AllowRules::default() };
    let operations = Operations {
        set: vec![(HeaderName::from_static("x-frame-options"), HeaderValue::from_static("DENY"))],
        ..Operations::default()
    };
    let response = Arc::new(response::ResponseRules::new(operations, None, Default::default()));
    let rate = Quota::Rate(RateQuota::new(50, Duration::from_secs(1), 100));
    Policy {
        read: ReadRules::for_test(),
        table: Table::build(vec![Match::any(RouteId(0))]).unwrap(),
        routes: vec![Route {
            name: "orders".into(),
            place: place(5),
            addresses: None,
            access: access::AccessRules::identified(vec![testing::corp()], allow, false),
            limits: RouteLimits { before_identity: vec![LimitId(1)], after_identity: vec![LimitId(0)] },
            action: Action::Respond(FixedAnswer {
                status: StatusCode::OK,
                content_type: HeaderValue::from_static("text/plain"),
                body: Bytes::new(),
            }),
            response: Arc::clone(&response),
            bounds: crate::decision::bounds::RouteBounds { body: 100, body_idle: None, body_rate: None },
            retries: None,
            answers_half_closed: false,
        }],
        limits: vec![
            Limit::new("per-caller".into(), "per-caller".into(), LimitKey::Principal, rate, false),
            Limit::new("at-once".into(), "at-once".into(), LimitKey::ClientAddress, Quota::Concurrent(3), false),
        ],
        address_lists: vec![List {
            file: "blocked.txt".into(),
            loaded: Arc::new(["2001:db8:1::/48"].iter().filter_map(|range| address::parse_range(range)).collect()),
        }],
        response,
    }
}

fn explained(claims: Option<Value>) -> Explanation {
    explained_by(&rules(), claims)
}

fn explained_by(rules: &Policy, claims: Option<Value>) -> Explanation {
    explained_with(rules, claims, &[])
}

fn explained_with(rules: &Policy, claims: Option<Value>, more: &[(&'static str, &'static str)]) -> Explanation {
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("api.example.com"));
    headers.insert("x-portcullis-principal", HeaderValue::from_static("forged"));
    headers.extend(more.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))));
    let raw = RawRequest {
        method: &Method::GET,
        target: b"/orders",
        authority: None,
        fields: (&headers).into(),
        version: Version::HTTP_11,
        connection: &ConnectionFacts::supposed("2001:db8:1:2::9".parse().unwrap(), Scheme::Https),
    };
    let claims = claims.map(|claims| match claims {
        Value::Object(claims) => claims,
        _ => Map::new(),
    });
    let hasher = BucketHasher::new(RandomState::new(), RandomState::new());
    explain(rules, &raw, claims, testing::now(), &hasher)
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
    let counted: Vec<LimitId> = explanation.limits.iter().map(|touched| touched.limit).collect();
    assert_eq!(counted, [LimitId(1)], "a refused caller takes from the limits before identity alone");
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
    assert_eq!(counted, ["client network 2001:db8:1:2::/64", "principal ann of corp"]);
    assert_eq!(explanation.principal.unwrap().id, "ann");
    let remaining = explanation.response_headers["ratelimit"].to_str().unwrap();
    assert!(remaining.starts_with("\"per-caller\";r=99"), "{remaining}");
    assert_eq!(explanation.response_headers["content-type"], "text/plain");
}

#[test]
fn the_origin_is_shown_what_it_would_be_shown() {
    let mut rules = rules();
    let rewrite = rewrite::RewriteRules {
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
    let addresses = address::AddressRules { allow: None, deny, report_only: false, place: place(7) };
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

#[test]
fn a_declared_body_over_the_bound_is_refused() {
    let claims = || Some(json!({"sub": "ann", "scope": "orders.write"}));
    let explanation = explained_with(&rules(), claims(), &[("content-length", "101")]);
    assert_eq!(refused(&explanation), (Cause::BodyTooLarge, Some(place(5))));
    assert!(explanation.limits.is_empty() && explanation.principal.is_none());
    assert_eq!(explained_with(&rules(), claims(), &[("content-length", "100")]).verdict, Verdict::Answer);
}
