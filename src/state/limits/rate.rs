//! The token buckets of one rate limit: exact under concurrency, bounded under a flood of keys.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::decision::limit::{BucketKey, LimitResult, RateQuota};

/// Enough shards that threads seldom contend for one.
const MAX_SHARDS: usize = 64;
/// With fewer keys a shard would be too small for an even distribution.
const MIN_SHARD_KEYS: usize = 1024;
/// Between two sweeps of a shard that stays nearly full.
const SWEEP_PAUSE_NANOS: u64 = 1_000_000_000;

pub(super) struct RateBuckets {
    /// A power of two.
    shards: Box<[Mutex<BucketShard>]>,
    overflowed: AtomicU64,
}

struct BucketShard {
    quota: RateQuota,
    /// When each bucket is full again, by 64 bits of its key; other bits chose the shard. The key is a keyed hash, so that
    /// clients can't produce collisions; among a million keys the probability of one is below 10^-9.
    full_at: HashMap<u64, u64, BuildHasherDefault<AlreadyHashed>>,
    max_keys: usize,
    /// The bucket of keys for which there is no room.
    overflow_full_at: u64,
    /// The latest time seen. Threads read the clock before they take the lock, so a later caller may pass an earlier time.
    now: u64,
    no_sweep_before: u64,
}

impl RateBuckets {
    pub(super) fn new(quota: RateQuota, max_keys: usize) -> Self {
        let count = (max_keys / MIN_SHARD_KEYS).clamp(1, MAX_SHARDS);
        // Down to a power of two, so that a mask chooses the shard.
        let count = 1 << count.ilog2();
        let shards = (0..count).map(|_| Mutex::new(BucketShard::new(quota.clone(), max_keys / count))).collect();
        RateBuckets { shards, overflowed: AtomicU64::new(0) }
    }

    pub(super) fn take(&self, bucket: BucketKey, now: u64, amount: u64) -> LimitResult {
        let index = (bucket.0 >> 64) as usize & (self.shards.len() - 1);
        let (taken, overflowed) = self.shards[index].lock().take(bucket.0 as u64, now, amount);
        if overflowed {
            self.overflowed.fetch_add(1, Ordering::Relaxed);
        }
        taken
    }

    /// Continues with another quota and bound.
    pub(super) fn adopt(&self, quota: &RateQuota, max_keys: usize) {
        for shard in &self.shards {
            shard.lock().adopt(quota, max_keys / self.shards.len());
        }
    }

    pub(super) fn quota(&self) -> RateQuota {
        self.shards[0].lock().quota.clone()
    }

    pub(super) fn overflowed(&self) -> u64 {
        self.overflowed.load(Ordering::Relaxed)
    }

    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().full_at.len()).sum()
    }
}

impl BucketShard {
    fn new(quota: RateQuota, max_keys: usize) -> Self {
        BucketShard {
            quota,
            full_at: HashMap::default(),
            max_keys: max_keys.max(1),
            overflow_full_at: 0,
            now: 0,
            no_sweep_before: 0,
        }
    }

    /// The result, and whether it came from the overflow bucket.
    fn take(&mut self, key: u64, now: u64, amount: u64) -> (LimitResult, bool) {
        self.now = self.now.max(now);
        if let Some(full_at) = self.full_at.get_mut(&key) {
            return (self.quota.take(full_at, self.now, amount), false);
        }
        if self.full_at.len() >= self.max_keys {
            self.sweep();
        }
        if self.full_at.len() >= self.max_keys {
            // A flood of keys must neither evict the bucket of a limited caller nor get a full bucket for each key: new
            // keys share the overflow bucket.
            return (self.quota.take(&mut self.overflow_full_at, self.now, amount), true);
        }
        let mut full_at = 0;
        let taken = self.quota.take(&mut full_at, self.now, amount);
        self.full_at.insert(key, full_at);
        (taken, false)
    }

    /// Removes the buckets that are full again, which equal new ones.
    ///
    /// A sweep visits every bucket. If it frees an eighth, the next one comes after that many new keys at the earliest; if it
    /// frees less, the next one waits for [`SWEEP_PAUSE_NANOS`].
    fn sweep(&mut self) {
        if self.now < self.no_sweep_before {
            return;
        }
        let (quota, now) = (&self.quota, self.now);
        self.full_at.retain(|_, full_at| !quota.is_full(*full_at, now));
        let nearly_full = self.full_at.len() > self.max_keys - self.max_keys / 8;
        self.no_sweep_before = if nearly_full { now.saturating_add(SWEEP_PAUSE_NANOS) } else { 0 };
    }

    fn adopt(&mut self, quota: &RateQuota, max_keys: usize) {
        self.max_keys = max_keys.max(1);
        if self.quota == *quota {
            return;
        }
        for full_at in self.full_at.values_mut() {
            *full_at = quota.carry_over(&self.quota, *full_at, self.now);
        }
        self.overflow_full_at = quota.carry_over(&self.quota, self.overflow_full_at, self.now);
        self.quota = quota.clone();
        self.no_sweep_before = 0;
    }
}

/// The identity: the keys are hashes already.
#[derive(Default)]
struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
