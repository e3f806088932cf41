//! Ejection: an endpoint that fails requests is left out for a while, and let in again by a trial.
//!
//! [`Standing`] is the state machine of one endpoint. In service, it is ejected when [`EjectionPolicy`] say so, for a time that
//! doubles with each ejection that follows. When the time is over it is half-open: the next request that meets it is its
//! trial, and while that is under way nothing else is sent. A trial that succeeds puts it back into service; one that fails
//! ejects it again. How many may be out at a time is bounded ([`may_eject`]): failures that all endpoints share have a
//! cause that leaving endpoints out does not cure.

use std::time::Duration;

use super::balance::Millis;
use super::outcome::TryResult;
use super::window::Tally;

/// When an endpoint is ejected, and for how long.
#[derive(Clone, Debug, PartialEq)]
pub struct EjectionPolicy {
    /// Failures in a row that eject, at least 1.
    pub consecutive: u32,
    /// What counts as a failure.
    pub failures: Failures,
    /// Ejects who fails more often than the others. `None`: nobody is compared.
    pub error_rate: Option<ErrorRate>,
    /// How long the first ejection lasts; each that follows lasts twice as long.
    pub first: Duration,
    /// How long any ejection lasts at most, at least `first`.
    pub longest: Duration,
    /// Hundredths of the endpoints that may be out, 1 to 100.
    pub most: u32,
}

/// What counts as a failure of an endpoint.
#[derive(Clone, Debug, PartialEq)]
pub enum Failures {
    /// That no connection can be made.
    Connecting,
    /// That no connection can be made, that there is no answer, or that it has one of these statuses.
    Answering(Statuses),
}

/// A set of statuses from 500 to 599.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statuses(u128);

/// Compares an endpoint's share of failures with that of all others together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ErrorRate {
    /// What is looked back at.
    pub window: Duration,
    /// Answers within the window that a comparison needs, of the endpoint and of the others together; at least 1.
    pub requests: u32,
    /// Hundredths of its requests that the endpoint must fail at least, 1 to 100.
    pub at_least: u32,
    /// How many times the share of the others, at least 2.
    pub times: u32,
}

/// Why an endpoint was ejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// So many failures in a row.
    Consecutive,
    /// It failed more often than the others.
    ErrorRate,
    /// It failed its trial.
    Trial,
}

/// Whether an endpoint is in service. It is kept as one number, which requests read without a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It takes requests.
    InService,
    /// It is left out until then; after that it is half-open.
    Ejected { until: Millis },
    /// Half-open, and its one trial is under way.
    OnTrial,
}

/// What may be sent to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admits {
    /// Its share of the requests.
    Requests,
    /// One request, by which it is judged.
    Trial,
    /// Nothing.
    Nothing,
}

/// What is remembered of an endpoint's ejections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Ejections that followed each other.
    streak: u32,
    /// How long the last one was.
    last: Millis,
    /// Since when it has been in service again.
    back: Option<Millis>,
}

impl Standing {
    /// The standing that `bits` are for.
    pub fn from_bits(bits: u64) -> Self {
        match bits {
            0 => Standing::InService,
            u64::MAX => Standing::OnTrial,
            end => Standing::Ejected { until: end - 1 },
        }
    }

    /// The number that stands for it; 0 for an endpoint in service.
    pub fn bits(self) -> u64 {
        match self {
            Standing::InService => 0,
            Standing::Ejected { until } => until.saturating_add(1).min(u64::MAX - 1),
            Standing::OnTrial => u64::MAX,
        }
    }

    /// What may be sent now.
    pub fn admits(self, now: Millis) -> Admits {
        match self {
            Standing::InService => Admits::Requests,
            Standing::Ejected { until } if until <= now => Admits::Trial,
            Standing::Ejected { .. } | Standing::OnTrial => Admits::Nothing,
        }
    }
}

impl History {
    /// Notes an ejection now, and gives its end.
    pub fn ejected(&mut self, rules: &EjectionPolicy, now: Millis) -> Millis {
        self.forgive(now);
        self.streak = self.streak.saturating_add(1);
        self.last = rules.lasts(self.streak);
        now.saturating_add(self.last)
    }

    /// Notes that the endpoint passed its trial.
    pub fn returned(&mut self, now: Millis) {
        self.back = Some(now);
    }

    /// How long the last ejection was.
    pub fn last(&self) -> Duration {
        Duration::from_millis(self.last)
    }

