//! What every answer carries, compiled.

use http::HeaderName;
use http::header::STRICT_TRANSPORT_SECURITY;

use super::framing::{self, FramingPolicy};
use super::page::Pages;
use super::program::{HeaderProgram, HeaderStep, Operations};
use super::section::HeaderSection;
use crate::decision::request::{RequestView, Scheme};

/// What every answer carries: one for the file and one for each route, inheritance already resolved.
#[derive(Debug, Default)]
pub struct ResponseRules {
    program: HeaderProgram,
    /// Whether the operations write [`STRICT_TRANSPORT_SECURITY`].
    hsts: bool,
    framing: Option<FramingPolicy>,
    pages: Pages,
}

impl ResponseRules {
    /// `framing` goes into the policies that `operations` write, too.
    pub fn new(mut operations: Operations, framing: Option<FramingPolicy>, pages: Pages) -> Self {
        if let Some(framing) = &framing {
            // The owner's own policies get their `frame-ancestors` here, so that no answer pays for the edit.
            let lists = [&mut operations.replace, &mut operations.default, &mut operations.set, &mut operations.append];
            for (name, value) in lists.into_iter().flatten() {
                if framing::is_policy_header(name) {
                    *value = framing.put_into(value.as_bytes());
                }
            }
        }
        let program = HeaderProgram::from(operations);
        let hsts = program.writes(&STRICT_TRANSPORT_SECURITY);
        ResponseRules { program, hsts, framing, pages }
    }

    /// The operations, with the framing policy already in their values.
    pub fn program(&self) -> &HeaderProgram {
        &self.program
    }

    /// Who may frame the answers; `None` leaves it to the origin and the operations.
    pub fn framing(&self) -> Option<&FramingPolicy> {
        self.framing.as_ref()
    }

    /// The owner's own error pages.
    pub fn pages(&self) -> &Pages {
        &self.pages
    }

    /// Applies the operations (remove, rename, replace, default, set, append) and the framing policy to the header section of
    /// the answer to `request`. `None`: what is answered could not be read as a request; see
    /// [`ResponseRules::suit_connection`].
    pub fn apply(&self, request: Option<&RequestView<'_>>, headers: &mut impl HeaderSection) {
        self.program.run(headers);
        if let Some(framing) = &self.framing {
            framing.apply(headers);
        }
        if let Some(request) = request {
            self.suit_connection(request.normal.scheme, headers);
        }
    }

    /// The names of the fields that the rules say something of.
    pub fn declared(&self) -> impl Iterator<Item = &HeaderName> {
        let framing: &[_] = if self.framing.is_some() { &framing::HEADERS } else { &[] };
        self.program.steps().iter().flat_map(HeaderStep::names).chain(framing)
    }

    /// Takes the declared `Strict-Transport-Security` from an answer that the client gets without TLS: it must not be there
    /// (RFC 6797 §7.2).
    pub fn suit_connection(&self, scheme: Scheme, headers: &mut impl HeaderSection) {
        if self.hsts && scheme == Scheme::Http {
            headers.remove(&STRICT_TRANSPORT_SECURITY);
        }
    }
}

#[cfg(test)]
mod tests {
    use http::header::{CONTENT_SECURITY_POLICY, SERVER, SET_COOKIE, X_FRAME_OPTIONS};
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::*;
    use crate::decision::response::program::HeaderStep;

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
        ResponseRules::new(operations, None, Pages::default()).apply(None, &mut headers);
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
    fn transport_security_is_said_over_tls_alone() {
        let hsts = || Operations { set: vec![pair("strict-transport-security", "max-age=1")], ..Operations::default() };
        let rules = ResponseRules::new(hsts(), None, Pages::default());
        for (scheme, said) in [(Scheme::Https, true), (Scheme::Http, false)] {
            let mut headers = map(&[("strict-transport-security", "max-age=9"), ("a", "1")]);
            rules.apply(None, &mut headers);
            rules.suit_connection(scheme, &mut headers);
            assert_eq!(headers.contains_key("strict-transport-security"), said, "{scheme:?}");
            assert_eq!(headers["a"], "1");
        }
        // What the owner leaves to the origin stays the origin's.
        let mut headers = map(&[("strict-transport-security", "max-age=9")]);
        ResponseRules::default().suit_connection(Scheme::Http, &mut headers);
        assert_eq!(headers.len(), 1);
    }

    #[test]
    fn framing_has_the_last_word_and_is_put_into_the_owners_policy_at_load() {
        let operations = Operations {
            remove: vec![SERVER],
            set: vec![pair("content-security-policy", "default-src 'self'")],
            ..Operations::default()
        };
        let rules = ResponseRules::new(operations, Some(FramingPolicy::deny()), Pages::default());
        let policy = HeaderValue::from_static("default-src 'self'; frame-ancestors 'none'");
        assert_eq!(rules.program().steps()[1], HeaderStep::Set(CONTENT_SECURITY_POLICY, policy));

        let mut headers = map(&[("server", "x"), ("x-frame-options", "ALLOWALL")]);
        rules.apply(None, &mut headers);
        assert_eq!(headers[X_FRAME_OPTIONS], "DENY");
        assert_eq!(headers[CONTENT_SECURITY_POLICY], "default-src 'self'; frame-ancestors 'none'");
        assert_eq!(headers.len(), 2);
    }
}
