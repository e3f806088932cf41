//! Rewrite: what the origin is shown, and where a redirect points.

mod forwarded;

use std::borrow::Cow;

use http::{HeaderValue, StatusCode};

use super::request::{Normal, Scheme};
use super::route::Parameters;

pub use forwarded::{Edit, forwarded};

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
    Fixed(HeaderValue),
    /// What is not given stays as in the request.
    Parts { scheme: Option<Scheme>, host: Option<String>, path: Option<Template>, keep_query: bool },
}

impl Rules {
    /// The request target that the origin is asked for: the normalised path (rewritten), and the query as received.
    pub fn target<'a>(&self, normal: &'a Normal, parameters: &Parameters) -> Cow<'a, str> {
        let path = self.path(normal, parameters);
        match &normal.query {
            None => path,
            Some(query) => {
                let mut target = String::with_capacity(path.len() + 1 + query.len());
                target.push_str(&path);
                target.push('?');
                target.push_str(query);
                Cow::Owned(target)
            }
        }
    }

    fn path<'a>(&self, normal: &'a Normal, parameters: &Parameters) -> Cow<'a, str> {
        let path = normal.path.as_str();
        match &self.path {
            None => Cow::Borrowed(path),
            Some(PathRewrite::Template(template)) => Cow::Owned(template.fill(path, parameters)),
            Some(PathRewrite::Prefix { strip, add }) => {
                let rest = strip_segments(path, strip);
                if add.is_empty() {
                    return if rest.is_empty() { Cow::Borrowed("/") } else { Cow::Borrowed(rest) };
                }
                // A bare prefix keeps the slash that it had, or not.
                Cow::Owned([add.as_str(), rest].concat())
            }
        }
    }

    /// The `Host` that the origin sees.
    pub fn host<'a>(&'a self, normal: &'a Normal) -> Cow<'a, str> {
        match (&self.host, normal.port) {
            (Some(host), _) => Cow::Borrowed(host),
            (None, None) => Cow::Borrowed(&normal.host),
            (None, Some(port)) => Cow::Owned(format!("{}:{port}", normal.host)),
        }
    }
}

/// `path` without the leading segments `prefix`; unchanged if they are not there.
fn strip_segments<'a>(path: &'a str, prefix: &str) -> &'a str {
    match path.strip_prefix(prefix) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => rest,
        _ => path,
    }
}

impl Template {
    /// The text with every parameter put in.
    pub fn fill(&self, path: &str, parameters: &Parameters) -> String {
        let mut filled = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Literal(literal) => filled.push_str(literal),
                Piece::Parameter(index) => {
                    let range = parameters.get(*index).map(|(start, end)| *start as usize..*end as usize);
                    filled.push_str(range.and_then(|range| path.get(range)).unwrap_or(""));
                }
            }
        }
        filled
    }
}

impl Redirect {
    /// The value of `Location`.
    ///
    /// What it takes from the request is in normal form: its path begins with exactly one slash, so that it can't
    /// name another host (`//evil.example`), and has no control characters.
    pub fn location(&self, normal: &Normal, parameters: &Parameters) -> HeaderValue {
        let (scheme, host, path, keep_query) = match &self.target {
            Target::Fixed(value) => return value.clone(),
            Target::Parts { scheme, host, path, keep_query } => (scheme, host, path, *keep_query),
        };
        let mut location = String::new();
        location.push_str(scheme.unwrap_or(normal.scheme).as_str());
        location.push_str("://");
        match (host, scheme) {
            (Some(host), _) => location.push_str(host),
            // Another scheme has another default port: the one that the client named belongs to the old one.
            (None, Some(_)) => location.push_str(&normal.host),
            (None, None) => location.push_str(&Rules::default().host(normal)),
        }
        match path {
            Some(template) => location.push_str(&template.fill(&normal.path, parameters)),
            None => location.push_str(&normal.path),
        }
        if let (true, Some(query)) = (keep_query, &normal.query) {
            location.push('?');
            location.push_str(query);
        }
        HeaderValue::try_from(location).unwrap_or(HeaderValue::from_static("/"))
    }
}

#[cfg(test)]
mod tests;
