//! The routes of one host by path, laid out in the order of [`super::Specificity`]: a hash map of exact paths, a tree of patterns
//! with parameters, a set of regular expressions, a tree of prefixes, and the rest.

use std::cmp::Reverse;

use regex::{RegexSet, RegexSetBuilder};
use smallvec::SmallVec;

use super::ambiguity::{self, Ambiguity};
use super::candidate::Candidate;
use super::parameters::Parameters;
use super::pattern::{Match, PathPattern, Segment};
use super::search::{Map, Search};

/// In the order of precedence once [`Paths::finish`] was called.
type Candidates = SmallVec<[Candidate; 1]>;

#[derive(Debug, Default)]
pub(super) struct Paths {
    exact: Map<Candidates>,
    parameters: Tree,
    regexes: Regexes,
    prefixes: Tree,
    any: Candidates,
}

impl Paths {
    pub fn insert(&mut self, candidate: Candidate, path: Option<&PathPattern>) {
        let candidates = match path {
            None => &mut self.any,
            Some(PathPattern::Exact(path)) => self.exact.entry(path.as_str().into()).or_default(),
            Some(PathPattern::Parameters(segments)) => {
                self.parameters.leaf(segments.iter().map(|segment| match segment {
                    Segment::Literal(text) => Some(text.as_str()),
                    Segment::Parameter(_) => None,
                }))
            }
            Some(PathPattern::Regex(_)) => &mut self.regexes.candidates,
            Some(PathPattern::Prefix(prefix)) => self.prefixes.leaf(prefix_segments(prefix).map(Some)),
        };
        candidates.push(candidate);
    }

    /// Puts every list in the order of precedence and reports what is ambiguous.
    pub fn finish(&mut self, matches: &[Match], ambiguities: &mut Vec<Ambiguity>) {
        let trees = self.parameters.nodes.iter_mut().chain(&mut self.prefixes.nodes);
        let lists = self.exact.values_mut().chain(trees.map(|node| &mut node.candidates));
        for list in lists.chain([&mut self.regexes.candidates, &mut self.any]).filter(|list| list.len() > 1) {
            list.sort_by_cached_key(|candidate| Reverse(candidate.specificity(matches)));
            ambiguity::find(list, matches, ambiguities);
        }
        self.regexes.compile(matches);
    }

    pub fn find(&self, search: &mut Search<'_>) -> Option<Candidate> {
        let path = search.path;
        if let Some(candidate) = self.exact.get(path).and_then(|candidates| search.first(candidates)) {
            return Some(candidate);
        }
        for node in self.parameters.patterns(path) {
            if let Some(candidate) = search.first(&self.parameters.nodes[node].candidates) {
                return Some(candidate);
            }
        }
        if let Some(candidate) = self.regexes.find(search) {
            return Some(candidate);
        }
        for node in self.prefixes.prefixes(path).into_iter().rev() {
            if let Some(candidate) = search.first(&self.prefixes.nodes[node].candidates) {
                return Some(candidate);
            }
        }
        search.first(&self.any)
    }
}

/// The byte ranges of `path` that the parameters of `pattern`, which matches it, stand for.
pub(super) fn parameters(pattern: &[Segment], path: &str) -> Parameters {
    let mut start = 1;
    let mut found = Parameters::new();
    for (segment, text) in pattern.iter().zip(path[1..].split('/')) {
        let end = start + text.len();
        if let Segment::Parameter(_) = segment {
            found.push((start as u32, end as u32));
        }
        start = end + 1;
    }
    found
}

/// `/a/b/` gives `a` and `b`, `/` gives nothing.
fn prefix_segments(prefix: &str) -> impl Iterator<Item = &str> {
    let inner = prefix.strip_prefix('/').unwrap_or(prefix);
    inner.split_terminator('/')
}

/// Patterns by their segments, from the root. Without patterns it has not even a root.
#[derive(Debug, Default)]
struct Tree {
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    literals: Map<usize>,
    parameter: Option<usize>,
    /// Of the patterns that end here.
    candidates: Candidates,
}

