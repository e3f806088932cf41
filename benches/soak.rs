//! A gateway under mixed load for minutes or hours, with reloads and dying endpoints: what is left of each request must add up, and
//! nothing may grow.
//!
//! See `benches/README.md` for what is demanded.

#![allow(clippy::print_stdout, reason = "a bench speaks to whoever started it")]
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "the tests' own support")]

use std::process::ExitCode;
use std::time::Duration;

#[path = "../tests/it"]
#[allow(dead_code, unused_imports, reason = "shared with the tests, which need more of it")]
mod it {
    pub mod support;
}

use it::support::soak::Soak;

const USAGE: &str = "\
cargo bench --bench soak -- [--minutes N] [--seed N] [--clients N] [--pause MS] [--kib N] [--descriptors N]
                            [--only KIND]… [--no-reloads] [--no-deaths]

  --minutes      how long the load goes on (5); fractions are fine
  --seed         what the clients choose by; the one of a run is printed
  --clients      how many times over there is each client (1)
  --pause        milliseconds between two requests of a client (10)
  --kib          the most that resident memory may grow by in a minute (64), beside 8 MiB of noise over the whole time
  --descriptors  the most that open descriptors may grow by in a minute (0.1), beside 10 over the whole time

To find what a drift comes from:

  --only         only clients of this kind, by the name in the table
  --no-reloads   the configuration stays as it is
  --no-deaths    no endpoint dies";

fn main() -> ExitCode {
    let Some(soak) = plan() else {
        println!("{USAGE}");
        return ExitCode::from(2);
    };
    println!("--minutes {:.1} --clients {} --seed {}\n", soak.time.as_secs_f64() / 60.0, soak.times, soak.seed);
    let outcome = soak.run();
    println!("{outcome}");
    if outcome.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn plan() -> Option<Soak> {
    let mut soak = Soak::new(Duration::from_secs(5 * 60));
    let mut only = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next()?.parse::<f64>().ok().filter(|number| *number >= 0.0);
        match argument.as_str() {
            // Cargo says so to every bench.
            "--bench" => {}
            "--minutes" => soak.time = Duration::try_from_secs_f64(number()? * 60.0).ok()?,
            "--clients" => soak.times = number()? as usize,
            "--pause" => soak.pause = Duration::try_from_secs_f64(number()? / 1e3).ok()?,
            "--kib" => soak.slopes.kib = number()?,
            "--descriptors" => soak.slopes.descriptors = number()?,
            "--seed" => soak.seed = arguments.next()?.parse().ok()?,
            "--only" => only.push(arguments.next()?),
            "--no-reloads" => soak.reloads = false,
            "--no-deaths" => soak.deaths = false,
            _ => return None,
        }
    }
    if !only.is_empty() {
        soak.kinds.retain(|kind| only.iter().any(|name| name == kind.name));
    }
    (!soak.kinds.is_empty()).then_some(soak)
}
