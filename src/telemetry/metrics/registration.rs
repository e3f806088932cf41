//! Creates metrics and registers them.

use prometheus::core::Collector;
use prometheus::{
    Gauge, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use super::names::MetricSpec;

/// In seconds. From fixed answers to slow reports; most APIs are in the middle.
const BUCKETS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

pub(super) const EXPECT: &str = "BUG: names, labels and buckets are constant and tested";

/// Raises `counter` to `total`, which is counted elsewhere.
pub fn set_total(counter: &IntCounter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}

pub(super) fn counter(registry: &Registry, spec: MetricSpec) -> IntCounter {
    register(registry, IntCounter::with_opts(opts(spec)).expect(EXPECT))
}

pub(super) fn counter_vec(registry: &Registry, spec: MetricSpec) -> IntCounterVec {
    register(registry, IntCounterVec::new(opts(spec), spec.labels).expect(EXPECT))
}

pub(super) fn gauge(registry: &Registry, spec: MetricSpec) -> IntGauge {
    register(registry, IntGauge::with_opts(opts(spec)).expect(EXPECT))
}

pub(super) fn float_gauge(registry: &Registry, spec: MetricSpec) -> Gauge {
    register(registry, Gauge::with_opts(opts(spec)).expect(EXPECT))
}

pub(super) fn gauge_vec(registry: &Registry, spec: MetricSpec) -> IntGaugeVec {
    register(registry, IntGaugeVec::new(opts(spec), spec.labels).expect(EXPECT))
}

pub(super) fn histogram_vec(registry: &Registry, spec: MetricSpec) -> HistogramVec {
    let opts = HistogramOpts::new(spec.name, spec.help).buckets(BUCKETS.to_vec());
    register(registry, HistogramVec::new(opts, spec.labels).expect(EXPECT))
}

fn opts(spec: MetricSpec) -> Opts {
    Opts::new(spec.name, spec.help)
}

pub(super) fn register<C: Collector + Clone + 'static>(registry: &Registry, metric: C) -> C {
    registry.register(Box::new(metric.clone())).expect(EXPECT);
    metric
}
