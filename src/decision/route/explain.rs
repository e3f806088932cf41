//! Why a route did not take a request, for `portcullis explain`.

use std::fmt;

use http::HeaderName;

use super::condition::Failed;
use super::connection::ConnectionMismatch;
use super::pattern::{EncodedSeparators, HostPattern, Match, PathPattern, Segment};
use super::table::Table;
use crate::decision::ids::RouteId;
use crate::decision::request::{NormalizedRequest, RequestView};

/// The first thing that kept a route from taking a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mismatch {
    Connection(ConnectionMismatch),
    Host,
    Path,
    Header(HeaderName),
    /// The name of the query parameter.
    Query(String),
    Method,
    /// The path holds encoded separators, which the route does not take.
    EncodedSeparators,
    /// It matches, but another route is more specific.
    LessSpecific,
}

impl From<Failed<'_>> for Mismatch {
    fn from(failed: Failed<'_>) -> Self {
        match failed {
            Failed::Connection(failed) => Mismatch::Connection(failed),
            Failed::Header(name) => Mismatch::Header(name.header_name().clone()),
            Failed::Query(name) => Mismatch::Query(name.to_owned()),
        }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mismatch::Connection(failed) => failed.fmt(f),
            Mismatch::Host => f.write_str("another host"),
            Mismatch::Path => f.write_str("another path"),
            Mismatch::Header(name) => write!(f, "the header `{name}` does not fit"),
            Mismatch::Query(name) => write!(f, "the query parameter `{name}` does not fit"),
            Mismatch::Method => f.write_str("another method"),
            Mismatch::EncodedSeparators => f.write_str("does not take encoded separators"),
            Mismatch::LessSpecific => f.write_str("matches, but less specifically"),
        }
    }
}

impl Table {
    /// For every route but `taken`, the one that [`Table::find`] gave for this request: why not. In the order of the file.
    pub fn explain(&self, request: &RequestView<'_>, taken: Option<RouteId>) -> Vec<(RouteId, Mismatch)> {
        let others = self.matches.iter().filter(|matched| Some(matched.route) != taken);
        others.map(|matched| (matched.route, mismatch(matched, request))).collect()
    }
}

fn mismatch(matched: &Match, request: &RequestView<'_>) -> Mismatch {
    let NormalizedRequest { host, path, spelling, scheme, .. } = request.normal;
    if let Some(failed) = matched.connection.failed(request.connection, *scheme) {
        return Mismatch::Connection(failed);
    }
    if !matched.hosts.is_empty() && !matched.hosts.iter().any(|pattern| pattern.matches(host)) {
        return Mismatch::Host;
    }
    if !matched.paths.is_empty() && !matched.paths.iter().any(|pattern| pattern.matches(path)) {
        return Mismatch::Path;
    }
    match matched.failed_condition(request) {
        Some(failed) => failed.into(),
        None if !matched.takes_method(request.method) => Mismatch::Method,
        None if spelling.encoded_separators && matched.encoded_separators != EncodedSeparators::Keep => {
            Mismatch::EncodedSeparators
        }
        None => Mismatch::LessSpecific,
    }
}

impl HostPattern {
    /// Whether `host`, in normal form, matches.
    pub fn matches(&self, host: &str) -> bool {
        match self {
            HostPattern::Exact(name) => name == host,
            HostPattern::Wildcard(suffix) => {
                host.strip_suffix(suffix.as_str()).is_some_and(|labels| labels.ends_with('.'))
            }
        }
    }
}

impl PathPattern {
    /// Whether `path`, in normal form, matches.
    pub fn matches(&self, path: &str) -> bool {
        match self {
            PathPattern::Exact(exact) => exact == path,
            PathPattern::Prefix(prefix) => path.starts_with(prefix) || prefix.strip_suffix('/') == Some(path),
            PathPattern::Regex(regex) => regex.is_match(path),
            PathPattern::Parameters(segments) => {
                let Some(rest) = path.strip_prefix('/') else { return false };
                let mut texts = rest.split('/');
                let each = segments.iter().all(|segment| match (segment, texts.next()) {
                    (Segment::Literal(literal), Some(text)) => literal == text,
                    (Segment::Parameter(_), Some(text)) => !text.is_empty(),
                    (_, None) => false,
                });
                each && texts.next().is_none()
            }
        }
    }
}
