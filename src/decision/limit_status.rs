//! What asking a limit found.

use std::time::Duration;

use super::ids::LimitId;

/// What taking an amount from a limit found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LimitResult {
    pub granted: bool,
    /// Tokens left, or places free.
    pub remaining: u64,
    /// Until a refused request would be granted.
    pub retry_after: Duration,
    /// Until the bucket is full again.
    pub reset_after: Duration,
}

impl LimitResult {
    /// What asking for some of `max` places found, with `in_progress` of them taken, those asked for included.
    pub fn places(max: u32, in_progress: u64) -> LimitResult {
        let free = u64::from(max).checked_sub(in_progress);
        LimitResult {
            granted: free.is_some(),
            remaining: free.unwrap_or(0),
            // Nobody knows when a request ends: the shortest wait that `Retry-After` can say.
            retry_after: if free.is_some() { Duration::ZERO } else { Duration::from_secs(1) },
            reset_after: Duration::ZERO,
        }
    }
}

/// The state of one limit for a caller, for the RateLimit fields.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LimitStatus {
    pub limit: LimitId,
    pub result: LimitResult,
}
