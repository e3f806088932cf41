//! One thing that is asked for again and again: its last good answer, and when the next question is due.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::Status;
use crate::config::snapshot::Dns;

/// Longest pause after failures.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Between two words about the same failure.
const SILENCE: Duration = Duration::from_secs(600);

/// What is known of one name.
#[derive(Debug)]
pub(super) struct Lookup<A> {
    /// The last good one.
    answer: Option<A>,
    due: Instant,
    /// Since the last good answer.
    failures: u32,
    settled: bool,
    success: Option<SystemTime>,
    /// When a failure was told last, since the last good answer.
    told: Option<Instant>,
}

impl<A> Lookup<A> {
    /// Nothing is known, and it is due.
    pub fn new(now: Instant) -> Self {
        Lookup { answer: None, due: now, failures: 0, settled: false, success: None, told: None }
    }

    pub fn answer(&self) -> Option<&A> {
        self.answer.as_ref()
    }

    /// Whether any question has come to an end, good or bad.
    pub fn settled(&self) -> bool {
        self.settled
    }

    /// Whether it is time to ask. If so, it is not again for `give_up`.
    pub fn take_due(&mut self, now: Instant, give_up: Duration) -> bool {
        let due = self.due <= now;
        if due {
            self.due = now + give_up;
        }
        due
    }

    pub fn ask_again(&mut self, now: Instant) {
        self.due = now;
    }

    /// Notes a good answer, which is due again at `due`. Says whether it is another one, and whether it ends failures that
    /// were told.
    pub fn succeeded(&mut self, answer: A, due: Instant) -> (bool, bool)
    where
        A: PartialEq,
    {
        let changed = self.answer.as_ref() != Some(&answer);
        let recovered = self.told.is_some();
        *self = Lookup {
            answer: Some(answer),
            due,
            failures: 0,
            settled: true,
            success: Some(SystemTime::now()),
            told: None,
        };
        (changed, recovered)
    }

    /// Uses an answer that is good only in part: a failure is to follow. Says whether it is another one.
    pub fn replace(&mut self, answer: A) -> bool
    where
        A: PartialEq,
    {
        let changed = self.answer.as_ref() != Some(&answer);
        self.answer = Some(answer);
        changed
    }

    /// Notes a failure, after which the pause grows. Says whether it deserves a word.
    pub fn failed(&mut self, rules: &Dns, now: Instant, random: u64) -> bool {
        self.due = now + pause(self.failures, rules, random);
        self.failures = self.failures.saturating_add(1);
        self.settled = true;
        let say = self.told.is_none_or(|told| now.saturating_duration_since(told) >= SILENCE);
        if say {
            self.told = Some(now);
        }
        say
    }

    pub fn status(&self, kind: &'static str, name: &Arc<str>, entries: impl Fn(&A) -> usize) -> Status {
        Status {
            kind,
            name: name.clone(),
            entries: self.answer.as_ref().map_or(0, entries),
            stale: self.failures > 0,
            success: self.success,
        }
    }
}

/// How long an answer with this TTL is used. A little longer than the TTL, so that a cache between has let go of it too, and
/// names that were asked for together are not for ever.
pub(super) fn until_next(ttl: Duration, rules: &Dns, random: u64) -> Duration {
    let used = ttl.clamp(rules.shortest, rules.longest);
    used + fraction((used / 20).min(Duration::from_secs(1)), random)
}

/// How long to wait after one more failure than `before`: half of a span that doubles, and a random part of the other half.
fn pause(before: u32, rules: &Dns, random: u64) -> Duration {
    let longest = LONGEST_PAUSE.min(rules.longest).max(rules.shortest);
    let span = rules.shortest.saturating_mul(1 << before.min(20)).min(longest);
    span / 2 + fraction(span / 2, random)
}

/// The part of `span` at which `random` stands among all u64.
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
    fn failures_are_told_once_in_a_while_and_asked_about_less_and_less() {
        let mut now = Instant::now();
        let mut lookup = Lookup::<u8>::new(now);
        let mut pauses = Vec::new();
        let mut told = 0;
        for _ in 0..8 {
            assert!(lookup.take_due(now, SECOND));
            assert!(!lookup.take_due(now, SECOND));
            told += u32::from(lookup.failed(&rules(), now, u64::MAX));
            pauses.push(lookup.due.duration_since(now).as_secs_f64().round());
            now = lookup.due;
        }
        assert_eq!(pauses, [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]);
        assert_eq!(told, 1);
        assert!(lookup.failed(&rules(), now + SILENCE, 0));
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
        fn a_pause_is_bounded(before: u32, random: u64) {
            let pause = pause(before, &rules(), random);
            prop_assert!(pause >= SECOND / 2 && pause <= LONGEST_PAUSE);
        }
    }
}
