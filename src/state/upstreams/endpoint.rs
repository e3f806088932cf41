//! One address that requests go to, with what is known about it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::kept::Place;
use super::lock;
use crate::config::snapshot::Health;
use crate::decision::upstream::Millis;
use crate::decision::upstream::ejection::{Admits, History, Rules, Standing};
use crate::decision::upstream::window::{self, Tally};

/// One address that requests go to. Healthy until probes say otherwise.
#[derive(Debug)]
pub struct Endpoint {
    /// `host:port` as written, for logs and metrics. A DNS name stands for several endpoints.
    pub name: Arc<str>,
    /// Where it is, as written or as DNS says.
    pub address: SocketAddr,
    healthy: AtomicBool,
    /// Probes in a row that speak against `healthy`.
    contradictions: AtomicU32,
    active: AtomicUsize,
    drained: AtomicBool,
    /// Since when it has been taking requests; 0 if that does not matter.
    joined: AtomicU64,
    /// A [`Standing`].
    standing: AtomicU64,
    /// Failed requests in a row.
    failures: AtomicU32,
    /// What [`window`] counts.
    window: [AtomicU64; 2],
    history: Mutex<History>,
}

/// What a probe changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthChange {
    /// It takes requests again.
    BecameHealthy,
    /// It is left out.
    BecameUnhealthy,
}

/// An endpoint that was chosen for a request. It counts as busy with it until this is dropped.
#[must_use = "dropping it ends the request's claim on the endpoint"]
#[derive(Debug)]
pub struct Chosen {
    /// Where the request goes.
    pub endpoint: Arc<Endpoint>,
    /// Whether the endpoint was chosen although it is unhealthy or left out, as all are.
    pub panic: bool,
    /// Whether the request is the trial of an endpoint that was left out.
    pub(super) trial: bool,
    /// Whether its end is known.
    pub(super) ended: bool,
    /// Whether the client is to be led back to the endpoint from now on.
    pub(super) assign: bool,
    /// Among the requests of the upstream, where they are bounded.
    pub(super) place: Option<Place>,
}

impl Endpoint {
    pub(super) fn new(name: Arc<str>, address: SocketAddr, joined: Millis) -> Self {
        Endpoint {
            name,
            address,
            healthy: AtomicBool::new(true),
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

    /// What probes said last.
    pub fn healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
    }

    /// Requests in progress.
    pub fn active(&self) -> usize {
        self.active.load(Ordering::Relaxed)
    }

    /// Whether an operator wants it to get no new requests.
    pub fn drained(&self) -> bool {
        self.drained.load(Ordering::Relaxed)
    }

    /// Whether it is left out for the requests that it failed.
    pub fn standing(&self) -> Standing {
        Standing::from_bits(self.standing.load(Ordering::Relaxed))
    }

    /// How long ago it joined; `None` if that does not matter.
    pub(super) fn joined_since(&self, now: Millis) -> Option<Millis> {
        match self.joined.load(Ordering::Relaxed) {
            0 => None,
            joined => Some(now.saturating_sub(joined)),
        }
    }

    pub(super) fn record_probe(&self, health: &Health, ok: bool, now: Millis) -> Option<HealthChange> {
        let (needed, change) = if ok {
            (health.healthy_after, HealthChange::BecameHealthy)
        } else {
            (health.unhealthy_after, HealthChange::BecameUnhealthy)
        };
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

    /// Healthy without a probe, for want of probes.
    pub(super) fn presume_healthy(&self) {
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
        // It never gives up, so that there is nothing to handle.
        let _ = slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |bits| Some(window::add(bits, half, failed)));
    }

    /// Requests of the window that ends with the half window `half`.
    pub(super) fn tally(&self, half: u64) -> Tally {
        window::tally([0, 1].map(|slot: usize| self.window[slot].load(Ordering::Relaxed)), half)
    }

    /// Counts one more failure in a row, and gives how many there are.
    pub(super) fn failed(&self) -> u32 {
        self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    /// Ends a row of failures. Most of the time there is none, and nothing to write.
    pub(super) fn succeeded(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// Leaves it out from now on. Gives for how long.
    pub(super) fn eject(&self, rules: &Rules, now: Millis) -> std::time::Duration {
        let mut history = lock(&self.history);
        let until = history.ejected(rules, now);
        self.failures.store(0, Ordering::Relaxed);
        self.standing.store(Standing::Ejected { until }.bits(), Ordering::Relaxed);
        history.last()
    }

    /// Puts it back into service, with a clean sheet.
    pub(super) fn return_to_service(&self, now: Millis) {
        lock(&self.history).returned(now);
        self.failures.store(0, Ordering::Relaxed);
        for slot in &self.window {
            slot.store(0, Ordering::Relaxed);
        }
        self.joined.store(now, Ordering::Relaxed);
        self.standing.store(Standing::InService.bits(), Ordering::Relaxed);
    }

    /// Takes one more request if there are less than `most`; as its trial, if it is half-open. `None`: somebody was faster.
    pub(super) fn claim(self: &Arc<Self>, panic: bool, most: Option<usize>, now: Option<Millis>) -> Option<Chosen> {
        let busy = self.active.fetch_add(1, Ordering::Relaxed);
        // From here on, dropping it gives the place back.
        let mut chosen =
            Chosen { endpoint: Arc::clone(self), panic, trial: false, ended: false, assign: false, place: None };
        if most.is_some_and(|most| busy >= most) {
            return None;
        }
        if let Some(now) = now.filter(|_| !panic) {
            let bits = self.standing.load(Ordering::Relaxed);
            match Standing::from_bits(bits).admits(now) {
                Admits::Requests => {}
                Admits::Nothing => return None,
                Admits::Trial => {
                    let on_trial = Standing::OnTrial.bits();
                    self.standing.compare_exchange(bits, on_trial, Ordering::Relaxed, Ordering::Relaxed).ok()?;
                    chosen.trial = true;
                }
            }
        }
        Some(chosen)
    }
}

/// The name, and the address where the name does not say it.
impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name.parse() {
            Ok(address) if self.address == address => f.write_str(&self.name),
            _ => write!(f, "{} ({})", self.name, self.address),
        }
    }
}

impl Drop for Chosen {
    fn drop(&mut self) {
        self.endpoint.active.fetch_sub(1, Ordering::Relaxed);
        if self.trial {
            // The client left before there was a verdict: half-open again.
            let half_open = Standing::Ejected { until: 0 }.bits();
            let on_trial = Standing::OnTrial.bits();
            let standing = &self.endpoint.standing;
            let _ = standing.compare_exchange(on_trial, half_open, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}
