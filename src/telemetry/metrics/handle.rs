//! What a request holds on to: counters that were looked up before it came.
//!
//! A child of a labelled metric is made when it first counts, then kept in its place in an array. So a file with 10,000
//! routes costs memory and scrape lines only for what has traffic, and a request pays an index and an atomic add.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge};

use super::Families;
use crate::decision::outcome::Cause;
use crate::decision::upstream::ejection::Reason;
use crate::decision::upstream::retry::Failure;
use crate::telemetry::record::{Decision, Record, UpstreamRecord};

/// The metrics of one route.
#[derive(Debug)]
pub struct RouteMetrics {
    name: Arc<str>,
    families: Arc<Families>,
    requests: [[OnceLock<IntCounter>; StatusClass::COUNT]; Decision::ALL.len()],
    duration: OnceLock<Histogram>,
    denials: Causes,
    failures: Causes,
    would_deny: Causes,
}

impl RouteMetrics {
    pub(super) fn new(name: Arc<str>, families: Arc<Families>) -> Self {
        RouteMetrics {
            name,
            families,
            requests: Default::default(),
            duration: OnceLock::new(),
            denials: Causes::default(),
            failures: Causes::default(),
            would_deny: Causes::default(),
        }
    }

    /// Counts a finished request, whatever became of it.
    pub fn record(&self, record: &Record) {
        let class = StatusClass::of(record.status);
        self.requests[record.decision as usize][class as usize]
            .get_or_init(|| {
                let labels = [&*self.name, class.label(), record.decision.as_str()];
                self.families.requests.with_label_values(&labels)
            })
            .inc();
        self.duration
            .get_or_init(|| self.families.request_duration.with_label_values(&[&*self.name]))
            .observe(record.duration.as_secs_f64());
        if let Some(cause) = record.cause {
            match record.decision {
                Decision::Deny => self.denials.count(cause, &self.families.denials, &self.name),
                Decision::Fail => self.failures.count(cause, &self.families.failures, &self.name),
                Decision::Allow => {}
            }
        }
        if let Some(cause) = record.would_deny {
            self.would_deny.count(cause, &self.families.would_deny, &self.name);
        }
    }
}

/// Counters by cause. The array is made with the first cause: most routes have none.
#[derive(Debug, Default)]
struct Causes(OnceLock<Box<[OnceLock<IntCounter>; Cause::ALL.len()]>>);

impl Causes {
    fn count(&self, cause: Cause, family: &IntCounterVec, route: &str) {
        let counters = self.0.get_or_init(|| Box::new([const { OnceLock::new() }; Cause::ALL.len()]));
        counters[cause as usize].get_or_init(|| family.with_label_values(&[route, cause.code()])).inc();
    }
}

/// The metrics of one upstream.
#[derive(Debug)]
pub struct UpstreamMetrics {
    name: Arc<str>,
    families: Arc<Families>,
    requests: [OnceLock<IntCounter>; StatusClass::COUNT],
    duration: OnceLock<Histogram>,
    connect_failures: IntCounter,
    retries: ByFailure,
    retries_denied: ByFailure,
    ejections: [OnceLock<IntCounter>; Reason::ALL.len()],
    ejections_withheld: [OnceLock<IntCounter>; Reason::ALL.len()],
    fallbacks: OnceLock<IntCounter>,
}

impl UpstreamMetrics {
    pub(super) fn new(name: Arc<str>, families: Arc<Families>) -> Self {
        UpstreamMetrics {
            requests: Default::default(),
            duration: OnceLock::new(),
            connect_failures: families.upstream_connect_failures.with_label_values(&[&*name]),
            retries: ByFailure::default(),
            retries_denied: ByFailure::default(),
            ejections: Default::default(),
            ejections_withheld: Default::default(),
            fallbacks: OnceLock::new(),
            name,
            families,
        }
    }

    /// Counts a finished request. `status` is what the upstream answered with, `None` where it gave no answer.
    pub fn record(&self, record: &UpstreamRecord, status: Option<u16>) {
        let class = StatusClass::of(status.unwrap_or(0));
        self.requests[class as usize]
            .get_or_init(|| self.families.upstream_requests.with_label_values(&[&*self.name, class.label()]))
            .inc();
        if let Some(duration) = record.response {
            self.observe(duration);
        }
    }

    /// Counts an attempt to connect that failed, when it fails.
    pub fn connect_failed(&self) {
        self.connect_failures.inc();
    }

    /// Counts a request that goes to the rest of a split instead.
    pub fn fell_back(&self) {
        self.fallbacks.get_or_init(|| self.families.upstream_fallbacks.with_label_values(&[&*self.name])).inc();
    }

    /// Counts that a request is tried again.
    pub fn retried(&self, failure: Failure) {
        self.retries.count(failure, &self.families.upstream_retries, &self.name);
    }

    /// Counts that the budget left no retry to a request.
    pub fn retry_denied(&self, failure: Failure) {
        self.retries_denied.count(failure, &self.families.upstream_retries_denied, &self.name);
    }

