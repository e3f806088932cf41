//! The endpoints of an upstream at one time, and what they are made of: the file's lines and the resolver's answers.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::Endpoint;
use crate::config::snapshot::{self, Health};
use crate::decision::upstream::{Balanced, Live, Member};

/// Addresses of one name that are used; the lowest, should there be more.
const MAX_ADDRESSES: usize = 256;

/// The endpoints of an upstream at one time. A change makes new members, in which those that stay are the same.
#[derive(Debug)]
pub struct Members {
    /// By the index that `balanced` knows them by.
    pub endpoints: Vec<Arc<Endpoint>>,
    pub balanced: Balanced,
    pub(super) health: Option<Health>,
    pub(super) refuse_when_unhealthy: bool,
}

/// What members are made of.
pub(super) struct Configured {
    upstream: snapshot::Upstream,
    /// The last good answer for each name.
    answers: HashMap<String, Vec<IpAddr>>,
}

struct LiveMembers<'a> {
    endpoints: &'a [Arc<Endpoint>],
    tried: &'a [SocketAddr],
}

impl Members {
    /// The members as one request sees them, which has tried some addresses.
    pub(super) fn live<'a>(&'a self, tried: &'a [SocketAddr]) -> impl Live + 'a {
        LiveMembers { endpoints: &self.endpoints, tried }
    }
}

impl Live for LiveMembers<'_> {
    fn healthy(&self, member: usize) -> bool {
        self.endpoints[member].healthy()
    }

    fn tried(&self, member: usize) -> bool {
        self.tried.contains(&self.endpoints[member].address)
    }

    fn active(&self, member: usize) -> usize {
        self.endpoints[member].active()
    }
}

impl Configured {
    pub(super) fn new(upstream: &snapshot::Upstream) -> Self {
        Configured { upstream: upstream.clone(), answers: HashMap::new() }
    }

    /// Goes on with the upstream of another file, which always makes new members.
    pub(super) fn adopt(&mut self, upstream: &snapshot::Upstream) -> bool {
        self.upstream = upstream.clone();
        self.answers.retain(|name, _| upstream.endpoints.iter().any(|endpoint| endpoint.host == *name));
        true
    }

    /// Keeps the addresses of `name`. Says whether they are others than before.
    pub(super) fn learn(&mut self, name: &str, mut addresses: Vec<IpAddr>) -> bool {
        // A reload may have removed the name while it was looked up.
        if !self.names().any(|known| known == name) {
            return false;
        }
        addresses.sort_unstable();
        addresses.dedup();
        addresses.truncate(MAX_ADDRESSES);
        if self.answers.get(name) == Some(&addresses) {
            return false;
        }
        self.answers.insert(name.to_owned(), addresses);
        true
    }

    /// The names to resolve, each once.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let hosts = self.upstream.endpoints.iter().map(|endpoint| endpoint.host.as_str());
        hosts.filter(|host| host.parse::<IpAddr>().is_err()).collect::<BTreeSet<_>>().into_iter()
    }

    pub(super) fn resolve_every(&self) -> Duration {
        self.upstream.resolve
    }

    /// The members now, taking over from `before` those that stay.
    pub(super) fn members(&self, before: &[Arc<Endpoint>]) -> Members {
        let before: HashMap<_, _> =
            before.iter().map(|endpoint| ((&*endpoint.name, endpoint.address), endpoint)).collect();
        let mut endpoints = Vec::new();
        let mut balancing = Vec::new();
        for written in &self.upstream.endpoints {
            let name = name(written);
            for ip in self.addresses(&written.host) {
                let address = SocketAddr::new(ip, written.port);
                endpoints.push(match before.get(&(name.as_str(), address)) {
                    Some(endpoint) => Arc::clone(endpoint),
                    None => Arc::new(Endpoint::new(name.as_str().into(), address)),
                });
                balancing.push(Member { address, weight: written.weight });
            }
        }
        if self.upstream.health.is_none() {
            endpoints.iter().for_each(|endpoint| endpoint.presume_healthy());
        }
        Members {
            endpoints,
            balanced: Balanced::new(&self.upstream.balance, &balancing),
            health: self.upstream.health.clone(),
            refuse_when_unhealthy: self.upstream.refuse_when_unhealthy,
        }
    }

    fn addresses(&self, host: &str) -> Vec<IpAddr> {
        match host.parse() {
            Ok(address) => vec![address],
            Err(_) => self.answers.get(host).cloned().unwrap_or_default(),
        }
    }
}

/// `host:port`, IPv6 in brackets.
fn name(endpoint: &snapshot::Endpoint) -> String {
    if endpoint.host.contains(':') {
        format!("[{}]:{}", endpoint.host, endpoint.port)
    } else {
        format!("{}:{}", endpoint.host, endpoint.port)
    }
}
