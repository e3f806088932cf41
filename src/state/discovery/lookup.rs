//! A question that is asked periodically: its last answer, and when it is due again.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::dns::DnsFailure;
use super::status::SourceStatus;
use crate::config::snapshot::Dns;

/// Longest wait after failures.
const MAX_BACKOFF: Duration = Duration::from_secs(30);
/// Between two log lines about the same failure.
const REPORT_INTERVAL: Duration = Duration::from_secs(600);

/// The state of one name.
#[derive(Debug)]
pub(super) struct CachedLookup<A> {
    /// The last successful one.
    answer: Option<A>,
    due: Instant,
    /// Since the last successful answer.
    failures: u32,
    answered: bool,
    /// Why the last one was none.
    failure: Option<DnsFailure>,
    success: Option<SystemTime>,
    /// When a failure was last logged, since the last successful answer.
    reported: Option<Instant>,
}

impl<A> CachedLookup<A> {
    /// Without an answer, and due.
    pub fn new(now: Instant) -> Self {
        CachedLookup {
            answer: None,
            due: now,
            failures: 0,
            answered: false,
            failure: None,
            success: None,
            reported: None,
        }
    }

    pub fn answer(&self) -> Option<&A> {
        self.answer.as_ref()
    }

    /// Whether any question was answered, successfully or not.
    pub fn answered(&self) -> bool {
        self.answered
    }

    /// Why the last question had no usable answer.
    pub fn failure(&self) -> Option<&DnsFailure> {
        self.failure.as_ref()
    }

    /// Whether it is due. If so, it is not due again for `lease`.
    pub fn take_due(&mut self, now: Instant, lease: Duration) -> bool {
        let due = self.due <= now;
        if due {
            self.due = now + lease;
        }
        due
    }

    pub fn make_due(&mut self, now: Instant) {
        self.due = now;
    }

    /// Records a successful answer; the question is due again at `due`. Returns whether the answer changed, and whether it ends
    /// failures that were logged.
    pub fn succeeded(&mut self, answer: A, due: Instant) -> (bool, bool)
    where
        A: PartialEq,
    {
        let changed = self.answer.as_ref() != Some(&answer);
        let recovered = self.reported.is_some();
        *self = CachedLookup {
            answer: Some(answer),
            due,
            failures: 0,
            answered: true,
            failure: None,
            success: Some(SystemTime::now()),
            reported: None,
        };
        (changed, recovered)
    }

    /// Uses a partial answer; the call of [`CachedLookup::failed`] follows. Returns whether the answer changed.
    pub fn replace(&mut self, answer: A) -> bool
    where
        A: PartialEq,
    {
        let changed = self.answer.as_ref() != Some(&answer);
        self.answer = Some(answer);
        changed
    }

    /// Records a failure, after which the wait grows. Returns whether it is to be logged.
    pub fn failed(&mut self, failure: DnsFailure, rules: &Dns, now: Instant, random: u64) -> bool {
        self.failure = Some(failure);
        self.due = now + backoff(self.failures, rules, random);
        self.failures = self.failures.saturating_add(1);
        self.answered = true;
        let report = self.reported.is_none_or(|at| now.saturating_duration_since(at) >= REPORT_INTERVAL);
        if report {
            self.reported = Some(now);
        }
        report
    }

    pub fn status(&self, kind: &'static str, name: &Arc<str>, entries: impl Fn(&A) -> usize) -> SourceStatus {
        SourceStatus {
            kind,
            name: name.clone(),
            entries: self.answer.as_ref().map_or(0, entries),
            stale: self.failures > 0,
            success: self.success,
        }
    }
}

/// How long an answer with this TTL is used. A little longer than the TTL, so that caches in between have dropped it too; by a
/// random time, so that names that were asked for at once are not for ever.
pub(super) fn until_next(ttl: Duration, rules: &Dns, random: u64) -> Duration {
    let used = ttl.clamp(rules.shortest, rules.longest);
    used + fraction((used / 20).min(Duration::from_secs(1)), random)
}

/// The wait after `before` earlier failures: half of a span that doubles with each, and a random part of the other half.
fn backoff(before: u32, rules: &Dns, random: u64) -> Duration {
    let longest = MAX_BACKOFF.min(rules.longest).max(rules.shortest);
    let span = rules.shortest.saturating_mul(1 << before.min(20)).min(longest);
    span / 2 + fraction(span / 2, random)
}

/// `span` times `random` / 2^64.
fn fraction(span: Duration, random: u64) -> Duration {
    let nanos = (span.as_nanos() * u128::from(random)) >> 64;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::rules;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn failures_are_reported_once_and_the_backoff_grows() {
        let mut now = Instant::now();
        let mut lookup = CachedLookup::<u8>::new(now);
        let mut waits = Vec::new();
        let mut reports = 0;
        for _ in 0..8 {
            assert!(lookup.take_due(now, SECOND));
            assert!(!lookup.take_due(now, SECOND));
            reports += u32::from(lookup.failed(DnsFailure::Timeout, &rules(), now, u64::MAX));
            waits.push(lookup.due.duration_since(now).as_secs_f64().round());
            now = lookup.due;
        }
        assert_eq!(waits, [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]);
        assert_eq!(reports, 1);
        assert!(lookup.failed(DnsFailure::Timeout, &rules(), now + REPORT_INTERVAL, 0));
        assert_eq!(lookup.succeeded(1, now), (true, true));
        assert_eq!(lookup.succeeded(1, now), (false, false));
    }

    proptest! {
        #[test]
        fn a_ttl_is_used_within_its_bounds(ttl in 0u64..100_000, random: u64) {
            let ttl = Duration::from_secs(ttl);
            let used = until_next(ttl, &rules(), random);
            let meant = ttl.clamp(SECOND, 300 * SECOND);
            prop_assert!(used >= meant && used <= meant + SECOND);
        }

        #[test]
        fn the_backoff_is_bounded(before: u32, random: u64) {
            let backoff = backoff(before, &rules(), random);
            prop_assert!(backoff >= SECOND / 2 && backoff <= MAX_BACKOFF);
        }
    }
}
