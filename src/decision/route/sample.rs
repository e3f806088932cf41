//! Requests that routes are made for, for checks that put them before a table.

use std::net::{IpAddr, Ipv4Addr};

use http::{HeaderMap, HeaderValue, Method, Version};

use super::parameters::Parameters;
use super::pattern::{Condition, HostPattern, Match, PathPattern, Segment};
use super::table::{RouteMatch, Table};
use crate::decision::ids::RouteId;
use crate::decision::request::connection::ConnectionFacts;
use crate::decision::request::path::PathVariant;
use crate::decision::request::{NormalizedRequest, RawRequest, Scheme};

/// Stands for whatever a pattern leaves open.
const ANY: &str = "any";

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// By which connection a request comes, and what its client speaks: another scheme than the connection where a trusted proxy
/// says so.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrival {
    pub connection: ConnectionFacts,
    pub scheme: Scheme,
}

/// A request in normal form, however it comes.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleRequest {
    pub method: Method,
    pub host: String,
    pub path: String,
    pub spelling: PathVariant,
    pub query: Option<String>,
    pub headers: HeaderMap,
}

impl SampleRequest {
    /// What `table` makes of it: the route with the values of its parameters, and the request as that route sees it.
    pub fn find(&self, table: &Table, arrival: &Arrival) -> Option<(RouteId, Parameters, NormalizedRequest)> {
        let mut normal = self.normal(arrival);
        let raw = RawRequest {
            method: &self.method,
            target: self.path.as_bytes(),
            authority: None,
            fields: (&self.headers).into(),
            version: Version::HTTP_11,
            connection: &arrival.connection,
        };
        match table.find(&raw, &mut normal) {
            RouteMatch::Route { id, parameters } => Some((id, parameters, normal)),
            _ => None,
        }
    }

    /// The one reading of it.
    pub fn normal(&self, arrival: &Arrival) -> NormalizedRequest {
        NormalizedRequest {
            host: self.host.clone(),
            port: None,
            path: self.path.clone(),
            query: self.query.clone(),
            path_changed: false,
            spelling: self.spelling.clone(),
            client: CLIENT,
            scheme: arrival.scheme,
            trusted_peer: false,
            request_id: None,
            conflict: None,
        }
    }
}

impl Match {
    /// One path for each pattern. Regular expressions have none: what they match is not to be guessed.
    pub fn sample_paths(&self) -> Vec<String> {
        match self.paths.as_slice() {
            [] => vec![format!("/{ANY}")],
            paths => paths.iter().filter_map(path).collect(),
        }
    }

    /// Requests for `path` that fulfil the other conditions: one for each host and method. A regular expression may be missed.
    pub fn samples(&self, path: &str) -> impl Iterator<Item = SampleRequest> {
        let hosts = if self.hosts.is_empty() { vec![ANY.to_owned()] } else { self.hosts.iter().map(host).collect() };
        let methods = if self.methods.is_empty() { vec![Method::GET] } else { self.methods.clone() };
        let pairs: Vec<String> = self.query.iter().map(|(name, wanted)| format!("{name}={}", value(wanted))).collect();
        let headers = self.headers.iter().filter_map(|(name, wanted)| {
            Some((name.header_name().clone(), HeaderValue::try_from(value(wanted)).ok()?))
        });
        let sample = SampleRequest {
            method: Method::GET,
            host: String::new(),
            path: path.to_owned(),
            spelling: PathVariant::default(),
            query: (!pairs.is_empty()).then(|| pairs.join("&")),
            headers: headers.collect(),
        };
        hosts.into_iter().flat_map(move |host| {
            let sample = sample.clone();
            let of_method = move |method| SampleRequest { method, host: host.clone(), ..sample.clone() };
            methods.clone().into_iter().map(of_method)
        })
    }

    /// Whether a request that comes by `arrival` fulfils the conditions on the connection.
    pub fn admits(&self, arrival: &Arrival) -> bool {
        self.connection.failed(&arrival.connection, arrival.scheme).is_none()
    }

    /// An arrival that fulfils the conditions on the connection, whatever the listeners are like.
    pub fn supposed_arrival(&self) -> Arrival {
        let tls = self.connection.tls.unwrap_or(self.connection.scheme != Some(Scheme::Http));
        let own = if tls { Scheme::Https } else { Scheme::Http };
        let mut connection = ConnectionFacts::supposed(CLIENT, own);
        if let Some(listener) = self.connection.listeners.first() {
            connection.listener = listener.clone();
        }
        Arrival { connection, scheme: self.connection.scheme.unwrap_or(own) }
    }
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

/// A value that may satisfy `condition`.
fn value(condition: &Condition) -> String {
    match condition {
        Condition::Exact(value) => String::from_utf8_lossy(value.as_bytes()).into_owned(),
        Condition::Regex(_) | Condition::Present(_) => ANY.to_owned(),
    }
}
