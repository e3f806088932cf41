//! Limits: a rate by token bucket, or a number of requests at the same time.
//!
//! The arithmetic works on a value that is passed in with the time; `state::limits` keeps the values.

mod bucket;
mod fields;
mod words;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

pub use fields::{rate_limit_headers, retry_after_seconds};

use crate::decision::request::fields::FieldName;

/// Index into [`crate::decision::rules::Rules::limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LimitId(pub u32);

/// One limit, compiled.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// As written, for headers, logs and metrics.
    pub name: Arc<str>,
    /// Stable across reloads: the limit's name, with the route's where a route declared it. State is kept under it.
    pub scope: Arc<str>,
    pub key: Key,
    pub quota: Quota,
    /// Decide, log and count, but let the request pass.
    pub report_only: bool,
    /// The value of `RateLimit-Policy`, made once.
    pub policy: HeaderValue,
}

impl Limit {
    /// `name` is made of `[A-Za-z0-9._-]`, as `config::compile` checks: it stands in header fields.
    pub fn new(name: Arc<str>, scope: Arc<str>, key: Key, quota: Quota, report_only: bool) -> Self {
        let policy = fields::policy(&name, &quota);
        Limit { name, scope, key, quota, report_only, policy }
    }
}

/// What is counted separately.
#[derive(Clone, Debug, PartialEq)]
pub enum Key {
    /// IPv6 clients by their /64.
    ClientAddress,
    /// Falls back to the client address on a route that recognises nobody.
    Principal,
    /// Falls back to the client address when absent.
    Header(FieldName),
    /// One count for each route.
    Route,
    /// One count for all requests.
    Gateway,
}

/// How much a limit grants.
#[derive(Clone, Debug, PartialEq)]
pub enum Quota {
    /// Requests per time.
    Rate(RateQuota),
    /// Requests in progress at the same time.
    Concurrent(u32),
}

/// A token bucket: `burst` tokens at most, one more every `interval`.
#[derive(Clone, Debug, PartialEq)]
pub struct RateQuota {
    /// Nanoseconds in which one token comes back; at least 1.
    pub interval_nanos: u64,
    /// Most tokens that the bucket holds; at least 1.
    pub burst: u64,
    /// `count` and `period` as written.
    pub count: u64,
    pub period: Duration,
}

/// What to take from which limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Take {
    pub limit: LimitId,
    /// Which bucket: a keyed hash of the key's value, so that 2^64 strangers cost no memory to name.
    pub bucket: BucketKey,
}

/// Identifies a bucket within its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BucketKey(pub u128);

/// What taking found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Taken {
    pub granted: bool,
    /// Tokens left (or places free).
    pub remaining: u64,
    /// Until a refused request would be granted.
    pub retry_after: Duration,
    /// Until the bucket is full again.
    pub reset_after: Duration,
}

impl Taken {
    /// What asking for one of `max` places found, with `in_progress` requests on them, this one included.
    pub fn place(max: u32, in_progress: u64) -> Taken {
        let free = u64::from(max).checked_sub(in_progress);
        Taken {
            granted: free.is_some(),
            remaining: free.unwrap_or(0),
            // Nobody knows when a request ends: the shortest wait that `Retry-After` can say.
            retry_after: if free.is_some() { Duration::ZERO } else { Duration::from_secs(1) },
            reset_after: Duration::ZERO,
        }
    }
}

/// How a caller stands with the limit that binds it most, for the RateLimit fields.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    pub limit: LimitId,
    pub taken: Taken,
}
