//! The effect of attacks on an ordinary client: its latency, and memory and CPU of the gateway.
//!
//! See `benches/README.md` for how to read the table.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a bench speaks to whoever started it")]

mod attack;
mod calm;
mod gateway;
#[path = "../proxy/process.rs"]
#[allow(dead_code, reason = "shared with the load test, which needs more of it")]
mod process;

use std::io::{self, BufRead, BufReader};
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use attack::Attack;
use process::{OTHERS_CPU, Owned, pinned};

const USAGE: &str = "\
cargo bench --bench hostile -- [--attack NAME]… [--seconds S] [--connections N]

  --attack       one of the names that --list shows; without it, all of them
  --seconds      how long an attack is, and the calm before it (10)
  --connections  of the attackers (1000; floods take a hundredth of it)
  --list         show the attacks";

struct Plan {
    attacks: Vec<Attack>,
    time: Duration,
    connections: usize,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // The attackers are this program too, in a process of their own, so that they don't delay the calm client.
    if let Some(("attack", rest)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return attack::main(rest);
    }
    let plan = match parse(&arguments) {
        Ok(Some(plan)) => plan,
        Ok(None) => return ExitCode::SUCCESS,
        Err(wrong) => {
            eprintln!("{wrong}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&plan) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: &[String]) -> Result<Option<Plan>, String> {
    let mut plan = Plan { attacks: Vec::new(), time: Duration::from_secs(10), connections: 1000 };
    let mut asked_by_cargo_bench = false;
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().ok_or_else(|| format!("{argument} needs a value"));
        let number = |text: &String| text.parse::<u32>().ok().filter(|n| *n > 0).ok_or(format!("{text} is no number"));
        match argument.as_str() {
            "--bench" => asked_by_cargo_bench = true,
            "--attack" => plan.attacks.push(Attack::named(value()?)?),
            "--seconds" => plan.time = Duration::from_secs(number(value()?)?.into()),
            "--connections" => plan.connections = number(value()?)? as usize,
            "--list" => {
                for attack in Attack::ALL {
                    println!("{:<16} {}", attack.name(), attack.what());
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
        // `cargo test --all-targets` starts benches without arguments; it does not mean an attack.
        println!("an attack: run it with `cargo bench --bench hostile`");
        return Ok(None);
    }
    if plan.attacks.is_empty() {
        plan.attacks = Attack::ALL.to_vec();
    }
    Ok(Some(plan))
}

fn run(plan: &Plan) -> io::Result<()> {
    println!(
        "{:<16} {:>9} {:>9} {:>9} {:>9} {:>6} {:>9} {:>9} {:>6} {:>8} {:>8} {:>7} {:>7}",
        "attack",
        "calm p50",
        "calm p99",
        "p50",
        "p99",
        "ratio",
        "RSS MiB",
        "peak MiB",
        "CPU %",
        "opened",
        "closed",
        "median",
        "oldest"
    );
    for &attack in &plan.attacks {
        // A gateway of its own, so that what one attack leaves behind is not taken for another's.
        let gateway = gateway::start()?;
        calm::measure(&gateway, Duration::from_secs(1), |_| ())?;
        let calm = calm::measure(&gateway, plan.time, |_| ())?;
        let before = gateway.process.memory();

        let connections = if attack.is_flood() { (plan.connections / 100).max(1) } else { plan.connections };
        let mut command = pinned(OTHERS_CPU, &std::env::current_exe()?.display().to_string());
        command.args(["attack", attack.name(), &gateway.address]);
        command.args([connections.to_string(), plan.time.as_secs().to_string()]).stdin(Stdio::null());
        let mut attackers = Owned(command.stdout(Stdio::piped()).spawn()?);
        let out = attackers.0.stdout.take().ok_or_else(|| io::Error::other("the attackers have no standard output"))?;

        let (cpu, start, mut peak) = (gateway.process.cpu(), Instant::now(), before);
        let attacked = calm::measure(&gateway, plan.time, |process| peak = peak.max(process.memory()))?;
        let cpu = (gateway.process.cpu() - cpu).as_secs_f64() / start.elapsed().as_secs_f64();
        let told = BufReader::new(out).lines().next().unwrap_or_else(|| Ok(String::new()))?;
        let told: Vec<&str> = told.split(' ').collect();
        let told = |index: usize| told.get(index).copied().unwrap_or("-");
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let ms = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1e3);
        println!(
            "{:<16} {:>9} {:>9} {:>9} {:>9} {:>6.2} {:>9.1} {:>9.1} {:>6.0} {:>8} {:>8} {:>7} {:>7}",
            attack.name(),
            ms(calm.p50),
            ms(calm.p99),
            ms(attacked.p50),
            ms(attacked.p99),
            attacked.p99.as_secs_f64() / calm.p99.as_secs_f64().max(1e-9),
            mib(before),
            mib(peak),
            cpu * 100.0,
            told(0),
            told(1),
            told(2),
            told(3),
        );
        if attacked.failed > 0 {
            println!("{:<16} {} requests of the calm client failed", "", attacked.failed);
        }
    }
    Ok(())
}
