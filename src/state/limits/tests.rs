use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::*;
use crate::decision::limit::RateQuota;

const SECOND: u64 = 1_000_000_000;
const DEFAULT_MAX_KEYS: usize = 1_000_000;

fn rate(scope: &str, count: u64, burst: u64) -> Limit {
    let quota = Quota::Rate(RateQuota::new(count, Duration::from_secs(1), burst));
    Limit::new(scope.into(), scope.into(), LimitKey::ClientAddress, quota, false)
}

fn concurrent(scope: &str, max: u32) -> Limit {
    Limit::new(scope.into(), scope.into(), LimitKey::ClientAddress, Quota::Concurrent(max), false)
}

fn state(limits: &LimitStates, limit: &Limit) -> Arc<LimitState> {
    limits.handles(std::slice::from_ref(limit)).remove(0)
}

/// Distributes small numbers like the keyed hash of a bucket.
fn bucket(number: u64) -> BucketKey {
    let high = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    BucketKey(u128::from(high ^ (high >> 29)) << 64 | u128::from(high.wrapping_mul(0xbf58_476d_1ce4_e5b9)))
}

fn granted(state: &LimitState, bucket: BucketKey, now: u64, asks: usize) -> usize {
    (0..asks).filter(|_| state.take(bucket, now, 1).0.granted).count()
}

/// How many requests were granted of 8 threads with `asks` concurrent requests each.
fn granted_in_parallel(asks: usize, take: impl Fn() -> bool + Sync) -> usize {
    let start = Barrier::new(8);
    let granted = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                start.wait();
                for _ in 0..asks {
                    granted.fetch_add(usize::from(take()), Ordering::Relaxed);
                }
            });
        }
    });
    granted.into_inner()
}

#[test]
fn threads_together_are_granted_exactly_the_burst() {
    let limits = LimitStates::new(DEFAULT_MAX_KEYS);
    let state = state(&limits, &rate("a", 50, 1000));
    assert_eq!(granted_in_parallel(2000, || state.take(bucket(1), SECOND, 1).0.granted), 1000);
}

#[test]
fn threads_together_hold_exactly_the_places() {
    let limits = LimitStates::new(DEFAULT_MAX_KEYS);
    let state = state(&limits, &concurrent("a", 100));
    let held = Mutex::new(Vec::new());
    let granted = granted_in_parallel(200, || {
        let (taken, guard) = state.take(bucket(1), 0, 1);
        assert_eq!(taken.granted, guard.is_some());
        held.lock().extend(guard);
        taken.granted
    });
    assert_eq!(granted, 100);
}

#[test]
fn a_place_is_free_again_when_its_guard_is_dropped() {
    let limits = LimitStates::new(DEFAULT_MAX_KEYS);
    let state = state(&limits, &concurrent("a", 1));
    let (first, guard) = state.take(bucket(1), 0, 1);
    assert!(first.granted);
    assert_eq!(first.remaining, 0);
    assert!(!state.take(bucket(1), 0, 1).0.granted);
    assert!(state.take(bucket(2), 0, 1).0.granted);
    drop(guard);
    assert!(state.take(bucket(1), 0, 1).0.granted);
}

#[test]
fn buckets_do_not_share() {
    let limits = LimitStates::new(DEFAULT_MAX_KEYS);
    let state = state(&limits, &rate("a", 1, 2));
    assert_eq!(granted(&state, bucket(1), SECOND, 5), 2);
    assert_eq!(granted(&state, bucket(2), SECOND, 5), 2);
    assert_eq!(state.tracked_keys(), 2);
}

#[test]
fn a_clock_that_goes_back_grants_nothing() {
    let limits = LimitStates::new(DEFAULT_MAX_KEYS);
    let state = state(&limits, &rate("a", 1, 2));
    assert_eq!(granted(&state, bucket(1), 10 * SECOND, 5), 2);
    assert_eq!(granted(&state, bucket(1), 5 * SECOND, 5), 0);
    assert_eq!(granted(&state, bucket(1), 11 * SECOND, 5), 1);
}

#[test]
fn a_flood_of_keys_is_bounded_and_spares_those_being_limited() {
    let limits = LimitStates::new(10_000);
    let state = state(&limits, &rate("a", 1, 10));
    let victim = bucket(0);
    assert_eq!(granted(&state, victim, SECOND, 20), 10);
    let flood = 200_000;
    let passed = (1..=flood).filter(|number| state.take(bucket(*number), SECOND, 1).0.granted).count();
    assert!(state.tracked_keys() <= 10_000);
    // One for each tracked key, and a burst for each shard's overflow.
    assert!(passed <= 10_000 + 10 * 64, "{passed} of {flood} passed");
    assert!(state.overflowed() >= flood - 10_000);
    assert_eq!(granted(&state, victim, SECOND, 5), 0);
}

