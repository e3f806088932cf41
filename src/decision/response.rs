//! Respond: the declared headers on every answer, and the bodies of refusals.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};

use super::outcome::Denial;

/// The headers of an answer, whatever type holds them.
pub trait Headers {
    /// All values of `name`, in order.
    fn values<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a HeaderValue>;
    fn contains(&self, name: &HeaderName) -> bool;
    /// Removes every value of `name`.
    fn remove(&mut self, name: &HeaderName);
    /// Replaces every value of `name` by `value`.
    fn set(&mut self, name: &HeaderName, value: &HeaderValue);
    /// Adds a further value of `name`.
    fn append(&mut self, name: &HeaderName, value: &HeaderValue);
}

/// What every answer carries, compiled: one for the file and one for each route, inheritance already resolved.
#[derive(Debug, Default)]
pub struct Rules {}

impl Rules {
    /// Applies the operations (remove, rename, replace, default, set, append) and the framing policy.
    pub fn apply(&self, headers: &mut impl Headers) {
        let _ = headers;
        todo!()
    }
}

/// An answer without an origin.
#[derive(Clone, Debug, PartialEq)]
pub struct Fixed {
    pub status: StatusCode,
    pub content_type: HeaderValue,
    pub body: Bytes,
}

/// The body of a refusal.
#[derive(Clone, Debug, PartialEq)]
pub struct Body {
    pub content_type: HeaderValue,
    pub content: Bytes,
}

/// The body that tells a stranger about `denial`: the owner's page, a small HTML page for browsers, or problem+json.
pub fn refusal_body(rules: &Rules, denial: &Denial, accept: Option<&HeaderValue>, request_id: &str) -> Body {
    let _ = (rules, denial, accept, request_id);
    todo!()
}
