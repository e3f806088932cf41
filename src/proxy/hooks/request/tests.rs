//! The gateway and `explain` decide alike: the same driver, with facts from the running state or from arguments.

use std::io;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::config::compile::compile;
use crate::config::environment::Environment;
use crate::config::load::load_text;
use crate::config::snapshot::Snapshot;
use crate::decision::access::testing::{self, Signer};
use crate::decision::explain::{Explanation, Verdict, explain};
use crate::decision::ids::{RouteId, UpstreamId};
use crate::decision::outcome::Cause;
use crate::decision::pipeline::Admitted;
use crate::decision::pipeline::Findings;
use crate::decision::request::Scheme;
use crate::decision::request::connection::ConnectionFacts;
use crate::decision::upstream::share::Share;
use crate::decision::upstream::split::SplitOutcome;
use crate::telemetry::metrics::Metrics;

/// Holds the secret that signs tokens, and one API key.
struct Files;

impl Environment for Files {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        match path {
            "secret" => Ok(testing::SECRET.to_vec()),
            "blocked.txt" => Ok(b"198.51.100.0/25\n".to_vec()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

fn snapshot(routes: &[String]) -> Snapshot {
    let text = format!(
        r#"
version: 1
listeners: [{{ name: main, address: "127.0.0.1:8080" }}]
trusted_proxies: [192.0.2.128/25]
upstreams: {{ a: {{ endpoints: ["127.0.0.1:1"] }}, b: {{ endpoints: ["127.0.0.1:2"] }} }}
identities: {{ corp: {{ jwt: {{ issuer: "{}", audience: {}, keys: {{ secret: {{ file: secret }} }} }} }} }}
limits: [{{ name: inherited, rate: 1/h, key: gateway }}]
access_log: {{ output: off }}
routes:
{}
"#,
        testing::ISSUER,
        testing::AUDIENCE,
        routes.iter().map(|route| format!("  - {{ {route} }}\n")).collect::<String>()
    );
    let document = load_text("f", text.as_bytes(), &Files).unwrap_or_else(|found| panic!("{found:?}\n{text}"));
    let (snapshot, found) = compile(&document, &Files);
    snapshot.unwrap_or_else(|| panic!("{found:?}\n{text}"))
}

/// Routes that differ in their path, and in everything that admission looks at.
fn routes() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(route(), 1..4).prop_map(|routes| {
        let paths = ["/*", "/a/*", "/a/{id}"];
        let named = routes.into_iter().enumerate().map(|(index, route)| {
            let path = paths[index];
            format!("name: r{index}, match: {{ path: \"{path}\"{}", route)
        });
        named.collect()
    })
}

fn route() -> impl Strategy<Value = String> {
    let methods = prop::sample::select(vec!["", ", methods: [GET]"]);
    let access = prop::sample::select(vec![
        "access: public",
        "access: { identity: corp }",
        "access: { identity: corp, allow: { scope: orders.read } }",
        "access: { identity: corp, allow: { role: admin } }",
    ]);
    let addresses = prop::sample::select(vec![
        "",
        ", addresses: { deny: [192.0.2.0/25] }",
        ", addresses: { deny: [{ file: blocked.txt }] }",
        ", addresses: { allow: [192.0.2.0/24], mode: report }",
    ]);
    let limit = prop::sample::select(vec![
        "{ name: x, rate: 1/h }",
        "{ name: y, concurrent: 1, key: route, phase: after_identity }",
        "{ name: z, rate: 1/h, key: { header: X-Tenant }, mode: report }",
        "{ name: inherited, off: tested }",
        "{ name: p, rate: 5/h, phase: before_identity }",
    ]);
    let limits = prop::collection::vec(limit, 0..3).prop_map(|mut limits| {
        limits.dedup();
        limits.sort_unstable();
        limits.dedup();
        if limits.is_empty() { String::new() } else { format!(", limits: [{}]", limits.join(", ")) }
    });
    let action = prop::sample::select(vec![
        "upstream: a",
        "respond: { body: none, status: 418 }",
        "redirect: { status: 308, path: /elsewhere }",
        "upstream: { split: [{ upstream: a }, { upstream: b, share: 30% }], sticky_by: none }",
        "upstream: { split: [{ upstream: a }, { upstream: b, share: 30%, when: [{ header: X-Tenant }] }] }",
    ]);
    (methods, access, addresses, limits, action).prop_map(|(methods, access, addresses, limits, action)| {
        format!("{methods} }}, {access}{addresses}{limits}, body: 1KiB, {action}")
    })
}

#[derive(Clone, Debug)]
struct Request {
    method: Method,
    target: &'static str,
    headers: HeaderMap,
    connection: ConnectionFacts,
    /// Of the token among the headers.
    claims: Option<Map<String, Value>>,
}

fn requests() -> impl Strategy<Value = Request> {
    let method = prop::sample::select(vec![Method::GET, Method::POST, Method::TRACE]);
    let target = prop::sample::select(vec!["/", "/a/7", "/a/b/c?q=1", "/a/%2e%2e/x", "/a%2fb", "//", "/a/\u{7f}"]);
    let host = prop::sample::select(vec![Some("x.example"), Some("bad host"), None]);
    let length = prop::sample::select(vec![None, None, Some("1024"), Some("1025"), Some("x")]);
    let token = prop::sample::select(vec![None, Some("orders.read"), Some("other"), Some("expired"), Some("junk")]);
    let peer = prop::sample::select(vec!["192.0.2.1", "192.0.2.200", "198.51.100.7", "2001:db8::1"]);
    let more = prop::sample::select(vec![None, Some(("x-tenant", "t")), Some(("x-forwarded-for", "192.0.2.9"))]);
    (method, target, host, length, token, peer, more).prop_map(|(method, target, host, length, token, peer, more)| {
        let mut headers = HeaderMap::new();
        let mut add = |name, value: &str| {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        };
        host.into_iter().for_each(|host| add("host", host));
        length.into_iter().for_each(|length| add("content-length", length));
        more.into_iter().for_each(|(name, value)| add(name, value));
        let claims = token.and_then(|kind| {
            let mut claims = testing::claims();
            claims["scope"] = json!(kind);
            claims["exp"] = json!(testing::at(if kind == "expired" { -300 } else { 300 }));
            let signer = Signer::Hmac(if kind == "junk" { b"another".to_vec() } else { testing::SECRET.to_vec() });
            add("authorization", &format!("Bearer {}", testing::token(&json!({"alg": "HS256"}), &claims, &signer)));
            match claims {
                Value::Object(claims) if kind != "junk" && kind != "expired" => Some(claims),
                _ => None,
            }
        });
        let connection = ConnectionFacts::supposed(peer.parse().unwrap(), Scheme::Https);
        Request { method, target, headers, connection, claims }
    })
}

impl Request {
    fn raw(&self) -> RawRequest<'_> {
        RawRequest {
            method: &self.method,
            target: self.target.as_bytes(),
            authority: None,
            fields: (&self.headers).into(),
            version: Version::HTTP_11,
            connection: &self.connection,
        }
    }
}

/// What both must agree on.
#[derive(Debug, PartialEq)]
struct Verdicts {
    route: Option<RouteId>,
    principal: Option<String>,
    would_be: Kind,
}

#[derive(Debug, PartialEq)]
enum Kind {
    /// The upstreams that it may be.
    Forward(Vec<UpstreamId>),
    /// Its own answer, with its content type or its `Location`.
    Reply(HeaderValue),
    Refuse(Cause),
}

/// Decides as the gateway does, on its own state.
fn decided(shared: &Runtime, serving: &ActiveConfig, request: &Request) -> Verdicts {
    let inputs = Inputs {
        rules: &serving.snapshot.rules,
        lists: serving.address_lists.as_slice(),
        hasher: &shared.bucket_hasher,
        request: request.raw(),
        now: testing::now(),
    };
    let outside = Outside { serving, shared, now: testing::now(), now_nanos: 1 };
    let (mut findings, mut places) = (Findings::default(), Places::new());
    let (decision, verified) = drive(inputs, &mut findings, &outside, &mut places);
    if let Some((digest, principal)) = verified {
        shared.state.tokens.insert(digest, principal);
    }
    let id =
        |principal: Option<&Arc<crate::decision::access::Principal>>| principal.map(|principal| principal.id.clone());
    let (route, principal, would_be) = match decision {
        Decision::Forward(Admitted { route, permit, upstream, .. }) => {
            (Some(route), id(permit.principal()), Kind::Forward(vec![upstream]))
        }
        Decision::Reply(reply) => {
            let content = match reply.content {
                ReplyContent::Fixed(fixed) => fixed.content_type,
                ReplyContent::Redirect { location, .. } => location,
            };
            (Some(reply.route), id(reply.permit.principal()), Kind::Reply(content))
        }
        Decision::Refuse(denial) => {
            let principal = findings.routed().and_then(|routed| routed.principal.clone());
            (findings.route(), id(principal.as_ref()), Kind::Refuse(denial.cause))
        }
    };
    Verdicts { route, principal, would_be }
}

/// Polls once: everything is at hand.
fn drive<'a>(
    inputs: Inputs<'a, [Arc<crate::state::address_lists::AddressList>]>,
    findings: &'a mut Findings,
    outside: &Outside<'_>,
    places: &mut Places,
) -> (Decision, Option<Verified>) {
    let mut run = std::pin::pin!(run(Pipeline::new(inputs, findings), outside, places));
    match run.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(done) => done,
        std::task::Poll::Pending => panic!("nothing is to be waited for"),
    }
}

