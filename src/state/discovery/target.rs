//! From what is known to the addresses that an upstream balances over.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::service::{self, Record};
use crate::config::snapshot::{EndpointConfig, Upstream};

/// One address to balance over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// As it is written, or as SRV records and files say; a name stands for several targets.
    pub endpoint: EndpointConfig,
    /// Where it is.
    pub address: SocketAddr,
    /// 0 comes first. SRV records count up from there in the order of their own priorities.
    pub priority: u32,
}

/// The targets of `upstream`, in the order of its file, each once: `host:port` at an address.
pub(super) fn targets<'k>(
    upstream: &Upstream,
    list: impl Fn(&str) -> Option<Arc<[EndpointConfig]>>,
    records: impl Fn(&str) -> &'k [Record],
    addresses: impl Fn(&str) -> &'k [IpAddr],
) -> Vec<Target> {
    let mut found = Found { targets: Vec::new(), seen: HashSet::new() };
    let written = |found: &mut Found, endpoint: &EndpointConfig| match endpoint.host.parse() {
        Ok(ip) => found.add(endpoint.clone(), &[ip], endpoint.priority),
        Err(_) => found.add(endpoint.clone(), addresses(&endpoint.host), endpoint.priority),
    };
    upstream.endpoints.iter().for_each(|endpoint| written(&mut found, endpoint));
    for name in &upstream.services {
        for (priority, tier) in (0..).zip(service::tiers(records(name))) {
            for (record, weight) in tier {
                let host = record.target.trim_end_matches('.').to_owned();
                let endpoint = EndpointConfig { host, port: record.port, weight, priority, zone: None };
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

struct Found {
    targets: Vec<Target>,
    seen: HashSet<(String, SocketAddr)>,
}

impl Found {
    fn add(&mut self, endpoint: EndpointConfig, addresses: &[IpAddr], priority: u32) {
        for ip in addresses {
            let address = SocketAddr::new(*ip, endpoint.port);
            if self.seen.insert((endpoint.host.clone(), address)) {
                self.targets.push(Target { endpoint: endpoint.clone(), address, priority });
            }
        }
    }
}
