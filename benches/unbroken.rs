//! The effect of reloads, binary upgrades and killed endpoints on clients: failures, and latency before and during.
//!
//! See `benches/README.md` for how to read the table.

#![allow(clippy::print_stdout, reason = "a bench speaks to whoever started it")]
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "the tests' own support")]

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

#[path = "../tests/it"]
#[allow(dead_code, unused_imports, reason = "shared with the tests, which need more of it")]
mod it {
    pub mod support;
}

use it::support::load::Report;
use it::support::scene::{Scene, configuration};

const USAGE: &str = "\
cargo bench --bench unbroken -- [--reloads N] [--upgrades N] [--seconds S]

  --reloads   how often the configuration is reloaded (50)
  --upgrades  how often the binary is swapped (10)
  --seconds   how long the calm before is measured, and how long each of the changes goes on at least (10)";

struct Plan {
    reloads: usize,
    upgrades: usize,
    time: Duration,
}

fn main() -> ExitCode {
    let Some(plan) = plan() else {
        println!("{USAGE}");
        return ExitCode::from(2);
    };
    let scene = Scene::start();
    let mut phases = vec![("calm", phase(plan.time, 0, |_| {}))];
    phases.push(("reloads", phase(plan.time, plan.reloads, |round| scene.gateway.reload(&configuration(round)))));
    phases.push(("upgrades", phase(plan.time, plan.upgrades, |_| _ = scene.gateway.upgrade())));
    let dying = || phase(plan.time, 0, |_| {});
    phases.push(("endpoints", scene.while_endpoints_die(dying)));
    let reports = scene.load.end();
    print(&phases, &reports);
    if reports.iter().all(|report| report.failures.is_empty()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn plan() -> Option<Plan> {
    let mut plan = Plan { reloads: 50, upgrades: 10, time: Duration::from_secs(10) };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next()?.parse::<usize>().ok();
        match argument.as_str() {
            // Cargo says so to every bench.
            "--bench" => {}
            "--reloads" => plan.reloads = number()?,
            "--upgrades" => plan.upgrades = number()?,
            "--seconds" => plan.time = Duration::from_secs(number()? as u64),
            _ => return None,
        }
    }
    Some(plan)
}

/// Does `change` `count` times, spread over `time`. When that began, and when it ended.
fn phase(time: Duration, count: usize, mut change: impl FnMut(usize)) -> (Instant, Instant) {
    let began = Instant::now();
    for round in 1..=count {
        change(round);
        let due = time.mul_f64(round as f64 / count as f64);
        thread::sleep(due.saturating_sub(began.elapsed()));
    }
    thread::sleep(time.saturating_sub(began.elapsed()));
    (began, Instant::now())
}

fn print(phases: &[(&str, (Instant, Instant))], reports: &[Report]) {
    println!("{:<16} {:>9} {:>8} {}", "clients", "requests", "failures", titles(phases));
    let mut kinds: Vec<&str> = reports.iter().map(|report| report.kind).collect();
    kinds.dedup();
    for kind in kinds {
        let of_kind = || reports.iter().filter(|report| report.kind == kind);
        let requests: u64 = of_kind().map(|report| report.requests).sum();
        let failures: Vec<&String> = of_kind().flat_map(|report| &report.failures).collect();
        let latencies: Vec<_> = of_kind().flat_map(|report| report.latencies.iter().copied()).collect();
        let columns: Vec<String> = phases.iter().map(|(_, phase)| column(&latencies, *phase)).collect();
        println!("{kind:<16} {requests:>9} {:>8} {}", failures.len(), columns.join(" "));
        for failure in failures.iter().take(5) {
            println!("    {failure}");
        }
    }
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