impl Tree {
    /// The list at the end of the pattern, whose parameters are `None`.
    fn leaf<'p>(&mut self, pattern: impl Iterator<Item = Option<&'p str>>) -> &mut Candidates {
        if self.nodes.is_empty() {
            self.nodes.push(Node::default());
        }
        let mut at = 0;
        for segment in pattern {
            let next = self.nodes.len();
            let node = &mut self.nodes[at];
            at = match segment {
                Some(text) => *node.literals.entry(text.into()).or_insert(next),
                None => *node.parameter.get_or_insert(next),
            };
            if at == next {
                self.nodes.push(Node::default());
            }
        }
        &mut self.nodes[at].candidates
    }

    /// The nodes whose whole pattern matches `path`, the most specific first.
    fn patterns(&self, path: &str) -> SmallVec<[usize; 4]> {
        let mut found = SmallVec::<[(usize, usize); 4]>::new();
        if let (false, Some(rest)) = (self.nodes.is_empty(), path.strip_prefix('/')) {
            self.descend(0, Some(rest), 0, &mut found);
        }
        // Literals were tried before parameters, so that among equal numbers the earlier literal stands first already.
        found.sort_by_key(|&(literals, _)| Reverse(literals));
        found.into_iter().map(|(_, node)| node).collect()
    }

    /// Collects the ends below `at` with their number of literals. As deep as the longest pattern, however long the path.
    fn descend(&self, at: usize, rest: Option<&str>, literals: usize, found: &mut SmallVec<[(usize, usize); 4]>) {
        let node = &self.nodes[at];
        let Some(rest) = rest else {
            if !node.candidates.is_empty() {
                found.push((literals, at));
            }
            return;
        };
        let (segment, rest) = match rest.split_once('/') {
            Some((segment, rest)) => (segment, Some(rest)),
            None => (rest, None),
        };
        if let Some(&next) = node.literals.get(segment) {
            self.descend(next, rest, literals + 1, found);
        }
        if let (Some(next), false) = (node.parameter, segment.is_empty()) {
            self.descend(next, rest, literals, found);
        }
    }

    /// The nodes whose pattern is a prefix of `path`, or `path` itself without its last slash, the shortest first.
    fn prefixes(&self, path: &str) -> SmallVec<[usize; 8]> {
        let mut found = SmallVec::new();
        let (Some(mut node), Some(mut rest)) = (self.nodes.first(), path.strip_prefix('/')) else { return found };
        let mut at = 0;
        loop {
            if !node.candidates.is_empty() {
                found.push(at);
            }
            let Some((segment, tail)) = rest.split_once('/') else {
                // `/static` is the parent of `/static/*`, which takes it too.
                let parent = (!rest.is_empty()).then(|| node.literals.get(rest)).flatten();
                found.extend(parent.copied().filter(|&next| !self.nodes[next].candidates.is_empty()));
                return found;
            };
            let Some(&next) = node.literals.get(segment) else { return found };
            (at, node, rest) = (next, &self.nodes[next], tail);
        }
    }
}

/// Regular expressions in the order of precedence.
#[derive(Debug, Default)]
struct Regexes {
    candidates: Candidates,
    /// The same expressions, matched in one pass. Absent where it is not worth it, or too large to compile.
    set: Option<RegexSet>,
}

impl Regexes {
    /// Most bytes that a compiled set may take; beyond, the expressions are tried one by one.
    const SET_BYTES: usize = 64 << 20;

    fn compile(&mut self, matches: &[Match]) {
        if self.candidates.len() > 1 {
            let patterns = self.candidates.iter().map(|candidate| match candidate.path(matches) {
                Some(PathPattern::Regex(regex)) => regex.as_str(),
                _ => unreachable!("BUG: only regular expressions are inserted here"),
            });
            self.set = RegexSetBuilder::new(patterns).size_limit(Self::SET_BYTES).build().ok();
        }
    }

    fn find(&self, search: &mut Search<'_>) -> Option<Candidate> {
        let path = search.path;
        if let Some(set) = &self.set {
            return set.matches(path).into_iter().find_map(|index| search.first(&self.candidates[index..=index]));
        }
        self.candidates.iter().find_map(|candidate| match candidate.path(search.matches) {
            Some(PathPattern::Regex(regex)) if regex.is_match(path) => search.first(std::slice::from_ref(candidate)),
            _ => None,
        })
    }
}
