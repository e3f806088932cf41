//! The heap allocations of a request in the steady state, and where they are made.
//!
//! The gateway runs whole, in a process of its own whose allocator counts; client and origin are in another one, so that theirs do
//! not count. See `benches/README.md`.

#![allow(clippy::print_stdout, reason = "a bench speaks to whoever started it")]
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "the tests' own support")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::thread;

use serde::Deserialize;

#[path = "../tests/it"]
#[allow(dead_code, unused_imports, reason = "shared with the tests, which need more of it")]
mod it {
    pub mod support;
}

use it::support::raw_origin::RawOrigin;
use it::support::{Client, OwnChild, Setup, wait};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const USAGE: &str = "\
cargo bench --bench allocations -- [--requests N] [--sites N] [--log] [--full-lane]

  --requests   how many requests are measured, after as many that are not (4000)
  --sites      how many of the places that allocate are shown (12)
  --log        with an access log
  --full-lane  by Pingora's exchange";

/// The environment variable by which the gateway's process finds whoever asks it for its counts.
const CONTROL: &str = "PORTCULLIS_ALLOCATIONS";

/// Size of what is proxied, and of what is uploaded.
const ANSWER: usize = 1 << 10;
const UPLOAD: usize = 10 << 10;

/// Name, method, path, body and status.
const SCENARIOS: &[(&str, &str, &str, &[u8], u16)] = &[
    ("plain", "GET", "/plain", b"", 200),
    ("fixed", "GET", "/fixed", b"", 200),
    ("429", "GET", "/limited", b"", 429),
    ("post", "POST", "/plain", &[b'x'; UPLOAD], 200),
];

struct Plan {
    requests: usize,
    sites: usize,
    log: bool,
    full_lane: bool,
}

fn main() -> ExitCode {
    // This program is the gateway too.
    if let Ok(address) = std::env::var(CONTROL) {
        return match TcpStream::connect(address) {
            Ok(control) => {
                thread::spawn(move || count_when_asked(&control));
                portcullis::cli::run()
            }
            Err(_) => ExitCode::FAILURE,
        };
    }
    let Some(plan) = plan() else {
        println!("{USAGE}");
        return ExitCode::from(2);
    };
    measure(&plan);
    ExitCode::SUCCESS
}

fn plan() -> Option<Plan> {
    let mut plan = Plan { requests: 4000, sites: 12, log: false, full_lane: false };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next()?.parse::<usize>().ok().filter(|number| *number > 0);
        match argument.as_str() {
            // Cargo says so to every bench.
            "--bench" => {}
            "--requests" => plan.requests = number()?,
            "--sites" => plan.sites = number()?,
            "--log" => plan.log = true,
            "--full-lane" => plan.full_lane = true,
            _ => return None,
        }
    }
    Some(plan)
}

/// Counts from one line that comes, which names a file, to the next, when it writes the counts there.
fn count_when_asked(mut control: &TcpStream) {
    let mut lines = BufReader::new(control).lines();
    while let Some(Ok(file)) = lines.next() {
        let profiler = dhat::Profiler::builder().trim_backtraces(None).file_name(file).build();
        let counting = writeln!(control);
        let Some(Ok(_)) = lines.next() else { return };
        drop(profiler);
        if counting.and_then(|()| writeln!(control)).is_err() {
            return;
        }
    }
}

/// Counts of a process, in the format that dhat writes.
#[derive(Deserialize)]
struct Counts {
    pps: Vec<ProgramPoint>,
    /// The frames that program points name by their position.
    ftbl: Vec<String>,
}

#[derive(Deserialize)]
struct ProgramPoint {
    #[serde(rename = "tb")]
    bytes: u64,
    #[serde(rename = "tbk")]
    blocks: u64,
    /// From the innermost on.
    #[serde(rename = "fs")]
    frames: Vec<usize>,
}

struct Counter {
    control: BufReader<TcpStream>,
    file: PathBuf,
}

impl Counter {
    fn during(&mut self, work: impl FnOnce()) -> Counts {
        self.ask().expect("a process that begins to count");
        work();
        self.ask().expect("a process that has counted");
        let counts = fs::read(&self.file).expect("the counts");
        serde_json::from_slice(&counts).expect("counts in dhat's format")
    }

    fn ask(&mut self) -> io::Result<()> {
        writeln!(self.control.get_mut(), "{}", self.file.display())?;
        self.control.read_line(&mut String::new()).map(drop)
    }
}

