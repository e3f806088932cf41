//! The paths of one host.

use std::collections::HashMap;

use regex::{Regex, RegexSet};

use super::conditions::Search;
use super::path::Tree;
use super::{Match, Parameters, PathPattern};

/// Indices of matches with the same host and path, the most specific conditions first.
pub type Candidates = Vec<usize>;

/// The paths of one host, by kind, in the order in which they are tried.
#[derive(Debug, Default)]
pub struct HostTable {
    exact: HashMap<String, Candidates>,
    parameters: Tree,
    regexes: Vec<(Regex, Candidates)>,
    regex_set: Option<RegexSet>,
    prefixes: HashMap<String, Candidates>,
    /// The lengths that prefixes have, longest first: no others are probed.
    prefix_lengths: Vec<usize>,
    any: Candidates,
}

impl HostTable {
    /// Adds match `index` under `path`, and reports every match that is already there with an equal right.
    pub fn insert(
        &mut self,
        path: Option<&PathPattern>,
        index: usize,
        matches: &[Match],
        mut ambiguous: impl FnMut(usize),
    ) {
        let candidates = match path {
            None => &mut self.any,
            Some(PathPattern::Exact(path)) => self.exact.entry(path.clone()).or_default(),
            Some(PathPattern::Parameters(segments)) => self.parameters.entry(segments),
            Some(PathPattern::Prefix(prefix)) => self.prefixes.entry(prefix.clone()).or_default(),
            Some(PathPattern::Regex(regex)) => {
                let known = self.regexes.iter().position(|(known, _)| known.as_str() == regex.as_str());
                let at = known.unwrap_or_else(|| {
                    self.regexes.push((regex.clone(), Candidates::new()));
                    self.regexes.len() - 1
                });
                &mut self.regexes[at].1
            }
        };
        let new = &matches[index];
        for &other in candidates.iter().filter(|other| **other != index) {
            if matches[other].conditions() == new.conditions() && !matches[other].disjoint(new) {
                ambiguous(other);
            }
        }
        if !candidates.contains(&index) {
            let at = candidates.partition_point(|other| matches[*other].conditions() >= new.conditions());
            candidates.insert(at, index);
        }
    }

    /// Prepares what depends on all paths.
    pub fn finish(&mut self) {
        self.prefix_lengths = self.prefixes.keys().map(String::len).collect();
        self.prefix_lengths.sort_unstable_by(|a, b| b.cmp(a));
        self.prefix_lengths.dedup();
        // A stable sort: of equally long ones the first written stays first.
        self.regexes.sort_by_key(|(regex, _)| std::cmp::Reverse(regex.as_str().len()));
        // Each pattern compiled on its own; together they may exceed the set's size, and are then tried one by one.
        self.regex_set = RegexSet::new(self.regexes.iter().map(|(regex, _)| regex.as_str())).ok();
    }

    /// The most specific match of this host, with its path parameters.
    pub fn find(&self, search: &mut Search<'_>) -> Option<(usize, Parameters)> {
        let path = search.request.normal.path.as_str();
        let none = Parameters::new();
        if let Some(index) = self.exact.get(path).and_then(|candidates| search.first(candidates)) {
            return Some((index, none));
        }
        if let Some(found) = self.parameters.find(path, search) {
            return Some(found);
        }
        if let Some(index) = self.find_regex(path, search) {
            return Some((index, none));
        }
        let lengths = self.prefix_lengths.iter().filter(|length| **length <= path.len());
        for &length in lengths {
            if path.as_bytes()[length - 1] == b'/' {
                if let Some(index) = self.prefixes.get(&path[..length]).and_then(|candidates| search.first(candidates))
                {
                    return Some((index, none));
                }
            }
        }
        search.first(&self.any).map(|index| (index, none))
    }

    fn find_regex(&self, path: &str, search: &mut Search<'_>) -> Option<usize> {
        if self.regexes.is_empty() {
            return None;
        }
        match &self.regex_set {
            Some(set) => set.matches(path).into_iter().find_map(|at| search.first(&self.regexes[at].1)),
            None => {
                let matching = self.regexes.iter().filter(|(regex, _)| regex.is_match(path));
                matching.into_iter().find_map(|(_, candidates)| search.first(candidates))
            }
        }
    }
}
