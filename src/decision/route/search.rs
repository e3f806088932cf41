//! One lookup under way.

use std::collections::HashMap;

use http::Method;

use super::candidate::Candidate;
use super::pattern::Match;
use crate::decision::request::RequestView;

/// Hashed without a random seed: the keys come from the configuration, so that a client can't crowd a bucket.
pub(super) type Map<V> = HashMap<Box<str>, V, foldhash::fast::FixedState>;

/// One lookup under way.
pub(super) struct Search<'a> {
    pub matches: &'a [Match],
    pub request: &'a RequestView<'a>,
    /// Instead of the request's own: one of its readings.
    pub path: &'a str,
    /// Methods of the routes that matched but for the method.
    pub allowed: Vec<Method>,
}

impl Search<'_> {
    /// The first of `candidates`, which are in the order of precedence, whose conditions hold. Their host and path do.
    pub fn first(&mut self, candidates: &[Candidate]) -> Option<Candidate> {
        candidates.iter().copied().find(|candidate| {
            let matched = &self.matches[candidate.matched as usize];
            if matched.failed_condition(self.request).is_some() {
                return false;
            }
            let takes = matched.takes_method(self.request.method);
            if !takes {
                self.allowed.extend_from_slice(&matched.methods);
            }
            takes
        })
    }

    pub fn into_allowed(self) -> Vec<Method> {
        let mut allowed = self.allowed;
        if allowed.contains(&Method::GET) {
            allowed.push(Method::HEAD);
        }
        allowed.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        allowed.dedup();
        allowed
    }
}
