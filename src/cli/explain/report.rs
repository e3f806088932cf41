//! The result of `portcullis explain`, as a value that programs read and as text for people.
//!
//! The conversion from the decision's [`Explanation`] is [`ExplainReport::new`]; the JSON is the serialised value, and the
//! text is its [`Display`](std::fmt::Display) in [`super::text`].

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};

use crate::config::snapshot::{Snapshot, Upstream};
use crate::decision::explain::{Explanation, Verdict};
use crate::decision::ids::{RouteId, UpstreamId};
use crate::decision::lane::Lane;
use crate::decision::policy::{Action, Route};
use crate::decision::rewrite::Edit;
use crate::decision::upstream::split::{Destination, SplitOutcome};

/// The version of the report. It grows when a field changes its name, its type or its meaning.
pub const VERSION: u32 = 1;

/// What would happen to a request, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExplainReport {
    /// [`VERSION`].
    pub version: u32,
    /// The request in its normal form. `None` if it has none, which the verdict explains.
    pub request: Option<RequestReport>,
    pub route: Option<RouteReport>,
    /// The routes that did not match.
    pub passed_over: Vec<PassedOverReport>,
    /// The listeners with address rules.
    pub listeners: Vec<ListenerReport>,
    /// The address rule of the route.
    pub addresses: Option<AddressReport>,
    /// The authenticated caller.
    pub principal: Option<PrincipalReport>,
    pub verdict: VerdictReport,
    /// The limits that the request counts in.
    pub limits: Vec<LimitReport>,
    /// What the route does with a request that is allowed.
    pub action: Option<ActionReport>,
    pub mirror: Option<MirrorReport>,
    /// What the origin receives.
    pub origin: Option<OriginReport>,
    /// The fields that the gateway adds to the response, as pairs: a name may come more than once.
    pub response_headers: Vec<(String, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestReport {
    pub host: String,
    pub path: String,
    pub query: Option<String>,
    pub client: IpAddr,
    pub scheme: String,
    /// The listener that the request is explained for. `None` where no listener fits.
    pub listener: Option<String>,
    /// In what a trusted proxy contradicts itself.
    pub conflict: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteReport {
    pub name: String,
    /// How requests are served: `fast`, or `full, because` of what. WebSockets take the full lane.
    pub lane: String,
    /// Where the configuration has it: file, line and column.
    pub place: String,
}

/// A route that did not match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedOverReport {
    pub name: String,
    pub place: String,
    pub why: String,
}

/// The address rule of a listener, applied to the client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerReport {
    pub name: String,
    pub may_connect: bool,
    /// Why it may not.
    pub detail: Option<String>,
    pub place: String,
}

/// The address rule of the route, applied to the client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressReport {
    pub may_come_in: bool,
    /// Why it may not.
    pub detail: Option<String>,
    /// Whether the rule reports only: the request then passes in any case.
    pub report_only: bool,
    pub place: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrincipalReport {
    pub id: String,
    pub identity: String,
    pub scopes: Vec<String>,
    pub roles: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "decision", rename_all = "snake_case")]
