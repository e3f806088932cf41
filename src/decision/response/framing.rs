//! Framing: who may put an answer into a frame, said in both languages that browsers know.
//!
//! Where a Content-Security-Policy has `frame-ancestors`, browsers ignore `X-Frame-Options` (CSP3 §7.8.3), so an origin
//! that sends `frame-ancestors *` would undo a gateway that only sets `X-Frame-Options: DENY`. Hence one policy that
//! writes both: the header for old browsers, and the directive into every policy that leaves.

use http::header::{CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY_REPORT_ONLY, InvalidHeaderValue, X_FRAME_OPTIONS};
use http::{HeaderName, HeaderValue};
use smallvec::SmallVec;

use super::section::HeaderSection;

/// The headers in which it is said.
pub const HEADERS: [HeaderName; 3] = [X_FRAME_OPTIONS, CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY_REPORT_ONLY];

const FRAME_ANCESTORS: &[u8] = b"frame-ancestors";

/// A framing policy, compiled.
#[derive(Clone, Debug, PartialEq)]
pub struct FramingPolicy {
    /// `None` takes the header away: it can't name origins, and its `ALLOW-FROM` is obsolete (RFC 7034 §2.1 against
    /// HTML §7.8), so an origin's value could only mislead.
    x_frame_options: Option<HeaderValue>,
    /// `frame-ancestors` with its sources: the directive, and a whole policy for answers without one.
    ancestors: HeaderValue,
}

impl FramingPolicy {
    /// Nobody may frame.
    pub fn deny() -> Self {
        FramingPolicy {
            x_frame_options: Some(HeaderValue::from_static("DENY")),
            ancestors: HeaderValue::from_static("frame-ancestors 'none'"),
        }
    }

    /// Pages of the same origin may frame.
    pub fn same_origin() -> Self {
        FramingPolicy {
            x_frame_options: Some(HeaderValue::from_static("SAMEORIGIN")),
            ancestors: HeaderValue::from_static("frame-ancestors 'self'"),
        }
    }

    /// Pages of these origins may frame, given as sources of CSP3 §2.3.1. Without any, nobody may.
    pub fn origins<S: AsRef<str>>(sources: &[S]) -> Result<Self, InvalidHeaderValue> {
        let mut directive = String::from("frame-ancestors");
        for source in sources {
            directive.push(' ');
            directive.push_str(source.as_ref());
        }
        Ok(FramingPolicy { x_frame_options: None, ancestors: HeaderValue::try_from(directive)? })
    }

    /// The directive that says it, such as `frame-ancestors 'none'`.
    pub fn directive(&self) -> &HeaderValue {
        &self.ancestors
    }

    /// Makes `headers` say this policy and no other.
    pub fn apply(&self, headers: &mut impl HeaderSection) {
        match &self.x_frame_options {
            Some(value) => headers.set(&X_FRAME_OPTIONS, value),
            None => headers.remove(&X_FRAME_OPTIONS),
        }
        // A report-only policy protects nothing, so it is edited where present and never added.
        self.put_into_all(headers, &CONTENT_SECURITY_POLICY_REPORT_ONLY);
        if headers.contains(&CONTENT_SECURITY_POLICY) {
            self.put_into_all(headers, &CONTENT_SECURITY_POLICY);
        } else {
            headers.set(&CONTENT_SECURITY_POLICY, &self.ancestors);
        }
    }

    fn put_into_all(&self, headers: &mut impl HeaderSection, name: &HeaderName) {
        if headers.values(name).all(|value| self.holds_in(value)) {
            return;
        }
        let edited: SmallVec<[HeaderValue; 4]> = headers.values(name).map(|value| self.put_into(value)).collect();
        headers.remove(name);
        for value in &edited {
            headers.append(name, value);
        }
    }

    /// Whether every policy in `value` already says exactly this, once.
    fn holds_in(&self, value: &[u8]) -> bool {
        value.is_ascii()
            && policies(value).all(|policy| {
                let mut own = directives(policy).map(<[u8]>::trim_ascii).filter(|d| is_frame_ancestors(d));
                own.next() == Some(self.ancestors.as_bytes()) && own.next().is_none()
            })
    }

    /// `value` with this policy's `frame-ancestors` in each of its policies; other directives are kept byte for byte.
    ///
    /// Browsers skip directives that are not ASCII (CSP3 §2.2.1), each in its own way; such a value is given up
    /// for a policy that they can't misread, as is one that no field may have.
    pub fn put_into(&self, value: &[u8]) -> HeaderValue {
        if !value.is_ascii() {
            return self.ancestors.clone();
        }
        let mut sealed = Vec::with_capacity(value.len() + self.ancestors.len() + 2);
        for (i, policy) in policies(value).enumerate() {
            if i > 0 {
                sealed.push(b',');
            }
            self.put_into_policy(policy, &mut sealed);
        }
        HeaderValue::try_from(sealed).unwrap_or_else(|_| self.ancestors.clone())
    }

    fn put_into_policy(&self, policy: &[u8], sealed: &mut Vec<u8>) {
        let start = sealed.len();
        let mut placed = false;
        let mut last_is_blank = false;
        for (i, directive) in directives(policy).enumerate() {
            let replace = is_frame_ancestors(directive);
            if replace && placed {
                continue;
            }
            if i > 0 {
                sealed.push(b';');
            }
            if replace {
                let space = directive.len() - directive.trim_ascii_start().len();
                sealed.extend_from_slice(&directive[..space]);
                sealed.extend_from_slice(self.ancestors.as_bytes());
                placed = true;
            } else {
                sealed.extend_from_slice(directive);
            }
            last_is_blank = directive.trim_ascii().is_empty();
        }
        if placed {
            return;
        }
        if !sealed[start..].trim_ascii().is_empty() {
            sealed.extend_from_slice(if last_is_blank { b" " } else { b"; " });
        }
        sealed.extend_from_slice(self.ancestors.as_bytes());
    }
}

/// Whether `name` is one of the headers that carry policies.
pub fn is_policy_header(name: &HeaderName) -> bool {
    name == CONTENT_SECURITY_POLICY || name == CONTENT_SECURITY_POLICY_REPORT_ONLY
}

/// The sources of the `frame-ancestors` that counts, for each policy in `value` that has one (CSP3 §2.2.1: the first
/// occurrence wins).
pub fn frame_ancestors(value: &[u8]) -> impl Iterator<Item = impl Iterator<Item = &[u8]>> {
    policies(value).filter_map(|policy| {
        let first = directives(policy).find(|directive| is_frame_ancestors(directive))?;
        Some(words(first).skip(1))
    })
}

/// The policies of a value (CSP3 §2.2.2).
pub fn policies(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',')
}

/// The directives of a policy, blank ones included (CSP3 §2.2.1).
pub fn directives(policy: &[u8]) -> impl Iterator<Item = &[u8]> {
    policy.split(|&byte| byte == b';')
}

/// A directive's name and the words of its value.
pub fn words(directive: &[u8]) -> impl Iterator<Item = &[u8]> {
    directive.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

fn is_frame_ancestors(directive: &[u8]) -> bool {
    words(directive).next().is_some_and(|name| name.eq_ignore_ascii_case(FRAME_ANCESTORS))
}

#[cfg(test)]
mod tests;
