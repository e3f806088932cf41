//! Route: which route takes a request.

mod conditions;
mod host;
mod path;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;

use http::{HeaderName, HeaderValue, Method};
use regex::Regex;
use smallvec::SmallVec;

use self::conditions::Search;
use self::host::HostTable;
use super::request::RequestView;
use super::rules::RouteId;

/// The conditions of one route, as the configuration gives them. All must hold; within a list any one.
#[derive(Clone, Debug)]
pub struct Match {
    pub route: RouteId,
    /// Empty: any host.
    pub hosts: Vec<HostPattern>,
    /// Empty: any path.
    pub paths: Vec<PathPattern>,
    /// Empty: any method.
    pub methods: Vec<Method>,
    pub headers: Vec<(HeaderName, Condition)>,
    /// By name of the (percent-decoded) query parameter.
    pub query: Vec<(String, Condition)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// Lower case, without port.
    Exact(String),
    /// `*.example.com`, kept as `example.com`: one or more labels before it.
    Wildcard(String),
}

#[derive(Clone, Debug)]
pub enum PathPattern {
    /// In normal form.
    Exact(String),
    /// Segments between slashes, at least one of them a parameter.
    Parameters(Vec<Segment>),
    /// `/static/*`, kept as `/static/`: this path and everything that begins with it. Always ends with `/`.
    Prefix(String),
    /// Anchored at both ends.
    Regex(Regex),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    Literal(String),
    /// One whole, non-empty segment, by its name.
    Parameter(String),
}

#[derive(Clone, Debug)]
pub enum Condition {
    Exact(HeaderValue),
    /// Anchored at both ends.
    Regex(Regex),
    Present(bool),
}

/// The compiled route table.
///
/// Finding a route costs the same with ten routes and with a hundred thousand: hosts and exact paths are hashed, patterns
/// with parameters form a tree of segments, and prefixes are probed only at lengths that some route has.
#[derive(Debug, Default)]
pub struct Table {
    matches: Vec<Match>,
    exact_hosts: HashMap<String, HostTable>,
    /// By the name below the `*.`.
    wildcard_hosts: HashMap<String, HostTable>,
    any_host: HostTable,
}

/// The answer of [`Table::find`].
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    Route {
        id: RouteId,
        /// Values of the path's parameters in the order of the pattern, as byte ranges of the normalised path.
        parameters: Parameters,
    },
    /// Routes match but for the method: these are allowed, sorted.
    MethodNotAllowed(Vec<Method>),
    NotFound,
}

/// Parameter values as byte ranges of the normalised path.
pub type Parameters = SmallVec<[(u32, u32); 4]>;

/// Two routes that could both take a request with equal right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ambiguity {
    pub first: RouteId,
    pub second: RouteId,
    /// What both take, in words: `host example.com, path /a/{x}`.
    pub overlap: String,
}

/// Why a route does not take a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mismatch {
    Host,
    Path,
    Method,
    Header(HeaderName),
    Query(String),
    /// It matches, but another route matches more specifically.
    LessSpecific,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mismatch::Host => f.write_str("another host"),
            Mismatch::Path => f.write_str("another path"),
            Mismatch::Method => f.write_str("another method"),
            Mismatch::Header(name) => write!(f, "the header `{name}` does not fit"),
            Mismatch::Query(name) => write!(f, "the query parameter `{name}` does not fit"),
            Mismatch::LessSpecific => f.write_str("matches, but less specifically"),
        }
    }
}

impl Table {
    /// Compiles `matches`, or names every ambiguous pair.
    pub fn build(matches: Vec<Match>) -> Result<Table, Vec<Ambiguity>> {
        let mut table = Table::default();
        let mut ambiguities = Vec::new();
        for (index, found) in matches.iter().enumerate() {
            for host in alternatives(&found.hosts) {
                let hosts = match host {
                    None => &mut table.any_host,
                    Some(HostPattern::Exact(name)) => table.exact_hosts.entry(name.clone()).or_default(),
                    Some(HostPattern::Wildcard(parent)) => table.wildcard_hosts.entry(parent.clone()).or_default(),
                };
                for path in alternatives(&found.paths) {
                    hosts.insert(path, index, &matches, |other| {
                        ambiguities.push(Ambiguity {
                            first: matches[other].route,
                            second: found.route,
                            overlap: format!("{}, {}", HostPattern::describe(host), PathPattern::describe(path)),
                        });
                    });
                }
            }
        }
        table.each_host(HostTable::finish);
        table.matches = matches;
        if ambiguities.is_empty() { Ok(table) } else { Err(ambiguities) }
    }

    fn each_host(&mut self, act: impl Fn(&mut HostTable)) {
        self.exact_hosts.values_mut().chain(self.wildcard_hosts.values_mut()).for_each(&act);
        act(&mut self.any_host);
    }

    /// The route that takes `request`: the most specific by [`Specificity`].
    pub fn find(&self, request: &RequestView<'_>) -> Found {
        let mut search = Search { matches: &self.matches, request, allowed: Vec::new() };
        let found = self.host_tables(&request.normal.host).find_map(|hosts| hosts.find(&mut search));
        match found {
            Some((index, parameters)) => Found::Route { id: self.matches[index].route, parameters },
            None if search.allowed.is_empty() => Found::NotFound,
            None => Found::MethodNotAllowed(search.into_allowed()),
        }
    }

    /// The tables whose host takes `host`, the most specific first.
    fn host_tables<'t>(&'t self, host: &str) -> impl Iterator<Item = &'t HostTable> {
        let exact = self.exact_hosts.get(host);
        let wildcards = (!self.wildcard_hosts.is_empty())
            .then(|| host.match_indices('.').filter_map(|(dot, _)| self.wildcard_hosts.get(&host[dot + 1..])));
        let wildcards: SmallVec<[&HostTable; 2]> = wildcards.into_iter().flatten().collect();
        exact.into_iter().chain(wildcards).chain([&self.any_host])
    }

    /// Why each route but the one that [`Table::find`] gives does not take `request`.
    pub fn explain(&self, request: &RequestView<'_>) -> Vec<(RouteId, Mismatch)> {
        let taken = match self.find(request) {
            Found::Route { id, .. } => Some(id),
            _ => None,
        };
        let others = self.matches.iter().filter(|found| Some(found.route) != taken);
        others.map(|found| (found.route, found.mismatch(request).unwrap_or(Mismatch::LessSpecific))).collect()
    }
}

/// The patterns of a list, or the one "any" of an empty list.
fn alternatives<T>(list: &[T]) -> impl Iterator<Item = Option<&T>> {
    list.iter().map(Some).chain(list.is_empty().then_some(None))
}

/// Which of two matching routes wins, in one order. Greater is more specific.
///
/// Host before path before methods before header conditions before query conditions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Specificity {
    pub host: HostRank,
    pub path: PathRank,
    pub conditions: ConditionRank,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostRank {
    Any,
    /// By the length of the name: a longer suffix is more specific.
    Wildcard(usize),
    Exact,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PathRank {
    Any,
    /// By length.
    Prefix(usize),
    /// Regular expressions can't be compared: a longer text wins, then the one written first.
    Regex(usize, Reverse<usize>),
    /// At the first segment that differs, a literal wins.
    Parameters(Vec<bool>),
    Exact,
}

/// Methods given, number of header conditions, number of query conditions.
pub type ConditionRank = (bool, usize, usize);

impl Match {
    pub fn conditions(&self) -> ConditionRank {
        (!self.methods.is_empty(), self.headers.len(), self.query.len())
    }
}

#[cfg(test)]
mod tests;
