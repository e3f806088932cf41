//! The compiled route table.
//!
//! It is laid out in the order of [`super::Specificity`], so that a lookup tries the most specific candidates first and never compares: by
//! what is asked of the connection, then by host (see [`super::virtual_hosts`]), then by path (see [`super::paths`]). Its time
//! grows with the length of host and path and with the routes that share both, not with the number of routes.

use http::{HeaderValue, Method};

use super::ambiguity::Ambiguity;
use super::candidate::Candidate;
use super::connection::ConnectionMatch;
use super::parameters::Parameters;
use super::paths;
use super::pattern::{Match, PathPattern};
use super::search::Search;
use super::virtual_hosts::VirtualHosts;
use crate::decision::ids::RouteId;
use crate::decision::outcome::{Cause, Denial};
use crate::decision::request::{NormalizedRequest, RawRequest, RequestView};

/// The compiled route table.
#[derive(Debug, Default)]
pub struct Table {
    pub(super) matches: Vec<Match>,
    /// By the number of conditions on the connection, the most first. Without such conditions there is one.
    tiers: Vec<VirtualHosts>,
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
        let mut tiers = [(); ConnectionMatch::MAX + 1].map(|()| None::<VirtualHosts>);
        for (index, matched) in matches.iter().enumerate() {
            tiers[matched.connection.count()].get_or_insert_default().insert(index, matched);
        }
        let mut tiers: Vec<VirtualHosts> = tiers.into_iter().rev().flatten().collect();
        let mut ambiguities = Vec::new();
        tiers.iter_mut().for_each(|tier| tier.finish(&matches, &mut ambiguities));
        if !ambiguities.is_empty() {
            ambiguities.sort_by_key(|a| (a.second, a.first));
            ambiguities.dedup_by_key(|a| (a.second, a.first));
            return Err(ambiguities);
        }
        Ok(Table { matches, tiers })
    }

    /// The route that takes the request: the most specific of those that match. Among paths given as regular expressions,
    /// which can't be compared, the longer text goes before the shorter and the earlier route before the later.
    ///
    /// A path with encoded separators or other spellings that origins read differently is settled here (see [`super::reading`]):
    /// `normal` then holds the one path that was matched and is to be forwarded.
    pub fn find(&self, raw: &RawRequest<'_>, normal: &mut NormalizedRequest) -> RouteMatch {
        let settled = self.settle(&raw.view(normal));
        let (candidate, reading) = match settled {
            Ok(settled) => settled,
            Err(found) => return found,
        };
        if let Some(reading) = reading {
            normal.path = reading.path.into_owned();
            normal.spelling = reading.spelling;
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
        self.tiers.iter().find_map(|tier| tier.find(search))
    }
}