    /// Serving for as long as the last ejection lasted takes one back.
    fn forgive(&mut self, now: Millis) {
        if let Some(back) = self.back.take() {
            let earned = now.saturating_sub(back) / self.last.max(1);
            self.streak = self.streak.saturating_sub(u32::try_from(earned).unwrap_or(u32::MAX));
        }
    }
}

impl EjectionPolicy {
    /// Whether `result` is a failure.
    pub fn is_failure(&self, result: TryResult) -> bool {
        match (&self.failures, result) {
            (_, TryResult::ConnectFailed) => true,
            (Failures::Connecting, _) => false,
            (Failures::Answering(statuses), TryResult::Answered(status)) => statuses.contains(status),
            (Failures::Answering(_), TryResult::Broken | TryResult::TimedOut) => true,
        }
    }

    /// How long the ejection number `streak` lasts.
    fn lasts(&self, streak: u32) -> Millis {
        let factor = 1u32.checked_shl(streak.saturating_sub(1)).unwrap_or(u32::MAX);
        let time = self.first.saturating_mul(factor).min(self.longest);
        u64::try_from(time.as_millis()).unwrap_or(Millis::MAX)
    }
}

impl ErrorRate {
    /// Whether `own` is so much worse than `rest`, the others together, that it is left out.
    pub fn stands_out(&self, own: Tally, rest: Tally) -> bool {
        let enough = |tally: Tally| tally.requests >= u64::from(self.requests);
        enough(own)
            && enough(rest)
            && own.failures * 100 >= u64::from(self.at_least) * own.requests
            && u128::from(own.failures) * u128::from(rest.requests)
                >= u128::from(self.times) * u128::from(rest.failures) * u128::from(own.requests)
    }
}

/// Whether one more endpoint may be left out where `out` of `total` are. One of several always may; the only one never.
pub fn may_eject(most: u32, out: usize, total: usize) -> bool {
    total >= 2 && out < (total * most as usize / 100).max(1)
}

impl Statuses {
    /// With `status`; one that is not from 500 to 599 changes nothing.
    #[must_use]
    pub fn with(self, status: u16) -> Self {
        Statuses(self.0 | bit(status))
    }

    /// Whether `status` is in the set.
    pub fn contains(self, status: u16) -> bool {
        self.0 & bit(status) != 0
    }

    /// Those in the set, the lowest first.
    pub fn iter(self) -> impl Iterator<Item = u16> {
        (500..=599).filter(move |status| self.contains(*status))
    }
}

fn bit(status: u16) -> u128 {
    match status {
        500..=599 => 1 << (status - 500),
        _ => 0,
    }
}

impl FromIterator<u16> for Statuses {
    fn from_iter<I: IntoIterator<Item = u16>>(statuses: I) -> Self {
        statuses.into_iter().fold(Statuses::default(), Statuses::with)
    }
}

impl Reason {
    /// Every reason, in the order of the type.
    pub const ALL: [Reason; 3] = [Reason::Consecutive, Reason::ErrorRate, Reason::Trial];

