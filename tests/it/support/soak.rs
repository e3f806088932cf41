//! A gateway under mixed load while its configuration is reloaded and its endpoints die, and what must hold of it then.
//!
//! Each request costs it some hundred bytes, and a line in the log, so that it may go on for hours.

mod configuration;
pub mod drift;
mod gauges;
mod ledger;

use std::fmt;
use std::fs::File;
use std::io::BufReader;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;

use self::configuration::{broken, configuration};
use self::drift::{Samples, Slopes};
use self::ledger::Ledger;
use super::Gateway;
use super::gateway::Metrics;
use super::load::{Kind, Load, LoadPlan, ORDINARY, Report, TROUBLED, table};
use super::scene::Scene;

/// How long and how hard.
pub struct Soak {
    pub time: Duration,
    pub kinds: Vec<&'static Kind>,
    /// Whether the configuration is reloaded.
    pub reloads: bool,
    /// Whether endpoints die.
    pub deaths: bool,
    /// How many times over there are the clients.
    pub times: usize,
    /// Between two requests of a client that would send as many as it can.
    pub pause: Duration,
    pub seed: u64,
    /// The largest growth that is not called a drift.
    pub slopes: Slopes,
}

/// Something that must hold, and whether it did.
struct Demand {
    what: &'static str,
    /// What was measured, in words.
    measured: String,
    /// Empty where it holds.
    faults: Vec<String>,
}

/// More faults of one demand would say nothing new.
const MOST_FAULTS: usize = 20;

impl Demand {
    fn new(what: &'static str, measured: String, mut faults: Vec<String>) -> Demand {
        if let Some(more) = faults.len().checked_sub(MOST_FAULTS).filter(|more| *more > 0) {
            faults.truncate(MOST_FAULTS);
            faults.push(format!("and {more} more"));
        }
        Demand { what, measured, faults }
    }
}

