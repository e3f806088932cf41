//! Explain: what happens to a request, and why.
//!
//! The decision is made by the [pipeline](super::pipeline) that makes it for real traffic; this only answers its needs and
//! writes down what it said. It assumes what a single request can't show: nobody has taken from a limit yet, no token is
//! remembered, and list files hold what they held when the configuration was loaded.

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderValue};
use serde_json::{Map, Value};

use super::access::{BucketHasher, Permit, Principal};
use super::ids::RouteId;
use super::limit::{Limit, LimitId, LimitKey, LimitRequest, LimitResult, Quota, rate_limit_headers};
use super::outcome::{Cause, Denial};
use super::pipeline::{Admitted, Decision, Fact, Findings, Inputs, Need, Pipeline, Reply, ReplyContent, Step};
use super::policy::{Action, Policy, Route};
use super::request::{NormalizedRequest, RawRequest, RequestView};
use super::response::refusal_headers;
use super::rewrite::{self, Edit};
use super::upstream::split::{Destination, SplitOutcome};
use crate::diagnostics::Place;

/// Stands for the id that a real request gets.
const REQUEST_ID: &str = "(made-for-each-request)";

/// What happens to a request, and why.
#[derive(Debug)]
pub struct Explanation {
    /// The one reading of the request; `None` where there is none, which the verdict then says.
    pub normal: Option<NormalizedRequest>,
    pub route: Option<RouteId>,
    /// The other routes, and why each did not take the request.
    pub passed_over: Vec<PassedOver>,
    /// What the route's address rule says to the client; `None` where it has none.
    pub addresses: Option<AddressVerdict>,
    /// The recognised caller.
    pub principal: Option<Arc<Principal>>,
    /// The limits that the request counts in.
    pub limits: Vec<Touched>,
    pub verdict: Verdict,
    /// The headers that the gateway adds to the answer, whatever an origin sends.
    pub response_headers: HeaderMap,
}

/// A route that did not take the request.
#[derive(Clone, Debug, PartialEq)]
pub struct PassedOver {
    pub route: RouteId,
    pub why: String,
}

/// What an address rule says to a client.
#[derive(Clone, Debug, PartialEq)]
pub struct AddressVerdict {
    /// Why the client may not come in; `None` if it may.
    pub against: Option<Denial>,
    /// Whether it comes in all the same.
    pub report_only: bool,
    /// Where the file says so.
    pub place: Place,
}

/// A limit that the request counts in.
#[derive(Clone, Debug, PartialEq)]
pub struct Touched {
    pub limit: LimitId,
    /// What it is counted by, with the value: `client address 192.0.2.1`.
    pub counted_by: String,
}

/// How it ends.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The request goes to an upstream, which is shown this.
    Forward {
        /// Which one, where the route has several.
        split: Option<SplitOutcome>,
        /// Whether it is one of those that the route copies a share of.
        mirrored: bool,
        /// Path and query.
        target: String,
        host: String,
        /// Changes to the other headers.
        edits: Vec<Edit>,
    },
    /// The route answers itself.
    Answer,
    Refuse {
        denial: Denial,
        /// Where the file says so; `None` where no rule of the file does.
        place: Option<Place>,
    },
}

/// Explains what happens to `raw` at the time `now`.
///
/// With `claims`, the caller counts as recognised with them by the route's first JWT identity: authorization is decided
/// on them, the checks of a token are skipped.
pub fn explain(
    rules: &Policy,
    raw: &RawRequest<'_>,
    claims: Option<Map<String, Value>>,
    now: SystemTime,
    hasher: &BucketHasher,
) -> Explanation {
    let mut findings = Findings::default();
    let inputs = Inputs { rules, lists: rules.address_lists.as_slice(), hasher, request: *raw, now };
    let mut pipeline = Pipeline::new(inputs, &mut findings);
    if let Some(claims) = claims {
        pipeline.assume(claims);
    }
    let mut counted = Vec::new();
    let mut fact = Fact::Start;
    let decision = loop {
        match pipeline.step(fact) {
            Step::Done(decision) => break decision,
            Step::Need(need) => fact = answer(need, rules, &mut counted),
        }
    };
    match decision {
        Decision::Forward(admitted) => forwarded(rules, raw, &admitted, &counted),
        Decision::Reply(reply) => replied(rules, raw, &reply, &counted),
        Decision::Refuse(denial) => refused(rules, raw, &findings, denial, &counted),
    }
}

