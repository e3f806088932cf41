//! What a method of identification says for itself.
//!
//! To add a method: implement [`Authenticator`] in a file of its own here, list it in [`super::method`], and give it its form in
//! the configuration (a file in `config::raw::access`, one in `config::compile::access`, and a line in each of their parents).

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use http::HeaderValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::principal::{Claims, Principal};
use crate::decision::outcome::{Cause, Denial};
use crate::decision::request::fields::{FieldName, Fields};

/// One method of identification, compiled for one identity provider.
pub(super) trait Authenticator: Sized {
    /// The longest credential in bytes whose verification is remembered. 0: verifying costs no more than remembering.
    fn longest_remembered(&self) -> usize {
        0
    }

    /// The field that carries the credential.
    fn field(&self) -> &FieldName;

    /// The credential that a request presents.
    fn presented<'a>(&self, fields: Fields<'a>) -> Presented<'a> {
        Presented::in_field(fields, self.field())
    }

    /// The principal behind `credential` at the time `now`.
    ///
    /// `peers` are the providers of this method that read the same field, in the order of the route and never empty: the
    /// credential may be any one's of them.
    ///
    /// # Errors
    /// The cause of the refusal, without its challenge.
    fn verify<'p>(
        peers: impl Iterator<Item = Peer<'p, Self>> + Clone,
        credential: &[u8],
        now: SystemTime,
    ) -> Result<Arc<Principal>, Denial>
    where
        Self: 'p;

    /// Whether `principal`, whose credential was verified before, is recognised at the time `now` without another
    /// verification.
    ///
    /// # Errors
    /// As those of [`Authenticator::verify`].
    fn recheck(&self, principal: &Principal, now: SystemTime) -> Result<(), Denial>;

    /// The challenge for a request without a credential (RFC 9110 §11.6.1).
    fn challenge(&self) -> String;

    /// The challenge for a request whose credential was refused for `cause`. It says no more than the cause's title.
    fn refusal_challenge(&self, cause: Cause) -> HeaderValue;

    /// The challenge for a recognised caller that lacks one of `scopes`.
    fn scope_challenge(&self, scopes: &[String]) -> Option<HeaderValue> {
        let _ = scopes;
        None
    }

    /// Whether this provider takes every credential that `later` could, so that `later` never decides behind it.
    fn shadows(&self, later: &Self) -> bool {
        let _ = later;
        false
    }

    /// The principal that `claims` are about, as if a credential with them had been verified. `None` where credentials carry
    /// no claims. For `explain`.
    fn assume(&self, provider: &Arc<str>, claims: &Claims) -> Option<Result<Principal, Denial>> {
        let _ = (provider, claims);
        None
    }

    /// What it goes by, for `diff`. The field is told already.
    fn describe(&self) -> Vec<Description>;
}

/// A provider of one method.
#[derive(Debug)]
pub(super) struct Peer<'p, A> {
    /// The provider's name.
    pub name: &'p Arc<str>,
    pub rules: &'p A,
}

/// What a request presents to one provider.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Presented<'a> {
    Nothing,
    One(&'a [u8]),
    Several,
}

impl<'a> Presented<'a> {
    /// The values of the field `name`.
    pub fn in_field(fields: Fields<'a>, name: &FieldName) -> Self {
        let mut values = fields.get_all(name);
        match (values.next(), values.next()) {
            (None, _) => Presented::Nothing,
            (Some(value), None) => Presented::One(value),
            (Some(_), Some(_)) => Presented::Several,
        }
    }
}

/// Identifies a credential without holding it: SHA-256 over the fingerprint of the providers and the credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CredentialDigest(pub [u8; 32]);

impl CredentialDigest {
    /// Hashes twice instead of hashing a concatenation: the credential stays where it is, and nothing is allocated.
    pub(super) fn new(seed: u64, credential: &[u8]) -> CredentialDigest {
        let mut text = [0; 40];
        text[..8].copy_from_slice(&seed.to_be_bytes());
        text[8..].copy_from_slice(digest(&SHA256, credential).as_ref());
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, &text).as_ref());
        CredentialDigest(hash)
    }
}

/// One thing that a method goes by.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    pub name: Cow<'static, str>,
    pub value: DescribedValue,
}

/// What a method goes by in one respect, and what it means if that changes.
#[derive(Clone, Debug, PartialEq)]
pub enum DescribedValue {
    Text(String),
    /// Any one of `accepted` will do, so that one more is weaker.
    AnyOf {
        text: String,
        accepted: Vec<String>,
    },
    /// A longer time is weaker.
    AtMost(Duration),
    /// A key or a caller's credential, what it is good for, and bytes that stand for what it is.
    Credential {
        text: String,
        seal: Vec<u8>,
    },
}

impl Description {
    pub(super) fn text(name: impl Into<Cow<'static, str>>, text: impl Into<String>) -> Self {
        Description { name: name.into(), value: DescribedValue::Text(text.into()) }
    }
}

/// A time in UTC (RFC 3339), to the second.
pub fn moment(time: SystemTime) -> String {
    let time = OffsetDateTime::from(time).replace_nanosecond(0).ok();
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_else(|| "a time beyond all calendars".to_owned())
}
