//! Clients of every kind that send requests continuously while the gateway changes, and report what became of each.
//!
//! They are strict: a connection that ends with a request in progress, without an earlier `Connection: close` or GOAWAY, is a
//! failure, because a client may not be able to repeat the request. Each request has a mark in its query, `r=CLIENT.NUMBER`, by which
//! its log line is found.

mod faults;
mod http2;
mod ordinary;
mod origin;
mod refused;
mod rude;
mod table;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use fastrand::Rng;
use rustls::pki_types::CertificateDer;

pub use self::origin::origin;
pub use self::refused::KEY_HASH;
pub use self::table::table;

/// Where the clients go. What each path leads to is said at the kinds that ask for it; [`origin`] answers all of them.
#[derive(Clone)]
pub struct Target {
    pub plain: SocketAddr,
    pub tls: SocketAddr,
    pub name: String,
    pub root: CertificateDer<'static>,
}

/// What became of a request, as far as its client can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It had an answer with this status.
    Answered(u16),
    /// The gateway has read its head, and was left before the answer was complete.
    Left,
    /// It was given up while its head may have been on its way.
    Unread,
}

/// What happened to one client.
#[derive(Debug, Default)]
pub struct Report {
    pub kind: &'static str,
    pub requests: u64,
    pub failures: Vec<String>,
    /// When each began, and how long it took.
    pub latencies: Vec<(Instant, Duration)>,
    /// What became of each request, by the number in its mark.
    pub fates: Vec<Fate>,
}

/// Clients of one kind.
pub struct Kind {
    pub name: &'static str,
    pub clients: usize,
    run: fn(&Target, &mut Turn) -> io::Result<()>,
}

/// Which clients there are, and how they go about it.
pub struct LoadPlan {
    pub kinds: Vec<&'static Kind>,
    /// How many times over.
    pub times: usize,
    /// Between two requests of a client that would send as many as it can.
    pub pause: Duration,
    pub seed: u64,
}

/// Clients whose requests all succeed, whatever an operator does and whichever endpoint of `/pair` is dead.
pub const ORDINARY: &[Kind] = &[
    Kind::new("keep-alive", 2, ordinary::keep_alive),
    Kind::new("idle keep-alive", 2, ordinary::idle_keep_alive),
    Kind::new("new connections", 1, ordinary::new_connections),
    Kind::new("tls", 1, ordinary::tls),
    Kind::new("http2", 1, http2::one_by_one),
    Kind::new("http2 streams", 1, http2::ten_at_once),
    Kind::new("websocket", 1, ordinary::websocket),
    Kind::new("download", 1, ordinary::download),
    Kind::new("upload", 1, ordinary::upload),
    Kind::new("pair", 2, ordinary::pair),
];

/// Clients that are refused, leave in the middle, do not read, or ask for what fails.
pub const TROUBLED: &[Kind] = &[
    Kind::new("refused", 2, refused::over_http1),
    Kind::new("refused http2", 1, http2::refused),
    Kind::new("slow reader", 1, rude::slow_reader),
    Kind::new("never reads", 1, rude::never_reads),
    Kind::new("leaves", 1, rude::leaves),
    Kind::new("leaves tunnel", 1, rude::leaves_tunnel),
    Kind::new("leaves http2", 1, http2::leaves),
    Kind::new("no request", 1, rude::no_request),
    Kind::new("faults", 2, faults::of_the_origin),
    Kind::new("mortal", 2, faults::of_a_mortal_origin),
];

impl Kind {
    const fn new(name: &'static str, clients: usize, run: fn(&Target, &mut Turn) -> io::Result<()>) -> Kind {
        Kind { name, clients, run }
    }
}

impl LoadPlan {
    /// The ordinary clients, as fast as they can.
    pub fn ordinary() -> LoadPlan {
        LoadPlan { kinds: ORDINARY.iter().collect(), times: 1, pause: Duration::ZERO, seed: fastrand::u64(..) }
    }
}

/// Clients that are going.
pub struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Report>>,
}

impl Load {
    pub fn start(target: &Target, plan: &LoadPlan) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let each = plan.kinds.iter().flat_map(|kind| (0..kind.clients * plan.times).map(move |_| *kind));
        let clients = each.enumerate().map(|(client, kind)| {
            let rng = Rng::with_seed(plan.seed.wrapping_add(client as u64));
            let report = Report { kind: kind.name, ..Report::default() };
            let mut turn = Turn { stop: stop.clone(), pause: plan.pause, client, rng, report };
            let target = target.clone();
            thread::spawn(move || {
                while turn.goes_on() {
                    if let Err(error) = (kind.run)(&target, &mut turn) {
                        turn.report.failures.push(error.to_string());
                    }
                }
                turn.report
            })
        });
        Load { clients: clients.collect(), stop }
    }

    /// Lets every client finish what it is doing. Their reports, in the order of the numbers of their marks.
    pub fn end(self) -> Vec<Report> {
        self.stop.store(true, Ordering::SeqCst);
        self.clients.into_iter().map(|client| client.join().expect("a client that does not panic")).collect()
    }
}

/// Tells one client whether to continue, and collects its results.
struct Turn {
    stop: Arc<AtomicBool>,
    pause: Duration,
    client: usize,
    rng: Rng,
    report: Report,
}

/// A request that was begun.
struct Marked {
    number: usize,
    /// Its path, with its mark.
    target: String,
    began: Instant,
}

impl Turn {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::SeqCst)
    }

    /// A request for `path` that is to be sent now. Until it is ended it counts as unread.
    fn begin(&mut self, path: &str) -> Marked {
        let number = self.report.fates.len();
        self.report.fates.push(Fate::Unread);
        Marked { number, target: format!("{path}?r={}.{number}", self.client), began: Instant::now() }
    }

    fn end(&mut self, request: &Marked, fate: Fate) {
        self.report.fates[request.number] = fate;
        self.report.requests += 1;
        if let Fate::Answered(_) = fate {
            self.report.latencies.push((request.began, request.began.elapsed()));
        }
    }

    /// A request for `path` by `exchange`, which takes the path with its mark and gives the status beside what it likes.
    fn ask<T>(&mut self, path: &str, exchange: impl FnOnce(&str) -> io::Result<(u16, T)>) -> io::Result<T> {
        let request = self.begin(path);
        let (status, done) = exchange(&request.target)?;
        self.end(&request, Fate::Answered(status));
        Ok(done)
    }

    /// Like [`Turn::ask`], for an answer that must be a 200.
    fn count<T>(&mut self, path: &str, exchange: impl FnOnce(&str) -> io::Result<T>) -> io::Result<T> {
        self.ask(path, |target| Ok((200, exchange(target)?)))
    }

    /// A request for `path` that `exchange` sends completely and then leaves.
    fn leave(&mut self, path: &str, exchange: impl FnOnce(&str) -> io::Result<()>) -> io::Result<()> {
        let request = self.begin(path);
        exchange(&request.target)?;
        self.end(&request, Fate::Left);
        Ok(())
    }

    /// Waits before the next request.
    fn rest(&self) {
        thread::sleep(self.pause);
    }
}

fn wrong(what: impl Into<String>) -> io::Error {
    io::Error::other(what.into())
}
