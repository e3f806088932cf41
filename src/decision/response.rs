//! Respond: the declared headers on every answer, and the bodies of refusals.
//!
//! [`Rules::apply`] runs on every answer that leaves, whoever made it: an origin, the cache, a route or the gateway
//! itself. Everything it inserts was built when the configuration was loaded. [`framing`] is the one policy on who may
//! frame an answer; [`refusal`] writes what a refused stranger gets to read, from the owner's own [`page`]s or its own.
//!
//! Interim answers (1xx) are left alone by the caller; a 101 is an answer like any other.

mod accept;
mod body;
mod endless;
pub mod framing;
pub mod grpc;
pub mod page;
pub mod refusal;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use smallvec::SmallVec;

use framing::Framing;
use page::Pages;

pub use body::BodyStage;
pub use endless::is_endless;
pub use refusal::{Body, refusal_body, refusal_headers};

/// The headers of an answer, whatever type holds them.
pub trait Headers {
    /// All values of `name`, in order.
    fn values<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a HeaderValue>;
    /// Whether there is any value of `name`.
    fn contains(&self, name: &HeaderName) -> bool;
    /// Removes every value of `name`.
    fn remove(&mut self, name: &HeaderName);
    /// Replaces every value of `name` by `value`.
    fn set(&mut self, name: &HeaderName, value: &HeaderValue);
    /// Adds a further value of `name`.
    fn append(&mut self, name: &HeaderName, value: &HeaderValue);
}

impl Headers for HeaderMap {
    fn values<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a HeaderValue> {
        self.get_all(name).into_iter()
    }

    fn contains(&self, name: &HeaderName) -> bool {
        self.contains_key(name)
    }

    fn remove(&mut self, name: &HeaderName) {
        self.remove(name);
    }

    fn set(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.insert(name.clone(), value.clone());
    }

    fn append(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.append(name.clone(), value.clone());
    }
}

/// What every answer carries, compiled: one for the file and one for each route, inheritance already resolved.
#[derive(Debug, Default)]
pub struct Rules {
    operations: Operations,
    framing: Option<Framing>,
    pages: Pages,
}

/// Operations on the headers of an answer, in the order in which they are applied.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Operations {
    /// Take these away.
    pub remove: Vec<HeaderName>,
    /// Give every value of the first name to the second, after those that it has.
    pub rename: Vec<(HeaderName, HeaderName)>,
    /// Set, but only if present.
    pub replace: Vec<(HeaderName, HeaderValue)>,
    /// Set, but only if absent.
    pub default: Vec<(HeaderName, HeaderValue)>,
    /// Set, whatever the origin sent, however often.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// Add a further value. Values are never joined: for `Set-Cookie` that would change their meaning (RFC 9110 §5.3).
    pub append: Vec<(HeaderName, HeaderValue)>,
}

impl Rules {
    /// `framing` goes into the policies that `operations` write, too.
    pub fn new(mut operations: Operations, framing: Option<Framing>, pages: Pages) -> Self {
        if let Some(framing) = &framing {
            // The owner's own policies get their `frame-ancestors` here, so that no answer pays for the edit.
            let lists = [&mut operations.replace, &mut operations.default, &mut operations.set, &mut operations.append];
            for (name, value) in lists.into_iter().flatten() {
                if framing::is_policy_header(name) {
                    *value = framing.put_into(value);
                }
            }
        }
        Rules { operations, framing, pages }
    }

    /// The operations, with the framing policy already in their values.
    pub fn operations(&self) -> &Operations {
        &self.operations
    }

    /// Who may frame the answers; `None` leaves it to the origin and the operations.
    pub fn framing(&self) -> Option<&Framing> {
        self.framing.as_ref()
    }

    /// The owner's own error pages.
    pub fn pages(&self) -> &Pages {
        &self.pages
    }

    /// Applies the operations (remove, rename, replace, default, set, append) and the framing policy.
    pub fn apply(&self, headers: &mut impl Headers) {
        let operations = &self.operations;
        for name in &operations.remove {
            headers.remove(name);
        }
        for (old, new) in &operations.rename {
            rename(headers, old, new);
        }
        for (name, value) in &operations.replace {
            if headers.contains(name) {
                headers.set(name, value);
            }
        }
        for (name, value) in &operations.default {
            if !headers.contains(name) {
                headers.set(name, value);
            }
        }
        for (name, value) in &operations.set {
            headers.set(name, value);
        }
        for (name, value) in &operations.append {
            headers.append(name, value);
        }
        if let Some(framing) = &self.framing {
            framing.apply(headers);
        }
    }
}

