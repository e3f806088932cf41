//! One address that requests go to, with what is known about it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use crate::config::snapshot::Health;
use crate::decision::upstream::outcome::TryResult;

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
    /// Whether the endpoint was chosen although it is unhealthy, as all are.
    pub panic: bool,
}

impl Endpoint {
    pub(super) fn new(name: Arc<str>, address: SocketAddr) -> Self {
        Endpoint {
            name,
            address,
            healthy: AtomicBool::new(true),
            contradictions: AtomicU32::new(0),
            active: AtomicUsize::new(0),
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

    /// Learns how a request's try at it ended.
    pub fn record_try(&self, _result: TryResult) {}

    pub(super) fn record_probe(&self, health: &Health, ok: bool) -> Option<HealthChange> {
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
        self.healthy.store(ok, Ordering::Relaxed);
        Some(change)
    }

    /// Healthy without a probe, for want of probes.
    pub(super) fn presume_healthy(&self) {
        self.healthy.store(true, Ordering::Relaxed);
        self.contradictions.store(0, Ordering::Relaxed);
    }
}

impl Chosen {
    pub(super) fn new(endpoint: &Arc<Endpoint>, panic: bool) -> Self {
        endpoint.active.fetch_add(1, Ordering::Relaxed);
        Chosen { endpoint: Arc::clone(endpoint), panic }
    }
}

impl Drop for Chosen {
    fn drop(&mut self) {
        self.endpoint.active.fetch_sub(1, Ordering::Relaxed);
    }
}
