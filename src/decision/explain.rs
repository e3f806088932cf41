//! Explain: the same way of a request, with a recorder.
//!
//! Every decision here is made by the stage that makes it for real traffic; this only writes down what they said. It
//! assumes what a single request can't show: limits count from zero, and list files hold what they held when the
//! configuration was loaded.

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderValue};
use serde_json::{Map, Value};

use super::access::limit::{Key, Limit, LimitId, Quota, Taken, rate_limit_headers};
use super::access::{self, BucketHasher, Facts, Permit, Principal};
use super::outcome::{Cause, Denial};
use super::request::{self, Normal, RawRequest, RequestView};
use super::response::{self, refusal_headers};
use super::rewrite::{self, Edit};
use super::route::Parameters;
use super::rules::{Action, Route, RouteId, Rules};
use super::upstream::mirror::Mirror;
use super::upstream::split::{Destination, Outcome};
use crate::diagnostics::Place;

/// Stands for the id that a real request gets.
const REQUEST_ID: &str = "(made-for-each-request)";

/// What happens to a request, and why.
#[derive(Debug)]
pub struct Explanation {
    /// The one reading of the request; `None` where there is none, which the verdict then says.
    pub normal: Option<Normal>,
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
        split: Option<Outcome>,
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
    rules: &Rules,
    raw: &RawRequest<'_>,
    claims: Option<Map<String, Value>>,
    now: SystemTime,
    hasher: &BucketHasher,
) -> Explanation {
    let mut normal = match request::read(&rules.read, raw) {
        Ok(normal) => normal,
        Err(denial) => return unrouted(rules, denial),
    };
    let found = rules.table.find(raw, &mut normal).taken();
    let view = raw.view(&normal);
    let mut explanation = match found {
        Ok((id, parameters)) => {
            let asked = Asked { view, parameters };
            explain_route(rules, id, &asked, claims, now, hasher)
        }
        Err(denial) => unrouted(rules, denial),
    };
    let passed_over = rules.table.explain(&view, explanation.route).into_iter();
    explanation.passed_over = passed_over.map(|(route, why)| PassedOver { route, why: why.to_string() }).collect();
    explanation.normal = Some(normal);
    explanation
}

/// A request that a route takes.
struct Asked<'a> {
    view: RequestView<'a>,
    parameters: Parameters,
}

/// Everything from access on.
fn explain_route(
    rules: &Rules,
    id: RouteId,
    asked: &Asked<'_>,
    claims: Option<Map<String, Value>>,
    now: SystemTime,
    hasher: &BucketHasher,
) -> Explanation {
    let route = &rules.routes[id.0 as usize];
    let mut headers = HeaderMap::new();
    let (principal, limits, verdict) = match admit(rules, route, &asked.view, claims, now, hasher) {
        Ok((permit, limits)) => {
            if let Some(standing) = permit.standing() {
                headers.extend(rate_limit_headers(&rules.limits[standing.limit.0 as usize], &standing));
            }
            let verdict = match &route.action {
                Action::Forward { to, rewrite, mirror } => {
                    forward(route, (to, rewrite, mirror.as_deref()), &permit, asked)
                }
                Action::Respond(fixed) => {
                    headers.insert(CONTENT_TYPE, fixed.content_type.clone());
                    Verdict::Answer
                }
                Action::Redirect(redirect) => {
                    headers.insert(LOCATION, redirect.location(asked.view.normal, &asked.parameters));
                    Verdict::Answer
                }
            };
            (permit.principal().cloned(), limits, verdict)
        }
        Err(denial) => {
            headers.extend(refusal_headers(&denial, []));
            let place = match denial.cause {
                Cause::AddressDenied => route.addresses.as_ref().map(|addresses| addresses.place.clone()),
                Cause::ScopeMissing | Cause::RoleMissing | Cause::ClaimMismatch => {
                    route.access.allow().map(|allow| allow.place.clone())
                }
                _ => Some(route.place.clone()),
            };
            (None, Vec::new(), Verdict::Refuse { denial, place })
        }
    };
    route.response.apply(&mut headers);
    Explanation {
        normal: None,
        route: Some(id),
        passed_over: Vec::new(),
        addresses: route.addresses.as_ref().map(|addresses| AddressVerdict {
            against: addresses.check(asked.view.normal.client, rules.address_lists.as_slice()).err(),
            report_only: addresses.report_only,
            place: addresses.place.clone(),
        }),
        principal,
        limits,
        verdict,
        response_headers: headers,
    }
}