fn measure(plan: &Plan) {
    let origin = RawOrigin::start(|wire| {
        while let Some(head) = wire.head() {
            if head.starts_with("POST") && wire.take(UPLOAD).is_none() {
                return;
            }
            let body = vec![b'x'; ANSWER];
            if !wire.send([format!("HTTP/1.1 200 OK\r\nContent-Length: {ANSWER}\r\n\r\n").as_bytes(), &body].concat()) {
                return;
            }
        }
    });
    let control = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let yaml = format!(
        // Within the sandbox, nobody could read the program's own symbols.
        "process: {{ threads: 1, fast_lane: \"{}\", sandbox: \"off\" }}
access_log: {{ output: {} }}
bounds: {{ requests_per_connection: 1000000 }}
response_headers: {{ set: {{ X-Frame-Options: DENY }} }}
upstreams: {{ origin: {{ endpoints: [\"<origin>\"] }} }}
routes:
  - {{ name: fixed, match: {{ path: /fixed }}, access: public, respond: {{ body: ok }} }}
  - {{ name: limited, match: {{ path: /limited }}, access: public, limits: [{{ name: few, rate: 1/h }}], respond: {{ body: ok }} }}
  - {{ name: plain, match: {{ path: /plain }}, access: public, upstream: origin }}
",
        if plan.full_lane { "off" } else { "on" },
        if plan.log { "{ file: \"<dir>/log\" }" } else { "off" },
    );
    let setup = Setup::new(&yaml).with("origin", origin.address());
    let child = Command::new(std::env::current_exe().expect("this program"))
        .arg("run")
        .arg(setup.write())
        .env("PORTCULLIS_RUNTIME", setup.dir().join("run"))
        .env(CONTROL, control.local_addr().expect("a bound listener").to_string())
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _gateway = OwnChild(child.expect("the gateway's process"));
    let (control, _) = control.accept().expect("the gateway's process");
    let address = setup.address();
    wait::until("the gateway to listen", || Client::try_connect(address).ok());
    let mut counter = Counter { control: BufReader::new(control), file: setup.dir().join("counts") };
    println!("{:<8} {:>20} {:>14}", "", "allocations/request", "bytes/request");
    let measured: Vec<_> =
        SCENARIOS.iter().map(|scenario| (scenario.0, count(plan, scenario, address, &mut counter))).collect();
    for (name, counts) in measured {
        println!("\n{name}");
        for (blocks, place) in places(&counts).into_iter().take(plan.sites) {
            println!("  {:>8.3} {place}", blocks as f64 / plan.requests as f64);
        }
    }
}

fn count(plan: &Plan, scenario: &(&str, &str, &str, &[u8], u16), address: SocketAddr, counter: &mut Counter) -> Counts {
    let (name, method, path, body, status) = *scenario;
    let mut client = Client::connect(address);
    let requests = |client: &mut Client, status: Option<u16>| {
        for _ in 0..plan.requests {
            let answer = client.request(method, path, &[("User-Agent", "bench")], body);
            assert!(status.is_none_or(|status| answer.status == status), "{answer:?}");
        }
    };
    // The first are those that find an empty bucket full, and fill pools and tables.
    requests(&mut client, None);
    let counts = counter.during(|| requests(&mut client, Some(status)));
    let sum = |value: fn(&ProgramPoint) -> u64| counts.pps.iter().map(value).sum::<u64>() as f64 / plan.requests as f64;
    println!("{name:<8} {:>20.3} {:>14.0}", sum(|point| point.blocks), sum(|point| point.bytes));
    counts
}

/// The places that allocate and how often each did, the busiest first. A place is the innermost frame that is none of the standard
/// library's, as far as its name tells (those of inlined functions lack their module), and the innermost of this crate's.
fn places(counts: &Counts) -> Vec<(u64, String)> {
    let mut places = BTreeMap::<String, u64>::new();
    for point in &counts.pps {
        let frames = || point.frames.iter().filter_map(|at| counts.ftbl.get(*at)).map(|frame| symbol(frame));
        let library = |frame: &&str| {
            [
                "alloc::",
                "core::",
                "std::",
                "<alloc::",
                "<core::",
                "<std::",
                "dhat",
                "<dhat",
                "backtrace::",
                "__",
                "[root]",
            ]
            .iter()
            .any(|prefix| frame.starts_with(prefix))
        };
        let innermost = frames().find(|frame| !library(frame)).unwrap_or("the standard library");
        let own = frames().find(|frame| frame.contains("portcullis::"));
        let place = match own {
            Some(own) if own != innermost => format!("{innermost}  <  {own}"),
            _ => innermost.to_owned(),
        };
        *places.entry(place).or_default() += point.blocks;
    }
    let mut places: Vec<_> = places.into_iter().map(|(place, blocks)| (blocks, place)).collect();
    places.sort_unstable_by(|a, b| b.cmp(a));
    places
}

/// `0x55…: name (file:line:column)` without the address.
fn symbol(frame: &str) -> &str {
    frame.split_once(": ").map_or(frame, |(_, symbol)| symbol)
}
