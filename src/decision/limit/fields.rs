//! The RateLimit fields (draft-ietf-httpapi-ratelimit-headers) and the seconds of `Retry-After` (RFC 9110 §10.2.3).

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use smallvec::SmallVec;

use super::quota::{Quota, whole_seconds};
use super::{Limit, LimitStatus};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The state of a limit for a caller: `RateLimit-Policy: "per-caller";q=100;w=2` and `RateLimit: "per-caller";r=99;t=1`.
///
/// `q` is the burst, `w` the seconds in which an empty bucket refills, `r` the tokens left and `t` the seconds until the
/// bucket is full again. A concurrency limit has no window: `q` carries its unit, and `t` is left out.
pub fn rate_limit_headers(limit: &Limit, status: &LimitStatus) -> [(HeaderName, HeaderValue); 2] {
    let mut text = SmallVec::<[u8; 128]>::new();
    text.push(b'"');
    text.extend_from_slice(limit.name.as_bytes());
    text.extend_from_slice(b"\";r=");
    push_number(&mut text, status.result.remaining);
    if let Quota::Rate(_) = limit.quota {
        text.extend_from_slice(b";t=");
        push_number(&mut text, whole_seconds(status.result.reset_after));
    }
    let state = HeaderValue::from_bytes(&text).expect("BUG: limit names hold only letters, digits, `.`, `_` and `-`");
    [(RATE_LIMIT_POLICY, limit.policy.clone()), (RATE_LIMIT, state)]
}

/// Seconds for `Retry-After`: rounded up, so that a caller that obeys is granted, and at least 1.
pub fn retry_after_seconds(wait: Duration) -> u64 {
    whole_seconds(wait).max(1)
}

/// Decimal digits without the formatting machinery: this runs for every answer under a limit.
fn push_number(text: &mut SmallVec<[u8; 128]>, mut number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    text.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests {
    use super::super::{LimitId, LimitKey, LimitResult, RateQuota};
    use super::*;

    fn fields(quota: Quota, result: LimitResult) -> [String; 2] {
        let limit = Limit::new("per-caller".into(), "per-caller".into(), LimitKey::Principal, quota, false);
        rate_limit_headers(&limit, &LimitStatus { limit: LimitId(0), result })
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
    }

    #[test]
    fn a_rate_says_its_window() {
        let quota = RateQuota::new(50, Duration::from_secs(1), 100);
        let taken = quota.take(&mut 0, 1, 1);
        assert_eq!(
            fields(Quota::Rate(quota), taken),
            ["ratelimit-policy: \"per-caller\";q=100;w=2", "ratelimit: \"per-caller\";r=99;t=1"]
        );
    }

    #[test]
    fn a_number_of_places_says_its_unit() {
        assert_eq!(
            fields(Quota::Concurrent(5), LimitResult::places(5, 2)),
            ["ratelimit-policy: \"per-caller\";q=5;qu=\"concurrent-requests\"", "ratelimit: \"per-caller\";r=3"]
        );
    }

    #[test]
    fn places_end_at_the_last() {
        assert!(LimitResult::places(2, 2).granted);
        let refused = LimitResult::places(2, 3);
        assert!(!refused.granted);
        assert_eq!(retry_after_seconds(refused.retry_after), 1);
    }

    #[test]
    fn retry_after_is_rounded_up_and_never_zero() {
        assert_eq!(retry_after_seconds(Duration::ZERO), 1);
        assert_eq!(retry_after_seconds(Duration::from_millis(1001)), 2);
        assert_eq!(retry_after_seconds(Duration::from_secs(3)), 3);
        assert_eq!(retry_after_seconds(Duration::MAX), u64::MAX);
    }

    #[test]
    fn numbers_are_written_in_full() {
        for number in [0, 9, 10, 12_345, u64::MAX] {
            let mut text = SmallVec::new();
            push_number(&mut text, number);
            assert_eq!(text.as_slice(), number.to_string().as_bytes());
        }
    }
}
