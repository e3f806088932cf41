//! Routes by host: a hash map of names, a hash map of wildcard suffixes, any.

use super::ambiguity::Ambiguity;
use super::candidate::Candidate;
use super::paths::Paths;
use super::pattern::{HostPattern, Match};
use super::search::{Map, Search};

/// The routes that ask equally much of the connection, by host and then by path.
#[derive(Debug, Default)]
pub(super) struct VirtualHosts {
    exact: Map<Paths>,
    /// By what follows `*.`.
    wildcard: Map<Paths>,
    any: Paths,
}

impl VirtualHosts {
    /// Adds every alternative of `matched`, the `index`th match.
    pub fn insert(&mut self, index: usize, matched: &Match) {
        for host in 0..matched.hosts.len().max(1) {
            let paths = match matched.hosts.get(host) {
                Some(HostPattern::Exact(name)) => self.exact.entry(name.as_str().into()).or_default(),
                Some(HostPattern::Wildcard(suffix)) => self.wildcard.entry(suffix.as_str().into()).or_default(),
                None => &mut self.any,
            };
            for path in 0..matched.paths.len().max(1) {
                let candidate = Candidate { matched: index as u32, host: host as u32, path: path as u32 };
                paths.insert(candidate, matched.paths.get(path));
            }
        }
    }

    /// Puts every list in the order of precedence and reports what is ambiguous.
    pub fn finish(&mut self, matches: &[Match], ambiguities: &mut Vec<Ambiguity>) {
        for paths in self.exact.values_mut().chain(self.wildcard.values_mut()).chain([&mut self.any]) {
            paths.finish(matches, ambiguities);
        }
    }

    pub fn find(&self, search: &mut Search<'_>) -> Option<Candidate> {
        let host = search.request.normal.host.as_str();
        if let Some(candidate) = self.exact.get(host).and_then(|paths| paths.find(search)) {
            return Some(candidate);
        }
        if !self.wildcard.is_empty() {
            let mut rest = host;
            while let Some((_, suffix)) = rest.split_once('.') {
                if let Some(candidate) = self.wildcard.get(suffix).and_then(|paths| paths.find(search)) {
                    return Some(candidate);
                }
                rest = suffix;
            }
        }
        self.any.find(search)
    }
}
