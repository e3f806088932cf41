//! What a route asks beside host and path: method, headers, query.

use std::borrow::Cow;

use http::{HeaderMap, Method};
use percent_encoding::percent_decode_str;

use super::{Condition, HostPattern, Match, Mismatch, PathPattern, Segment};
use crate::decision::request::RequestView;

/// One lookup: what is asked, and what was allowed on the way.
pub struct Search<'a> {
    pub matches: &'a [Match],
    pub request: &'a RequestView<'a>,
    /// Methods of routes that match but for the method.
    pub allowed: Vec<Method>,
}

impl Search<'_> {
    /// The first of `candidates` (sorted by specificity) whose conditions hold.
    pub fn first(&mut self, candidates: &[usize]) -> Option<usize> {
        for &index in candidates {
            let found = &self.matches[index];
            let method = found.takes_method(self.request.method);
            if found.failing_condition(self.request).is_some() {
                continue;
            }
            if method {
                return Some(index);
            }
            self.allowed.extend_from_slice(&found.methods);
        }
        None
    }

    /// Sorted, each once; HEAD wherever GET is.
    pub fn into_allowed(mut self) -> Vec<Method> {
        if self.allowed.contains(&Method::GET) {
            self.allowed.push(Method::HEAD);
        }
        self.allowed.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        self.allowed.dedup();
        self.allowed
    }
}

impl Match {
    /// A route for GET takes HEAD too (RFC 9110 §9.3.2).
    fn takes_method(&self, method: &Method) -> bool {
        self.methods.is_empty()
            || self.methods.contains(method)
            || (*method == Method::HEAD && self.methods.contains(&Method::GET))
    }

    /// The first header or query condition that does not hold.
    fn failing_condition(&self, request: &RequestView<'_>) -> Option<Mismatch> {
        let header = self.headers.iter().find(|(name, condition)| !condition.holds_for_header(request.headers, name));
        if let Some((name, _)) = header {
            return Some(Mismatch::Header(name.clone()));
        }
        let query = request.normal.query.as_deref().unwrap_or("");
        let parameter = self.query.iter().find(|(name, condition)| !condition.holds_for_query(query, name));
        parameter.map(|(name, _)| Mismatch::Query(name.clone()))
    }

    /// Why this does not match `request`, in the order in which routes are compared.
    pub fn mismatch(&self, request: &RequestView<'_>) -> Option<Mismatch> {
        let normal = request.normal;
        if !self.hosts.is_empty() && !self.hosts.iter().any(|pattern| pattern.takes(&normal.host)) {
            return Some(Mismatch::Host);
        }
        if !self.paths.is_empty() && !self.paths.iter().any(|pattern| pattern.takes(&normal.path)) {
            return Some(Mismatch::Path);
        }
        if !self.takes_method(request.method) {
            return Some(Mismatch::Method);
        }
        self.failing_condition(request)
    }

    /// Whether no request can meet the conditions of both.
    pub fn disjoint(&self, other: &Match) -> bool {
        let methods = self.methods.is_empty()
            || other.methods.is_empty()
            || self.methods.iter().any(|method| other.takes_method(method))
            || other.methods.iter().any(|method| self.takes_method(method));
        let headers = |(name, condition): &(_, Condition)| {
            other.headers.iter().any(|(their, theirs)| their == name && condition.disjoint(theirs))
        };
        let query = |(name, condition): &(String, Condition)| {
            other.query.iter().any(|(their, theirs)| their == name && condition.disjoint(theirs))
        };
        !methods || self.headers.iter().any(headers) || self.query.iter().any(query)
    }
}

impl HostPattern {
    pub fn takes(&self, host: &str) -> bool {
        match self {
            HostPattern::Exact(name) => name == host,
            HostPattern::Wildcard(parent) => {
                host.strip_suffix(parent.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            }
        }
    }

    pub fn describe(pattern: Option<&HostPattern>) -> String {
        match pattern {
            None => "any host".to_owned(),
            Some(HostPattern::Exact(name)) => format!("host {name}"),
            Some(HostPattern::Wildcard(parent)) => format!("host *.{parent}"),
        }
    }
}

impl PathPattern {
    pub fn takes(&self, path: &str) -> bool {
        match self {
            PathPattern::Exact(exact) => exact == path,
            PathPattern::Prefix(prefix) => path.starts_with(prefix.as_str()),
            PathPattern::Regex(regex) => regex.is_match(path),
            PathPattern::Parameters(segments) => {
                let Some(path) = path.strip_prefix('/') else { return false };
                let mut parts = path.split('/');
                segments.iter().all(|segment| {
                    parts.next().is_some_and(|part| match segment {
                        Segment::Literal(literal) => literal == part,
                        Segment::Parameter(_) => !part.is_empty(),
                    })
                }) && parts.next().is_none()
            }
        }
    }

    pub fn describe(pattern: Option<&PathPattern>) -> String {
        match pattern {
            None => "any path".to_owned(),
            Some(PathPattern::Exact(path)) => format!("path {path}"),
            Some(PathPattern::Prefix(prefix)) => format!("path {prefix}*"),
            Some(PathPattern::Regex(regex)) => format!("path regex {regex}"),
            Some(PathPattern::Parameters(segments)) => {
                let mut text = String::from("path ");
                for segment in segments {
                    text.push('/');
                    match segment {
                        Segment::Literal(literal) => text.push_str(literal),
                        Segment::Parameter(name) => {
                            text.push('{');
                            text.push_str(name);
                            text.push('}');
                        }
                    }
                }
                text
            }
        }
    }
}

impl Condition {
    /// A header that occurs more than once has no one value: only its presence can be asked for.
    fn holds_for_header(&self, headers: &HeaderMap, name: &http::HeaderName) -> bool {
        let mut values = headers.get_all(name).iter();
        let first = values.next();
        let single = if values.next().is_none() { first } else { None };
        match self {
            Condition::Present(wanted) => first.is_some() == *wanted,
            Condition::Exact(expected) => single == Some(expected),
            Condition::Regex(regex) => single.and_then(|value| value.to_str().ok()).is_some_and(|v| regex.is_match(v)),
        }
    }

    /// As with headers, a parameter that occurs more than once has no one value.
    fn holds_for_query(&self, query: &str, name: &str) -> bool {
        let mut values = query.split('&').filter_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (!pair.is_empty() && form_decode(key) == name).then(|| form_decode(value))
        });
        let first = values.next();
        if let Condition::Present(wanted) = self {
            return first.is_some() == *wanted;
        }
        let (Some(value), None) = (first, values.next()) else { return false };
        match self {
            Condition::Exact(expected) => value.as_bytes() == expected.as_bytes(),
            Condition::Regex(regex) => regex.is_match(&value),
            Condition::Present(_) => false,
        }
    }

    fn disjoint(&self, other: &Condition) -> bool {
        match (self, other) {
            (Condition::Exact(a), Condition::Exact(b)) => a != b,
            (Condition::Present(false), Condition::Exact(_) | Condition::Regex(_) | Condition::Present(true)) => true,
            (Condition::Exact(_) | Condition::Regex(_) | Condition::Present(true), Condition::Present(false)) => true,
            _ => false,
        }
    }
}

/// The value of a form field: `+` is a space, escapes are decoded.
fn form_decode(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|b| matches!(b, b'+' | b'%')) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned())
}
