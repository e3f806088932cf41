//! What all that serves shares: the configuration in force and one that some requests try ([`active_config`], [`rollout`]), the
//! [`state`] that survives reloads, and the limit on [`descriptors`] that they need.

pub mod active_config;
pub mod descriptors;
pub mod rollout;
pub mod state;

use std::hash::RandomState;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use arc_swap::ArcSwapOption;
use smallvec::SmallVec;

use self::active_config::{ActiveConfig, AssembleError, ConfigRole};
use self::rollout::{CanarySample, PickedConfig, Rollout};
use self::state::RuntimeState;
use super::drain::Drain;
use super::upstream::connection::UpstreamConnections;
use super::upstream::private::PrivateConnectionCount;
use crate::config::snapshot::Snapshot;
use crate::config::store::Store;
use crate::decision::access::BucketHasher;
use crate::decision::request::ForwardedConflict;
use crate::telemetry::log_throttle::LogThrottle;
use crate::telemetry::metrics::Metrics;

/// Shared by all listeners of the process.
pub struct Runtime {
    pub store: Store<ActiveConfig>,
    /// A configuration that some requests try.
    rollout: ArcSwapOption<Rollout>,
    generations: AtomicU64,
    pub state: RuntimeState,
    pub metrics: Arc<Metrics>,
    /// Connections to origins that may be looked at and closed.
    pub upstream_connections: Arc<UpstreamConnections>,
    pub private_connections: Arc<PrivateConnectionCount>,
    /// Keys the names of limit buckets, so that nobody can aim for a collision.
    pub bucket_hasher: BucketHasher,
    /// Limits count time from here, in nanoseconds.
    pub epoch: Instant,
    pub drain: Arc<Drain>,
    /// Trusted proxies that contradict themselves.
    forwarded_conflicts: LogThrottle,
    in_flight: AtomicUsize,
}

impl Runtime {
    /// Joins the first configuration with a state that has seen nothing yet.
    ///
    /// # Errors
    /// As those of [`ActiveConfig::assemble`].
    pub fn new(snapshot: Arc<Snapshot>, metrics: Arc<Metrics>) -> Result<Arc<Runtime>, AssembleError> {
        let state = RuntimeState::new(&snapshot.bounds);
        let serving = ActiveConfig::assemble(snapshot, 1, ConfigRole::Active { fresh: true }, &state, &metrics)?;
        Ok(Arc::new(Runtime {
            store: Store::new(serving),
            rollout: ArcSwapOption::empty(),
            generations: AtomicU64::new(1),
            state,
            metrics,
            upstream_connections: Arc::default(),
            private_connections: Arc::default(),
            bucket_hasher: BucketHasher::new(RandomState::new(), RandomState::new()),
            epoch: Instant::now(),
            drain: Arc::default(),
            forwarded_conflicts: LogThrottle::new(),
            in_flight: AtomicUsize::new(0),
        }))
    }

    /// Serves `snapshot` from the next request on; requests in progress finish on what they began with. A roll-out that is
    /// under way ends. `fresh`: it was compiled just now. Returns the new generation.
    ///
    /// # Errors
    /// As those of [`ActiveConfig::assemble`]: what is served stays as it is.
    pub fn publish(&self, snapshot: Arc<Snapshot>, fresh: bool) -> Result<u64, AssembleError> {
        if descriptors::needed(&self.store.load().snapshot) != descriptors::needed(&snapshot) {
            descriptors::provide(&snapshot);
        }
        let serving = self.assemble(snapshot, ConfigRole::Active { fresh })?;
        let generation = serving.generation;
        self.rollout.store(None);
        self.store.publish(Arc::new(serving));
        // Its bounds on a drain count at once.
        self.drain.look_again();
        Ok(generation)
    }

    /// Serves `snapshot` to `share` of the requests, beside the configuration in force.
    ///
    /// # Errors
    /// As those of [`ActiveConfig::assemble`].
    pub fn roll_out(&self, snapshot: Arc<Snapshot>, share: f64) -> Result<Arc<Rollout>, AssembleError> {
        let serving = self.assemble(snapshot, ConfigRole::Canary)?;
        let rollout = Arc::new(Rollout::new(Arc::new(serving), share));
        self.rollout.store(Some(Arc::clone(&rollout)));
        Ok(rollout)
    }

    /// Serves everyone by the configuration in force again.
    pub fn end_rollout(&self) {
        self.rollout.store(None);
    }

    /// The configuration for a request that begins now, and the roll-out that counts it.
    pub(in crate::proxy) fn pick(&self) -> PickedConfig {
        let rollout = self.rollout.load();
        match rollout.as_ref() {
            None => (self.store.current(), None),
            Some(rollout) if rollout.takes(fastrand::u64(..)) => {
                (rollout.next.clone(), Some(CanarySample { rollout: rollout.clone(), next: true }))
            }
            Some(rollout) => (self.store.current(), Some(CanarySample { rollout: rollout.clone(), next: false })),
        }
    }

    /// Every configuration that requests may be served by that begin now.
    pub fn active_configs(&self) -> SmallVec<[Arc<ActiveConfig>; 2]> {
        let canary = self.rollout.load();
        let canary = canary.as_ref().map(|rollout| rollout.next.clone());
        [self.store.current()].into_iter().chain(canary).collect()
    }

    fn assemble(&self, snapshot: Arc<Snapshot>, role: ConfigRole) -> Result<ActiveConfig, AssembleError> {
        let generation = self.generations.fetch_add(1, Ordering::Relaxed) + 1;
        ActiveConfig::assemble(snapshot, generation, role, &self.state, &self.metrics)
    }

    /// A trusted proxy says of a request by `X-Forwarded-*` what its `Forwarded` contradicts.
    pub(in crate::proxy) fn forwarded_conflict(&self, peer: IpAddr, conflict: ForwardedConflict) {
        if let Some(count) = self.forwarded_conflicts.count() {
            let what = conflict.as_str();
            log::warn!("{count} requests of trusted proxies contradict themselves, the last of {peer}: {what}");
        }
    }

    /// Requests that are being answered now.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }

    pub(in crate::proxy) fn request_began(&self) {
        self.in_flight.fetch_add(1, Ordering::AcqRel);
    }

    pub(in crate::proxy) fn request_ended(&self) {
        self.in_flight.fetch_sub(1, Ordering::AcqRel);
        self.drain.look_again();
    }
}
