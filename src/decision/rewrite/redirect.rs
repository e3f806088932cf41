//! Where a redirect points.

use std::borrow::Cow;

use http::{HeaderValue, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::rules::{RewriteRules, Template};
use crate::decision::request::{NormalizedRequest, Scheme};
use crate::decision::route::Parameters;

/// An answer that sends the client elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct Redirect {
    /// One of 301, 302, 303, 307 and 308.
    pub status: StatusCode,
    /// What `Location` says.
    pub target: RedirectTarget,
}

/// Where a [`Redirect`] sends the client.
#[derive(Clone, Debug, PartialEq)]
pub enum RedirectTarget {
    /// The whole `Location`.
    Fixed(HeaderValue),
    /// What is not given stays as in the request.
    Parts { scheme: Option<Scheme>, host: Option<String>, path: Option<Template>, keep_query: bool },
}

impl Redirect {
    /// The value of `Location` (RFC 9110 §10.2.2).
    ///
    /// It can't lead to a host that neither the rule nor the request names: a path in normal form never begins with `//` and
    /// holds no backslash. A request without a host (HTTP/1.0) gets a path alone, unless the rule names a host.
    pub fn location(&self, normal: &NormalizedRequest, parameters: &Parameters) -> HeaderValue {
        let (scheme, host, path, keep_query) = match &self.target {
            RedirectTarget::Fixed(location) => return location.clone(),
            RedirectTarget::Parts { scheme, host, path, keep_query } => (scheme, host, path, keep_query),
        };
        let mut location = String::new();
        let authority = match (host, scheme) {
            (Some(host), _) => Cow::Borrowed(host.as_str()),
            // The port that the client named belongs to the scheme that it used.
            (None, Some(scheme)) if *scheme != normal.scheme => Cow::Borrowed(normal.host.as_str()),
            (None, _) => RewriteRules::default().host(normal).into_owned().into(),
        };
        if !authority.is_empty() {
            location.extend([scheme.unwrap_or(normal.scheme).as_str(), "://"]);
            push_visible(&mut location, &authority);
        }
        match path {
            Some(template) => push_visible(&mut location, &template.fill(&normal.path, parameters)),
            None if normal.path.starts_with('/') => push_visible(&mut location, &normal.path),
            None => location.push('/'),
        }
        if let (true, Some(query)) = (keep_query, &normal.query) {
            location.push('?');
            push_visible(&mut location, query);
        }
        HeaderValue::try_from(location).expect("BUG: only visible ASCII was put in")
    }
}

/// Everything that is not visible ASCII; what is beyond ASCII always counts as such.
const INVISIBLE: &AsciiSet = &CONTROLS.add(b' ');

fn push_visible(location: &mut String, text: &str) {
    location.extend(utf8_percent_encode(text, INVISIBLE));
}
