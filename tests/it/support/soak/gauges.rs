//! What each gauge must be when no client is there any more.

use super::super::gateway::Metrics;

enum AtRest {
    Is(f64),
    /// The same as before the load, in the same series.
    AsBefore,
    NotBelowBefore,
    /// One more for each configuration that was applied.
    CountsReloads,
    /// Judged by its slope while the load goes on, and not by one value.
    Slope,
}

/// Every gauge. One that is not here is a fault, so that a new one gets its row.
const GAUGES: &[(&str, AtRest)] = &[
    ("portcullis_requests_in_flight", AtRest::Is(0.0)),
    ("portcullis_answer_memory_bytes", AtRest::Is(0.0)),
    ("portcullis_streams", AtRest::Is(0.0)),
    ("portcullis_connections", AtRest::Is(0.0)),
    ("portcullis_upstream_endpoint_requests", AtRest::Is(0.0)),
    ("portcullis_upstream_endpoint_healthy", AtRest::Is(1.0)),
    ("portcullis_upstream_endpoint_ejected", AtRest::Is(0.0)),
    ("portcullis_upstream_endpoint_draining", AtRest::Is(0.0)),
    ("portcullis_address_list_entries", AtRest::AsBefore),
    ("portcullis_address_list_stale", AtRest::Is(0.0)),
    ("portcullis_discovery_entries", AtRest::AsBefore),
    ("portcullis_discovery_stale", AtRest::Is(0.0)),
    ("portcullis_discovery_last_success_timestamp_seconds", AtRest::NotBelowBefore),
    ("portcullis_config_generation", AtRest::CountsReloads),
    ("portcullis_config_last_reload_success", AtRest::Is(1.0)),
    ("portcullis_config_last_reload_timestamp_seconds", AtRest::NotBelowBefore),
    ("portcullis_rollout_share", AtRest::Is(0.0)),
    ("portcullis_draining", AtRest::Is(0.0)),
    ("portcullis_drain_seconds", AtRest::Is(0.0)),
    ("portcullis_build_info", AtRest::Is(1.0)),
    ("process_start_time_seconds", AtRest::AsBefore),
    ("process_max_fds", AtRest::AsBefore),
    ("process_open_fds", AtRest::AsBefore),
    ("process_threads", AtRest::AsBefore),
    ("process_resident_memory_bytes", AtRest::Slope),
    ("process_virtual_memory_bytes", AtRest::Slope),
];

/// Every series of a gauge: its name, its labels and its value.
pub(super) fn series(metrics: &Metrics) -> impl Iterator<Item = (&str, &str, f64)> {
    let name = |line: &'_ str| Some(line.strip_prefix("# TYPE ")?.strip_suffix(" gauge")?.to_owned());
    let names: Vec<String> = metrics.0.lines().filter_map(name).collect();
    metrics.0.lines().filter(|line| !line.starts_with('#')).filter_map(move |line| {
        let (series, value) = line.rsplit_once(' ')?;
        let (name, labels) = series.split_at(series.find('{').unwrap_or(series.len()));
        names.iter().any(|gauge| gauge == name).then_some((name, labels, value.parse().ok()?))
    })
}

/// What is not as it must be.
pub(super) fn faults(before: &Metrics, now: &Metrics, applied: usize) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, labels, value) in series(now) {
        let Some((_, demand)) = GAUGES.iter().find(|(known, _)| *known == name) else {
            faults.push(format!("{name}: nobody has said what it must be at rest"));
            continue;
        };
        let earlier =
            series(before).find(|(other, others, _)| (*other, *others) == (name, labels)).map(|found| found.2);
        let wanted = match demand {
            AtRest::Is(wanted) => Some(*wanted),
            AtRest::AsBefore => earlier,
            AtRest::NotBelowBefore => earlier.map(|earlier| earlier.max(value)),
            AtRest::CountsReloads => earlier.map(|earlier| earlier + applied as f64),
            AtRest::Slope => Some(value),
        };
        if wanted != Some(value) {
            let wanted = wanted.map_or("absent, as before".to_owned(), |wanted| wanted.to_string());
            faults.push(format!("{name}{labels} is {value} and not {wanted}"));
        }
    }
    let gone = series(before)
        .filter(|(name, labels, _)| !series(now).any(|(other, others, _)| (other, others) == (*name, *labels)));
    faults.extend(gone.map(|(name, labels, _)| format!("{name}{labels} is gone")));
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "# TYPE portcullis_requests_in_flight gauge
portcullis_requests_in_flight 0
# TYPE portcullis_config_generation gauge
portcullis_config_generation 1
# TYPE process_open_fds gauge
process_open_fds 20
# TYPE portcullis_connections_total counter
portcullis_connections_total{listener=\"main\"} 5
";

    fn faults_of(now: &str) -> Vec<String> {
        faults(&Metrics(BEFORE.to_owned()), &Metrics(now.to_owned()), 2)
    }

    #[test]
    fn at_rest_nothing_is_wrong() {
        let now = BEFORE.replace("generation 1", "generation 3").replace("} 5", "} 77");
        assert_eq!(faults_of(&now), [""; 0]);
    }

    #[test]
    fn what_is_not_at_rest_is_named() {
        let now = BEFORE.replace("in_flight 0", "in_flight 1").replace("open_fds 20", "open_fds 21");
        assert_eq!(
            faults_of(&now),
            [
                "portcullis_requests_in_flight is 1 and not 0",
                "portcullis_config_generation is 1 and not 3",
                "process_open_fds is 21 and not 20",
            ]
        );
    }

    #[test]
    fn a_gauge_without_a_row_and_one_that_is_gone_are_faults() {
        let now = BEFORE.replace("generation 1", "generation 3");
        let new = now.clone() + "# TYPE portcullis_new gauge\nportcullis_new{a=\"b\"} 0\n";
        assert_eq!(faults_of(&new), ["portcullis_new: nobody has said what it must be at rest"]);
        assert_eq!(faults_of(&now.replace("process_open_fds 20\n", "")), ["process_open_fds is gone"]);
    }
}
