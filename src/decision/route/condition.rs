//! What a route asks of method, header and query.

use std::borrow::Cow;

use http::Method;

use super::connection::ConnectionMismatch;
use super::pattern::{Condition, Match};
use crate::decision::request::RequestView;
use crate::decision::request::fields::FieldName;

/// The condition that a request fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failed<'a> {
    Connection(ConnectionMismatch),
    Header(&'a FieldName),
    Query(&'a str),
}

impl Match {
    pub(super) fn takes_method(&self, method: &Method) -> bool {
        self.methods.is_empty()
            || self.methods.contains(method)
            || (*method == Method::HEAD && self.methods.contains(&Method::GET))
    }

    /// The first condition on the connection, a header or the query that does not hold.
    pub(super) fn failed_condition(&self, request: &RequestView<'_>) -> Option<Failed<'_>> {
        if let Some(failed) = self.connection.failed(request.connection, request.normal.scheme) {
            return Some(Failed::Connection(failed));
        }
        let header = |(name, condition): &&(FieldName, Condition)| {
            !condition.holds(request.fields.get_all(name).map(Cow::Borrowed))
        };
        if let Some((name, _)) = self.headers.iter().find(header) {
            return Some(Failed::Header(name));
        }
        let query = request.normal.query.as_deref().unwrap_or("");
        let failed = self.query.iter().find(|(name, condition)| !condition.holds(values(query, name)))?;
        Some(Failed::Query(&failed.0))
    }
}

impl Condition {
    /// Whether `values`, all of one field, cookie or parameter, satisfy this.
    pub(in crate::decision) fn holds<'v>(&self, mut values: impl Iterator<Item = Cow<'v, [u8]>>) -> bool {
        let first = values.next();
        if let Condition::Present(wanted) = self {
            return first.is_some() == *wanted;
        }
        match first {
            Some(value) if values.next().is_none() => self.accepts(&value),
            _ => false,
        }
    }

    /// Whether the one value `value` satisfies this.
    pub(super) fn accepts(&self, value: &[u8]) -> bool {
        match self {
            Condition::Exact(expected) => expected.as_bytes() == value,
            Condition::Regex(regex) => std::str::from_utf8(value).is_ok_and(|text| regex.is_match(text)),
            Condition::Present(wanted) => *wanted,
        }
    }
}

/// The values of the parameter `name` in a query, decoded as browsers encode forms.
fn values<'q>(query: &'q str, name: &str) -> impl Iterator<Item = Cow<'q, [u8]>> {
    query.split('&').filter(|pair| !pair.is_empty()).filter_map(move |pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (*decode(key) == *name.as_bytes()).then(|| decode(value))
    })
}

/// Percent decoding, with `+` for a space.
fn decode(text: &str) -> Cow<'_, [u8]> {
    if text.contains('+') {
        let spaced = text.replace('+', " ");
        return Cow::Owned(percent_encoding::percent_decode_str(&spaced).collect());
    }
    percent_encoding::percent_decode_str(text).into()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn query_parameters_are_decoded() {
        let all = |query, name| values(query, name).map(Cow::into_owned).collect::<Vec<_>>();
        assert_eq!(all("a=1&b=2&a=3", "a"), [b"1".to_vec(), b"3".to_vec()]);
        assert_eq!(all("x%20y=p+q%2B", "x y"), [b"p q+".to_vec()]);
        assert_eq!(all("&&a&", "a"), [b"".to_vec()]);
        assert!(all("", "").is_empty());
    }

    #[test]
    fn what_occurs_twice_has_no_single_value() {
        let once = || [Cow::Borrowed(b"a".as_slice())].into_iter();
        let twice = || once().chain(once());
        let exact = Condition::Exact(HeaderValue::from_static("a"));
        assert!(exact.holds(once()) && !exact.holds(twice()) && !exact.holds([].into_iter()));
        assert!(Condition::Present(true).holds(twice()));
        assert!(!Condition::Present(false).holds(once()));
        assert!(Condition::Present(false).holds([].into_iter()));
    }
}