fn explained(snapshot: &Snapshot, shared: &Runtime, request: &Request, claims: Option<Map<String, Value>>) -> Verdicts {
    let rules = &snapshot.rules;
    let explanation: Explanation = explain(rules, &request.raw(), claims, testing::now(), &shared.bucket_hasher);
    let would_be = match explanation.verdict {
        Verdict::Forward { split: None, .. } => Kind::Forward(vec![UpstreamId(0)]),
        Verdict::Forward { split: Some(SplitOutcome::Settled { upstream, .. }), .. } => Kind::Forward(vec![upstream]),
        Verdict::Forward { split: Some(SplitOutcome::ByChance(shares)), .. } => {
            Kind::Forward(shares.into_iter().filter(|(_, share)| *share > Share::NONE).map(|(id, _)| id).collect())
        }
        Verdict::Answer => {
            let headers = &explanation.response_headers;
            Kind::Reply(headers.get("location").unwrap_or_else(|| &headers["content-type"]).clone())
        }
        Verdict::Refuse { denial, .. } => Kind::Refuse(denial.cause),
    };
    Verdicts { route: explanation.route, principal: explanation.principal.map(|who| who.id.clone()), would_be }
}

/// Chance may choose any of the upstreams that the explanation names.
fn agree(mut decided: Verdicts, explained: &Verdicts) -> Result<(), TestCaseError> {
    if let (Kind::Forward(one), Kind::Forward(any)) = (&mut decided.would_be, &explained.would_be)
        && one.iter().all(|upstream| any.contains(upstream))
    {
        one.clone_from(any);
    }
    prop_assert_eq!(&decided, explained);
    Ok(())
}

