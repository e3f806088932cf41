//! Paths with parameters, as a tree of segments.

use std::collections::HashMap;

use super::conditions::Search;
use super::host::Candidates;
use super::{Parameters, Segment};

/// A node: what may follow, and who ends here. A literal is tried before a parameter.
#[derive(Debug, Default)]
pub struct Tree {
    literals: HashMap<String, Tree>,
    parameter: Option<Box<Tree>>,
    candidates: Candidates,
}

impl Tree {
    /// The candidates of the pattern `segments`. Patterns that differ only in their parameters' names are one.
    pub fn entry(&mut self, segments: &[Segment]) -> &mut Candidates {
        let mut node = self;
        for segment in segments {
            node = match segment {
                Segment::Literal(literal) => node.literals.entry(literal.clone()).or_default(),
                Segment::Parameter(_) => node.parameter.get_or_insert_default(),
            };
        }
        &mut node.candidates
    }

    /// The most specific match of `path`, with its parameters.
    pub fn find(&self, path: &str, search: &mut Search<'_>) -> Option<(usize, Parameters)> {
        let mut parameters = Parameters::new();
        let start = usize::from(path.starts_with('/'));
        let index = self.walk(path, start, &mut parameters, search)?;
        Some((index, parameters))
    }

    /// `start` is where the next segment begins; beyond the end, the path is used up.
    fn walk(&self, path: &str, start: usize, parameters: &mut Parameters, search: &mut Search<'_>) -> Option<usize> {
        let Some(rest) = path.get(start..) else { return search.first(&self.candidates) };
        if self.literals.is_empty() && self.parameter.is_none() {
            return None;
        }
        let end = start + rest.find('/').unwrap_or(rest.len());
        // One past the end where the path ends here, so that a path with and one without a final slash differ.
        let next = end + 1;
        let segment = &path[start..end];
        if let Some(found) = self.literals.get(segment).and_then(|tree| tree.walk(path, next, parameters, search)) {
            return Some(found);
        }
        let tree = self.parameter.as_ref().filter(|_| !segment.is_empty())?;
        parameters.push((start as u32, end as u32));
        let found = tree.walk(path, next, parameters, search);
        if found.is_none() {
            parameters.pop();
        }
        found
    }
}
