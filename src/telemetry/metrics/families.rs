//! The metrics with labels.

use prometheus::{HistogramVec, IntCounterVec, IntGaugeVec, Registry};

use super::endpoints::EndpointMetrics;
use super::names;
use super::registration::{counter_vec, gauge_vec, histogram_vec};

/// The metrics with labels. Handles take their children from here.
#[derive(Debug)]
pub(super) struct MetricFamilies {
    pub requests: IntCounterVec,
    pub request_duration: HistogramVec,
    pub denials: IntCounterVec,
    pub failures: IntCounterVec,
    pub would_deny: IntCounterVec,
    pub limit_refusals: IntCounterVec,
    pub upstream_requests: IntCounterVec,
    pub upstream_duration: HistogramVec,
    pub upstream_connect_failures: IntCounterVec,
    pub upstream_retries: IntCounterVec,
    pub upstream_fallbacks: IntCounterVec,
    pub mirrored: IntCounterVec,
    pub upstream_retries_denied: IntCounterVec,
    pub upstream_ejections: IntCounterVec,
    pub upstream_ejections_withheld: IntCounterVec,
    pub endpoints: EndpointMetrics,
    pub connections: IntGaugeVec,
    pub connections_total: IntCounterVec,
    pub connections_refused: IntCounterVec,
    pub handshake_failures: IntCounterVec,
    pub proxy_header_failures: IntCounterVec,
    pub address_list_entries: IntGaugeVec,
    pub address_list_stale: IntGaugeVec,
    pub discovery_stale: IntGaugeVec,
    pub discovery_entries: IntGaugeVec,
    pub discovery_success: IntGaugeVec,
    pub discovery_failures: IntCounterVec,
}

impl MetricFamilies {
    pub(super) fn new(registry: &Registry) -> Self {
        MetricFamilies {
            requests: counter_vec(registry, names::REQUESTS),
            request_duration: histogram_vec(registry, names::REQUEST_DURATION),
            denials: counter_vec(registry, names::DENIALS),
            failures: counter_vec(registry, names::FAILURES),
            would_deny: counter_vec(registry, names::WOULD_DENY),
            limit_refusals: counter_vec(registry, names::LIMIT_REFUSALS),
            upstream_requests: counter_vec(registry, names::UPSTREAM_REQUESTS),
            upstream_duration: histogram_vec(registry, names::UPSTREAM_DURATION),
            upstream_connect_failures: counter_vec(registry, names::UPSTREAM_CONNECT_FAILURES),
            upstream_retries: counter_vec(registry, names::UPSTREAM_RETRIES),
            upstream_fallbacks: counter_vec(registry, names::UPSTREAM_FALLBACKS),
            mirrored: counter_vec(registry, names::MIRRORED),
            upstream_retries_denied: counter_vec(registry, names::UPSTREAM_RETRIES_DENIED),
            upstream_ejections: counter_vec(registry, names::UPSTREAM_EJECTIONS),
            upstream_ejections_withheld: counter_vec(registry, names::UPSTREAM_EJECTIONS_WITHHELD),
            endpoints: EndpointMetrics::new(registry),
            connections: gauge_vec(registry, names::CONNECTIONS),
            connections_total: counter_vec(registry, names::CONNECTIONS_TOTAL),
            connections_refused: counter_vec(registry, names::CONNECTIONS_REFUSED),
            handshake_failures: counter_vec(registry, names::HANDSHAKE_FAILURES),
            proxy_header_failures: counter_vec(registry, names::PROXY_HEADER_FAILURES),
            address_list_entries: gauge_vec(registry, names::ADDRESS_LIST_ENTRIES),
            address_list_stale: gauge_vec(registry, names::ADDRESS_LIST_STALE),
            discovery_stale: gauge_vec(registry, names::DISCOVERY_STALE),
            discovery_entries: gauge_vec(registry, names::DISCOVERY_ENTRIES),
            discovery_success: gauge_vec(registry, names::DISCOVERY_SUCCESS),
            discovery_failures: counter_vec(registry, names::DISCOVERY_FAILURES),
        }
    }
}