/// Answers a need as if the request were the first of all. Notes the limits that are asked.
fn answer(need: Need, rules: &Policy, counted: &mut Vec<LimitId>) -> Fact {
    match need {
        Need::RememberedToken(_) => Fact::RememberedToken(None),
        Need::Limits(requests) => {
            counted.extend(requests.iter().map(|request| request.limit));
            let first = |request: &LimitRequest| first_of(&rules.limits[request.limit.0 as usize], request.amount);
            Fact::Limits(requests.iter().map(first).collect())
        }
        // Where chance decides, the explanation names the shares.
        Need::Random => Fact::Random(0),
    }
}

fn forwarded(rules: &Policy, raw: &RawRequest<'_>, admitted: &Admitted, counted: &[LimitId]) -> Explanation {
    let Admitted { request, route: id, permit, .. } = admitted;
    let view = raw.view(request);
    let route = rules.route(*id);
    let verdict = match &route.action {
        Action::Forward { to, rewrite, mirror } => {
            let split = match to {
                Destination::One(_) => None,
                Destination::Split(split) => Some(split.explain(permit, &view)),
            };
            let goes_there = |id| matches!(&split, Some(SplitOutcome::Settled { upstream, .. }) if *upstream == id);
            let kept = request.request_id.as_deref().and_then(|id| HeaderValue::from_str(id).ok());
            let request_id = kept.unwrap_or(HeaderValue::from_static(REQUEST_ID));
            let caller = permit.principal().map(|principal| &**principal);
            let credentials = route.access.hidden_headers(caller);
            Verdict::Forward {
                mirrored: mirror.as_ref().is_some_and(|mirror| mirror.may_copy(&view) && !goes_there(mirror.upstream)),
                split,
                target: rewrite.target(request, &admitted.parameters).into_owned(),
                host: rewrite.host(request).into_owned(),
                edits: rewrite::forwarded(permit, &view, credentials, &request_id, rules.read.via.value(raw.version))
                    .into_vec(),
            }
        }
        Action::Respond(_) | Action::Redirect(_) | Action::Nothing => Verdict::Answer,
    };
    let principal = permit.principal().cloned();
    finish(rules, &view, Some(*id), principal, counted, verdict, limit_headers(rules, permit))
}

fn replied(rules: &Policy, raw: &RawRequest<'_>, reply: &Reply, counted: &[LimitId]) -> Explanation {
    let view = raw.view(&reply.request);
    let mut headers = limit_headers(rules, &reply.permit);
    match &reply.content {
        ReplyContent::Fixed(fixed) => headers.insert(CONTENT_TYPE, fixed.content_type.clone()),
        ReplyContent::Redirect { location, .. } => headers.insert(LOCATION, location.clone()),
    };
    let principal = reply.permit.principal().cloned();
    finish(rules, &view, Some(reply.route), principal, counted, Verdict::Answer, headers)
}

