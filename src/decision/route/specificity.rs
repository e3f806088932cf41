//! The precedence among routes that match the same request.

use std::cmp::Ordering;

use super::pattern::{HostPattern, Match, PathPattern, Segment};

/// How specific one alternative (a host and a path) of a route is. The greater one takes the request.
///
/// The fields are compared from the first to the last:
///
/// 1. more conditions on the connection (listener, scheme, TLS), so that what a listener is for is not outdone by a path;
/// 2. host: a name, then a wildcard (the longer first), then any;
/// 3. path: exact, then with parameters (more literal segments first, then the earlier literal), then a regular expression
///    (the longer text first), then a prefix (the longer first), then any;
/// 4. methods given, then any method;
/// 5. more header conditions;
/// 6. more query conditions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Specificity {
    connection: usize,
    host: Host,
    path: Path,
    methods: bool,
    headers: usize,
    query: usize,
}

/// From the least specific to the most. Lengths are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Host {
    Any,
    Wildcard(usize),
    Exact,
}

/// From the least specific to the most. Lengths are in bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Path {
    Any,
    Prefix(usize),
    Regex(usize),
    Parameters(Shape),
    Exact,
}

/// Where a pattern has literal segments.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shape {
    literals: Vec<bool>,
}

impl Ord for Shape {
    fn cmp(&self, other: &Self) -> Ordering {
        let count = |shape: &Shape| shape.literals.iter().filter(|&&literal| literal).count();
        count(self).cmp(&count(other)).then_with(|| self.literals.cmp(&other.literals))
    }
}

impl PartialOrd for Shape {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Specificity {
    /// Of the alternative of `matched` with this host and path, each one of its own or `None` for any.
    pub fn of(matched: &Match, host: Option<&HostPattern>, path: Option<&PathPattern>) -> Self {
        Specificity {
            connection: matched.connection.count(),
            host: match host {
                None => Host::Any,
                Some(HostPattern::Wildcard(suffix)) => Host::Wildcard(suffix.len()),
                Some(HostPattern::Exact(_)) => Host::Exact,
            },
            path: match path {
                None => Path::Any,
                Some(PathPattern::Prefix(prefix)) => Path::Prefix(prefix.len()),
                Some(PathPattern::Regex(regex)) => Path::Regex(regex.as_str().len()),
                Some(PathPattern::Parameters(segments)) => Path::Parameters(Shape {
                    literals: segments.iter().map(|segment| matches!(segment, Segment::Literal(_))).collect(),
                }),
                Some(PathPattern::Exact(_)) => Path::Exact,
            },
            methods: !matched.methods.is_empty(),
            headers: matched.headers.len(),
            query: matched.query.len(),
        }
    }
}
