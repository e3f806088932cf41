//! What a lookup chooses from.

use super::pattern::{Match, PathPattern};
use super::specificity::Specificity;

/// One alternative of a route, by indices. Where the route takes any host or any path, the index is 0 and points to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub matched: u32,
    pub host: u32,
    pub path: u32,
}

impl Candidate {
    pub fn specificity(self, matches: &[Match]) -> Specificity {
        let matched = &matches[self.matched as usize];
        Specificity::of(matched, matched.hosts.get(self.host as usize), self.path(matches))
    }

    pub fn path(self, matches: &[Match]) -> Option<&PathPattern> {
        matches[self.matched as usize].paths.get(self.path as usize)
    }
}
