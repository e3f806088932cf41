//! One address that requests go to, with its health and load.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::config::snapshot::Health;
use crate::decision::upstream::Millis;
use crate::decision::upstream::ejection::{Admits, EjectionPolicy, History, Standing};
use crate::decision::upstream::window::{self, Tally};

/// The first probe was not begun yet.
const UNPROBED: u8 = 0;
/// The first probe is under way.
const PROBING: u8 = 1;
/// The result of a probe is known.
const PROBED: u8 = 2;

/// One address that requests go to. Healthy until probes fail.
#[derive(Debug)]
pub struct EndpointState {
    /// `host:port` as written, for logs and metrics. A DNS name stands for several endpoints.
    pub name: Arc<str>,
    /// As written, or as DNS answers.
    pub address: SocketAddr,
    healthy: AtomicBool,
    /// How far its first probe has come.
    first_probe: AtomicU8,
    /// Consecutive probes whose result contradicts `healthy`.
    contradictions: AtomicU32,
    active: AtomicUsize,
    drained: AtomicBool,
    /// Since when it takes requests; 0 for one that does not start slowly.
    joined: AtomicU64,
    /// A [`Standing`].
    standing: AtomicU64,
    /// Consecutive failed requests.
    failures: AtomicU32,
    /// The counts of [`window`].
    window: [AtomicU64; 2],
    history: Mutex<History>,
}

/// A change of an endpoint's health by a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthChange {
    /// It takes requests again.
    BecameHealthy,
    /// It takes no requests.
    BecameUnhealthy,
}

impl EndpointState {
    pub(super) fn new(name: Arc<str>, address: SocketAddr, joined: Millis) -> Self {
        EndpointState {
            name,
            address,
            healthy: AtomicBool::new(true),
            first_probe: AtomicU8::new(UNPROBED),
            contradictions: AtomicU32::new(0),
            active: AtomicUsize::new(0),
            drained: AtomicBool::new(false),
            joined: AtomicU64::new(joined),
            standing: AtomicU64::new(Standing::InService.bits()),
            failures: AtomicU32::new(0),
            window: Default::default(),
            history: Mutex::default(),
        }
    }

