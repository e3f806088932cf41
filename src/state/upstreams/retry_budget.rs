//! The retry budget of an upstream: a share of its recent requests, and a floor for times with few requests.
//!
//! A fixed number of retries for each request multiplies the load of an origin that fails because of its load. A share bounds
//! the sum: with 20% an origin in an outage gets at most 1.2 times its traffic (and the floor).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::config::snapshot::RetryBudget;

/// Length of the window, in seconds.
const WINDOW: u64 = 10;

/// 100% in the unit of [`RetryBudget::share`].
const WHOLE: u64 = 1_000_000;

/// Most requests or retries that one second can count; more count as this many.
const MOST: u64 = (1 << COUNT_BITS) - 1;
const COUNT_BITS: u32 = 20;

/// The requests and retries of the last ten seconds. Lock-free: a request changes one atomic number.
#[derive(Debug)]
pub struct RetryBudgetState {
    epoch: Instant,
    /// One slot a second, reused in turn: the number of the second (24 bits), requests (20 bits), retries (20 bits).
    seconds: [AtomicU64; WINDOW as usize],
}

#[derive(Clone, Copy, Default)]
struct SecondCounts {
    number: u64,
    requests: u64,
    retries: u64,
}

impl RetryBudgetState {
    /// Without requests.
    pub fn new(epoch: Instant) -> Self {
        RetryBudgetState { epoch, seconds: Default::default() }
    }

    /// Counts a request's first try.
    pub fn asked(&self, now: Instant) {
        self.add(self.second(now), |second| second.requests = (second.requests + 1).min(MOST));
    }

    /// Takes one retry from the budget. False, and nothing is taken, when it is used up.
    pub fn take(&self, rules: &RetryBudget, now: Instant) -> bool {
        let number = self.second(now);
        // Counted before the sum is read, so that concurrent retries see each other.
        self.add(number, |second| second.retries = (second.retries + 1).min(MOST));
        let (mut requests, mut retries) = (0, 0);
        for slot in &self.seconds {
            let second = SecondCounts::unpack(slot.load(Ordering::Relaxed));
            // A slot may already hold a later second.
            if second.number + WINDOW > number {
                requests += second.requests;
                retries += second.retries;
            }
        }
        let floor = rules.floor_each(Duration::from_secs(WINDOW));
        let within = retries * WHOLE <= (requests * u64::from(rules.share)).max(floor * WHOLE);
        if !within {
            self.add(number, |second| second.retries = second.retries.saturating_sub(1));
        }
        within
    }

    fn second(&self, now: Instant) -> u64 {
        // Numbers begin with the window's length, so that a slot that was never written is outside the window.
        now.saturating_duration_since(self.epoch).as_secs() % ((1 << 24) - WINDOW) + WINDOW
    }

    fn add(&self, number: u64, change: impl Fn(&mut SecondCounts)) {
        let slot = &self.seconds[(number % WINDOW) as usize];
        let mut packed = slot.load(Ordering::Relaxed);
        loop {
            let mut second = SecondCounts::unpack(packed);
            if second.number != number {
                second = SecondCounts { number, ..SecondCounts::default() };
            }
            change(&mut second);
            match slot.compare_exchange_weak(packed, second.pack(), Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(meanwhile) => packed = meanwhile,
            }
        }
    }
}

impl SecondCounts {
    fn pack(self) -> u64 {
        self.number << (2 * COUNT_BITS) | self.requests << COUNT_BITS | self.retries
    }

    fn unpack(packed: u64) -> Self {
        SecondCounts {
            number: packed >> (2 * COUNT_BITS),
            requests: packed >> COUNT_BITS & MOST,
            retries: packed & MOST,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn rules(percent: u32, floor: u64) -> RetryBudget {
        RetryBudget { share: percent * 10_000, floor, floor_per: Duration::from_secs(1) }
    }

    fn taken(budget: &RetryBudgetState, rules: &RetryBudget, now: Instant) -> usize {
        (0..10_000).take_while(|_| budget.take(rules, now)).count()
    }

    #[test]
    fn retries_are_a_share_of_the_requests() {
        let now = Instant::now();
        let budget = RetryBudgetState::new(now);
        (0..1000).for_each(|_| budget.asked(now));
        assert_eq!(taken(&budget, &rules(20, 0), now), 200);
        assert!(!budget.take(&rules(20, 0), now));
    }

    #[test]
    fn the_floor_is_there_when_nobody_asks() {
        let now = Instant::now();
        let budget = RetryBudgetState::new(now);
        assert_eq!(taken(&budget, &rules(20, 3), now), 30);
        let minutely = RetryBudget { share: 0, floor: 12, floor_per: Duration::from_secs(60) };
        assert_eq!(taken(&RetryBudgetState::new(now), &minutely, now), 2);
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let start = Instant::now();
        let budget = RetryBudgetState::new(start);
        (0..100).for_each(|_| budget.asked(start));
        assert_eq!(taken(&budget, &rules(10, 0), start), 10);
        let nine = start + Duration::from_secs(9);
        assert_eq!(taken(&budget, &rules(10, 0), nine), 0);
        let ten = start + Duration::from_secs(10);
        (0..50).for_each(|_| budget.asked(ten));
        assert_eq!(taken(&budget, &rules(10, 0), ten), 5);
    }

    #[test]
    fn retries_at_the_same_time_stay_within_it() {
        let now = Instant::now();
        let budget = RetryBudgetState::new(now);
        (0..1000).for_each(|_| budget.asked(now));
        let all: usize = thread::scope(|scope| {
            let threads: Vec<_> =
                (0..4).map(|_| scope.spawn(|| (0..500).filter(|_| budget.take(&rules(20, 0), now)).count())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert!(all <= 200, "{all}");
        assert!(all > 100, "{all}");
    }
}