fn rename(headers: &mut impl Headers, old: &HeaderName, new: &HeaderName) {
    if !headers.contains(old) {
        return;
    }
    let values: SmallVec<[HeaderValue; 4]> = headers.values(old).cloned().collect();
    headers.remove(old);
    for value in &values {
        headers.append(new, value);
    }
}

/// An answer without an origin.
#[derive(Clone, Debug, PartialEq)]
pub struct Fixed {
    pub status: StatusCode,
    pub content_type: HeaderValue,
    pub body: Bytes,
}

#[cfg(test)]
mod tests {
    use http::header::{CONTENT_SECURITY_POLICY, SERVER, SET_COOKIE, X_FRAME_OPTIONS};

    use super::*;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        map
    }

    fn pair(name: &'static str, value: &'static str) -> (HeaderName, HeaderValue) {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    }

    fn applied(operations: Operations, fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = map(fields);
        Rules::new(operations, None, Pages::default()).apply(&mut headers);
        headers
    }

    #[test]
    fn set_replaces_every_value_of_the_origin() {
        let set = Operations { set: vec![pair("x-frame-options", "DENY")], ..Operations::default() };
        let headers = applied(set, &[("x-frame-options", "ALLOWALL"), ("x-frame-options", "SAMEORIGIN")]);
        assert_eq!(headers, map(&[("x-frame-options", "DENY")]));
    }

    #[test]
    fn default_only_fills_and_replace_only_changes() {
        let operations = Operations {
            default: vec![pair("a", "default"), pair("b", "default")],
            replace: vec![pair("c", "replaced"), pair("d", "replaced")],
            ..Operations::default()
        };
        let headers = applied(operations, &[("a", "origin"), ("c", "origin"), ("c", "again")]);
        assert_eq!(headers, map(&[("a", "origin"), ("b", "default"), ("c", "replaced")]));
    }

    #[test]
    fn rename_keeps_all_values_and_those_already_there() {
        let operations = Operations {
            rename: vec![(HeaderName::from_static("old"), HeaderName::from_static("new"))],
            ..Operations::default()
        };
        let headers = applied(operations, &[("new", "1"), ("old", "2"), ("old", "3")]);
        assert_eq!(headers, map(&[("new", "1"), ("new", "2"), ("new", "3")]));
    }

    #[test]
    fn cookies_are_never_joined() {
        let operations = Operations {
            append: vec![pair("set-cookie", "c=3")],
            rename: vec![(HeaderName::from_static("x-cookie"), SET_COOKIE)],
            ..Operations::default()
        };
        let headers = applied(operations, &[("set-cookie", "a=1, x"), ("x-cookie", "b=2")]);
        let cookies: Vec<_> = headers.get_all(SET_COOKIE).iter().collect();
        assert_eq!(cookies, ["a=1, x", "b=2", "c=3"]);
    }

    #[test]
    fn operations_run_in_the_documented_order() {
        let operations = Operations {
            remove: vec![HeaderName::from_static("target")],
            rename: vec![(HeaderName::from_static("source"), HeaderName::from_static("target"))],
            replace: vec![pair("target", "replaced")],
            default: vec![pair("target", "default")],
            set: vec![],
            append: vec![pair("target", "appended")],
        };
        let headers = applied(operations.clone(), &[("target", "origin"), ("source", "moved")]);
        assert_eq!(headers, map(&[("target", "replaced"), ("target", "appended")]));
        let headers = applied(operations, &[("target", "origin")]);
        assert_eq!(headers, map(&[("target", "default"), ("target", "appended")]));
    }

    #[test]
    fn framing_has_the_last_word_and_is_put_into_the_owners_policy_at_load() {
        let operations = Operations {
            remove: vec![SERVER],
            set: vec![pair("content-security-policy", "default-src 'self'")],
            ..Operations::default()
        };
        let rules = Rules::new(operations, Some(Framing::deny()), Pages::default());
        assert_eq!(rules.operations().set[0].1, "default-src 'self'; frame-ancestors 'none'");

        let mut headers = map(&[("server", "x"), ("x-frame-options", "ALLOWALL")]);
        rules.apply(&mut headers);
        assert_eq!(headers[X_FRAME_OPTIONS], "DENY");
        assert_eq!(headers[CONTENT_SECURITY_POLICY], "default-src 'self'; frame-ancestors 'none'");
        assert_eq!(headers.len(), 2);
    }
}