fn forward(
    route: &Route,
    (to, rules, mirror): (&Destination, &rewrite::Rules, Option<&Mirror>),
    permit: &Permit,
    asked: &Asked<'_>,
) -> Verdict {
    let normal = asked.view.normal;
    let kept = normal.request_id.as_deref().and_then(|id| HeaderValue::from_str(id).ok());
    let request_id = kept.unwrap_or(HeaderValue::from_static(REQUEST_ID));
    let credentials = route.access.credential_headers();
    let split = match to {
        Destination::One(_) => None,
        Destination::Split(split) => Some(split.explain(permit, &asked.view)),
    };
    let goes_there = |id| matches!(&split, Some(Outcome::Settled { upstream, .. }) if *upstream == id);
    Verdict::Forward {
        mirrored: mirror.is_some_and(|mirror| mirror.may_copy(&asked.view) && !goes_there(mirror.upstream)),
        split,
        target: rules.target(normal, &asked.parameters).into_owned(),
        host: rules.host(normal).into_owned(),
        edits: rewrite::forwarded(permit, &asked.view, credentials, &request_id).into_vec(),
    }
}

/// Runs the stage of access, with limits from which nobody has taken yet.
fn admit(
    rules: &Rules,
    route: &Route,
    view: &RequestView<'_>,
    claims: Option<Map<String, Value>>,
    now: SystemTime,
    hasher: &BucketHasher,
) -> Result<(Permit, Vec<Touched>), Denial> {
    let stranger = access::enter(route, rules.address_lists.as_slice(), view)?;
    let by_token = route.access.identities().iter().find_map(|identity| match &identity.method {
        access::Method::Jwt(jwt) => Some((identity, jwt)),
        access::Method::ApiKey(_) => None,
    });
    let caller = match (claims, by_token) {
        (Some(claims), Some((identity, jwt))) => stranger.assume(jwt.principal(&identity.name, claims)?),
        _ => stranger.identify(view, Facts::default(), now)?,
    };
    let cleared = caller.clear(route, &rules.limits, view, hasher)?;
    let ids: Vec<LimitId> = cleared.takes().iter().map(|take| take.limit).collect();
    let limit = |id: &LimitId| &rules.limits[id.0 as usize];
    let taken: Vec<Taken> = ids.iter().map(|id| first_of(limit(id))).collect();
    let permit = cleared.admit(&rules.limits, &taken)?;
    let touched = ids.iter().map(|id| Touched {
        limit: *id,
        counted_by: counted_by(&limit(id).key, route, view, permit.principal().map(Arc::as_ref)),
    });
    let touched = touched.collect();
    Ok((permit, touched))
}

/// What the first request of all finds.
fn first_of(limit: &Limit) -> Taken {
    match &limit.quota {
        Quota::Rate(rate) => rate.take(&mut 0, 0),
        Quota::Concurrent(max) => Taken::place(*max, 1),
    }
}

/// The bucket in words. A header's value is left out: it may be a credential.
fn counted_by(key: &Key, route: &Route, view: &RequestView<'_>, principal: Option<&Principal>) -> String {
    let client = || match view.normal.client.to_canonical() {
        IpAddr::V4(address) => format!("client address {address}"),
        IpAddr::V6(address) => {
            let network = std::net::Ipv6Addr::from_bits(address.to_bits() >> 64 << 64);
            format!("client network {network}/64")
        }
    };
    match (key, principal) {
        (Key::Principal, Some(principal)) => format!("principal {} of {}", principal.id, principal.identity),
        (Key::ClientAddress | Key::Principal, _) => client(),
        (Key::Header(name), _) if view.fields.contains(name) => format!("the value of header {name}"),
        (Key::Header(name), _) => format!("{}, for there is no header {name}", client()),
        (Key::Route, _) => format!("route {}", route.name),
        (Key::Gateway, _) => "the whole gateway".to_owned(),
    }
}

/// A refusal before any route was found.
fn unrouted(rules: &Rules, denial: Denial) -> Explanation {
    let mut headers = HeaderMap::new();
    headers.extend(refusal_headers(&denial, []));
    response::Rules::apply(&rules.response, &mut headers);
    Explanation {
        normal: None,
        route: None,
        passed_over: Vec::new(),
        addresses: None,
        principal: None,
        limits: Vec::new(),
        verdict: Verdict::Refuse { denial, place: None },
        response_headers: headers,
    }
}
