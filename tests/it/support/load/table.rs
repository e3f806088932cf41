//! The reports as a table.

use std::time::{Duration, Instant};

use super::Report;

/// A line for each kind of clients: requests, failures, and the times of an answer in each phase.
pub fn table(phases: &[(&str, (Instant, Instant))], reports: &[Report]) -> String {
    let mut lines = vec![format!("{:<16} {:>9} {:>8} {}", "clients", "requests", "failures", titles(phases))];
    let mut kinds: Vec<&str> = reports.iter().map(|report| report.kind).collect();
    kinds.dedup();
    for kind in kinds {
        let of_kind = || reports.iter().filter(|report| report.kind == kind);
        let requests: u64 = of_kind().map(|report| report.requests).sum();
        let failures: Vec<&String> = of_kind().flat_map(|report| &report.failures).collect();
        let latencies: Vec<_> = of_kind().flat_map(|report| report.latencies.iter().copied()).collect();
        let columns: Vec<String> = phases.iter().map(|(_, phase)| column(&latencies, *phase)).collect();
        lines.push(format!("{kind:<16} {requests:>9} {:>8} {}", failures.len(), columns.join(" ")));
        lines.extend(failures.iter().take(5).map(|failure| format!("    {failure}")));
    }
    lines.join("\n")
}

fn titles(phases: &[(&str, (Instant, Instant))]) -> String {
    let titles: Vec<String> = phases.iter().map(|(name, _)| format!("{:>19}", format!("{name} p50/p99 ms"))).collect();
    titles.join(" ")
}

fn column(latencies: &[(Instant, Duration)], (began, ended): (Instant, Instant)) -> String {
    let mut within: Vec<Duration> =
        latencies.iter().filter(|(at, _)| (began..ended).contains(at)).map(|(_, took)| *took).collect();
    within.sort_unstable();
    let quantile =
        |share: f64| within.get(((within.len() as f64 * share) as usize).min(within.len().saturating_sub(1)));
    let millis = |share| quantile(share).map_or("-".to_owned(), |took| format!("{:.2}", took.as_secs_f64() * 1e3));
    format!("{:>19}", format!("{}/{}", millis(0.5), millis(0.99)))
}
