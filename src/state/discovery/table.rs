//! The table of discovered sources, and which sources upstreams need.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use super::endpoint_file::EndpointFileState;
use super::lookup::CachedLookup;
use super::srv::SrvRecord;
use crate::config::snapshot::Upstream;

/// Sources that one message names.
const NAMED: usize = 5;

/// All sources by name.
#[derive(Default)]
pub(super) struct DiscoveryTable {
    pub names: HashMap<Arc<str>, CachedLookup<Vec<IpAddr>>>,
    pub services: HashMap<Arc<str>, CachedLookup<Vec<SrvRecord>>>,
    pub files: HashMap<Arc<str>, EndpointFileState>,
    /// The upstreams of the configuration that was prepared last.
    pub prepared: Vec<Upstream>,
}

impl DiscoveryTable {
    /// Tracks the sources that `upstreams` and the prepared configuration need, and drops all others. Returns whether the
    /// content of a file came into use.
    pub fn track<'a>(&mut self, upstreams: impl IntoIterator<Item = &'a Upstream>, now: Instant) -> bool {
        let mut required = RequiredSources::of(upstreams);
        self.prepared.iter().for_each(|upstream| required.add(upstream));
        self.files.retain(|name, _| required.files.contains(name));
        self.services.retain(|name, _| required.services.contains(name));
        for list in self.files.values() {
            list.all().for_each(|endpoint| required.add_host(&endpoint.host));
        }
        for records in self.services.values().filter_map(CachedLookup::answer) {
            required.names.extend(records.iter().map(|record| record.target.clone()));
        }
        self.names.retain(|name, _| required.names.contains(name));
        for name in required.names {
            self.names.entry(name).or_insert_with(|| CachedLookup::new(now));
        }
        for name in required.services {
            self.services.entry(name).or_insert_with(|| CachedLookup::new(now));
        }
        self.activate_files()
    }

    /// Whether `name` is an address, or an address of it is known.
    pub fn has_address(&self, name: &str) -> bool {
        name.parse::<IpAddr>().is_ok() || self.names.get(name).is_some_and(|lookup| lookup.answer().is_some())
    }

    /// Whether every question that `upstreams` need was answered, successfully or not.
    pub fn has_answered<'a>(&self, upstreams: impl IntoIterator<Item = &'a Upstream>) -> bool {
        let required = RequiredSources::of(upstreams);
        required.names.iter().all(|name| self.names.get(name).is_some_and(CachedLookup::answered))
            && required.services.iter().all(|name| self.services.get(name).is_some_and(CachedLookup::answered))
    }

    /// Why none of the sources that `upstream` needs gives an address.
    pub fn why_unresolved(&self, upstream: &Upstream) -> String {
        let required = RequiredSources::of([upstream]);
        let names = required.names.iter().map(|name| (name, self.names.get(name).and_then(CachedLookup::failure)));
        let services =
            required.services.iter().map(|name| (name, self.services.get(name).and_then(CachedLookup::failure)));
        let mut why: Vec<String> = names
            .chain(services)
            .map(|(name, failure)| match failure {
                Some(failure) => format!("`{name}`: {failure}"),
                None => format!("`{name}`: no answer of DNS yet"),
            })
            .chain(required.files.iter().map(|file| format!("`{file}`: it lists no endpoint that has an address")))
            .collect();
        why.sort_unstable();
        why.truncate(NAMED);
        format!("no endpoint has an address: {}", why.join("; "))
    }

    /// Puts the new content of files into use whose names are looked up by now. Returns whether there was any.
    pub fn activate_files(&mut self) -> bool {
        let DiscoveryTable { names, files, .. } = self;
        let answered =
            |host: &str| host.parse::<IpAddr>().is_ok() || names.get(host).is_some_and(CachedLookup::answered);
        let found = |host: &str| {
            host.parse::<IpAddr>().is_ok() || names.get(host).is_some_and(|lookup| lookup.answer().is_some())
        };
        files.values_mut().filter_map(|list| list.activate(answered, found).then_some(())).count() > 0
    }
}

/// The sources that some upstreams need, each once.
#[derive(Default)]
struct RequiredSources {
    names: HashSet<Arc<str>>,
    services: HashSet<Arc<str>>,
    files: HashSet<Arc<str>>,
}

impl RequiredSources {
    fn of<'a>(upstreams: impl IntoIterator<Item = &'a Upstream>) -> Self {
        let mut required = RequiredSources::default();
        upstreams.into_iter().for_each(|upstream| required.add(upstream));
        required
    }

    fn add(&mut self, upstream: &Upstream) {
        upstream.endpoints.iter().for_each(|endpoint| self.add_host(&endpoint.host));
        self.services.extend(upstream.services.iter().cloned());
        for file in &upstream.files {
            self.files.insert(file.file.clone());
            file.loaded.iter().for_each(|endpoint| self.add_host(&endpoint.host));
        }
    }

    fn add_host(&mut self, host: &str) {
        if host.parse::<IpAddr>().is_err() && !self.names.contains(host) {
            self.names.insert(host.into());
        }
    }
}
