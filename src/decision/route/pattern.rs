//! What a route matches.

use http::{HeaderValue, Method};
use regex::Regex;

use super::connection::ConnectionMatch;
use crate::decision::ids::RouteId;
use crate::decision::request::fields::FieldName;

/// The conditions of one route, as the configuration gives them. All must hold; within a list any one.
#[derive(Clone, Debug)]
pub struct Match {
    pub route: RouteId,
    pub connection: ConnectionMatch,
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
    /// Whether a path is matched and forwarded with `/` for `//`.
    pub merge_slashes: bool,
}

impl Match {
    /// Every request.
    pub fn any(route: RouteId) -> Self {
        let (connection, hosts, paths, methods, headers, query, encoded_separators) = Default::default();
        let merge_slashes = true;
        Match { route, connection, hosts, paths, methods, headers, query, encoded_separators, merge_slashes }
    }
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
    /// `/static/*`, kept as `/static/`: this path, everything that begins with it, and its parent `/static`, for which most
    /// origins serve the same. Always ends with `/`.
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
