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

use it::support::load::{Load, LoadPlan, table};
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
    let scene = Scene::start(&configuration(0));
    let load = Load::start(&scene.target, &LoadPlan::ordinary());
    let mut phases = vec![("calm", phase(plan.time, 0, |_| {}))];
    phases.push(("reloads", phase(plan.time, plan.reloads, |round| scene.gateway.reload(&configuration(round)))));
    phases.push(("upgrades", phase(plan.time, plan.upgrades, |_| _ = scene.gateway.upgrade())));
    let dying = || phase(plan.time, 0, |_| {});
    phases.push(("endpoints", scene.while_endpoints_die(dying)));
    let reports = load.end();
    println!("{}", table(&phases, &reports));
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
