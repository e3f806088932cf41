//! Metrics for Prometheus: names and labels in one registry ([`names`]), handles resolved when the configuration is loaded.
//!
//! Labels are bounded: their values are names from the file, causes from the registry, or classes; never what a client
//! sends. A request that no route took has the route `""`. When a reload removes a route, its series stay until the
//! process ends, as counters should.

mod endpoints;
mod handle;
mod mirror;
pub mod names;
mod process;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::core::Collector;
use prometheus::{
    Gauge, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

pub use self::endpoints::EndpointSample;
pub use self::handle::{ConnectionRefusal, ListenerMetrics, Open, RouteMetrics, UpstreamMetrics};
pub use self::mirror::{MirrorMetrics, MirrorOutcome};
use self::names::Spec;
use self::process::Process;
pub use crate::decision::bounds::Bound;

/// Seconds. From a fixed answer to a slow report; most APIs live in the middle.
const BUCKETS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

const EXPECT: &str = "BUG: names, labels and buckets are constant and tested";

/// Every metric of the process.
pub struct Metrics {
    registry: Registry,
    families: Arc<Families>,
    process: Process,
    /// Asked at each scrape.
    scrape: Mutex<Vec<OnScrape>>,

    /// Keys that shared a bucket because the table of limits was full.
    pub limit_overflow: IntCounter,
    /// Lines of the access log dropped because its queue was full.
    pub access_log_dropped: IntCounter,
    /// Failed writes of the access log.
    pub access_log_write_errors: IntCounter,
    /// Processes that meant to take over and did not.
    pub handover_failures: IntCounter,
    /// Requests that ended in a panic.
    pub panics: IntCounter,
    /// How far a drain has come, for how long it has gone on, and what it cut. For [`Metrics::on_scrape`].
    pub draining: IntGauge,
    pub drain_seconds: Gauge,
    pub drain_cut: IntCounter,
    in_flight: IntGauge,
    streams: IntGauge,
    config_generation: IntGauge,
    reload_success: IntGauge,
    reload_time: Gauge,
    reloads_applied: IntCounter,
    reloads_refused: IntCounter,
    rollout_share: Gauge,
    rollouts: [IntCounter; 2],
    bounds: [IntCounter; Bound::ALL.len()],
}

/// How the trial of a configuration ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RolloutEnd {
    /// It serves everyone now.
    Kept,
    /// It serves nobody.
    Reverted,
}

type OnScrape = Box<dyn Fn(&Metrics) + Send + Sync>;

/// The metrics that have labels: handles draw their children from here.
#[derive(Debug)]
struct Families {
    requests: IntCounterVec,
    request_duration: HistogramVec,
    denials: IntCounterVec,
    failures: IntCounterVec,
    would_deny: IntCounterVec,
    limit_refusals: IntCounterVec,
    upstream_requests: IntCounterVec,
    upstream_duration: HistogramVec,
    upstream_connect_failures: IntCounterVec,
    upstream_retries: IntCounterVec,
    upstream_fallbacks: IntCounterVec,
    mirrored: IntCounterVec,
    upstream_retries_denied: IntCounterVec,
    upstream_ejections: IntCounterVec,
    upstream_ejections_withheld: IntCounterVec,
    endpoints: endpoints::Endpoints,
    connections: IntGaugeVec,
    connections_total: IntCounterVec,
    connections_refused: IntCounterVec,
    handshake_failures: IntCounterVec,
    proxy_header_failures: IntCounterVec,
    address_list_entries: IntGaugeVec,
    address_list_stale: IntGaugeVec,
    discovery_stale: IntGaugeVec,
    discovery_entries: IntGaugeVec,
    discovery_success: IntGaugeVec,
    discovery_failures: IntCounterVec,
}

