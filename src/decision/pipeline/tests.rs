use std::hash::RandomState;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Version};
use smallvec::smallvec;

use super::*;
use crate::decision::access::{self, address, testing};
use crate::decision::bounds::RouteBounds;
use crate::decision::limit::{Limit, LimitId, LimitKey, LimitResult, Phase, Quota, RateQuota, RouteLimits};
use crate::decision::policy::{Action, Route};
use crate::decision::request::ReadRules;
use crate::decision::request::connection::ConnectionFacts;
use crate::decision::response;
use crate::decision::rewrite;
use crate::decision::route::{Match, Table};
use crate::decision::upstream::share::Share;
use crate::decision::upstream::split::{Destination, Side, Split};
use crate::diagnostics::Place;

/// One public route for everything, which answers itself.
fn rules() -> Policy {
    let methods = vec![Method::GET, Method::POST];
    let table = Table::build(vec![Match { methods, ..Match::any(RouteId(0)) }]);
    let fixed = FixedAnswer {
        status: StatusCode::OK,
        content_type: HeaderValue::from_static("text/plain"),
        body: Bytes::from_static(b"ok"),
    };
    Policy {
        read: ReadRules { max_uri: 100, ..ReadRules::for_test() },
        table: table.unwrap(),
        routes: vec![Route {
            name: "all".into(),
            place: Place::default(),
            addresses: None,
            access: access::AccessRules::Public,
            limits: RouteLimits::default(),
            action: Action::Respond(fixed),
            response: Arc::new(response::ResponseRules::default()),
            bounds: RouteBounds { body: 100, body_idle: None, body_rate: None },
            retries: None,
            answers_half_closed: false,
        }],
        limits: Vec::new(),
        address_lists: Vec::new(),
        response: Arc::new(response::ResponseRules::default()),
    }
}

/// The same, for callers of whom nobody is recognised.
fn closed() -> Policy {
    let mut rules = rules();
    rules.routes[0].access =
        access::AccessRules::identified(vec![testing::corp()], access::allow::AllowRules::default(), false);
    rules
}

/// Puts a limit of each phase before the route.
fn limited(mut rules: Policy) -> Policy {
    let rate = || Quota::Rate(RateQuota::new(1, std::time::Duration::from_secs(1), 1));
    let limit =
        |name: &str, phase| Limit::new(name.into(), name.into(), LimitKey::Route, rate(), false).in_phase(phase);
    rules.limits = vec![limit("late", Phase::AfterIdentity), limit("early", Phase::BeforeIdentity)];
    rules.routes[0].limits = RouteLimits::new([LimitId(0), LimitId(1)], &rules.limits);
    rules
}

const GRANTED: LimitResult = LimitResult {
    granted: true,
    remaining: 9,
    retry_after: std::time::Duration::ZERO,
    reset_after: std::time::Duration::ZERO,
};

const REFUSED: LimitResult = LimitResult { granted: false, remaining: 0, ..GRANTED };