    /// Whether the last probes succeeded; true without probes.
    pub fn healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
    }

    /// Requests in progress.
    pub fn active(&self) -> usize {
        self.active.load(Ordering::Relaxed)
    }

    /// Whether an operator drained it.
    pub fn drained(&self) -> bool {
        self.drained.load(Ordering::Relaxed)
    }

    /// Whether it is ejected for failed requests.
    pub fn standing(&self) -> Standing {
        Standing::from_bits(self.standing.load(Ordering::Relaxed))
    }

    /// How long ago it joined; `None` for one that does not start slowly.
    pub(super) fn joined_since(&self, now: Millis) -> Option<Millis> {
        match self.joined.load(Ordering::Relaxed) {
            0 => None,
            joined => Some(now.saturating_sub(joined)),
        }
    }

    /// Whether its first probe is to begin now. Says so once.
    pub fn begins_first_probe(&self) -> bool {
        self.first_probe.compare_exchange(UNPROBED, PROBING, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Whether the result of a probe is known.
    pub fn was_probed(&self) -> bool {
        self.first_probe.load(Ordering::Acquire) == PROBED
    }

    pub(super) fn record_probe(&self, health: &Health, ok: bool, now: Millis) -> Option<HealthChange> {
        let (needed, change) = if ok {
            (health.healthy_after, HealthChange::BecameHealthy)
        } else {
            (health.unhealthy_after, HealthChange::BecameUnhealthy)
        };
        // Until its first probe an endpoint is only presumed to be healthy.
        let needed = if self.first_probe.swap(PROBED, Ordering::AcqRel) == PROBED { needed } else { 1 };
        if ok == self.healthy() {
            self.contradictions.store(0, Ordering::Relaxed);
            return None;
        }
        if self.contradictions.fetch_add(1, Ordering::Relaxed).saturating_add(1) < needed {
            return None;
        }
        self.contradictions.store(0, Ordering::Relaxed);
        if ok {
            self.joined.store(now, Ordering::Relaxed);
        }
        self.healthy.store(ok, Ordering::Relaxed);
        Some(change)
    }

    /// Counts as healthy until it is probed.
    pub(super) fn presume_healthy(&self) {
        self.first_probe.store(UNPROBED, Ordering::Release);
        self.healthy.store(true, Ordering::Relaxed);
        self.contradictions.store(0, Ordering::Relaxed);
    }

    pub(super) fn drain(&self, drained: bool, now: Millis) {
        if self.drained.swap(drained, Ordering::Relaxed) && !drained {
            self.joined.store(now, Ordering::Relaxed);
        }
    }

    /// Counts a request in the half window `half`.
    pub(super) fn count(&self, half: u64, failed: bool) {
        let slot = &self.window[window::slot(half)];
        // The update always returns a value, so it can't fail.
        let _ = slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |bits| Some(window::add(bits, half, failed)));
    }

    /// The requests of the window that ends with the half window `half`.
    pub(super) fn tally(&self, half: u64) -> Tally {
        window::tally([0, 1].map(|slot: usize| self.window[slot].load(Ordering::Relaxed)), half)
    }

    /// Counts one more consecutive failure. Returns how many there are.
    pub(super) fn failed(&self) -> u32 {
        self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    /// Resets the consecutive failures. Writes only if there are any, which is rare.
    pub(super) fn succeeded(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// Ejects it. Returns for how long.
    pub(super) fn eject(&self, rules: &EjectionPolicy, now: Millis) -> std::time::Duration {
        let mut history = self.history.lock();
        let until = history.ejected(rules, now);
        self.failures.store(0, Ordering::Relaxed);
        self.standing.store(Standing::Ejected { until }.bits(), Ordering::Relaxed);
        history.last()
    }

    /// Puts it back into service and resets what was counted.
    pub(super) fn return_to_service(&self, now: Millis) {
        self.history.lock().returned(now);
        self.failures.store(0, Ordering::Relaxed);
        for slot in &self.window {
            slot.store(0, Ordering::Relaxed);
        }
        self.joined.store(now, Ordering::Relaxed);
        self.standing.store(Standing::InService.bits(), Ordering::Relaxed);
    }

    /// Counts one more request in progress. Returns how many there were before.
    pub(super) fn begin_request(&self) -> usize {
        self.active.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn end_request(&self) {
        self.active.fetch_sub(1, Ordering::Relaxed);
    }

    /// Admits a request: `Some(true)` as the trial of a half-open endpoint, `None` if the endpoint takes none.
    pub(super) fn admit(&self, now: Millis) -> Option<bool> {
        let bits = self.standing.load(Ordering::Relaxed);
        match Standing::from_bits(bits).admits(now) {
            Admits::Requests => Some(false),
            Admits::Nothing => None,
            Admits::Trial => {
                let on_trial = Standing::OnTrial.bits();
                self.standing.compare_exchange(bits, on_trial, Ordering::Relaxed, Ordering::Relaxed).ok()?;
                Some(true)
            }
        }
    }

    /// Ends a trial without a result: the endpoint is half-open again.
    pub(super) fn abandon_trial(&self) {
        let half_open = Standing::Ejected { until: 0 }.bits();
        let on_trial = Standing::OnTrial.bits();
        // It fails where the trial has a result by now, which stands.
        let _ = self.standing.compare_exchange(on_trial, half_open, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// The name, and the address where the name does not say it.
impl std::fmt::Display for EndpointState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name.parse() {
            Ok(address) if self.address == address => f.write_str(&self.name),
            _ => write!(f, "{} ({})", self.name, self.address),
        }
    }
}
