//! EndpointMetrics, as they are at each scrape.

use prometheus::{IntCounterVec, IntGaugeVec, Registry};

use super::names;
use super::registration::{counter_vec, gauge_vec, set_total};

/// The metrics with a label for the endpoint. They are replaced as a whole, so that removed endpoints disappear.
#[derive(Debug)]
pub(super) struct EndpointMetrics {
    healthy: IntGaugeVec,
    ejected: IntGaugeVec,
    draining: IntGaugeVec,
    requests: IntGaugeVec,
    full: IntCounterVec,
}

/// The state of an endpoint at a scrape.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointSample<'a> {
    pub upstream: &'a str,
    /// Its address.
    pub endpoint: String,
    pub takes_requests: bool,
    pub ejected: bool,
    pub draining: bool,
    /// In progress.
    pub requests: usize,
}

impl EndpointMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        EndpointMetrics {
            healthy: gauge_vec(registry, names::ENDPOINT_HEALTHY),
            ejected: gauge_vec(registry, names::ENDPOINT_EJECTED),
            draining: gauge_vec(registry, names::ENDPOINT_DRAINING),
            requests: gauge_vec(registry, names::ENDPOINT_REQUESTS),
            full: counter_vec(registry, names::UPSTREAM_ENDPOINT_FULL),
        }
    }

    /// Replaces the metrics of all endpoints but `full`.
    pub(super) fn set<'a>(&self, samples: impl IntoIterator<Item = EndpointSample<'a>>) {
        for gauge in [&self.healthy, &self.ejected, &self.draining, &self.requests] {
            gauge.reset();
        }
        for sample in samples {
            let labels = [sample.upstream, &sample.endpoint];
            self.healthy.with_label_values(&labels).set(sample.takes_requests.into());
            self.ejected.with_label_values(&labels).set(sample.ejected.into());
            self.draining.with_label_values(&labels).set(sample.draining.into());
            self.requests.with_label_values(&labels).set(sample.requests.try_into().unwrap_or(i64::MAX));
        }
    }

    /// Raises the count of full endpoints of `upstream` to `total`.
    pub(super) fn set_full(&self, upstream: &str, total: u64) {
        set_total(&self.full.with_label_values(&[upstream]), total);
    }
}