/// Gives `facts` in turn, and says what the last of them led to, with what was found out by then.
fn after(rules: &Policy, headers: &[(&'static str, &str)], facts: Vec<Fact>) -> (Step, Findings) {
    let mut map = HeaderMap::new();
    for (name, value) in [("host", "a.example")].iter().chain(headers) {
        map.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    let hasher = BucketHasher::new(RandomState::new(), RandomState::new());
    let request = RawRequest {
        method: &Method::POST,
        target: b"/x",
        authority: None,
        fields: (&map).into(),
        version: Version::HTTP_11,
        connection: ConnectionFacts::for_test(),
    };
    let inputs = Inputs { rules, lists: rules.address_lists.as_slice(), hasher: &hasher, request, now: testing::now() };
    let mut findings = Findings::default();
    let mut pipeline = Pipeline::new(inputs, &mut findings);
    let steps: Vec<Step> = facts.into_iter().map(|fact| pipeline.step(fact)).collect();
    (steps.into_iter().last().expect("at least one fact"), findings)
}

fn refusal(step: Step) -> Cause {
    match step {
        Step::Done(Decision::Refuse(denial)) => denial.cause,
        other => panic!("must be refused, is {other:?}"),
    }
}

/// The limits that are asked.
fn asked(step: Step) -> Vec<LimitId> {
    match step {
        Step::Need(Need::Limits(requests)) => requests.iter().map(|request| request.limit).collect(),
        other => panic!("must ask limits, is {other:?}"),
    }
}

fn bearer() -> String {
    format!(
        "Bearer {}",
        testing::token(&serde_json::json!({"alg": "ES256"}), &testing::claims(), &testing::Signer::P256)
    )
}

#[test]
fn a_public_route_without_limits_needs_nothing() {
    let (step, findings) = after(&rules(), &[], vec![Fact::Start]);
    let Step::Done(Decision::Reply(reply)) = step else { panic!("{step:?}") };
    assert!(matches!(reply.content, ReplyContent::Fixed(fixed) if fixed.body == "ok"));
    assert_eq!((reply.route, reply.request.path.as_str()), (RouteId(0), "/x"));
    assert!(findings.request().is_none(), "what was found out belongs to the decision now");
}

#[test]
fn a_declared_body_over_the_bound_is_refused_before_anything_is_asked() {
    let rules = limited(closed());
    assert_eq!(refusal(after(&rules, &[("content-length", "101")], vec![Fact::Start]).0), Cause::BodyTooLarge);
    assert_eq!(asked(after(&rules, &[("content-length", "100")], vec![Fact::Start]).0), [LimitId(1)]);
}

#[test]
fn address_rules_go_before_the_first_limit() {
    let mut rules = limited(closed());
    let ranges = [address::parse_range("192.0.2.0/24").unwrap()].into_iter().collect();
    let deny = address::Addresses { ranges, lists: Vec::new() };
    rules.routes[0].addresses =
        Some(Box::new(address::AddressRules { allow: None, deny, report_only: false, place: Place::default() }));
    assert_eq!(refusal(after(&rules, &[], vec![Fact::Start]).0), Cause::AddressDenied);
}

#[test]
fn a_limit_before_identity_goes_before_the_credential() {
    let rules = limited(closed());
    let junk = [("authorization", "Bearer junk")];
    let refused = |result| vec![Fact::Start, Fact::Limits(smallvec![result])];
    assert_eq!(refusal(after(&rules, &junk, refused(REFUSED)).0), Cause::RateExceeded);
    let (step, _) = after(&rules, &junk, refused(GRANTED));
    assert!(matches!(step, Step::Need(Need::RememberedToken(_))), "{step:?}");
    assert_eq!(refusal(after(&rules, &[], refused(GRANTED)).0), Cause::CredentialsMissing);
}

#[test]
fn a_limit_after_identity_is_asked_for_recognised_callers_alone() {
    let rules = limited(closed());
    let facts = || vec![Fact::Start, Fact::Limits(smallvec![GRANTED]), Fact::RememberedToken(None)];
    assert_eq!(refusal(after(&rules, &[("authorization", "Bearer junk")], facts()).0), Cause::TokenMalformed);
    let (step, findings) = after(&rules, &[("authorization", &bearer())], facts());
    assert_eq!(asked(step), [LimitId(0)]);
    assert_eq!(findings.routed().unwrap().principal.as_ref().unwrap().id, "ann");
}

#[test]
fn a_refusal_leaves_what_was_found_out_by_then() {
    let (step, findings) = after(&rules(), &[("host", "b.example")], vec![Fact::Start]);
    assert_eq!(refusal(step), Cause::MalformedRequest);
    assert!(findings.request().is_none());
    let mut other = rules();
    other.table = Table::default();
    let (step, findings) = after(&other, &[], vec![Fact::Start]);
    assert_eq!(refusal(step), Cause::RouteNotFound);
    assert!(findings.request().is_some() && findings.route().is_none());
    let (step, findings) = after(&closed(), &[], vec![Fact::Start]);
    assert_eq!(refusal(step), Cause::CredentialsMissing);
    assert_eq!(findings.route(), Some(RouteId(0)));
}

#[test]
fn a_fact_that_nobody_asked_for_refuses() {
    let rules = limited(closed());
    let start = || Fact::Start;
    let wrong = [
        vec![Fact::Random(7)],
        vec![Fact::Limits(smallvec![GRANTED])],
        vec![start(), start()],
        vec![start(), Fact::RememberedToken(None)],
        vec![start(), Fact::Limits(smallvec![])],
        vec![start(), Fact::Limits(smallvec![GRANTED]), Fact::Limits(smallvec![GRANTED])],
    ];
    for facts in wrong {
        let step = after(&rules, &[("authorization", &bearer())], facts.clone()).0;
        assert_eq!(refusal(step), Cause::InternalError, "{facts:?}");
    }
}

#[test]
fn nothing_follows_the_decision() {
    assert_eq!(refusal(after(&rules(), &[], vec![Fact::Start, Fact::Start]).0), Cause::InternalError);
}

#[test]
fn chance_is_asked_only_where_it_decides() {
    let to = |to| Action::Forward { to, rewrite: rewrite::RewriteRules::default(), mirror: None };
    let mut rules = rules();
    rules.routes[0].action = to(Destination::One(UpstreamId(3)));
    let (step, _) = after(&rules, &[], vec![Fact::Start]);
    assert!(matches!(step, Step::Done(Decision::Forward(Admitted { upstream: UpstreamId(3), .. }))), "{step:?}");

    let side = |upstream, share| Side { upstream: UpstreamId(upstream), share, when: Vec::new() };
    let sides = vec![side(0, Share::NONE), side(1, Share::millionths(500_000))];
    let split = Split { sides, rest: UpstreamId(0), sticky_by: None, falls_back: false };
    rules.routes[0].action = to(Destination::Split(Box::new(split)));
    assert!(matches!(after(&rules, &[], vec![Fact::Start]).0, Step::Need(Need::Random)));
    for (random, chosen) in [(0, UpstreamId(1)), (u64::MAX, UpstreamId(0))] {
        let (step, _) = after(&rules, &[], vec![Fact::Start, Fact::Random(random)]);
        assert!(matches!(step, Step::Done(Decision::Forward(Admitted { upstream, .. })) if upstream == chosen));
    }
}
