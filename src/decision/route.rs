//! Route: which route takes a request.

use http::{HeaderName, HeaderValue, Method};
use regex::Regex;

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
#[derive(Debug, Default)]
pub struct Table {}

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
pub type Parameters = smallvec::SmallVec<[(u32, u32); 4]>;

/// Two routes that could both take a request with equal right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ambiguity {
    pub first: RouteId,
    pub second: RouteId,
    /// An example of what both take, in words: `host example.com, path /a/{x}`.
    pub overlap: String,
}

impl Table {
    /// Compiles `matches`, or names every ambiguous pair.
    pub fn build(matches: Vec<Match>) -> Result<Table, Vec<Ambiguity>> {
        let _ = matches;
        todo!()
    }

    /// The route that takes `request`.
    pub fn find(&self, request: &RequestView<'_>) -> Found {
        let _ = request;
        todo!()
    }
}