    /// The value of the label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::Consecutive => "consecutive_failures",
            Reason::ErrorRate => "error_rate",
            Reason::Trial => "trial_failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules() -> EjectionPolicy {
        EjectionPolicy {
            consecutive: 5,
            failures: Failures::Answering([502, 503, 504].into_iter().collect()),
            error_rate: None,
            first: Duration::from_secs(10),
            longest: Duration::from_secs(60),
            most: 50,
        }
    }

    const RATE: ErrorRate = ErrorRate { window: Duration::from_secs(10), requests: 20, at_least: 25, times: 3 };

    fn tally(requests: u64, failures: u64) -> Tally {
        Tally { requests, failures }
    }

    #[test]
    fn what_fails_is_what_the_owner_counts() {
        use TryResult::*;
        let all = rules();
        assert!([ConnectFailed, Broken, TimedOut, Answered(503)].into_iter().all(|result| all.is_failure(result)));
        assert!([Answered(200), Answered(500), Answered(404)].into_iter().all(|result| !all.is_failure(result)));
        let connecting = EjectionPolicy { failures: Failures::Connecting, ..all };
        assert!(connecting.is_failure(ConnectFailed));
        assert!([Broken, TimedOut, Answered(503)].into_iter().all(|result| !connecting.is_failure(result)));
    }

    #[test]
    fn each_ejection_that_follows_is_twice_as_long() {
        let (rules, mut history, mut now) = (rules(), History::default(), 0);
        let mut lengths = Vec::new();
        for _ in 0..40 {
            let end = history.ejected(&rules, now);
            lengths.push((end - now) / 1000);
            now = end;
        }
        assert_eq!(lengths[..5], [10, 20, 40, 60, 60]);
        assert!(lengths[4..].iter().all(|length| *length == 60));
    }

    #[test]
    fn good_service_is_repaid() {
        let (rules, mut history) = (rules(), History::default());
        history.ejected(&rules, 0);
        history.ejected(&rules, 10_000);
        history.returned(30_000);
        // As long in service as it was out: one of two is taken back.
        assert_eq!(history.ejected(&rules, 50_000), 70_000);
        history.returned(70_000);
        assert_eq!(history.ejected(&rules, 10_000_000), 10_010_000);
    }

    #[test]
    fn one_of_several_may_always_go_and_the_last_never() {
        assert!(!may_eject(100, 0, 1));
        assert!(may_eject(1, 0, 2) && !may_eject(50, 1, 2) && may_eject(100, 1, 2));
        assert!(may_eject(50, 1, 4) && !may_eject(50, 2, 4) && !may_eject(50, 1, 3));
    }

    #[test]
    fn only_who_is_much_worse_stands_out() {
        assert!(RATE.stands_out(tally(20, 5), tally(20, 0)));
        assert!(!RATE.stands_out(tally(20, 4), tally(20, 0)), "below the least share");
        assert!(!RATE.stands_out(tally(19, 19), tally(20, 0)), "too few of its own");
        assert!(!RATE.stands_out(tally(20, 20), tally(19, 0)), "too few of the others");
        assert!(!RATE.stands_out(tally(100, 50), tally(100, 40)), "everything fails");
        assert!(RATE.stands_out(tally(100, 60), tally(100, 20)));
    }

    /// What may happen to an endpoint.
    #[derive(Clone, Copy, Debug)]
    enum Event {
        Wait(Millis),
        Request { fails: bool },
        Abandoned,
    }

    proptest! {
        #[test]
        fn a_standing_is_its_number(until in any::<u64>()) {
            for standing in [Standing::InService, Standing::OnTrial, Standing::Ejected { until: until >> 1 }] {
                prop_assert_eq!(Standing::from_bits(standing.bits()), standing);
            }
        }

        #[test]
        fn nobody_stands_out_who_is_as_bad_as_the_rest(
            requests in 1u64..10_000, failures in 1u64..10_000, others in 1u64..10
        ) {
            let failures = failures.min(requests);
            prop_assert!(!RATE.stands_out(tally(requests, failures), tally(requests * others, failures * others)));
        }

        #[test]
        fn the_floor_holds(most in 1u32..=100, total in 0usize..200) {
            let mut out = 0;
            while may_eject(most, out, total) {
                out += 1;
            }
            prop_assert!(out <= (total * most as usize / 100).max(1));
            prop_assert_eq!(out == 0, total < 2);
        }

        /// Whatever happens: nothing is sent before the time is over, one trial at a time, and no ejection is longer than
        /// the longest.
        #[test]
        fn an_ejected_endpoint_gets_one_trial_after_its_time(events in prop::collection::vec(prop_oneof![
            (0u64..100_000).prop_map(Event::Wait),
            any::<bool>().prop_map(|fails| Event::Request { fails }),
            Just(Event::Abandoned),
        ], 1..80)) {
            let (rules, mut history) = (rules(), History::default());
            let (mut standing, mut now, mut until, mut in_a_row) = (Standing::InService, 0, 0, 0);
            for event in events {
                let admits = standing.admits(now);
                match (event, admits) {
                    (Event::Wait(time), _) => now += time,
                    (Event::Request { fails }, Admits::Requests) => {
                        in_a_row = if fails { in_a_row + 1 } else { 0 };
                        if in_a_row == rules.consecutive {
                            until = history.ejected(&rules, now);
                            standing = Standing::Ejected { until };
                            in_a_row = 0;
                        }
                    }
                    (Event::Request { fails }, Admits::Trial) => {
                        prop_assert!(now >= until);
                        standing = Standing::OnTrial;
                        prop_assert_eq!(standing.admits(now), Admits::Nothing);
                        if fails {
                            until = history.ejected(&rules, now);
                            standing = Standing::Ejected { until };
                        } else {
                            history.returned(now);
                            standing = Standing::InService;
                        }
                    }
                    (Event::Abandoned, Admits::Trial) => standing = Standing::Ejected { until: now },
                    (Event::Request { .. }, Admits::Nothing) => prop_assert!(now < until),
                    (Event::Abandoned, _) => {}
                }
                prop_assert!(until <= now + 60_000);
            }
        }
    }
}