pub enum VerdictReport {
    Allow,
    Deny {
        status: u16,
        /// The stable name of the cause, as in the access log and the metrics.
        cause: String,
        detail: String,
        /// What the cause means, and what an owner may do about it.
        help: String,
        /// The rule that refuses. `None` if no rule of the configuration does.
        place: Option<String>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitReport {
    pub name: String,
    pub quota: String,
    /// The key with its value.
    pub counted_by: String,
    pub report_only: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ActionReport {
    /// The route answers by itself.
    Respond {
        /// In words.
        answer: String,
        status: u16,
    },
    /// The route splits its requests, and this one goes to `upstream` for the reason `split`.
    Settled {
        upstream: UpstreamReport,
        split: String,
    },
    /// The route splits its requests, and chance decides.
    ByChance {
        by_chance: Vec<ShareReport>,
    },
    Forward {
        upstream: UpstreamReport,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareReport {
    pub share: String,
    pub upstream: UpstreamReport,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamReport {
    pub name: String,
    pub balance: String,
    pub endpoints: Vec<EndpointReport>,
    /// The SRV names of which DNS gives the endpoints.
    pub services: Vec<String>,
    pub files: Vec<EndpointFileReport>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointReport {
    pub endpoint: String,
    pub weight: u32,
}

/// A file with endpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointFileReport {
    pub file: String,
    /// How many endpoints it had when the configuration was loaded.
    pub endpoints: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorReport {
    pub upstream: String,
    pub share: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginReport {
    /// Path and query.
    pub target: String,
    pub host: String,
    pub headers: Vec<HeaderEditReport>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeaderEditReport {
    Remove(String),
    Set(String, String),
    /// A further value, behind those of the client.
    Append(String, String),
}

impl ExplainReport {
    /// Names what `explanation` refers to in `snapshot`.
    ///
    /// `listener` is the one that the request comes by, and empty where none is known.
    pub fn new(explanation: &Explanation, snapshot: &Snapshot, listeners: Vec<ListenerReport>, listener: &str) -> Self {
        let rules = &snapshot.rules;
        let route_of = |id: RouteId| &rules.routes[id.0 as usize];
        let route = explanation.route.map(route_of);
        ExplainReport {
            version: VERSION,
            request: explanation.normal.as_ref().map(|normal| RequestReport {
                host: normal.host.to_string(),
                path: normal.path.to_string(),
                query: normal.query.as_ref().map(ToString::to_string),
                client: normal.client,
                scheme: normal.scheme.as_str().to_owned(),
                listener: (!listener.is_empty()).then(|| listener.to_owned()),
                conflict: normal.conflict.map(|conflict| conflict.as_str().to_owned()),
            }),
            route: route.map(|route| RouteReport {
                name: route.name.to_string(),
                lane: lane(route, snapshot),
                place: route.place.to_string(),
            }),
            passed_over: (explanation.passed_over.iter())
                .map(|passed| {
                    let route = route_of(passed.route);
                    let (name, place) = (route.name.to_string(), route.place.to_string());
                    PassedOverReport { name, place, why: passed.why.clone() }
                })
                .collect(),
            listeners,
            addresses: explanation.addresses.as_ref().map(|verdict| AddressReport {
                may_come_in: verdict.against.is_none(),
                detail: verdict.against.as_ref().map(|denial| denial.detail.to_string()),
                report_only: verdict.report_only,
                place: verdict.place.to_string(),
            }),
            principal: explanation.principal.as_ref().map(|principal| PrincipalReport {
                id: principal.id.to_string(),
                identity: principal.identity.to_string(),
                scopes: principal.scopes.iter().map(ToString::to_string).collect(),
                roles: principal.roles.iter().map(ToString::to_string).collect(),
            }),
            verdict: verdict(&explanation.verdict),
            limits: (explanation.limits.iter())
                .map(|touched| {
                    let limit = &rules.limits[touched.limit.0 as usize];
                    LimitReport {
                        name: limit.name.to_string(),
                        quota: limit.quota.to_string(),
                        counted_by: touched.counted_by.clone(),
                        report_only: limit.report_only,
                    }
                })
                .collect(),
            action: route.and_then(|route| action(&explanation.verdict, route, snapshot)),
            mirror: route.and_then(|route| mirror(&explanation.verdict, route, snapshot)),
            origin: origin(&explanation.verdict),
            response_headers: pairs(&explanation.response_headers),
        }
    }
}

/// How HTTP/1 requests of `route` are served.
fn lane(route: &Route, snapshot: &Snapshot) -> String {
    match Lane::of(route, snapshot.process.fast_lane, |id| snapshot.upstream(id).http2) {
        Lane::Fast => Lane::FAST.to_owned(),
        Lane::Full(reason) => format!("{}, because {}", Lane::FULL, reason.as_str()),
    }
}

fn verdict(verdict: &Verdict) -> VerdictReport {
    match verdict {
        Verdict::Refuse { denial, place } => VerdictReport::Deny {
            status: denial.cause.status().as_u16(),
            cause: denial.cause.code().to_owned(),
            detail: denial.detail.to_string(),
            help: denial.cause.help().to_owned(),
            place: place.as_ref().map(ToString::to_string),
        },
        Verdict::Forward { .. } | Verdict::Answer => VerdictReport::Allow,
    }
}

/// What `route` does with a request that is allowed.
fn action(verdict: &Verdict, route: &Route, snapshot: &Snapshot) -> Option<ActionReport> {
    let of = |id: &UpstreamId| upstream(snapshot.upstream(*id));
    match (verdict, &route.action) {
        (Verdict::Answer, Action::Respond(fixed)) => {
            let status = fixed.status.as_u16();
            Some(ActionReport::Respond { answer: format!("{status}, {} bytes", fixed.body.len()), status })
        }
        (Verdict::Answer, Action::Redirect(redirect)) => {
            let status = redirect.status.as_u16();
            Some(ActionReport::Respond { answer: format!("{status}, a redirect"), status })
        }
        (Verdict::Forward { split: Some(SplitOutcome::Settled { upstream, why }), .. }, _) => {
            Some(ActionReport::Settled { upstream: of(upstream), split: why.to_string() })
        }
        (Verdict::Forward { split: Some(SplitOutcome::ByChance(shares)), .. }, _) => {
            let shares = shares.iter();
            let by_chance = shares.map(|(id, share)| ShareReport { share: share.to_string(), upstream: of(id) });
            Some(ActionReport::ByChance { by_chance: by_chance.collect() })
        }
        (Verdict::Forward { split: None, .. }, Action::Forward { to: Destination::One(id), .. }) => {
            Some(ActionReport::Forward { upstream: of(id) })
        }
        _ => None,
    }
}

fn upstream(upstream: &Upstream) -> UpstreamReport {
    let endpoints = upstream.endpoints.iter();
    let files = upstream.files.iter();
    UpstreamReport {
        name: upstream.name.to_string(),
        balance: upstream.balance.to_string(),
        endpoints: endpoints
            .map(|endpoint| EndpointReport { endpoint: endpoint.to_string(), weight: endpoint.weight })
            .collect(),
        services: upstream.services.iter().map(ToString::to_string).collect(),
        files: files
            .map(|file| EndpointFileReport { file: file.file.to_string(), endpoints: file.loaded.len() })
            .collect(),
    }
}

/// The mirror of `route`, if it copies such requests.
fn mirror(verdict: &Verdict, route: &Route, snapshot: &Snapshot) -> Option<MirrorReport> {
    match (verdict, &route.action) {
        (Verdict::Forward { mirrored: true, .. }, Action::Forward { mirror: Some(mirror), .. }) => Some(MirrorReport {
            upstream: snapshot.upstream(mirror.upstream).name.to_string(),
            share: mirror.share.to_string(),
        }),
        _ => None,
    }
}

fn origin(verdict: &Verdict) -> Option<OriginReport> {
    let Verdict::Forward { target, host, edits, .. } = verdict else { return None };
    let edits = edits.iter().map(|edit| match edit {
        Edit::Remove(name) => HeaderEditReport::Remove(name.to_string()),
        Edit::Set(name, value) => HeaderEditReport::Set(name.to_string(), text_of(value)),
        Edit::Append(name, value) => HeaderEditReport::Append(name.to_string(), text_of(value)),
    });
    Some(OriginReport { target: target.clone(), host: host.clone(), headers: edits.collect() })
}

fn pairs(headers: &HeaderMap) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| (name.to_string(), text_of(value))).collect()
}

fn text_of(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}
