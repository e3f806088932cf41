//! What copies of requests for mirrors need beyond one request: connections of their own, and a bound on how many are in slot.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use pingora::connectors::ConnectorOptions;
use pingora::connectors::http::Connector;

use crate::decision::policy::{Action, Policy};
use crate::telemetry::metrics::{Metrics, MirrorMetrics, MirrorOutcome};

/// Idle connections to mirrors' upstreams that are kept.
const IDLE: usize = 128;

/// What mirrors need that outlives a configuration.
#[derive(Default)]
pub struct MirrorPool {
    /// Made with the first mirror: it reads the system's authorities.
    connector: OnceLock<Arc<Connector>>,
    /// Copies in slot, by route.
    in_flight: Mutex<HashMap<Arc<str>, Arc<AtomicU32>>>,
}

/// What the copies of one route need.
pub struct RouteMirror {
    connector: Arc<Connector>,
    in_flight: Arc<AtomicU32>,
    pub metrics: MirrorMetrics,
}

impl MirrorPool {
    /// For each route in its order: what its mirror needs, if it has one. Called when a configuration is published, and blocks
    /// for as long as reading the system's authorities takes.
    pub fn handles(&self, rules: &Policy, metrics: &Metrics) -> Vec<Option<RouteMirror>> {
        let mut in_flight = self.in_flight.lock();
        let handles = rules.routes.iter().map(|route| {
            let Action::Forward { mirror: Some(_), .. } = &route.action else { return None };
            let connector = self.connector.get_or_init(|| Arc::new(Connector::new(Some(ConnectorOptions::new(IDLE)))));
            Some(RouteMirror {
                connector: Arc::clone(connector),
                in_flight: Arc::clone(in_flight.entry(route.name.clone()).or_default()),
                metrics: metrics.mirror(&route.name),
            })
        });
        let handles: Vec<_> = handles.collect();
        in_flight.retain(|name, _| rules.routes.iter().any(|route| route.name == *name));
        handles
    }
}

/// The most connections that the mirrors of `rules` may have at a time.
pub fn connections(rules: &Policy) -> u64 {
    let copies = rules.routes.iter().filter_map(|route| match &route.action {
        Action::Forward { mirror, .. } => mirror.as_ref().map(|mirror| u64::from(mirror.concurrent)),
        Action::Respond(_) | Action::Redirect(_) | Action::Nothing => None,
    });
    match copies.sum() {
        0 => 0,
        copies => copies + IDLE as u64,
    }
}

/// A copy's place among those in slot. Gives it back and counts the outcome when it is dropped, however that comes.
pub struct MirrorSlot {
    in_flight: Arc<AtomicU32>,
    metrics: MirrorMetrics,
    outcome: MirrorOutcome,
}

impl RouteMirror {
    /// The connections that copies are sent on.
    pub fn connector(&self) -> Arc<Connector> {
        Arc::clone(&self.connector)
    }

    /// A place, unless `most` are taken.
    pub fn begin(&self, most: u32) -> Option<MirrorSlot> {
        let more = |taken| (taken < most).then_some(taken + 1);
        self.in_flight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(MirrorSlot {
            in_flight: Arc::clone(&self.in_flight),
            metrics: self.metrics.clone(),
            outcome: MirrorOutcome::Abandoned,
        })
    }
}

impl MirrorSlot {
    /// What to count, unless something else follows.
    pub fn set_outcome(&mut self, outcome: MirrorOutcome) {
        self.outcome = outcome;
    }
}

impl Drop for MirrorSlot {
    fn drop(&mut self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.metrics.count(self.outcome);
    }
}
