//! The addresses that an upstream balances over, computed from its configuration and the discovered sources.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::srv::{self, SrvRecord};
use crate::config::snapshot::{Endpoint, Upstream};

/// One address to balance over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedTarget {
    /// As written, or from SRV records and files. A name stands for several targets.
    pub endpoint: Endpoint,
    pub address: SocketAddr,
    /// 0 comes first. The priorities of SRV records are numbered 0, 1, 2 … in their order.
    pub priority: u32,
}

/// The targets of `upstream`, in the order of its configuration, each pair of `host:port` and address once.
pub(super) fn targets<'k>(
    upstream: &Upstream,
    list: impl Fn(&str) -> Option<Arc<[Endpoint]>>,
    records: impl Fn(&str) -> &'k [SrvRecord],
    addresses: impl Fn(&str) -> &'k [IpAddr],
) -> Vec<ResolvedTarget> {
    let mut found = TargetList { targets: Vec::new(), seen: HashSet::new() };
    let written = |found: &mut TargetList, endpoint: &Endpoint| match endpoint.host.parse() {
        Ok(ip) => found.add(endpoint.clone(), &[ip], endpoint.priority),
        Err(_) => found.add(endpoint.clone(), addresses(&endpoint.host), endpoint.priority),
    };
    upstream.endpoints.iter().for_each(|endpoint| written(&mut found, endpoint));
    for name in &upstream.services {
        for (priority, tier) in (0..).zip(srv::tiers(records(name))) {
            for (record, weight) in tier {
                let host = record.target.trim_end_matches('.').to_owned();
                let endpoint = Endpoint { host, port: record.port, weight, priority, zone: None };
                found.add(endpoint, addresses(&record.target), priority);
            }
        }
    }
    for file in &upstream.files {
        let listed = list(&file.file).unwrap_or_else(|| file.loaded.clone());
        listed.iter().for_each(|endpoint| written(&mut found, endpoint));
    }
    found.targets
}

struct TargetList {
    targets: Vec<ResolvedTarget>,
    seen: HashSet<(String, SocketAddr)>,
}

impl TargetList {
    fn add(&mut self, endpoint: Endpoint, addresses: &[IpAddr], priority: u32) {
        for ip in addresses {
            let address = SocketAddr::new(*ip, endpoint.port);
            if self.seen.insert((endpoint.host.clone(), address)) {
                self.targets.push(ResolvedTarget { endpoint: endpoint.clone(), address, priority });
            }
        }
    }
}
