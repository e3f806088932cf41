//! Rewrite: what the origin is shown, and where a redirect points.

use http::StatusCode;

use super::request::Scheme;

/// What the origin sees instead of the client's host and path.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    pub path: Option<PathRewrite>,
    /// The `Host` that the origin sees.
    pub host: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum PathRewrite {
    /// `strip` (ends without `/`) is taken off and `add` (ends without `/`) is put before.
    Prefix { strip: String, add: String },
    /// The whole path instead.
    Template(Template),
}

/// Literal pieces and path parameters (by their index in the pattern) in turn.
#[derive(Clone, Debug, PartialEq)]
pub struct Template(pub Vec<Piece>);

#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    Literal(String),
    /// Index into the parameters that the route match found.
    Parameter(usize),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Redirect {
    pub status: StatusCode,
    pub target: Target,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// The whole `Location`.
    Fixed(http::HeaderValue),
    /// What is not given stays as in the request.
    Parts { scheme: Option<Scheme>, host: Option<String>, path: Option<Template>, keep_query: bool },
}
