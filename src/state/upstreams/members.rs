//! The endpoints of an upstream at one time, and what they are made of: the upstream's settings and its targets.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::Endpoint;
use crate::config::snapshot::{self, Health};
use crate::decision::upstream::{Balanced, Live, Member};
use crate::state::discovery::{Discovery, Target};

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
    /// What its endpoints stand for.
    targets: Vec<Target>,
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
    pub(super) fn new(upstream: &snapshot::Upstream, discovery: &Discovery) -> Self {
        Configured { upstream: upstream.clone(), targets: first_choice(discovery.targets(upstream)) }
    }

    /// Goes on with the upstream of another file, which always makes new members.
    pub(super) fn adopt(&mut self, upstream: &snapshot::Upstream, discovery: &Discovery) -> bool {
        *self = Configured::new(upstream, discovery);
        true
    }

    /// Takes over what is known by now. Says whether the targets are others than before.
    pub(super) fn discover(&mut self, discovery: &Discovery) -> bool {
        let targets = first_choice(discovery.targets(&self.upstream));
        let changed = targets != self.targets;
        self.targets = targets;
        changed
    }

    /// The members now, taking over from `before` those that stay.
    pub(super) fn members(&self, before: &[Arc<Endpoint>]) -> Members {
        let before: HashMap<_, _> =
            before.iter().map(|endpoint| ((&*endpoint.name, endpoint.address), endpoint)).collect();
        let mut endpoints = Vec::new();
        let mut balancing = Vec::new();
        for Target { endpoint: written, address, .. } in &self.targets {
            let (name, address) = (name(written), *address);
            endpoints.push(match before.get(&(name.as_str(), address)) {
                Some(endpoint) => Arc::clone(endpoint),
                None => Arc::new(Endpoint::new(name.as_str().into(), address)),
            });
            balancing.push(Member { address, weight: written.weight });
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
}

/// Those of the first priority that has any.
fn first_choice(mut targets: Vec<Target>) -> Vec<Target> {
    let first = targets.iter().map(|target| target.priority).min();
    targets.retain(|target| Some(target.priority) == first);
    targets
}

/// `host:port`, IPv6 in brackets.
fn name(endpoint: &snapshot::Endpoint) -> String {
    if endpoint.host.contains(':') {
        format!("[{}]:{}", endpoint.host, endpoint.port)
    } else {
        format!("{}:{}", endpoint.host, endpoint.port)
    }
}
