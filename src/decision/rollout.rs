//! Roll-out: whether a configuration that a share of the requests was tried on is kept or taken back.
//!
//! Both configurations serve at the same time, so that a bad hour of an origin speaks against neither. What is compared is
//! what an owner would look at: errors, refusals (a wrong issuer refuses everyone without a single error) and latency.

use std::time::Duration;

/// What a roll-out asks of a new configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    /// Of the requests that try it, above 0 and at most 1.
    pub share: f64,
    /// How long it is tried.
    pub duration: Duration,
    /// How many requests it must have served by then.
    pub min_requests: u64,
    /// By how much its share of errors may exceed that of the old one: 0.01 is one request in a hundred.
    pub max_errors: f64,
    /// The same for requests that a rule refused.
    pub max_refusals: f64,
    /// How many times the old one's 95th percentile its own may be.
    pub max_latency: f64,
}

impl Default for Terms {
    fn default() -> Self {
        Terms {
            share: 0.05,
            duration: Duration::from_secs(60),
            min_requests: 100,
            max_errors: 0.01,
            max_refusals: 0.05,
            max_latency: 1.5,
        }
    }
}

/// What one of the two configurations did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// Finished requests, but for those that their client gave up.
    pub requests: u64,
    /// Failures and 5xx answers among them.
    pub errors: u64,
    /// Requests that a rule refused.
    pub refusals: u64,
    /// The 95th percentile of the time that they took. Zero without requests.
    pub p95: Duration,
}

/// What becomes of the new configuration.
#[derive(Clone, Debug, PartialEq)]
pub enum RolloutVerdict {
    /// It is too early to tell.
    Wait,
    /// It serves everyone from now on.
    Keep,
    /// It serves nobody any more, and this is why.
    Revert(String),
}

/// Requests from which on something bad may end the trial before its time, and how many must have gone wrong.
const EARLY_REQUESTS: u64 = 20;
const EARLY_WRONGS: u64 = 5;
/// A percentile of fewer requests says nothing.
const LATENCY_REQUESTS: u64 = 20;
/// What a percentile may differ by without a reason: buckets have a width, and machines have moods.
const LATENCY_SLACK: Duration = Duration::from_millis(5);

/// Judges `next` beside `old`, `elapsed` after both began to be counted.
pub fn judge(terms: &Terms, old: &Sample, next: &Sample, elapsed: Duration) -> RolloutVerdict {
    let over = elapsed >= terms.duration;
    if over && next.requests < terms.min_requests {
        let (had, needed) = (next.requests, terms.min_requests);
        return RolloutVerdict::Revert(format!(
            "it served {had} requests within its time, too few to judge ({needed} needed)"
        ));
    }
    let judged = |wrong: u64| over || (next.requests >= EARLY_REQUESTS && wrong >= EARLY_WRONGS);
    let worse = |what: &str, old_wrong: u64, next_wrong: u64, allowed: f64| {
        let (before, now) = (share(old_wrong, old.requests), share(next_wrong, next.requests));
        (judged(next_wrong) && now > before + allowed).then(|| {
            let (before, now, allowed) = (100.0 * before, 100.0 * now, 100.0 * allowed);
            RolloutVerdict::Revert(format!(
                "{now:.1}% {what} instead of {before:.1}%, and {allowed:.1}% more are allowed"
            ))
        })
    };
    if let Some(revert) = worse("errors", old.errors, next.errors, terms.max_errors) {
        return revert;
    }
    if let Some(revert) = worse("refusals", old.refusals, next.refusals, terms.max_refusals) {
        return revert;
    }
    let comparable = old.requests >= LATENCY_REQUESTS && next.requests >= terms.min_requests.max(LATENCY_REQUESTS);
    if comparable && next.p95 > old.p95.mul_f64(terms.max_latency) + LATENCY_SLACK {
        let (now, before, allowed) = (next.p95, old.p95, terms.max_latency);
        return RolloutVerdict::Revert(format!(
            "its 95th percentile is {now:.1?} instead of {before:.1?}, and {allowed} times as much is allowed"
        ));
    }
    if over { RolloutVerdict::Keep } else { RolloutVerdict::Wait }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const EARLY: Duration = Duration::from_secs(3);

    fn sample(requests: u64, errors: u64, refusals: u64, millis: u64) -> Sample {
        Sample { requests, errors, refusals, p95: Duration::from_millis(millis) }
    }

    #[track_caller]
    fn reverts(old: Sample, next: Sample, elapsed: Duration, why: &str) {
        match judge(&Terms::default(), &old, &next, elapsed) {
            RolloutVerdict::Revert(said) => assert!(said.contains(why), "{said}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_as_good_is_kept_when_its_time_is_over_and_not_before() {
        let (old, next) = (sample(9_000, 9, 90, 20), sample(500, 1, 6, 24));
        assert_eq!(judge(&Terms::default(), &old, &next, EARLY), RolloutVerdict::Wait);
        assert_eq!(judge(&Terms::default(), &old, &next, MINUTE), RolloutVerdict::Keep);
    }

    #[test]
    fn errors_refusals_and_latency_each_take_it_back() {
        let old = sample(9_000, 9, 90, 20);
        reverts(old, sample(40, 20, 0, 20), EARLY, "50.0% errors instead of 0.1%");
        reverts(old, sample(40, 0, 40, 1), EARLY, "100.0% refusals instead of 1.0%");
        reverts(old, sample(200, 0, 2, 400), EARLY, "95th percentile is 400.0ms instead of 20.0ms");
    }

    #[test]
    fn a_bad_origin_speaks_against_neither() {
        let (old, next) = (sample(9_000, 4_500, 0, 2_000), sample(500, 251, 0, 2_100));
        assert_eq!(judge(&Terms::default(), &old, &next, MINUTE), RolloutVerdict::Keep);
    }

    #[test]
    fn one_unlucky_request_does_not_end_the_trial() {
        assert_eq!(
            judge(&Terms::default(), &sample(100, 0, 0, 20), &sample(5, 1, 0, 900), EARLY),
            RolloutVerdict::Wait
        );
    }

    #[test]
    fn what_nobody_tried_is_not_kept() {
        reverts(sample(9_000, 0, 0, 20), sample(99, 0, 0, 20), MINUTE, "too few to judge");
    }

    proptest! {
        #[test]
        fn a_trial_always_ends_with_its_time(
            old in (0u64..1000, 0u64..1000, 0u64..1000, 0u64..1000),
            next in (0u64..1000, 0u64..1000, 0u64..1000, 0u64..1000),
        ) {
            let of = |(requests, errors, refusals, millis): (u64, u64, u64, u64)| {
                sample(requests, errors.min(requests), refusals.min(requests), millis)
            };
            prop_assert_ne!(judge(&Terms::default(), &of(old), &of(next), MINUTE), RolloutVerdict::Wait);
        }

        #[test]
        fn fewer_errors_never_make_it_worse(errors in 1u64..500, requests in 500u64..1000, elapsed in 0u64..60) {
            let (old, elapsed) = (sample(1000, 10, 0, 10), Duration::from_secs(elapsed));
            let verdict = |errors| judge(&Terms::default(), &old, &sample(requests, errors, 0, 10), elapsed);
            if !matches!(verdict(errors), RolloutVerdict::Revert(_)) {
                prop_assert!(!matches!(verdict(errors - 1), RolloutVerdict::Revert(_)));
            }
        }
    }
}
