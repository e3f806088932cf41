//! The compiled route table.
//!
//! It is laid out in the order of [`super::Specificity`], so that a lookup tries the most specific candidates first and never compares: by
//! host (a hash map of names, a hash map of wildcard suffixes, any), then by path (see [`super::paths`]). Its time grows with
//! the length of host and path and with the routes that share both, not with the number of routes.

use http::{HeaderValue, Method};

use super::ambiguity::Ambiguity;
use super::candidate::Candidate;
use super::parameters::Parameters;
use super::paths::{self, Paths};
use super::pattern::{HostPattern, Match, PathPattern};
use super::search::{Map, Search};
use crate::decision::ids::RouteId;
use crate::decision::outcome::{Cause, Denial};
use crate::decision::request::{NormalizedRequest, RawRequest, RequestView};

/// The compiled route table.
#[derive(Debug, Default)]
pub struct Table {
    pub(super) matches: Vec<Match>,
    exact: Map<Paths>,
    /// By what follows `*.`.
    wildcard: Map<Paths>,
    any: Paths,
}

/// The answer of [`Table::find`].
#[derive(Clone, Debug, PartialEq)]
pub enum RouteMatch {
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

impl RouteMatch {
    /// The route, or the denial that says why there is none: 404, or 405 with `Allow` (RFC 9110 §15.5.6).
    pub fn taken(self) -> Result<(RouteId, Parameters), Denial> {
        match self {
            RouteMatch::Route { id, parameters } => Ok((id, parameters)),
            RouteMatch::NotFound => Err(Denial::new(Cause::RouteNotFound, "no route takes this request")),
            RouteMatch::MethodNotAllowed(methods) => {
                let list = methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
                let mut denial = Denial::new(Cause::MethodNotAllowed, format!("only {list} are routed here"));
                denial.allow = HeaderValue::try_from(list).ok();
                Err(denial)
            }
            RouteMatch::PathRefused(why) => Err(Denial::new(Cause::PathInvalid, why)),
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
    /// A path with encoded separators or other spellings that origins read differently is settled here (see [`super::reading`]):
    /// `normal` then holds the one path that was matched and is to be forwarded.
    pub fn find(&self, raw: &RawRequest<'_>, normal: &mut NormalizedRequest) -> RouteMatch {
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
        RouteMatch::Route { id: matched.route, parameters }
    }

    /// The conditions of every route, in the order of the file.
    pub fn matches(&self) -> &[Match] {
        &self.matches
    }

    /// What takes the request if its path is `path`, whatever else that may stand for.
    pub(super) fn look_up(&self, request: &RequestView<'_>, path: &str) -> Result<Candidate, RouteMatch> {
        let mut search = Search { matches: &self.matches, request, path, allowed: Vec::new() };
        match self.take(&mut search) {
            Some(candidate) => Ok(candidate),
            None if search.allowed.is_empty() => Err(RouteMatch::NotFound),
            None => Err(RouteMatch::MethodNotAllowed(search.into_allowed())),
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
