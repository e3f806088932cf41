//! Requests that another route takes from now on, and that asks for less.
//!
//! Where `/admin/*` is for staff and `/*` for everyone, taking the first away opens what it stood before, and nothing about
//! the second says so. A sample of what each route matches is put before both route tables.

use std::net::Ipv4Addr;

use http::{HeaderMap, HeaderValue, Method, Version, header};

use crate::config::diff::access::demands;
use crate::config::diff::guard::Guard;
use crate::config::diff::{Apply, Change, Effect, Subject, Weight};
use crate::decision::ids::RouteId;
use crate::decision::policy::{Policy, Route};
use crate::decision::request::connection::ConnectionFacts;
use crate::decision::request::{self, RawRequest, Scheme};
use crate::decision::route::{Condition, HostPattern, Match, PathPattern, Segment};

/// Stands for whatever a pattern leaves open.
const ANY: &str = "any";

/// What becomes weaker because another route takes the requests of one that asked for more.
pub(super) fn changes(old: &Policy, new: &Policy) -> Vec<Change> {
    old.table.matches().iter().filter_map(|matched| change(matched, old, new)).collect()
}

fn change(matched: &Match, old: &Policy, new: &Policy) -> Option<Change> {
    let before = route(old, matched.route)?;
    let strict = Guard::Demands(demands(&before.access));
    // A route that asks for nothing can't be replaced by one that asks for less.
    before.access.allow()?;
    let laxer = samples(matched).find_map(|sample| {
        let taken = |rules| sample.taken(rules);
        let after = (taken(old)? == matched.route).then(|| route(new, taken(new)?)).flatten()?;
        let weight = Guard::weigh(Some(&strict), Some(&Guard::Demands(demands(&after.access))));
        // Of the same route, its own access says it.
        (after.name != before.name && weight == Weight::Weaker).then_some(after)
    })?;
    Some(Change {
        weight: Weight::Weaker,
        effect: Effect::Access,
        subject: Subject::Routes { names: vec![before.name.clone()], every: false },
        name: String::new(),
        before: Some(before.access.to_string()),
        after: Some(format!("{}, by route {}", laxer.access, laxer.name)),
        apply: Apply::Live,
    })
}

fn route(rules: &Policy, id: RouteId) -> Option<&Route> {
    rules.routes.get(id.0 as usize)
}

/// A request that a route matches.
struct SampleRequest {
    method: Method,
    target: String,
    headers: HeaderMap,
}

impl SampleRequest {
    fn taken(&self, rules: &Policy) -> Option<RouteId> {
        let raw = RawRequest {
            method: &self.method,
            target: self.target.as_bytes(),
            authority: None,
            fields: (&self.headers).into(),
            version: Version::HTTP_11,
            connection: &ConnectionFacts::supposed(Ipv4Addr::LOCALHOST.into(), Scheme::Https),
        };
        let mut normal = request::read(&rules.read, &raw).ok()?;
        rules.table.find(&raw, &mut normal).taken().ok().map(|(id, _)| id)
    }
}

/// One request for each path of each host. Regular expressions have none: what they match is not to be guessed.
fn samples(matched: &Match) -> impl Iterator<Item = SampleRequest> {
    let hosts: Vec<String> = match matched.hosts.as_slice() {
        [] => vec![ANY.to_owned()],
        hosts => hosts.iter().map(host).collect(),
    };
    let paths: Vec<String> = match matched.paths.as_slice() {
        [] => vec![format!("/{ANY}")],
        paths => paths.iter().filter_map(path).collect(),
    };
    let method = matched.methods.first().cloned().unwrap_or(Method::GET);
    let pairs: Vec<String> = matched.query.iter().map(|(name, wanted)| format!("{name}={}", value(wanted))).collect();
    let query = if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) };
    let headers: HeaderMap = matched
        .headers
        .iter()
        .filter_map(|(name, wanted)| Some((name.header_name().clone(), HeaderValue::try_from(value(wanted)).ok()?)))
        .collect();
    let all = hosts.into_iter().flat_map(move |host| {
        let paths = paths.clone();
        paths.into_iter().map(move |path| (host.clone(), path))
    });
    all.filter_map(move |(host, path)| {
        let mut headers = headers.clone();
        headers.insert(header::HOST, HeaderValue::try_from(host).ok()?);
        Some(SampleRequest { method: method.clone(), target: format!("{path}{query}"), headers })
    })
}

fn host(pattern: &HostPattern) -> String {
    match pattern {
        HostPattern::Exact(name) => name.clone(),
        HostPattern::Wildcard(suffix) => format!("{ANY}.{suffix}"),
    }
}

fn path(pattern: &PathPattern) -> Option<String> {
    match pattern {
        PathPattern::Exact(path) => Some(path.clone()),
        PathPattern::Prefix(prefix) => Some(format!("{prefix}{ANY}")),
        PathPattern::Regex(_) => None,
        PathPattern::Parameters(segments) => Some(
            segments
                .iter()
                .flat_map(|segment| match segment {
                    Segment::Literal(text) => ["/", text.as_str()],
                    Segment::Parameter(_) => ["/", ANY],
                })
                .collect(),
        ),
    }
}

/// A value that may satisfy `condition`; a sample that does not is not the route's, and left out.
fn value(condition: &Condition) -> String {
    match condition {
        Condition::Exact(value) => String::from_utf8_lossy(value.as_bytes()).into_owned(),
        Condition::Regex(_) | Condition::Present(_) => ANY.to_owned(),
    }
}