/// What came of it.
pub struct Outcome {
    reports: Vec<Report>,
    /// The halves of the time that was measured.
    halves: [(&'static str, (Instant, Instant)); 2],
    demands: Vec<Demand>,
}

impl Outcome {
    pub fn is_good(&self) -> bool {
        self.demands.iter().all(|demand| demand.faults.is_empty())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", table(&self.halves, &self.reports))?;
        for Demand { what, measured, faults } in &self.demands {
            let verdict = if faults.is_empty() { "met" } else { "NOT MET" };
            writeln!(f, "{verdict:<8} {what:<44} {measured}")?;
            faults.iter().try_for_each(|fault| writeln!(f, "             {fault}"))?;
        }
        Ok(())
    }
}

/// What an operator did.
#[derive(Default)]
struct Reloads {
    applied: usize,
    refused: usize,
    faults: Vec<String>,
}

/// Between two reloads.
const RELOAD_EVERY: Duration = Duration::from_secs(2);
/// How long the load goes on when nothing changes any more, so that endpoints that were left out pass their trial.
const CALM: Duration = Duration::from_secs(3);
/// How long the gateway may take to be at rest when no client is there any more.
const REST: Duration = Duration::from_secs(30);

impl Soak {
    /// Everything, for `time`.
    pub fn new(time: Duration) -> Soak {
        Soak {
            time,
            kinds: ORDINARY.iter().chain(TROUBLED).collect(),
            reloads: true,
            deaths: true,
            times: 1,
            pause: Duration::from_millis(10),
            seed: fastrand::u64(..),
            slopes: Slopes { kib: 64.0, descriptors: 0.1 },
        }
    }

    pub fn run(&self) -> Outcome {
        let mut scene = Scene::start(&configuration(0));
        let before = scene.gateway.metrics();
        let plan = LoadPlan { kinds: self.kinds.clone(), times: self.times, pause: self.pause, seed: self.seed };
        let load = Load::start(&scene.target, &plan);
        let began = Instant::now();
        let (samples, reloads) = self.change(&scene);
        let ended = Instant::now();
        thread::sleep(CALM);
        let reports = load.end();
        let rest = at_rest(&scene.gateway, &before, reloads.applied);
        let after = scene.gateway.metrics();
        let exit = exit(&mut scene.gateway);
        let log = File::open(scene.gateway.dir().join("access.log")).expect("the access log");
        let ledger = Ledger::read(BufReader::new(log));
        let fates: Vec<&[_]> = reports.iter().map(|report| &report.fates[..]).collect();
        let middle = began + (ended - began) / 2;
        let mut demands = vec![clients(&reports), reloads.demand(), rest];
        demands.extend([
            ledger.lines_are(&fates),
            ledger.counts_are(&after),
            ledger.has_causes(&after),
            nothing_lost(&after),
        ]);
        demands.extend(samples.demands(&self.slopes));
        demands.push(exit);
        Outcome { reports, halves: [("first half", (began, middle)), ("second half", (middle, ended))], demands }
    }

    /// Changes the configuration and kills endpoints while the time goes by, and takes samples.
    fn change(&self, scene: &Scene) -> (Samples, Reloads) {
        let over = AtomicBool::new(false);
        let goes_on = || !over.load(Ordering::SeqCst);
        thread::scope(|scope| {
            let reloading = self.reloads.then(|| scope.spawn(|| reload(&scene.gateway, self.seed, goes_on)));
            if self.deaths {
                let mut rng = Rng::with_seed(self.seed);
                scope.spawn(move || scene.kill_endpoints(|| Duration::from_millis(rng.u64(10..1000)), goes_on));
            }
            let samples = Samples::take(&scene.gateway, self.time);
            over.store(true, Ordering::SeqCst);
            let reloads = reloading.map(|thread| thread.join().expect("a thread that does not panic"));
            (samples, reloads.unwrap_or_default())
        })
    }
}

/// Reloads two configurations by turns, by signal or by command, and sometimes one that must be refused.
fn reload(gateway: &Gateway, seed: u64, goes_on: impl Fn() -> bool) -> Reloads {
    let mut rng = Rng::with_seed(seed);
    let mut reloads = Reloads::default();
    let mut round = 0;
    while goes_on() {
        let due = Instant::now() + RELOAD_EVERY;
        let good = rng.u8(..4) > 0;
        round += usize::from(good);
        gateway.rewrite(&if good { configuration(round) } else { broken() });
        let outcome = if rng.bool() {
            gateway.hang_up()
        } else if gateway.order(&["reload"]).status.success() {
            "applied"
        } else {
            "refused"
        };
        match (good, outcome) {
            (true, "applied") => reloads.applied += 1,
            (false, "refused") => reloads.refused += 1,
            _ => reloads.faults.push(format!("a configuration was {outcome}")),
        }
        while goes_on() && Instant::now() < due {
            thread::sleep(Duration::from_millis(50));
        }
    }
    // The last one that was to be applied is one that could be.
    gateway.reload(&configuration(round + 1));
    reloads.applied += 1;
    reloads
}

impl Reloads {
    fn demand(self) -> Demand {
        let Reloads { applied, refused, faults } = self;
        let measured = format!("{applied} applied, {refused} broken ones refused");
        Demand::new("reloads end as they must", measured, faults)
    }
}

fn clients(reports: &[Report]) -> Demand {
    let requests: u64 = reports.iter().map(|report| report.requests).sum();
    let failed = |report: &Report| -> Vec<String> {
        let silent = report.fates.is_empty().then(|| "sent nothing".to_owned());
        report.failures.iter().cloned().chain(silent).map(|failure| format!("{}: {failure}", report.kind)).collect()
    };
    let faults = reports.iter().flat_map(failed).collect();
    Demand::new("clients see what they must", format!("{requests} requests"), faults)
}

/// Waits until every gauge is what it must be when nobody is there.
fn at_rest(gateway: &Gateway, before: &Metrics, applied: usize) -> Demand {
    let began = Instant::now();
    loop {
        let now = gateway.metrics();
        let faults = gauges::faults(before, &now, applied);
        if faults.is_empty() || began.elapsed() > REST {
            let count = gauges::series(&now).count();
            let measured = format!("{count} series, after {:.1} s", began.elapsed().as_secs_f64());
            return Demand::new("gauges are at rest", measured, faults);
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// What the gateway counts where it gives up lines, or finds a fault of its own.
fn nothing_lost(after: &Metrics) -> Demand {
    let losses = [
        "portcullis_access_log_dropped_total",
        "portcullis_access_log_write_errors_total",
        "portcullis_program_log_dropped_total",
        "portcullis_panics_total",
        "portcullis_drain_requests_cut_total",
    ];
    let lost = losses.iter().map(|name| (name, after.sum(name, &[]))).filter(|(_, count)| *count != 0.0);
    let measured = format!("{} counters at 0", losses.len() - lost.clone().count());
    let faults = lost.map(|(name, count)| format!("{name} is {count}")).collect();
    Demand::new("no log line is dropped, and nothing panics", measured, faults)
}

fn exit(gateway: &mut Gateway) -> Demand {
    let began = Instant::now();
    let status = gateway.terminate();
    let measured = format!("{status} after {:.1} s", began.elapsed().as_secs_f64());
    let mut faults = Vec::new();
    if !status.success() {
        faults.push(format!("the process ended with {status}"));
    }
    let words = gateway.stderr();
    faults.extend(words.lines().filter(|line| line.contains("BUG") || line.contains("panicked")).map(str::to_owned));
    Demand::new("SIGTERM ends it in order", measured, faults)
}
