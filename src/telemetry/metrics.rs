//! Metrics for Prometheus: names and labels in one registry ([`names`]), handles resolved when the configuration is loaded.
//!
//! Labels are bounded: their values are names from the configuration, causes from the registry, or classes; never what a
//! client sends. A request without a route has the route `""`. When a reload removes a route, its series stay until the
//! process ends, as Prometheus expects of counters.

mod endpoints;
mod families;
mod handles;
mod mirror;
pub mod names;
mod process;
mod registration;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use prometheus::{Gauge, IntCounter, IntGauge, Registry, TextEncoder};

pub use self::endpoints::EndpointSample;
use self::families::MetricFamilies;
pub use self::handles::{ConnectionRefusal, GaugeGuard, ListenerMetrics, RouteMetrics, UpstreamMetrics};
pub use self::mirror::{MirrorMetrics, MirrorOutcome};
use self::process::ProcessMetrics;
pub use self::registration::set_total;
use self::registration::{counter, counter_vec, float_gauge, gauge, gauge_vec};
pub use crate::decision::bounds::Bound;

/// Every metric of the process.
pub struct Metrics {
    registry: Registry,
    families: Arc<MetricFamilies>,
    process: ProcessMetrics,
    /// Called at each scrape.
    scrape: Mutex<Vec<OnScrape>>,

    /// Keys that shared a bucket because the table of limits was full.
    pub limit_overflow: IntCounter,
    /// Lines of the access log dropped because its queue was full.
    pub program_log_dropped: IntCounter,
    pub access_log_dropped: IntCounter,
    /// Failed writes of the access log.
    pub access_log_write_errors: IntCounter,
    /// Processes that tried to take over and failed.
    pub handover_failures: IntCounter,
    /// Requests that ended in a panic.
    pub panics: IntCounter,
    /// The stage of a drain, its duration, and the requests that it cut. For [`Metrics::on_scrape`].
    pub draining: IntGauge,
    pub drain_seconds: Gauge,
    pub drain_cut: IntCounter,
    in_flight: IntGauge,
    streams: IntGauge,
    answer_memory: IntGauge,
    config_generation: IntGauge,
    reload_success: IntGauge,
    reload_time: Gauge,
    reloads_applied: IntCounter,
    reloads_refused: IntCounter,
    rollout_share: Gauge,
    rollouts: [IntCounter; 2],
    bounds: [IntCounter; Bound::ALL.len()],
}

/// The end of a configuration's trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RolloutEnd {
    /// It serves every request now.
    Kept,
    /// It serves no request.
    Reverted,
}

type OnScrape = Box<dyn Fn(&Metrics) + Send + Sync>;

