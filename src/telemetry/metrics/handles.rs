//! Handles: counters of routes, upstreams and listeners, resolved before the request that uses them.
//!
//! A child of a labelled metric is created when it first counts, then kept in an array. A configuration with 10,000 routes thus
//! costs memory and scrape lines only for routes with traffic, and a request costs an index and an atomic addition.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge};

use super::families::MetricFamilies;
use crate::decision::outcome::Cause;
use crate::decision::upstream::ejection::Reason;
use crate::decision::upstream::retry::Failure;
use crate::telemetry::record::{RecordedDecision, RequestRecord, UpstreamRecord};

/// The metrics of one route.
#[derive(Debug)]
pub struct RouteMetrics {
    name: Arc<str>,
    families: Arc<MetricFamilies>,
    requests: [[OnceLock<IntCounter>; StatusClass::COUNT]; RecordedDecision::ALL.len()],
    duration: OnceLock<Histogram>,
    denials: CauseCounters,
    failures: CauseCounters,
    would_deny: CauseCounters,
}

impl RouteMetrics {
    pub(super) fn new(name: Arc<str>, families: Arc<MetricFamilies>) -> Self {
        RouteMetrics {
            name,
            families,
            requests: Default::default(),
            duration: OnceLock::new(),
            denials: CauseCounters::default(),
            failures: CauseCounters::default(),
            would_deny: CauseCounters::default(),
        }
    }

    /// Counts a finished request.
    pub fn record(&self, record: &RequestRecord) {
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
                RecordedDecision::Deny => self.denials.count(cause, &self.families.denials, &self.name),
                RecordedDecision::Fail => self.failures.count(cause, &self.families.failures, &self.name),
                RecordedDecision::Allow => {}
            }
        }
        if let Some(cause) = record.would_deny {
            self.would_deny.count(cause, &self.families.would_deny, &self.name);
        }
    }
}

/// Counters by cause. The array is allocated with the first cause: most routes have none.
#[derive(Debug, Default)]
struct CauseCounters(OnceLock<Box<[OnceLock<IntCounter>; Cause::ALL.len()]>>);

impl CauseCounters {
    fn count(&self, cause: Cause, family: &IntCounterVec, route: &str) {
        let counters = self.0.get_or_init(|| Box::new([const { OnceLock::new() }; Cause::ALL.len()]));
        counters[cause as usize].get_or_init(|| family.with_label_values(&[route, cause.code()])).inc();
    }
}

/// The metrics of one upstream.
#[derive(Debug)]
pub struct UpstreamMetrics {
    name: Arc<str>,
    families: Arc<MetricFamilies>,
    requests: [OnceLock<IntCounter>; StatusClass::COUNT],
    duration: OnceLock<Histogram>,
    connect_failures: IntCounter,
    retries: FailureCounters,
    retries_denied: FailureCounters,
    ejections: [OnceLock<IntCounter>; Reason::ALL.len()],
    ejections_withheld: [OnceLock<IntCounter>; Reason::ALL.len()],
    fallbacks: OnceLock<IntCounter>,
}

impl UpstreamMetrics {
    pub(super) fn new(name: Arc<str>, families: Arc<MetricFamilies>) -> Self {
        UpstreamMetrics {
            requests: Default::default(),
            duration: OnceLock::new(),
            connect_failures: families.upstream_connect_failures.with_label_values(&[&*name]),
            retries: FailureCounters::default(),
            retries_denied: FailureCounters::default(),
            ejections: Default::default(),
            ejections_withheld: Default::default(),
            fallbacks: OnceLock::new(),
            name,
            families,
        }
    }

    /// Counts a finished request. `status` is the upstream's; `None` without an answer.
    pub fn record(&self, record: &UpstreamRecord, status: Option<u16>) {
        let class = StatusClass::of(status.unwrap_or(0));
        self.requests[class as usize]
            .get_or_init(|| self.families.upstream_requests.with_label_values(&[&*self.name, class.label()]))
            .inc();
        if let Some(duration) = record.response {
            self.observe(duration);
        }
    }

    /// Counts a failed attempt to connect.
    pub fn connect_failed(&self) {
        self.connect_failures.inc();
    }

    /// Counts a request that falls back to the rest of a split.
    pub fn fell_back(&self) {
        self.fallbacks.get_or_init(|| self.families.upstream_fallbacks.with_label_values(&[&*self.name])).inc();
    }

    /// Counts a retry.
    pub fn retried(&self, failure: Failure) {
        self.retries.count(failure, &self.families.upstream_retries, &self.name);
    }

    /// Counts a retry that the budget did not allow.
    pub fn retry_denied(&self, failure: Failure) {
        self.retries_denied.count(failure, &self.families.upstream_retries_denied, &self.name);
    }

    /// Counts an ejection.
    pub fn ejected(&self, reason: Reason) {
        self.count(&self.ejections, &self.families.upstream_ejections, reason);
    }

    /// Counts an ejection that did not happen because too many endpoints are out of service.
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

/// Counters by the failure of a try.
#[derive(Debug, Default)]
struct FailureCounters([OnceLock<IntCounter>; Failure::NAMES.len()]);

impl FailureCounters {
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
    pub(super) fn new(name: &str, families: &MetricFamilies) -> Self {
        ListenerMetrics {
            connections: families.connections.with_label_values(&[name]),
            accepted: families.connections_total.with_label_values(&[name]),
            refused: ConnectionRefusal::ALL
                .map(|reason| families.connections_refused.with_label_values(&[name, reason.as_str()])),
            handshake_failures: families.handshake_failures.with_label_values(&[name]),
            proxy_header_failures: families.proxy_header_failures.with_label_values(&[name]),
        }
    }

    /// Counts an accepted connection, and counts it as open until the guard is dropped.
    pub fn accepted(&self) -> GaugeGuard {
        self.accepted.inc();
        GaugeGuard::new(&self.connections, 1)
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
    /// The listener's `addresses` refuse its address.
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

/// Adds to a gauge, and takes it off when dropped, panics included.
#[derive(Debug)]
pub struct GaugeGuard {
    gauge: IntGauge,
    amount: i64,
}

impl GaugeGuard {
    pub(super) fn new(gauge: &IntGauge, amount: i64) -> Self {
        gauge.add(amount);
        GaugeGuard { gauge: gauge.clone(), amount }
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.gauge.sub(self.amount);
    }
}

/// The class of a status, as a label: a label for each status would multiply the number of series.
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
        for (position, decision) in RecordedDecision::ALL.iter().enumerate() {
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