proptest! {
    #[test]
    fn the_gateway_decides_as_explain_says(routes in routes(), requests in prop::collection::vec(requests(), 1..8)) {
        let snapshot = Arc::new(snapshot(&routes));
        for request in requests {
            let shared = Runtime::new(snapshot.clone(), Arc::new(Metrics::new())).unwrap();
            let serving = shared.store.current();
            let said = explained(&snapshot, &shared, &request, None);
            agree(decided(&shared, &serving, &request), &said)?;
            if request.claims.is_some() {
                // A token that holds the claims, and the claims alone, lead to the same.
                prop_assert_eq!(&explained(&snapshot, &shared, &request, request.claims.clone()), &said);
            }
        }
    }

    #[test]
    fn a_remembered_token_changes_nothing(routes in routes(), request in requests()) {
        let unlimited: Vec<String> = routes
            .iter()
            .map(|route| match route.split_once(", limits: [") {
                Some((before, rest)) => {
                    let (_, after) = rest.split_once("], body").unwrap();
                    format!("{before}, limits: [{{ name: inherited, off: tested }}], body{after}")
                }
                None => route.replace(", body:", ", limits: [{ name: inherited, off: tested }], body:"),
            })
            .collect();
        let snapshot = Arc::new(snapshot(&unlimited));
        let shared = Runtime::new(snapshot.clone(), Arc::new(Metrics::new())).unwrap();
        let serving = shared.store.current();
        let said = explained(&snapshot, &shared, &request, None);
        for _ in 0..2 {
            agree(decided(&shared, &serving, &request), &said)?;
        }
    }
}

#[test]
fn a_limit_before_identity_is_used_up_by_bad_credentials() {
    let route = "name: all, access: { identity: corp }, limits: [{ name: inherited, rate: 2/h }], upstream: a";
    let snapshot = Arc::new(snapshot(&[route.to_owned()]));
    let shared = Runtime::new(snapshot, Arc::new(Metrics::new())).unwrap();
    let serving = shared.store.current();
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("x.example"));
    headers.insert("authorization", HeaderValue::from_static("Bearer a.b.c"));
    let connection = ConnectionFacts::supposed([192, 0, 2, 1].into(), Scheme::Https);
    let request = Request { method: Method::GET, target: "/", headers, connection, claims: None };
    let causes: Vec<Kind> = (0..3).map(|_| decided(&shared, &serving, &request).would_be).collect();
    let malformed = || Kind::Refuse(Cause::TokenMalformed);
    assert_eq!(causes, [malformed(), malformed(), Kind::Refuse(Cause::RateExceeded)]);
}
