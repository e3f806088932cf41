//! How much a limit grants, and how that is said to a caller.

use std::time::Duration;

use http::HeaderValue;

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

impl Quota {
    /// The value of `RateLimit-Policy`.
    pub(super) fn policy(&self, name: &str) -> HeaderValue {
        let text = match self {
            Quota::Rate(rate) => format!("\"{name}\";q={};w={}", rate.burst, whole_seconds(rate.refill()).max(1)),
            Quota::Concurrent(max) => format!("\"{name}\";q={max};qu=\"concurrent-requests\""),
        };
        HeaderValue::from_str(&text).expect("BUG: limit names hold only letters, digits, `.`, `_` and `-`")
    }
}

/// Rounded up.
pub(super) fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0))
}