impl Metrics {
    /// Registers every metric in a new registry. The time of this call counts as the start of the process.
    pub fn new() -> Self {
        let registry = Registry::new();
        let families = Arc::new(MetricFamilies::new(&registry));
        let bounds = counter_vec(&registry, names::BOUND_HITS);
        let reloads = counter_vec(&registry, names::RELOADS);
        let rollouts = counter_vec(&registry, names::ROLLOUTS);
        gauge_vec(&registry, names::BUILD_INFO).with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Metrics {
            limit_overflow: counter(&registry, names::LIMIT_OVERFLOW),
            program_log_dropped: counter(&registry, names::PROGRAM_LOG_DROPPED),
            access_log_dropped: counter(&registry, names::LOG_DROPPED),
            access_log_write_errors: counter(&registry, names::LOG_WRITE_ERRORS),
            handover_failures: counter(&registry, names::HANDOVER_FAILURES),
            panics: counter(&registry, names::PANICS),
            draining: gauge(&registry, names::DRAINING),
            drain_seconds: float_gauge(&registry, names::DRAIN_SECONDS),
            drain_cut: counter(&registry, names::DRAIN_CUT),
            in_flight: gauge(&registry, names::IN_FLIGHT),
            streams: gauge(&registry, names::STREAMS),
            answer_memory: gauge(&registry, names::ANSWER_MEMORY),
            config_generation: gauge(&registry, names::CONFIG_GENERATION),
            reload_success: gauge(&registry, names::RELOAD_SUCCESS),
            reload_time: float_gauge(&registry, names::RELOAD_TIME),
            reloads_applied: reloads.with_label_values(&["applied"]),
            reloads_refused: reloads.with_label_values(&["refused"]),
            rollout_share: float_gauge(&registry, names::ROLLOUT_SHARE),
            rollouts: ["kept", "reverted"].map(|outcome| rollouts.with_label_values(&[outcome])),
            bounds: std::array::from_fn(|index| bounds.with_label_values(&[Bound::ALL[index].as_str()])),
            process: ProcessMetrics::new(&registry),
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

    /// The counter of the refusals of the limit `name`.
    pub fn limit_refusals(&self, name: &str) -> IntCounter {
        self.families.limit_refusals.with_label_values(&[name])
    }

    /// Counts a request as being handled until the guard is dropped.
    pub fn request_in_flight(&self) -> GaugeGuard {
        GaugeGuard::new(&self.in_flight, 1)
    }

    /// Counts a tunnel, or an answer without an end, as open until the guard is dropped.
    pub fn stream_open(&self) -> GaugeGuard {
        GaugeGuard::new(&self.streams, 1)
    }

    /// Counts the `bytes` of an answer that waits for its client until the guard is dropped.
    pub fn hold_answer(&self, bytes: i64) -> GaugeGuard {
        GaugeGuard::new(&self.answer_memory, bytes)
    }

    /// Bytes of the answers that wait for their clients.
    pub fn answer_memory(&self) -> i64 {
        self.answer_memory.get()
    }

    /// The number of open tunnels and answers without an end.
    pub fn streams_open(&self) -> i64 {
        self.streams.get()
    }

    /// Counts a request or connection that reached a bound.
    pub fn bound_hit(&self, bound: Bound) {
        self.bounds[bound as usize].inc();
    }

    /// Brings the count of a bound to a total that is kept elsewhere.
    pub fn set_bound_hits(&self, bound: Bound, total: u64) {
        set_total(&self.bounds[bound as usize], total);
    }

    /// Records that the configuration `generation` was applied.
    pub fn config_applied(&self, generation: u64, at: SystemTime) {
        self.config_generation.set(generation.try_into().unwrap_or(i64::MAX));
        self.reload_success.set(1);
        self.reloads_applied.inc();
        self.reload_time.set(at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64());
    }

    /// Records that a configuration was refused; the one before it stays in force.
    pub fn config_refused(&self) {
        self.reload_success.set(0);
        self.reloads_refused.inc();
    }

    /// Records that a configuration is tried on `share` of the requests, from 0 to 1.
    pub fn rollout_began(&self, share: f64) {
        self.rollout_share.set(share);
    }

    /// Records the end of the trial.
    pub fn rollout_ended(&self, end: RolloutEnd) {
        self.rollout_share.set(0.0);
        self.rollouts[end as usize].inc();
    }

    /// Replaces the metrics of all address lists, given as (file, entries, stale). For [`Metrics::on_scrape`].
    pub fn set_address_lists<'a>(&self, lists: impl IntoIterator<Item = (&'a str, usize, bool)>) {
        self.families.address_list_entries.reset();
        self.families.address_list_stale.reset();
        for (file, entries, stale) in lists {
            let entries = entries.try_into().unwrap_or(i64::MAX);
            self.families.address_list_entries.with_label_values(&[file]).set(entries);
            self.families.address_list_stale.with_label_values(&[file]).set(stale.into());
        }
    }

    /// Replaces the metrics of all discovered sources, given as (kind, name, entries, stale, last success). For
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

    /// Replaces the metrics of all endpoints. For [`Metrics::on_scrape`].
    pub fn set_endpoints<'a>(&self, samples: impl IntoIterator<Item = EndpointSample<'a>>) {
        self.families.endpoints.set(samples);
    }

    /// Sets the number of selections that passed over a full endpoint of `upstream`. For [`Metrics::on_scrape`].
    pub fn set_endpoint_full(&self, upstream: &str, total: u64) {
        self.families.endpoints.set_full(upstream, total);
    }

    /// Counts a failed lookup, or a file that can't be used.
    pub fn discovery_failed(&self, kind: &str) {
        self.families.discovery_failures.with_label_values(&[kind]).inc();
    }

    /// Registers a callback for each scrape, for values that are counted elsewhere. It must not render or register.
    pub fn on_scrape(&self, callback: impl Fn(&Metrics) + Send + Sync + 'static) {
        self.scrape.lock().push(Box::new(callback));
    }

    /// The text exposition format, version 0.0.4.
    pub fn render(&self) -> String {
        // Held to the end, so that concurrent scrapes don't see half-replaced endpoints.
        let callbacks = self.scrape.lock();
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
