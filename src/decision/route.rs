//! Route: which route takes a request.
//!
//! The precedence among routes that match is the [`Ord`] of [`Specificity`]. The table is laid out in its order, so that
//! a lookup tries the most specific candidates first and never compares: by host (a hash map of names, a hash map of
//! wildcard suffixes, any), then by path (see [`paths`]). Its time grows with the length of host and path and with the routes
//! that share both, not with the number of routes.

mod ambiguity;
mod condition;
mod explain;
mod paths;
mod reading;
mod specificity;
#[cfg(test)]
mod tests;
mod words;

use std::collections::HashMap;

use http::{HeaderValue, Method};
use regex::Regex;

pub use self::explain::Mismatch;
pub use self::specificity::Specificity;

use self::paths::{Candidate, Paths};
use super::outcome::{Cause, Denial};
use super::request::fields::FieldName;
use super::request::{Normal, RawRequest, RequestView};
use super::rules::RouteId;

/// The conditions of one route, as the configuration gives them. All must hold; within a list any one.
#[derive(Clone, Debug)]
pub struct Match {
    pub route: RouteId,
    /// Empty: any host.
    pub hosts: Vec<HostPattern>,
    /// Empty: any path.
    pub paths: Vec<PathPattern>,
    /// Empty: any method. GET stands for HEAD too (RFC 9110 §9.3.2).
    pub methods: Vec<Method>,
    pub headers: Vec<(FieldName, Condition)>,
    /// By name of the (percent-decoded) query parameter.
    pub query: Vec<(String, Condition)>,
    pub encoded_separators: EncodedSeparators,
}

/// What a route does with a path that holds encoded separators (`%2F`, `%5C`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EncodedSeparators {
    /// It does not take the request.
    #[default]
    Reject,
    /// It takes the path as it is: the owner vouches that the origin does not decode them either.
    Keep,
    /// It takes the path with every `%2F` decoded; `%5C` is refused.
    Decode,
}

/// The hosts that a route takes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// Lower case, without port.
    Exact(String),
    /// `*.example.com`, kept as `example.com`: one or more labels before it.
    Wildcard(String),
}

/// The paths that a route takes, all in normal form.
#[derive(Clone, Debug)]
pub enum PathPattern {
    /// In normal form.
    Exact(String),
    /// Segments between slashes, at least one of them a parameter.
    Parameters(Vec<Segment>),
    /// `/static/*`, kept as `/static/`: this path and everything that begins with it. Always ends with `/`.
    Prefix(String),
    /// Anchored at both ends by its own text, which must hold all its options: it is compiled again into a set.
    Regex(Regex),
}

/// What stands between two slashes of a [`PathPattern::Parameters`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// This text.
    Literal(String),
    /// One whole, non-empty segment, by its name.
    Parameter(String),
}

/// What a header field or a query parameter must be. One that occurs twice has no single value and satisfies neither
/// [`Condition::Exact`] nor [`Condition::Regex`].
#[derive(Clone, Debug)]
pub enum Condition {
    /// This value.
    Exact(HeaderValue),
    /// Anchored at both ends.
    Regex(Regex),
    /// Present with any value, or (false) absent.
    Present(bool),
}

/// The compiled route table.
#[derive(Debug, Default)]
pub struct Table {
    matches: Vec<Match>,
    exact: Map<Paths>,
    /// By what follows `*.`.
    wildcard: Map<Paths>,
    any: Paths,
}

/// Hashed without a random seed: the keys come from the configuration, so that a client can't crowd a bucket.
type Map<V> = HashMap<Box<str>, V, foldhash::fast::FixedState>;

/// The answer of [`Table::find`].
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// One route takes the request.
    Route {
        id: RouteId,
        /// Values of the path's parameters in the order of the pattern, as byte ranges of the normalised path that
        /// [`Table::find`] leaves behind.
        parameters: Parameters,
    },
    /// Routes match but for the method: these are allowed, sorted.
    MethodNotAllowed(Vec<Method>),
    /// No route matches.
    NotFound,
    /// The path can be read in more than one way, and that matters here: why, in words for the log.
    PathRefused(&'static str),
}

/// Parameter values as byte ranges of the normalised path.
pub type Parameters = smallvec::SmallVec<[(u32, u32); 4]>;

/// Two routes that could both take a request with equal right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ambiguity {
    pub first: RouteId,
    pub second: RouteId,
    /// An example of what both take, in words: `host example.com, path /a/{x}`.
    pub overlap: String,
}