    /// Counts an endpoint that is left out for the requests that it failed.
    pub fn ejected(&self, reason: Reason) {
        self.count(&self.ejections, &self.families.upstream_ejections, reason);
    }

    /// Counts an endpoint that would be left out if not too many were.
    pub fn ejection_withheld(&self, reason: Reason) {
        self.count(&self.ejections_withheld, &self.families.upstream_ejections_withheld, reason);
    }

    fn count(&self, counters: &[OnceLock<IntCounter>], family: &IntCounterVec, reason: Reason) {
        counters[reason as usize].get_or_init(|| family.with_label_values(&[&*self.name, reason.as_str()])).inc();
    }

    fn observe(&self, duration: Duration) {
        self.duration
            .get_or_init(|| self.families.upstream_duration.with_label_values(&[&*self.name]))
            .observe(duration.as_secs_f64());
    }
}

/// Counters by what was wrong with a try.
#[derive(Debug, Default)]
struct ByFailure([OnceLock<IntCounter>; Failure::NAMES.len()]);

impl ByFailure {
    fn count(&self, failure: Failure, family: &IntCounterVec, upstream: &str) {
        self.0[failure.index()].get_or_init(|| family.with_label_values(&[upstream, failure.as_str()])).inc();
    }
}

/// The metrics of one listener.
#[derive(Clone, Debug)]
pub struct ListenerMetrics {
    connections: IntGauge,
    accepted: IntCounter,
    refused: [IntCounter; ConnectionRefusal::ALL.len()],
    handshake_failures: IntCounter,
    proxy_header_failures: IntCounter,
}

impl ListenerMetrics {
    pub(super) fn new(name: &str, families: &Families) -> Self {
        ListenerMetrics {
            connections: families.connections.with_label_values(&[name]),
            accepted: families.connections_total.with_label_values(&[name]),
            refused: ConnectionRefusal::ALL
                .map(|reason| families.connections_refused.with_label_values(&[name, reason.as_str()])),
            handshake_failures: families.handshake_failures.with_label_values(&[name]),
            proxy_header_failures: families.proxy_header_failures.with_label_values(&[name]),
        }
    }

    /// Counts an accepted connection, as open until the guard is dropped.
    pub fn accepted(&self) -> Open {
        self.accepted.inc();
        Open::new(&self.connections)
    }

    /// Counts a connection that was closed before anything was read from it.
    pub fn refused(&self, reason: ConnectionRefusal) {
        self.refused[reason as usize].inc();
    }

    /// Counts a TLS handshake that did not complete.
    pub fn handshake_failed(&self) {
        self.handshake_failures.inc();
    }

    /// Counts a connection of a listed load balancer that did not begin with a PROXY header.
    pub fn proxy_header_failed(&self) {
        self.proxy_header_failures.inc();
    }
}

/// Why a connection was closed before anything was read from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionRefusal {
    /// By the listener's `addresses`.
    Address,
}

impl ConnectionRefusal {
    /// Every reason, in the order of the type.
    pub const ALL: [ConnectionRefusal; 1] = [ConnectionRefusal::Address];

    /// The value of the label.
    pub const fn as_str(self) -> &'static str {
        match self {
            ConnectionRefusal::Address => "address",
        }
    }
}

/// Something that is counted for as long as it lives, on every path out, panics included.
#[derive(Debug)]
pub struct Open(IntGauge);

impl Open {
    pub(super) fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Open(gauge.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The hundreds of a status, as a label: a label for each status would multiply the series for little.
#[derive(Clone, Copy)]
enum StatusClass {
    None,
    Informational,
    Success,
    Redirection,
    ClientError,
    ServerError,
}

impl StatusClass {
    const COUNT: usize = 6;

    fn of(status: u16) -> StatusClass {
        match status / 100 {
            1 => StatusClass::Informational,
            2 => StatusClass::Success,
            3 => StatusClass::Redirection,
            4 => StatusClass::ClientError,
            0 => StatusClass::None,
            // RFC 9110 §15: a status outside the classes is to be treated as a server error.
            _ => StatusClass::ServerError,
        }
    }

    const fn label(self) -> &'static str {
        match self {
            StatusClass::None => "none",
            StatusClass::Informational => "1xx",
            StatusClass::Success => "2xx",
            StatusClass::Redirection => "3xx",
            StatusClass::ClientError => "4xx",
            StatusClass::ServerError => "5xx",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_those_of_the_registries() {
        for (position, cause) in Cause::ALL.iter().enumerate() {
            assert_eq!(*cause as usize, position);
        }
        for (position, decision) in Decision::ALL.iter().enumerate() {
            assert_eq!(*decision as usize, position);
        }
        for (position, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, position);
        }
        for (position, reason) in ConnectionRefusal::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, position);
        }
        assert_eq!(StatusClass::ServerError as usize, StatusClass::COUNT - 1);
    }
}