impl Metrics {
    /// Registers everything, in a registry of its own. Its time counts as the start of the process.
    pub fn new() -> Self {
        let registry = Registry::new();
        let families = Arc::new(Families::new(&registry));
        let bounds = counter_vec(&registry, names::BOUND_HITS);
        let reloads = counter_vec(&registry, names::RELOADS);
        let rollouts = counter_vec(&registry, names::ROLLOUTS);
        gauge_vec(&registry, names::BUILD_INFO).with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Metrics {
            limit_overflow: counter(&registry, names::LIMIT_OVERFLOW),
            access_log_dropped: counter(&registry, names::LOG_DROPPED),
            access_log_write_errors: counter(&registry, names::LOG_WRITE_ERRORS),
            handover_failures: counter(&registry, names::HANDOVER_FAILURES),
            panics: counter(&registry, names::PANICS),
            draining: gauge(&registry, names::DRAINING),
            drain_seconds: register(&registry, Gauge::with_opts(opts(names::DRAIN_SECONDS)).expect(EXPECT)),
            drain_cut: counter(&registry, names::DRAIN_CUT),
            in_flight: gauge(&registry, names::IN_FLIGHT),
            streams: gauge(&registry, names::STREAMS),
            config_generation: gauge(&registry, names::CONFIG_GENERATION),
            reload_success: gauge(&registry, names::RELOAD_SUCCESS),
            reload_time: float_gauge(&registry, names::RELOAD_TIME),
            reloads_applied: reloads.with_label_values(&["applied"]),
            reloads_refused: reloads.with_label_values(&["refused"]),
            rollout_share: float_gauge(&registry, names::ROLLOUT_SHARE),
            rollouts: ["kept", "reverted"].map(|outcome| rollouts.with_label_values(&[outcome])),
            bounds: std::array::from_fn(|index| bounds.with_label_values(&[Bound::ALL[index].as_str()])),
            process: Process::new(&registry),
            scrape: Mutex::default(),
            families,
            registry,
        }
    }

    /// The handle of the route `name`, or of requests without a route for `""`.
    pub fn route(&self, name: &str) -> RouteMetrics {
        RouteMetrics::new(name.into(), Arc::clone(&self.families))
    }

    /// The handle of the upstream `name`.
    pub fn upstream(&self, name: &str) -> UpstreamMetrics {
        UpstreamMetrics::new(name.into(), Arc::clone(&self.families))
    }

    /// The handle of the mirror of the route `name`.
    pub fn mirror(&self, name: &str) -> MirrorMetrics {
        MirrorMetrics::new(name, &self.families.mirrored)
    }

    /// The handle of the listener `name`.
    pub fn listener(&self, name: &str) -> ListenerMetrics {
        ListenerMetrics::new(name, &self.families)
    }

    /// What to count the refusals of the limit `name` with.
    pub fn limit_refusals(&self, name: &str) -> IntCounter {
        self.families.limit_refusals.with_label_values(&[name])
    }

    /// Counts a request as being handled until the guard is dropped.
    pub fn request_in_flight(&self) -> Open {
        Open::new(&self.in_flight)
    }

    /// Counts a tunnel, or an answer without an end, as being open until the guard is dropped.
    pub fn stream_open(&self) -> Open {
        Open::new(&self.streams)
    }

    /// How many of them are open.
    pub fn streams_open(&self) -> i64 {
        self.streams.get()
    }

    /// Counts that a bound of the file bit.
    pub fn bound_hit(&self, bound: Bound) {
        self.bounds[bound as usize].inc();
    }

    /// Brings the count of a bound to a total that is kept elsewhere.
    pub fn set_bound_hits(&self, bound: Bound, total: u64) {
        set_total(&self.bounds[bound as usize], total);
    }

    /// Notes that the configuration `generation` was applied.
    pub fn config_applied(&self, generation: u64, at: SystemTime) {
        self.config_generation.set(generation.try_into().unwrap_or(i64::MAX));
        self.reload_success.set(1);
        self.reloads_applied.inc();
        self.reload_time.set(at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64());
    }

    /// Notes that a configuration was refused, and the one before it goes on.
    pub fn config_refused(&self) {
        self.reload_success.set(0);
        self.reloads_refused.inc();
    }

    /// Notes that a configuration is tried on `share` of the requests, from 0 to 1.
    pub fn rollout_began(&self, share: f64) {
        self.rollout_share.set(share);
    }

    /// Notes how the trial ended.
    pub fn rollout_ended(&self, end: RolloutEnd) {
        self.rollout_share.set(0.0);
        self.rollouts[end as usize].inc();
    }