impl Found {
    /// The route, or the denial that says why there is none: 404, or 405 with `Allow` (RFC 9110 §15.5.6).
    pub fn taken(self) -> Result<(RouteId, Parameters), Denial> {
        match self {
            Found::Route { id, parameters } => Ok((id, parameters)),
            Found::NotFound => Err(Denial::new(Cause::RouteNotFound, "no route takes this request")),
            Found::MethodNotAllowed(methods) => {
                let list = methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
                let mut denial = Denial::new(Cause::MethodNotAllowed, format!("only {list} are routed here"));
                denial.allow = HeaderValue::try_from(list).ok();
                Err(denial)
            }
            Found::PathRefused(why) => Err(Denial::new(Cause::PathInvalid, why)),
        }
    }
}

impl Table {
    /// Compiles `matches`, or names every route that is ambiguous with an earlier one (the first of those).
    pub fn build(matches: Vec<Match>) -> Result<Table, Vec<Ambiguity>> {
        let mut table = Table::default();
        for (index, matched) in matches.iter().enumerate() {
            for host in 0..matched.hosts.len().max(1) {
                let paths = match matched.hosts.get(host) {
                    Some(HostPattern::Exact(name)) => table.exact.entry(name.as_str().into()).or_default(),
                    Some(HostPattern::Wildcard(suffix)) => table.wildcard.entry(suffix.as_str().into()).or_default(),
                    None => &mut table.any,
                };
                for path in 0..matched.paths.len().max(1) {
                    let candidate = Candidate { matched: index as u32, host: host as u32, path: path as u32 };
                    paths.insert(candidate, matched.paths.get(path));
                }
            }
        }
        let mut ambiguities = Vec::new();
        for paths in table.exact.values_mut().chain(table.wildcard.values_mut()).chain([&mut table.any]) {
            paths.finish(&matches, &mut ambiguities);
        }
        if !ambiguities.is_empty() {
            ambiguities.sort_by_key(|a| (a.second, a.first));
            ambiguities.dedup_by_key(|a| (a.second, a.first));
            return Err(ambiguities);
        }
        table.matches = matches;
        Ok(table)
    }

    /// The route that takes the request: the most specific of those that match. Among paths given as regular expressions,
    /// which can't be compared, the longer text goes before the shorter and the earlier route before the later.
    ///
    /// A path with encoded separators or other spellings that origins read differently is settled here (see [`reading`]):
    /// `normal` then holds the one path that was matched and is to be forwarded.
    pub fn find(&self, raw: &RawRequest<'_>, normal: &mut Normal) -> Found {
        let settled = self.settle(&raw.view(normal));
        let (candidate, decoded) = match settled {
            Ok(settled) => settled,
            Err(found) => return found,
        };
        if let Some(decoded) = decoded {
            normal.path = decoded.path.into_owned();
            normal.spelling = decoded.spelling;
            normal.path_changed = true;
        }
        let matched = &self.matches[candidate.matched as usize];
        let parameters = match matched.paths.get(candidate.path as usize) {
            Some(PathPattern::Parameters(pattern)) => paths::parameters(pattern, &normal.path),
            _ => Parameters::new(),
        };
        Found::Route { id: matched.route, parameters }
    }

    /// The conditions of every route, in the order of the file.
    pub fn matches(&self) -> &[Match] {
        &self.matches
    }

    /// What takes the request if its path is `path`, whatever else that may stand for.
    fn look_up(&self, request: &RequestView<'_>, path: &str) -> Result<Candidate, Found> {
        let mut search = Search { matches: &self.matches, request, path, allowed: Vec::new() };
        match self.take(&mut search) {
            Some(candidate) => Ok(candidate),
            None if search.allowed.is_empty() => Err(Found::NotFound),
            None => Err(Found::MethodNotAllowed(search.into_allowed())),
        }
    }

    fn take(&self, search: &mut Search<'_>) -> Option<Candidate> {
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

/// One lookup under way.
struct Search<'a> {
    matches: &'a [Match],
    request: &'a RequestView<'a>,
    /// Instead of the request's own: one of its readings.
    path: &'a str,
    /// Methods of the routes that matched but for the method.
    allowed: Vec<Method>,
}

impl Search<'_> {
    /// The first of `candidates`, which are in the order of precedence, whose conditions hold. Their host and path do.
    fn first(&mut self, candidates: &[Candidate]) -> Option<Candidate> {
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

    fn into_allowed(self) -> Vec<Method> {
        let mut allowed = self.allowed;
        if allowed.contains(&Method::GET) {
            allowed.push(Method::HEAD);
        }
        allowed.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        allowed.dedup();
        allowed
    }
}
