//! The counts of one concurrency limit.

use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;
use pingora_limits::inflight::{Guard, Inflight};

use crate::decision::limit::{BucketKey, LimitResult};

/// Enough locks that threads seldom contend for one.
const ADMISSION_LOCKS: usize = 64;

/// Counts requests in progress by bucket.
///
/// [`Inflight`] is a count-min sketch: its size does not depend on the number of keys, and it never counts too few. With tens
/// of thousands of concurrent requests it may count too many, and then refuses rather than admits.
pub(super) struct ConcurrencyCounter {
    max: AtomicU32,
    inflight: Inflight,
    /// The sketch increments its rows one after the other. Two concurrent requests could each read a row that the other has
    /// not incremented yet, and both be admitted as the last one. A lock by bucket excludes that.
    admission_locks: Box<[Mutex<()>]>,
}

/// Counts the amount of a request as in progress until this is dropped.
#[must_use = "dropping it ends the count"]
#[derive(Debug)]
pub struct ConcurrencyGuard(#[expect(dead_code, reason = "held for its Drop")] Guard);

impl ConcurrencyCounter {
    pub(super) fn new(max: u32) -> Self {
        ConcurrencyCounter {
            max: AtomicU32::new(max),
            inflight: Inflight::new(),
            admission_locks: (0..ADMISSION_LOCKS).map(|_| Mutex::default()).collect(),
        }
    }

    pub(super) fn max(&self) -> u32 {
        self.max.load(Ordering::Relaxed)
    }

    pub(super) fn take(&self, bucket: BucketKey, amount: u64) -> (LimitResult, Option<ConcurrencyGuard>) {
        let max = self.max.load(Ordering::Relaxed);
        let _admission = self.admission_locks[(bucket.0 >> 64) as usize % ADMISSION_LOCKS].lock();
        // An amount over the largest maximum is refused, whatever it is.
        let amount = amount.min(u64::from(u32::MAX) + 1) as isize;
        let (guard, in_progress) = self.inflight.incr(bucket.0, amount);
        let taken = LimitResult::places(max, u64::try_from(in_progress).unwrap_or(u64::MAX));
        // A refused request is uncounted before the lock is released.
        (taken, taken.granted.then_some(ConcurrencyGuard(guard)))
    }

    pub(super) fn adopt(&self, max: u32) {
        self.max.store(max, Ordering::Relaxed);
    }
}
