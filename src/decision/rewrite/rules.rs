//! What the origin is asked for instead of what the client asked for.

use std::borrow::Cow;

use crate::decision::request::NormalizedRequest;
use crate::decision::route::Parameters;

/// What the origin sees instead of the client's host and path.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RewriteRules {
    /// `None`: the client's.
    pub path: Option<PathRewrite>,
    /// The `Host` that the origin sees.
    pub host: Option<String>,
}

/// How the path changes.
#[derive(Clone, Debug, PartialEq)]
pub enum PathRewrite {
    /// `strip` (ends without `/`) is taken off and `add` (ends without `/`) is put before. Both consist of whole segments.
    Prefix { strip: String, add: String },
    /// The whole path instead.
    Template(Template),
}

/// Literal pieces and path parameters (by their index in the pattern) in turn.
#[derive(Clone, Debug, PartialEq)]
pub struct Template(pub Vec<Piece>);

/// A part of a [`Template`].
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// Text as it is.
    Literal(String),
    /// Index into the parameters that the route match found.
    Parameter(usize),
}

impl RewriteRules {
    /// The request target that the origin is asked for: the path as rewritten, and the query as received.
    pub fn target<'a>(&self, normal: &'a NormalizedRequest, parameters: &Parameters) -> Cow<'a, str> {
        let path = self.path(normal, parameters);
        match &normal.query {
            None => path,
            Some(query) => {
                let mut target = String::with_capacity(path.len() + 1 + query.len());
                target.extend([&*path, "?", query]);
                Cow::Owned(target)
            }
        }
    }

    /// The path that the origin is asked for, in normal form like the one that it is made of. `*` stays as it is.
    pub fn path<'a>(&self, normal: &'a NormalizedRequest, parameters: &Parameters) -> Cow<'a, str> {
        let path = normal.path.as_str();
        match &self.path {
            Some(PathRewrite::Prefix { strip, add }) if path.starts_with('/') => {
                let rest = match path.strip_prefix(strip.as_str()) {
                    Some(rest) if rest.is_empty() || rest.starts_with('/') => rest,
                    _ => path,
                };
                match (add.as_str(), rest) {
                    ("", "") => Cow::Borrowed("/"),
                    ("", rest) => Cow::Borrowed(rest),
                    // `/api` becomes `/v2` and `/api/` becomes `/v2/`: the client's slash is kept, none is invented.
                    (add, rest) => Cow::Owned([add, rest].concat()),
                }
            }
            Some(PathRewrite::Template(template)) if path.starts_with('/') => {
                Cow::Owned(template.fill(path, parameters))
            }
            _ => Cow::Borrowed(path),
        }
    }

    /// The `Host` that the origin is asked for: the rule's, or the client's in normal form.
    pub fn host<'a>(&'a self, normal: &'a NormalizedRequest) -> Cow<'a, str> {
        match (&self.host, normal.port) {
            (Some(host), _) => Cow::Borrowed(host),
            (None, None) => Cow::Borrowed(&normal.host),
            (None, Some(port)) => Cow::Owned(format!("{}:{port}", normal.host)),
        }
    }
}

impl Template {
    /// Puts the values of `parameters`, which are ranges of `path`, between the literal pieces.
    pub fn fill(&self, path: &str, parameters: &Parameters) -> String {
        let mut filled = String::with_capacity(path.len() + 16);
        for piece in &self.0 {
            match piece {
                Piece::Literal(text) => filled.push_str(text),
                Piece::Parameter(index) => {
                    let value = parameters.get(*index).and_then(|&(start, end)| path.get(start as usize..end as usize));
                    filled.push_str(value.unwrap_or(""));
                }
            }
        }
        filled
    }
}