    /// Replaces what is known of all address lists, as (file, entries, stale). For [`Metrics::on_scrape`].
    pub fn set_address_lists<'a>(&self, lists: impl IntoIterator<Item = (&'a str, usize, bool)>) {
        self.families.address_list_entries.reset();
        self.families.address_list_stale.reset();
        for (file, entries, stale) in lists {
            let entries = entries.try_into().unwrap_or(i64::MAX);
            self.families.address_list_entries.with_label_values(&[file]).set(entries);
            self.families.address_list_stale.with_label_values(&[file]).set(stale.into());
        }
    }

    /// Replaces what is known of sources of endpoints, as (kind, name, entries, stale, last success). For
    /// [`Metrics::on_scrape`].
    pub fn set_discovery<'a>(
        &self,
        sources: impl IntoIterator<Item = (&'a str, &'a str, usize, bool, Option<SystemTime>)>,
    ) {
        let families = &self.families;
        families.discovery_stale.reset();
        families.discovery_entries.reset();
        families.discovery_success.reset();
        for (kind, name, entries, stale, success) in sources {
            families.discovery_stale.with_label_values(&[kind, name]).set(stale.into());
            families.discovery_entries.with_label_values(&[kind, name]).set(entries.try_into().unwrap_or(i64::MAX));
            if let Some(success) = success {
                let seconds = success.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
                let seconds = seconds.try_into().unwrap_or(i64::MAX);
                families.discovery_success.with_label_values(&[kind, name]).set(seconds);
            }
        }
    }

    /// Counts a question without a good answer, or a file that can't be used.
    pub fn discovery_failed(&self, kind: &str) {
        self.families.discovery_failures.with_label_values(&[kind]).inc();
    }

    /// Registers what is to be asked at each scrape, for values that are kept elsewhere. It must not render or register.
    pub fn on_scrape(&self, callback: impl Fn(&Metrics) + Send + Sync + 'static) {
        self.scrape.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(callback));
    }

    /// The text exposition format, version 0.0.4.
    pub fn render(&self) -> String {
        // Held to the end, so that scrapes at the same time do not see half-replaced endpoints.
        let callbacks = self.scrape.lock().unwrap_or_else(PoisonError::into_inner);
        self.process.update();
        for callback in callbacks.iter() {
            callback(self);
        }
        TextEncoder::new().encode_to_string(&self.registry.gather()).expect("BUG: writing to a string can't fail")
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// Brings `counter` to a total that is kept elsewhere.
pub fn set_total(counter: &IntCounter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}

impl Families {
    fn new(registry: &Registry) -> Self {
        Families {
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
            endpoints: endpoints::Endpoints::new(registry),
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

fn counter(registry: &Registry, spec: Spec) -> IntCounter {
    register(registry, IntCounter::with_opts(opts(spec)).expect(EXPECT))
}

fn counter_vec(registry: &Registry, spec: Spec) -> IntCounterVec {
    register(registry, IntCounterVec::new(opts(spec), spec.labels).expect(EXPECT))
}

fn gauge(registry: &Registry, spec: Spec) -> IntGauge {
    register(registry, IntGauge::with_opts(opts(spec)).expect(EXPECT))
}

fn float_gauge(registry: &Registry, spec: Spec) -> Gauge {
    register(registry, Gauge::with_opts(opts(spec)).expect(EXPECT))
}

fn gauge_vec(registry: &Registry, spec: Spec) -> IntGaugeVec {
    register(registry, IntGaugeVec::new(opts(spec), spec.labels).expect(EXPECT))
}

fn histogram_vec(registry: &Registry, spec: Spec) -> HistogramVec {
    let opts = HistogramOpts::new(spec.name, spec.help).buckets(BUCKETS.to_vec());
    register(registry, HistogramVec::new(opts, spec.labels).expect(EXPECT))
}

fn opts(spec: Spec) -> Opts {
    Opts::new(spec.name, spec.help)
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, metric: C) -> C {
    registry.register(Box::new(metric.clone())).expect(EXPECT);
    metric
}
