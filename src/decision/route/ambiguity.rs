//! Which routes could take the same request with equal right.

use std::fmt::Write as _;

use http::{HeaderName, Method};

use super::paths::Candidate;
use super::{Ambiguity, Condition, HostPattern, Match, PathPattern, Segment};

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
    methods_overlap(&a.methods, &b.methods)
        && !disjoint(&a.headers, &b.headers, |a: &HeaderName, b| a == b)
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
    let mut text = match matched.hosts.get(candidate.host as usize) {
        None => "any host".to_owned(),
        Some(HostPattern::Exact(name)) => format!("host {name}"),
        Some(HostPattern::Wildcard(suffix)) => format!("host *.{suffix}"),
    };
    match candidate.path(matches) {
        None => text.push_str(", any path"),
        Some(PathPattern::Exact(path)) => text.extend([", path ", path]),
        Some(PathPattern::Prefix(prefix)) => text.extend([", path ", prefix, "*"]),
        Some(PathPattern::Regex(regex)) => text.extend([", path matching ", regex.as_str()]),
        Some(PathPattern::Parameters(segments)) => {
            text.push_str(", path ");
            for segment in segments {
                let _ = match segment {
                    Segment::Literal(literal) => write!(text, "/{literal}"),
                    Segment::Parameter(name) => write!(text, "/{{{name}}}"),
                };
            }
        }
    }
    text
}
