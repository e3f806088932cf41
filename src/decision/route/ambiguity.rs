//! Which routes could take the same request with equal right.

use http::Method;

use super::candidate::Candidate;
use super::pattern::{Condition, Match, PathPattern};
use crate::decision::ids::RouteId;
use crate::decision::request::fields::FieldName;

/// Two routes that could both take a request with equal right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ambiguity {
    pub first: RouteId,
    pub second: RouteId,
    /// An example of what both take, in words: `host example.com, path /a/{x}`.
    pub overlap: String,
}

/// Reports each of `candidates`, which share host and path and are in the order of precedence, that is ambiguous with one
/// before it. Only the first such pair is reported: a file of equal routes must not give a report of all its pairs.
pub(super) fn find(candidates: &[Candidate], matches: &[Match], ambiguities: &mut Vec<Ambiguity>) {
    // Routes of equal specificity stand together.
    for group in candidates.chunk_by(|a, b| a.specificity(matches) == b.specificity(matches)) {
        for (index, second) in group.iter().enumerate() {
            if let Some(first) = group[..index].iter().find(|first| ambiguous(**first, *second, matches)) {
                let [one, other] = [first, second].map(|c| matches[c.matched as usize].route);
                let overlap = describe(*second, matches);
                ambiguities.push(Ambiguity { first: one.min(other), second: one.max(other), overlap });
            }
        }
    }
}

fn ambiguous(first: Candidate, second: Candidate, matches: &[Match]) -> bool {
    if first.matched == second.matched {
        return false;
    }
    if let (Some(PathPattern::Regex(a)), Some(PathPattern::Regex(b))) = (first.path(matches), second.path(matches))
        && a.as_str() != b.as_str()
    {
        // Nobody can tell whether they overlap: the earlier goes first.
        return false;
    }
    let (a, b) = (&matches[first.matched as usize], &matches[second.matched as usize]);
    !a.connection.contradicts(&b.connection)
        && methods_overlap(&a.methods, &b.methods)
        && !disjoint(&a.headers, &b.headers, |a: &FieldName, b| a == b)
        && !disjoint(&a.query, &b.query, |a: &String, b| a == b)
}

fn methods_overlap(a: &[Method], b: &[Method]) -> bool {
    let one_way = |a: &[Method], b: &[Method]| {
        a.iter().any(|method| b.contains(method) || (*method == Method::HEAD && b.contains(&Method::GET)))
    };
    a.is_empty() || b.is_empty() || one_way(a, b) || one_way(b, a)
}

/// Whether no request satisfies both: some name that both speak of is asked for contradicting things.
fn disjoint<N>(a: &[(N, Condition)], b: &[(N, Condition)], same: impl Fn(&N, &N) -> bool) -> bool {
    a.iter().any(|(name, one)| b.iter().any(|(other_name, other)| same(name, other_name) && contradict(one, other)))
}

fn contradict(a: &Condition, b: &Condition) -> bool {
    match (a, b) {
        (Condition::Present(a), Condition::Present(b)) => a != b,
        (Condition::Present(wanted), _) | (_, Condition::Present(wanted)) => !wanted,
        (Condition::Exact(value), other) | (other, Condition::Exact(value)) => !other.accepts(value.as_bytes()),
        (Condition::Regex(_), Condition::Regex(_)) => false,
    }
}

fn describe(candidate: Candidate, matches: &[Match]) -> String {
    let matched = &matches[candidate.matched as usize];
    let host = matched.hosts.get(candidate.host as usize).map_or("any host".to_owned(), |host| format!("host {host}"));
    let path = candidate.path(matches).map_or("any path".to_owned(), |path| format!("path {path}"));
    format!("{host}, {path}")
}
