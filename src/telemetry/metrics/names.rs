//! Every metric: its name, labels and help. Dashboards and alerts depend on them: they are an interface.

/// A metric as it is registered and documented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricSpec {
    pub name: &'static str,
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

macro_rules! metrics {
    ($($name:ident = $text:literal [$($label:literal),*] $help:literal;)*) => {
        $(pub const $name: MetricSpec = MetricSpec { name: $text, labels: &[$($label),*], help: $help };)*

        /// Every metric of the gateway. A series with labels exists once something was counted.
        pub const ALL: &[MetricSpec] = &[$($name,)*];
    };
}

metrics! {
    // Requests. A request that no route took counts under the route "".
    REQUESTS = "portcullis_requests_total" ["route", "status_class", "decision"]
        "Finished requests; status_class is none where no answer was sent.";
    REQUEST_DURATION = "portcullis_request_duration_seconds" ["route"]
        "From a request's complete header to the last byte of its answer.";
    DENIALS = "portcullis_denials_total" ["route", "cause"] "Requests refused by a rule, by cause.";
    FAILURES = "portcullis_failures_total" ["route", "cause"] "Admitted requests that failed, by cause.";
    WOULD_DENY = "portcullis_would_deny_total" ["route", "cause"]
        "Requests that a policy in report mode would have refused.";
    IN_FLIGHT = "portcullis_requests_in_flight" [] "Requests being handled now.";
    ANSWER_MEMORY = "portcullis_answer_memory_bytes" [] "Memory of the answers that wait for their clients, at most.";
    STREAMS = "portcullis_streams" [] "Tunnels, and answers without an end, that are open now.";
    PANICS = "portcullis_panics_total" [] "Requests that ended in a fault of the gateway's own code.";

    // Limits and bounds.
    LIMIT_REFUSALS = "portcullis_limit_refusals_total" ["limit"]
        "Requests that a limit refused, or would have refused in report mode.";
    LIMIT_OVERFLOW = "portcullis_limit_overflow_total" []
        "Keys that shared a bucket because the table of limits was full.";
    BOUND_HITS = "portcullis_bound_hits_total" ["bound"] "Requests and connections that ran into a bound of the file.";

    // Address lists.
    ADDRESS_LIST_ENTRIES = "portcullis_address_list_entries" ["file"]
        "Addresses and ranges of a list file that are in force.";
    ADDRESS_LIST_STALE = "portcullis_address_list_stale" ["file"]
        "1 where a list file cannot be used and what it held before stays in force.";

    // Discovery: kind is addresses (A and AAAA), services (SRV) or file.
    DISCOVERY_STALE = "portcullis_discovery_stale" ["kind", "name"]
        "1 where a name or a file gave no good answer and what was known before stays in use.";
    DISCOVERY_ENTRIES = "portcullis_discovery_entries" ["kind", "name"]
        "Addresses, records or endpoints that are in use of a name or a file.";
    DISCOVERY_SUCCESS = "portcullis_discovery_last_success_timestamp_seconds" ["kind", "name"]
        "When a name or a file gave a good answer last; absent where it never did.";
    DISCOVERY_FAILURES = "portcullis_discovery_failures_total" ["kind"]
        "Questions without a good answer, and files that could not be used.";

    // Upstreams.
    UPSTREAM_REQUESTS = "portcullis_upstream_requests_total" ["upstream", "status_class"]
        "Requests sent to an upstream; status_class is none where it gave no answer.";
    UPSTREAM_DURATION = "portcullis_upstream_duration_seconds" ["upstream"]
        "From the connection to the header of the upstream's answer.";
    UPSTREAM_CONNECT_FAILURES = "portcullis_upstream_connect_failures_total" ["upstream"]
        "Attempts to connect to an endpoint that failed.";
    UPSTREAM_RETRIES = "portcullis_upstream_retries_total" ["upstream", "reason"]
        "Attempts after the first of a request, by what was wrong with the one before.";
    UPSTREAM_RETRIES_DENIED = "portcullis_upstream_retries_denied_total" ["upstream", "reason"]
        "Attempts that the retry budget did not allow.";
    UPSTREAM_FALLBACKS = "portcullis_upstream_fallbacks_total" ["upstream"]
        "Requests that a split gave to this upstream, and then to its rest because no endpoint could be used.";
    MIRRORED = "portcullis_mirrored_total" ["route", "outcome"]
        "Requests that a route's mirror was to copy, by what became of the copy.";
    ENDPOINT_HEALTHY = "portcullis_upstream_endpoint_healthy" ["upstream", "endpoint"]
        "1 where an endpoint takes requests, 0 where it is unhealthy, left out for what it failed, or drained.";
    ENDPOINT_EJECTED = "portcullis_upstream_endpoint_ejected" ["upstream", "endpoint"]
        "1 where an endpoint is left out for the requests that it failed, until it passes a trial.";
    ENDPOINT_DRAINING = "portcullis_upstream_endpoint_draining" ["upstream", "endpoint"]
        "1 where an operator drained an endpoint.";
    ENDPOINT_REQUESTS = "portcullis_upstream_endpoint_requests" ["upstream", "endpoint"]
        "Requests that an endpoint is busy with.";
    UPSTREAM_EJECTIONS = "portcullis_upstream_ejections_total" ["upstream", "reason"]
        "EndpointMetrics left out for the requests that they failed: consecutive_failures, error_rate or trial_failed.";
    UPSTREAM_EJECTIONS_WITHHELD = "portcullis_upstream_ejections_withheld_total" ["upstream", "reason"]
        "Times that an endpoint was not left out since ejection.most of the endpoints are out.";
    UPSTREAM_ENDPOINT_FULL = "portcullis_upstream_endpoint_full_total" ["upstream"]
        "Requests that met an endpoint at its bound, circuit_breaker.requests_per_endpoint.";

    // Connections.
    CONNECTIONS = "portcullis_connections" ["listener"] "Open connections of clients.";
    CONNECTIONS_TOTAL = "portcullis_connections_total" ["listener"] "Accepted connections of clients.";
    PROXY_HEADER_FAILURES = "portcullis_proxy_header_failures_total" ["listener"]
        "Connections of listed load balancers that did not begin with a PROXY header.";
    CONNECTIONS_REFUSED = "portcullis_connections_refused_total" ["listener", "reason"]
        "Connections of clients that were closed unread, by reason.";
    HANDSHAKE_FAILURES = "portcullis_tls_handshake_failures_total" ["listener"] "TLS handshakes that did not complete.";

    // The gateway itself.
    CONFIG_GENERATION = "portcullis_config_generation" [] "The running configuration; grows with each that is applied.";
    RELOAD_SUCCESS = "portcullis_config_last_reload_success" []
        "0 where the last configuration that was to be applied was refused, so that the one before it goes on.";
    RELOADS = "portcullis_config_reloads_total" ["outcome"]
        "Configurations that were to be applied: applied, or refused because they were wrong.";
    ROLLOUT_SHARE = "portcullis_rollout_share" []
        "The share of the requests, from 0 to 1, on which a configuration is tried; 0 without a trial.";
    ROLLOUTS = "portcullis_rollouts_total" ["outcome"] "Trials of configurations that ended: kept or reverted.";
    RELOAD_TIME = "portcullis_config_last_reload_timestamp_seconds" []
        "When the last configuration was applied.";
    HANDOVER_FAILURES = "portcullis_handover_failures_total" []
        "Processes that meant to take over from this one and did not; it went on serving.";
    PROGRAM_LOG_DROPPED = "portcullis_program_log_dropped_total" [] "Messages of the program log dropped because what reads standard error stood still.";
    LOG_DROPPED = "portcullis_access_log_dropped_total" [] "Lines of the access log dropped because its queue was full.";
    LOG_WRITE_ERRORS = "portcullis_access_log_write_errors_total" [] "Failed writes of the access log; each is tried again.";
    DRAINING = "portcullis_draining" []
        "0 while serving. In a drain: 1 not ready, 2 listeners closed, 3 streams ended, 4 and 5 what is left is cut.";
    DRAIN_SECONDS = "portcullis_drain_seconds" [] "Since the drain began.";
    DRAIN_CUT = "portcullis_drain_requests_cut_total" [] "Requests that the end of the process cut.";
    BUILD_INFO = "portcullis_build_info" ["version"] "Always 1.";
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_distinct_and_conventional() {
        let names: HashSet<_> = ALL.iter().map(|spec| spec.name).collect();
        assert_eq!(names.len(), ALL.len());
        for spec in ALL {
            assert!(spec.name.starts_with("portcullis_"), "{}", spec.name);
            assert!(spec.help.ends_with('.'), "{}", spec.name);
        }
    }
}