#[test]
fn room_comes_back_when_buckets_are_full_again() {
    let limits = LimitStates::new(1_000);
    let state = state(&limits, &rate("a", 10, 10));
    for number in 0..5_000 {
        state.take(bucket(number), SECOND, 1);
    }
    let overflowed = state.overflowed();
    assert!(overflowed > 0);
    // Every bucket lacked one token for 100 ms.
    let later = 3 * SECOND;
    assert_eq!(granted(&state, bucket(9_999), later, 20), 10);
    assert_eq!(state.overflowed(), overflowed);
    assert_eq!(state.tracked_keys(), 1);
}

#[test]
fn a_reload_keeps_the_state_of_what_it_keeps() {
    let limits = LimitStates::new(DEFAULT_MAX_KEYS);
    let before = limits.handles(&[rate("a", 1, 5), rate("b", 1, 5)]);
    assert_eq!(granted(&before[0], bucket(1), SECOND, 9), 5);
    let after = limits.handles(&[rate("c", 1, 5), rate("a", 1, 5)]);
    assert!(Arc::ptr_eq(&before[0], &after[1]));
    assert_eq!(granted(&after[1], bucket(1), SECOND, 9), 0);
    assert_eq!(granted(&after[0], bucket(1), SECOND, 9), 5);
}

#[test]
fn a_changed_quota_keeps_what_was_used() {
    let limits = LimitStates::new(DEFAULT_MAX_KEYS);
    let before = state(&limits, &rate("a", 1, 10));
    assert_eq!(granted(&before, bucket(1), SECOND, 4), 4);
    let after = state(&limits, &rate("a", 100, 6));
    assert_eq!(granted(&after, bucket(1), SECOND, 9), 2);
    // The quota in force applies to requests of the previous configuration too.
    assert!(!before.take(bucket(1), SECOND, 1).0.granted);
    assert_eq!(granted(&after, bucket(1), SECOND + SECOND / 100, 9), 1);
}

#[test]
fn changed_places_count_those_that_are_taken() {
    let limits = LimitStates::new(DEFAULT_MAX_KEYS);
    let one = state(&limits, &concurrent("a", 1));
    let (_, _held) = one.take(bucket(1), 0, 1);
    let two = state(&limits, &concurrent("a", 2));
    let (taken, _second) = two.take(bucket(1), 0, 1);
    assert!(taken.granted);
    assert!(!two.take(bucket(1), 0, 1).0.granted);
}

#[test]
fn a_limit_that_counts_something_else_begins_afresh() {
    let limits = LimitStates::new(DEFAULT_MAX_KEYS);
    let mut limit = rate("a", 1, 1);
    let before = state(&limits, &limit);
    assert_eq!(granted(&before, bucket(1), SECOND, 9), 1);
    limit.key = LimitKey::Gateway;
    assert_eq!(granted(&state(&limits, &limit), bucket(1), SECOND, 9), 1);
    assert_eq!(granted(&state(&limits, &concurrent("a", 3)), bucket(1), SECOND, 9), 9);
}

#[test]
fn an_amount_is_taken_whole_or_not_at_all() {
    let limits = LimitStates::new(DEFAULT_MAX_KEYS);
    let rate = state(&limits, &rate("a", 1, 10));
    assert_eq!(rate.take(bucket(1), SECOND, 8).0.remaining, 2);
    assert!(!rate.take(bucket(1), SECOND, 3).0.granted);
    assert!(rate.take(bucket(1), SECOND, 2).0.granted);
    let counter = state(&limits, &concurrent("b", 5));
    let (_, held) = counter.take(bucket(1), 0, 4);
    assert!(held.is_some());
    assert!(!counter.take(bucket(1), 0, 2).0.granted && !counter.take(bucket(1), 0, u64::MAX).0.granted);
    let (taken, _rest) = counter.take(bucket(1), 0, 1);
    assert_eq!((taken.granted, taken.remaining), (true, 0));
    drop(held);
    assert_eq!(counter.take(bucket(1), 0, 1).0.remaining, 3, "the whole amount is free again");
}
