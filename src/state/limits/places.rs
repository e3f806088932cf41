//! The places of one concurrency limit.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use pingora_limits::inflight::{Guard, Inflight};

use super::lock;
use crate::decision::limit::{BucketKey, LimitResult};

/// Enough that threads seldom meet.
const TURNSTILES: usize = 64;

/// Counts requests in progress by bucket.
///
/// [`Inflight`] is a count-min sketch: its size is fixed, however many keys there are, and it never counts too few. With
/// tens of thousands of requests in progress at once it may count too many, and then refuses rather than admits.
pub(super) struct Places {
    max: AtomicU32,
    inflight: Inflight,
    /// The sketch adds to its rows one after the other, so that two requests at once could each read the row that the
    /// other has not reached yet, and both take the last place. Requests of one bucket therefore come in one by one.
    turnstiles: Box<[Mutex<()>]>,
}

/// A request's places, free again when this is dropped.
#[must_use = "dropping it frees the places"]
#[derive(Debug)]
pub struct ConcurrencyGuard(#[expect(dead_code, reason = "held for its Drop")] Guard);

impl Places {
    pub(super) fn new(max: u32) -> Self {
        Places {
            max: AtomicU32::new(max),
            inflight: Inflight::new(),
            turnstiles: (0..TURNSTILES).map(|_| Mutex::default()).collect(),
        }
    }

    pub(super) fn max(&self) -> u32 {
        self.max.load(Ordering::Relaxed)
    }

    pub(super) fn take(&self, bucket: BucketKey, amount: u64) -> (LimitResult, Option<ConcurrencyGuard>) {
        let max = self.max.load(Ordering::Relaxed);
        let _turn = lock(&self.turnstiles[(bucket.0 >> 64) as usize % TURNSTILES]);
        // More places than a limit can have are as many as the sketch can count: refused either way.
        let amount = amount.min(u64::from(u32::MAX) + 1) as isize;
        let (guard, in_progress) = self.inflight.incr(bucket.0, amount);
        let taken = LimitResult::places(max, u64::try_from(in_progress).unwrap_or(u64::MAX));
        // A refused request gives its place back before the next one may look.
        (taken, taken.granted.then_some(ConcurrencyGuard(guard)))
    }

    pub(super) fn adopt(&self, max: u32) {
        self.max.store(max, Ordering::Relaxed);
    }
}
