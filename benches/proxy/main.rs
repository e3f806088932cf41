//! The whole-proxy load test: this gateway, nginx and HAProxy do the same work in one interleaved run.
//!
//! See `benches/README.md` for the scenarios and how to read the table.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a bench speaks to whoever started it")]

mod load;
mod origin;
mod peers;
mod process;
mod report;
mod run;
mod scenario;
mod tokens;
mod wire;

use std::process::ExitCode;
use std::time::Duration;

use scenario::Scenario;

const USAGE: &str = "\
cargo bench --bench proxy -- [--scenario NAME]… [--rounds N] [--seconds S] [--connections N] [--only PROXY]…

  --scenario     one of the names that --list shows; without it, all of them
  --rounds       how often each proxy takes its turn (5)
  --seconds      how long a turn is (2)
  --connections  of the load generator (32)
  --only         portcullis, baseline, nginx or haproxy; without it, all that are installed
  --list         show the scenarios";

/// What to run.
pub struct Plan {
    pub scenarios: Vec<Scenario>,
    pub rounds: usize,
    pub turn: Duration,
    pub connections: usize,
    /// Empty: all that are installed.
    pub only: Vec<String>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // The origin and the load generator are this program too, each in a process of its own.
    match arguments.first().map(String::as_str) {
        Some("origin") => return origin::main(),
        Some("load") => return load::main(&arguments[1..]),
        _ => {}
    }
    let plan = match parse(&arguments) {
        Ok(Some(plan)) => plan,
        Ok(None) => return ExitCode::SUCCESS,
        Err(wrong) => {
            eprintln!("{wrong}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run::run(&plan) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: &[String]) -> Result<Option<Plan>, String> {
    let mut plan =
        Plan { scenarios: Vec::new(), rounds: 5, turn: Duration::from_secs(2), connections: 32, only: Vec::new() };
    let mut asked_by_cargo_bench = false;
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().ok_or_else(|| format!("{argument} needs a value"));
        let number =
            |text: &String| text.parse::<f64>().ok().filter(|n| *n > 0.0).ok_or(format!("{text} is no number"));
        match argument.as_str() {
            "--bench" => asked_by_cargo_bench = true,
            "--scenario" => plan.scenarios.push(Scenario::named(value()?)?),
            "--rounds" => plan.rounds = number(value()?)? as usize,
            "--seconds" => plan.turn = Duration::from_secs_f64(number(value()?)?),
            "--connections" => plan.connections = number(value()?)? as usize,
            "--only" => plan.only.push(value()?.clone()),
            "--list" => {
                for scenario in Scenario::ALL {
                    println!("{:<12} {}", scenario.name(), scenario.question());
                }
                return Ok(None);
            }
            "--help" | "-h" => {
                println!("{USAGE}");
                return Ok(None);
            }
            other => return Err(format!("unknown argument {other}")),
        }
    }
    if !asked_by_cargo_bench && arguments.is_empty() {
        // `cargo test --all-targets` starts benches without arguments; it does not mean a load test.
        println!("a load test: run it with `cargo bench --bench proxy`");
        return Ok(None);
    }
    if plan.scenarios.is_empty() {
        plan.scenarios = Scenario::ALL.to_vec();
    }
    Ok(Some(plan))
}
