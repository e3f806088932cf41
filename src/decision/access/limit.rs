//! Limits: a rate by token bucket, or a number of requests at the same time.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

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
}

/// What is counted separately.
#[derive(Clone, Debug, PartialEq)]
pub enum Key {
    /// IPv6 clients by their /64.
    ClientAddress,
    Principal,
    /// Falls back to the client address when absent.
    Header(HeaderName),
    Route,
    Gateway,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Quota {
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
    /// `count` and period as written, for the RateLimit-Policy field.
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

/// How a caller stands with the limit that binds it most, for the RateLimit fields.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    pub limit: LimitId,
    pub taken: Taken,
}
