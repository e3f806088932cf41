//! Endpoints, as they are at each scrape.

use prometheus::{IntCounterVec, IntGaugeVec, Registry};

use super::{Metrics, counter_vec, gauge_vec, names, set_total};

/// The metrics that have a label for the endpoint. They are replaced as a whole, so that endpoints which DNS no longer names
/// disappear.
#[derive(Debug)]
pub(super) struct Endpoints {
    healthy: IntGaugeVec,
    ejected: IntGaugeVec,
    draining: IntGaugeVec,
    requests: IntGaugeVec,
    full: IntCounterVec,
}

/// An endpoint as it is now.
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

impl Endpoints {
    pub(super) fn new(registry: &Registry) -> Self {
        Endpoints {
            healthy: gauge_vec(registry, names::ENDPOINT_HEALTHY),
            ejected: gauge_vec(registry, names::ENDPOINT_EJECTED),
            draining: gauge_vec(registry, names::ENDPOINT_DRAINING),
            requests: gauge_vec(registry, names::ENDPOINT_REQUESTS),
            full: counter_vec(registry, names::UPSTREAM_ENDPOINT_FULL),
        }
    }
}

impl Metrics {
    /// Replaces what is known of all endpoints. For [`Metrics::on_scrape`].
    pub fn set_endpoints<'a>(&self, samples: impl IntoIterator<Item = EndpointSample<'a>>) {
        let Endpoints { healthy, ejected, draining, requests, full: _ } = &self.families.endpoints;
        for gauge in [healthy, ejected, draining, requests] {
            gauge.reset();
        }
        for sample in samples {
            let labels = [sample.upstream, &sample.endpoint];
            healthy.with_label_values(&labels).set(sample.takes_requests.into());
            ejected.with_label_values(&labels).set(sample.ejected.into());
            draining.with_label_values(&labels).set(sample.draining.into());
            requests.with_label_values(&labels).set(sample.requests.try_into().unwrap_or(i64::MAX));
        }
    }

    /// Brings what is known of the bounds on endpoints to a total that is kept elsewhere. For [`Metrics::on_scrape`].
    pub fn set_endpoint_full(&self, upstream: &str, total: u64) {
        set_total(&self.families.endpoints.full.with_label_values(&[upstream]), total);
    }
}
