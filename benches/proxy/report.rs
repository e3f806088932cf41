//! The table of a scenario.

use crate::peers::Proxy;
use crate::scenario::Scenario;

/// One proxy's turn.
#[derive(Clone, Debug)]
pub struct Measured {
    /// CPU of the proxy's processes for one request, user and system.
    pub cpu_micros: f64,
    pub per_second: f64,
    pub p50_micros: f64,
    pub p99_micros: f64,
    /// Resident bytes at the end of the turn.
    pub memory: u64,
    /// Failed requests and wrong statuses.
    pub errors: u64,
}

/// Prints the medians of each proxy's turns. `ratio` is to the cheapest of the other products, and `to base` to
/// the baseline.
pub fn print<'a>(scenario: Scenario, proxies: impl Iterator<Item = (&'a str, &'a [Measured])>) {
    let rows: Vec<_> = proxies.filter(|(_, turns)| !turns.is_empty()).collect();
    println!("\n{}: {}", scenario.name(), scenario.question());
    println!(
        "{:<12} {:>10} {:>9} {:>8} {:>8} {:>11} {:>9} {:>9} {:>9} {:>7}",
        "", "CPU µs/req", "min-max", "ratio", "to base", "requests/s", "p50 µs", "p99 µs", "RSS MiB", "errors"
    );
    let baseline = Proxy::Baseline.name();
    let own = [Proxy::Portcullis, Proxy::Baseline, Proxy::FullLane].map(Proxy::name);
    let cpu_of = |turns: &[Measured]| median(turns, |turn| turn.cpu_micros);
    let base = rows.iter().find(|(name, _)| *name == baseline).map(|(_, turns)| cpu_of(turns));
    for (name, turns) in &rows {
        let cpu = cpu_of(turns);
        let peers = rows.iter().filter(|(other, _)| other != name && !own.contains(other));
        let best = peers.map(|(_, turns)| cpu_of(turns)).min_by(f64::total_cmp);
        let to = |other: Option<f64>| other.map_or("-".to_owned(), |other| format!("{:.2}", cpu / other));
        let (ratio, to_base) = (to(best), to(base));
        let lowest = turns.iter().map(|turn| turn.cpu_micros).fold(f64::INFINITY, f64::min);
        let highest = turns.iter().map(|turn| turn.cpu_micros).fold(0.0, f64::max);
        println!(
            "{name:<12} {cpu:>10.1} {:>9} {ratio:>8} {to_base:>8} {:>11.0} {:>9.0} {:>9.0} {:>9.1} {:>7}",
            format!("{lowest:.0}-{highest:.0}"),
            median(turns, |turn| turn.per_second),
            median(turns, |turn| turn.p50_micros),
            median(turns, |turn| turn.p99_micros),
            median(turns, |turn| turn.memory as f64) / (1 << 20) as f64,
            turns.iter().map(|turn| turn.errors).sum::<u64>(),
        );
    }
}

fn median(turns: &[Measured], value: impl Fn(&Measured) -> f64) -> f64 {
    let mut values: Vec<f64> = turns.iter().map(value).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