fn refused(
    rules: &Policy,
    raw: &RawRequest<'_>,
    findings: &Findings,
    denial: Denial,
    counted: &[LimitId],
) -> Explanation {
    let mut headers = HeaderMap::new();
    headers.extend(refusal_headers(&denial, []));
    let place = findings.route().map(|id| rules.route(id)).and_then(|route| place(route, denial.cause));
    let verdict = Verdict::Refuse { denial, place };
    let Some(request) = findings.request() else {
        rules.response.apply(None, &mut headers);
        return Explanation {
            normal: None,
            route: None,
            passed_over: Vec::new(),
            addresses: None,
            principal: None,
            limits: Vec::new(),
            verdict,
            response_headers: headers,
        };
    };
    let view = raw.view(request);
    let principal = findings.routed().and_then(|routed| routed.principal.clone());
    finish(rules, &view, findings.route(), principal, counted, verdict, headers)
}

/// Where the file says what `cause` refused a request of `route` for.
fn place(route: &Route, cause: Cause) -> Option<Place> {
    match cause {
        Cause::AddressDenied => route.addresses.as_ref().map(|addresses| addresses.place.clone()),
        Cause::ScopeMissing | Cause::RoleMissing | Cause::ClaimMismatch => {
            route.access.allow().map(|allow| allow.place.clone())
        }
        _ => Some(route.place.clone()),
    }
}

fn limit_headers(rules: &Policy, permit: &Permit) -> HeaderMap {
    let status = permit.limit_status();
    let headers = status.map(|status| rate_limit_headers(&rules.limits[status.limit.0 as usize], &status));
    headers.into_iter().flatten().collect()
}

/// What there is to say of every request that was read, whatever its end.
fn finish(
    rules: &Policy,
    view: &RequestView<'_>,
    id: Option<RouteId>,
    principal: Option<Arc<Principal>>,
    counted: &[LimitId],
    verdict: Verdict,
    mut response_headers: HeaderMap,
) -> Explanation {
    let route = id.map(|id| rules.route(id));
    let limits = route.into_iter().flat_map(|route| {
        counted.iter().map(|&limit| Touched {
            limit,
            counted_by: counted_by(&rules.limits[limit.0 as usize].key, route, view, principal.as_deref()),
        })
    });
    let limits = limits.collect();
    let addresses = route.and_then(|route| route.addresses.as_ref()).map(|addresses| AddressVerdict {
        against: addresses.check(view.normal.client, rules.address_lists.as_slice()).err(),
        report_only: addresses.report_only,
        place: addresses.place.clone(),
    });
    route.map_or(&rules.response, |route| &route.response).apply(Some(view), &mut response_headers);
    let passed_over = rules.table.explain(view, id).into_iter();
    Explanation {
        normal: Some(view.normal.clone()),
        route: id,
        passed_over: passed_over.map(|(route, why)| PassedOver { route, why: why.to_string() }).collect(),
        addresses,
        principal,
        limits,
        verdict,
        response_headers,
    }
}

/// What the first request of all finds.
fn first_of(limit: &Limit, amount: u64) -> LimitResult {
    match &limit.quota {
        Quota::Rate(rate) => rate.take(&mut 0, 0, amount),
        Quota::Concurrent(max) => LimitResult::places(*max, amount),
    }
}

/// The bucket in words. A header's value is left out: it may be a credential.
fn counted_by(key: &LimitKey, route: &Route, view: &RequestView<'_>, principal: Option<&Principal>) -> String {
    let client = || match view.normal.client.to_canonical() {
        IpAddr::V4(address) => format!("client address {address}"),
        IpAddr::V6(address) => {
            let network = std::net::Ipv6Addr::from_bits(address.to_bits() >> 64 << 64);
            format!("client network {network}/64")
        }
    };
    match (key, principal) {
        (LimitKey::Principal, Some(principal)) => format!("principal {} of {}", principal.id, principal.identity),
        (LimitKey::ClientAddress | LimitKey::Principal, _) => client(),
        (LimitKey::Header(name), _) if view.fields.contains(name) => format!("the value of header {name}"),
        (LimitKey::Header(name), _) => format!("{}, for there is no header {name}", client()),
        (LimitKey::Route, _) => format!("route {}", route.name),
        (LimitKey::Gateway, _) => "the whole gateway".to_owned(),
    }
}
