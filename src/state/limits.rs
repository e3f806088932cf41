//! The state of all limits by the limit's scope, so that it survives reloads.

mod concurrency;
mod rate;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::decision::limit::{BucketKey, Limit, LimitKey, LimitResult, Quota};
use concurrency::ConcurrencyCounter;
pub use concurrency::ConcurrencyGuard;
use rate::RateBuckets;

/// The state of every limit in force.
pub struct LimitStates {
    max_keys: AtomicUsize,
    states: Mutex<HashMap<Arc<str>, Arc<LimitState>>>,
}

/// The state of one limit: all its buckets.
pub struct LimitState {
    key: LimitKey,
    counter: LimitCounter,
}

enum LimitCounter {
    Rate(RateBuckets),
    Concurrent(ConcurrencyCounter),
}

impl LimitStates {
    /// `max_keys_total` bounds the keys that rate limits track together; each limit gets an equal share of it.
    pub fn new(max_keys_total: usize) -> Self {
        LimitStates { max_keys: AtomicUsize::new(max_keys_total), states: Mutex::default() }
    }

    /// Bounds the keys anew, for the limits that [`LimitStates::handles`] is asked for from now on.
    pub fn set_max_keys(&self, total: usize) {
        self.max_keys.store(total, Ordering::Relaxed);
    }

    /// The state of each of `limits`, in their order. Called when a configuration is published.
    ///
    /// A scope that was in force before keeps its state. If its quota changed, a bucket that lacked tokens lacks as many of the
    /// new quota; if its key or kind changed, its state is new. The state of a removed scope is dropped when the last request
    /// that uses it ends.
    pub fn handles(&self, limits: &[Limit]) -> Vec<Arc<LimitState>> {
        let rates = limits.iter().filter(|limit| matches!(limit.quota, Quota::Rate(_))).count();
        let share = self.max_keys.load(Ordering::Relaxed) / rates.max(1);
        let mut states = self.states.lock();
        let handles: Vec<_> = limits
            .iter()
            .map(|limit| match states.get(&limit.scope) {
                Some(state) if state.adopt(limit, share) => Arc::clone(state),
                _ => Arc::new(LimitState::new(limit, share)),
            })
            .collect();
        *states = limits.iter().zip(&handles).map(|(limit, state)| (limit.scope.clone(), Arc::clone(state))).collect();
        handles
    }
}

impl LimitStates {
    /// The state of each of `limits`, in their order, for a configuration that is tried beside the one in force. Unchanged
    /// limits share their state; a changed one gets new state, which is not kept here.
    pub fn trial(&self, limits: &[Limit]) -> Vec<Arc<LimitState>> {
        let share = self.max_keys.load(Ordering::Relaxed) / limits.len().max(1);
        let states = self.states.lock();
        let of = |limit: &Limit| match states.get(&limit.scope) {
            Some(state) if state.matches(limit) => Arc::clone(state),
            _ => Arc::new(LimitState::new(limit, share)),
        };
        limits.iter().map(of).collect()
    }
}

impl LimitState {
    /// Takes `amount` from `bucket`, all of it or nothing, at `now_nanos`, which is monotonic, by the quota in force.
    ///
    /// A concurrency limit counts the amount until the guard is dropped.
    pub fn take(&self, bucket: BucketKey, now_nanos: u64, amount: u64) -> (LimitResult, Option<ConcurrencyGuard>) {
        match &self.counter {
            LimitCounter::Rate(buckets) => (buckets.take(bucket, now_nanos, amount), None),
            LimitCounter::Concurrent(counter) => counter.take(bucket, amount),
        }
    }

    /// Requests that were counted in the overflow bucket, because the bound on keys was reached.
    pub fn overflowed(&self) -> u64 {
        match &self.counter {
            LimitCounter::Rate(buckets) => buckets.overflowed(),
            LimitCounter::Concurrent(_) => 0,
        }
    }

    /// How many keys are tracked. Locks every shard: for metrics, not for requests.
    pub fn tracked_keys(&self) -> usize {
        match &self.counter {
            LimitCounter::Rate(buckets) => buckets.len(),
            LimitCounter::Concurrent(_) => 0,
        }
    }

    fn new(limit: &Limit, max_keys: usize) -> Self {
        let counter = match &limit.quota {
            Quota::Rate(quota) => LimitCounter::Rate(RateBuckets::new(quota.clone(), max_keys)),
            Quota::Concurrent(max) => LimitCounter::Concurrent(ConcurrencyCounter::new(*max)),
        };
        LimitState { key: limit.key.clone(), counter }
    }

    /// Whether it has the key and the quota of `limit`.
    fn matches(&self, limit: &Limit) -> bool {
        self.key == limit.key
            && match (&self.counter, &limit.quota) {
                (LimitCounter::Rate(buckets), Quota::Rate(quota)) => buckets.quota() == *quota,
                (LimitCounter::Concurrent(counter), Quota::Concurrent(max)) => counter.max() == *max,
                _ => false,
            }
    }

    /// Continues under a limit of the same scope. False if its key or kind differs.
    fn adopt(&self, limit: &Limit, max_keys: usize) -> bool {
        if self.key != limit.key {
            return false;
        }
        match (&self.counter, &limit.quota) {
            (LimitCounter::Rate(buckets), Quota::Rate(quota)) => buckets.adopt(quota, max_keys),
            (LimitCounter::Concurrent(counter), Quota::Concurrent(max)) => counter.adopt(*max),
            _ => return false,
        }
        true
    }
}
