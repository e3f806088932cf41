//! The buckets of all limits, by the limit's scope, so that a reload forgets nobody.

mod buckets;
mod places;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::decision::limit::{BucketKey, Key, Limit, LimitResult, Quota};
use buckets::Buckets;
pub use places::ConcurrencyGuard;
use places::Places;

/// Keys that the rate limits of a gateway track together, unless told otherwise: about 40 MB at most.
pub const DEFAULT_MAX_KEYS: usize = 1_000_000;

/// The state of every limit in force.
pub struct Limits {
    max_keys: usize,
    states: Mutex<HashMap<Arc<str>, Arc<LimitState>>>,
}

/// The state of one limit: all its buckets.
pub struct LimitState {
    key: Key,
    counted: Counted,
}

enum Counted {
    Rate(Buckets),
    Concurrent(Places),
}

impl Limits {
    /// `max_keys_total` bounds the keys that rate limits track together; each limit gets an equal share of it.
    pub fn new(max_keys_total: usize) -> Self {
        Limits { max_keys: max_keys_total, states: Mutex::default() }
    }

    /// The state of each of `limits`, in their order. Called when a configuration is published.
    ///
    /// A scope that was in force before keeps its state. Where its quota changed, a bucket that lacked tokens lacks as
    /// many of the new ones; where it counts something else now, it begins afresh. The state of scopes that are gone is
    /// dropped when the last request that uses it ends.
    pub fn handles(&self, limits: &[Limit]) -> Vec<Arc<LimitState>> {
        let rates = limits.iter().filter(|limit| matches!(limit.quota, Quota::Rate(_))).count();
        let share = self.max_keys / rates.max(1);
        let mut states = lock(&self.states);
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

impl Limits {
    /// The state of each of `limits`, in their order, for a configuration that is tried beside the one in force. Limits that
    /// it has unchanged are counted together; those that it has in another way begin afresh, and nobody keeps them.
    pub fn trial(&self, limits: &[Limit]) -> Vec<Arc<LimitState>> {
        let share = self.max_keys / limits.len().max(1);
        let states = lock(&self.states);
        let of = |limit: &Limit| match states.get(&limit.scope) {
            Some(state) if state.is(limit) => Arc::clone(state),
            _ => Arc::new(LimitState::new(limit, share)),
        };
        limits.iter().map(of).collect()
    }
}

impl LimitState {
    /// Takes `amount` from `bucket` at `now_nanos`, which is monotonic, by the quota in force: all of it or nothing.
    ///
    /// Places of a concurrency limit are held until the guard is dropped.
    pub fn take(&self, bucket: BucketKey, now_nanos: u64, amount: u64) -> (LimitResult, Option<ConcurrencyGuard>) {
        match &self.counted {
            Counted::Rate(buckets) => (buckets.take(bucket, now_nanos, amount), None),
            Counted::Concurrent(places) => places.take(bucket, amount),
        }
    }

    /// How many requests were counted in a bucket that they share with other newcomers, because the bound on keys was
    /// reached.
    pub fn overflowed(&self) -> u64 {
        match &self.counted {
            Counted::Rate(buckets) => buckets.overflowed(),
            Counted::Concurrent(_) => 0,
        }
    }

    /// How many keys are tracked. Looks at every shard: for metrics, not for requests.
    pub fn tracked_keys(&self) -> usize {
        match &self.counted {
            Counted::Rate(buckets) => buckets.len(),
            Counted::Concurrent(_) => 0,
        }
    }

    fn new(limit: &Limit, max_keys: usize) -> Self {
        let counted = match &limit.quota {
            Quota::Rate(quota) => Counted::Rate(Buckets::new(quota.clone(), max_keys)),
            Quota::Concurrent(max) => Counted::Concurrent(Places::new(*max)),
        };
        LimitState { key: limit.key.clone(), counted }
    }

    /// Whether it counts what `limit` counts, by the same quota.
    fn is(&self, limit: &Limit) -> bool {
        self.key == limit.key
            && match (&self.counted, &limit.quota) {
                (Counted::Rate(buckets), Quota::Rate(quota)) => buckets.quota() == *quota,
                (Counted::Concurrent(places), Quota::Concurrent(max)) => places.max() == *max,
                _ => false,
            }
    }

    /// Goes on under a limit of the same scope, unless it counts something else.
    fn adopt(&self, limit: &Limit, max_keys: usize) -> bool {
        if self.key != limit.key {
            return false;
        }
        match (&self.counted, &limit.quota) {
            (Counted::Rate(buckets), Quota::Rate(quota)) => buckets.adopt(quota, max_keys),
            (Counted::Concurrent(places), Quota::Concurrent(max)) => places.adopt(*max),
            _ => return false,
        }
        true
    }
}

/// Counts stay true if a thread panicked while it held the lock: every change to them is complete or not begun.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
