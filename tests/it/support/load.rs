//! Clients of every kind that send requests continuously while the gateway changes, and report failures.
//!
//! They are strict: a connection that ends with a request in progress, without an earlier `Connection: close` or GOAWAY, is a
//! failure, because a client may not be able to repeat the request.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::SendRequest;
use rustls::pki_types::CertificateDer;
use tokio::net::TcpStream as AsyncStream;
use tokio_rustls::TlsConnector;

use super::client::{self, Client, Tls};
use super::raw_origin::{RawOrigin, Wire};
use super::wait::DEADLINE;

/// Size of what `/big` answers with.
pub const BIG: usize = 8 << 20;
/// Size of what is uploaded.
const UPLOAD: usize = 256 << 10;

/// Where the clients go. `/small`, `/big`, `/upload` and `/ws` lead to an [`origin`], and `/pair` to something that answers 200.
#[derive(Clone)]
pub struct Target {
    pub plain: SocketAddr,
    pub tls: SocketAddr,
    pub name: String,
    pub root: CertificateDer<'static>,
}

/// What happened to the clients of one kind.
#[derive(Debug, Default)]
pub struct Report {
    pub kind: &'static str,
    pub requests: u64,
    pub failures: Vec<String>,
    /// When each began, and how long it took.
    pub latencies: Vec<(Instant, Duration)>,
}

/// Clients that are going.
pub struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Report>>,
}

type Kind = fn(&Target, &mut Turn) -> io::Result<()>;

/// Every kind, and how many clients of it.
const KINDS: &[(&str, usize, Kind)] = &[
    ("keep-alive", 2, keep_alive),
    ("idle keep-alive", 2, idle_keep_alive),
    ("new connections", 1, new_connections),
    ("tls", 1, tls),
    ("http2", 1, http2),
    ("http2 streams", 1, http2_streams),
    ("websocket", 1, websocket),
    ("download", 1, download),
    ("upload", 1, upload),
    ("pair", 2, pair),
];

impl Load {
    pub fn start(target: &Target) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let client = |kind: &'static str, run: Kind| {
            let (target, stop) = (target.clone(), stop.clone());
            thread::spawn(move || {
                let mut turn = Turn { stop, report: Report { kind, ..Report::default() } };
                while turn.goes_on() {
                    if let Err(error) = run(&target, &mut turn) {
                        turn.report.failures.push(error.to_string());
                    }
                }
                turn.report
            })
        };
        let clients = KINDS.iter().flat_map(|(kind, count, run)| (0..*count).map(|_| client(kind, *run))).collect();
        Load { stop, clients }
    }

    /// Lets every client finish what it is doing.
    pub fn end(self) -> Vec<Report> {
        self.stop.store(true, Ordering::SeqCst);
        self.clients.into_iter().map(|client| client.join().expect("a client that does not panic")).collect()
    }
}

/// Tells clients whether to continue, and collects their results.
pub struct Turn {
    stop: Arc<AtomicBool>,
    report: Report,
}

impl Turn {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::SeqCst)
    }

    /// Counts what `exchange` does.
    fn count<T>(&mut self, exchange: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let began = Instant::now();
        let done = exchange()?;
        self.report.requests += 1;
        self.report.latencies.push((began, began.elapsed()));
        Ok(done)
    }
}

/// An origin for [`Target`].
pub fn origin() -> RawOrigin {
    let big: Arc<[u8]> = (0..BIG).map(pattern).collect();
    RawOrigin::start(move |wire| {
        while let Some(head) = wire.head() {
            let path = head.split(' ').nth(1).unwrap_or_default();
            let answered = match path {
                "/big" => answer(wire, &big),
                "/upload" => wire.take(UPLOAD).is_some_and(|body| {
                    let whole = body.iter().enumerate().all(|(at, byte)| *byte == pattern(at));
                    answer(wire, if whole { b"whole" } else { b"other" })
                }),
                "/ws" => {
                    wire.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n");
                    while let Some(piece) = wire.take(4) {
                        wire.send(piece);
                    }
                    return;
                }
                _ => answer(wire, b"small"),
            };
            if !answered {
                return;
            }
        }
    })
}

fn answer(wire: &mut Wire, body: &[u8]) -> bool {
    wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len())) && wire.send(body)
}

fn pattern(at: usize) -> u8 {
    (at % 251) as u8
}

fn wrong(what: impl Into<String>) -> io::Error {
    io::Error::other(what.into())
}

/// One GET that must be answered 200 with `body`. Whether the connection may be used again.
fn get(client: &mut Client, path: &str, body: &str) -> io::Result<bool> {
    client.send_request("GET", path, &[], b"")?;
    let answer = client.try_read_response(false)?;
    if answer.status != 200 || (!body.is_empty() && answer.text() != body) {
        return Err(wrong(format!("{path} was answered {}: {}", answer.status, answer.text())));
    }
    Ok(!answer.header("Connection").is_some_and(|value| value.eq_ignore_ascii_case("close")))
}

fn keep_alive(target: &Target, turn: &mut Turn) -> io::Result<()> {
    let mut client = Client::try_connect(target.plain)?;
    while turn.goes_on() && turn.count(|| get(&mut client, "/small", "small"))? {}
    Ok(())
}

/// Waits a little between two requests, so that a gateway that closes idle connections does so at any point of the cycle.
fn idle_keep_alive(target: &Target, turn: &mut Turn) -> io::Result<()> {
    let mut client = Client::try_connect(target.plain)?;
    while turn.goes_on() {
        thread::sleep(Duration::from_millis(fastrand::u64(0..40)));
        // An end that came while nothing was on its way is none of our business.
        if client.has_input() || !turn.count(|| get(&mut client, "/small", "small"))? {
            break;
        }
    }
    Ok(())
}

fn new_connections(target: &Target, turn: &mut Turn) -> io::Result<()> {
    turn.count(|| get(&mut Client::try_connect(target.plain)?, "/small", "small").map(drop))?;
    // The port range is not endless, and what is under test is not how fast it goes round.
    thread::sleep(Duration::from_millis(2));
    Ok(())
}

fn tls(target: &Target, turn: &mut Turn) -> io::Result<()> {
    let settings = Tls::new(&target.name, &target.root);
    let (mut client, _) = turn.count(|| Client::tls(target.tls, &settings))?;
    for _ in 0..20 {
        if !turn.goes_on() || !turn.count(|| get(&mut client, "/small", "small"))? {
            break;
        }
    }
    Ok(())
}

/// Answered by either of two endpoints, one of which may be dead.
fn pair(target: &Target, turn: &mut Turn) -> io::Result<()> {
    let mut client = Client::try_connect(target.plain)?;
    while turn.goes_on() && turn.count(|| get(&mut client, "/pair", ""))? {
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn websocket(target: &Target, turn: &mut Turn) -> io::Result<()> {
    let mut stream = client::open(target.plain)?;
    stream.write_all(b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n")?;
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    if !head.starts_with(b"HTTP/1.1 101") {
        return Err(wrong(format!("no tunnel: {}", String::from_utf8_lossy(&head))));
    }
    while turn.goes_on() {
        let said = fastrand::u32(..).to_be_bytes();
        let echo = |stream: &mut TcpStream| {
            stream.write_all(&said)?;
            let mut heard = [0; 4];
            stream.read_exact(&mut heard)?;
            if heard == said { Ok(()) } else { Err(wrong("another echo")) }
        };
        turn.count(|| echo(&mut stream)).map_err(|error| wrong(format!("in the tunnel: {error}")))?;
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Takes about a second, so that changes happen during it.
fn download(target: &Target, turn: &mut Turn) -> io::Result<()> {
    let mut stream = client::open(target.plain)?;
    turn.count(|| {
        stream.write_all(b"GET /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        let mut piece = vec![0; 128 << 10];
        loop {
            match stream.read(&mut piece)? {
                0 => break,
                count => answer.extend_from_slice(&piece[..count]),
            }
            thread::sleep(Duration::from_millis(10));
        }
        let body = answer.windows(4).position(|window| window == b"\r\n\r\n").map_or(&[][..], |end| &answer[end + 4..]);
        let whole = body.len() == BIG && body.iter().enumerate().all(|(at, byte)| *byte == pattern(at));
        if whole { Ok(()) } else { Err(wrong(format!("a download of {} bytes", body.len()))) }
    })
}

/// Takes about a second too.
fn upload(target: &Target, turn: &mut Turn) -> io::Result<()> {
    let mut client = Client::try_connect(target.plain)?;
    turn.count(|| {
        client.try_send(format!("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: {UPLOAD}\r\n\r\n"))?;
        let body: Vec<u8> = (0..UPLOAD).map(pattern).collect();
        for piece in body.chunks(UPLOAD / 64) {
            client.try_send(piece)?;
            thread::sleep(Duration::from_millis(15));
        }
        let answer = client.try_read_response(false)?;
        if answer.status == 200 && answer.text() == "whole" {
            return Ok(());
        }
        Err(wrong(format!("the upload was answered {}: {}", answer.status, answer.text())))
    })
}

fn http2(target: &Target, turn: &mut Turn) -> io::Result<()> {
    over_http2(target, turn, 1)
}

fn http2_streams(target: &Target, turn: &mut Turn) -> io::Result<()> {
    over_http2(target, turn, 10)
}

/// Asks for `/small`, `at_once` times over, until the gateway says that the connection ends.
fn over_http2(target: &Target, turn: &mut Turn, at_once: usize) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let sender = connect_http2(target).await?;
        while turn.goes_on() {
            let began = Instant::now();
            let mut answers = Vec::with_capacity(at_once);
            for _ in 0..at_once {
                // GOAWAY came: nothing was sent.
                let Ok(mut ready) = sender.clone().ready().await else { break };
                let request = http::Request::get(format!("https://{}/small", target.name)).body(()).expect("a request");
                let Ok((answer, _)) = ready.send_request(request, true) else { break };
                answers.push(answer);
            }
            let over = answers.len() < at_once;
            for answer in answers {
                match tokio::time::timeout(DEADLINE, whole(answer)).await {
                    Ok(Ok(body)) if body == b"small" => {
                        turn.report.requests += 1;
                        turn.report.latencies.push((began, began.elapsed()));
                    }
                    Ok(Ok(body)) => return Err(wrong(format!("over HTTP/2: {}", String::from_utf8_lossy(&body)))),
                    // RFC 9113 §8.7: it was not processed, and may be sent again whatever it is.
                    Ok(Err(error)) if error.reason() == Some(h2::Reason::REFUSED_STREAM) => {}
                    Ok(Err(error)) if error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR) => {}
                    Ok(Err(error)) => return Err(wrong(format!("over HTTP/2: {error}"))),
                    Err(_) => return Err(wrong("over HTTP/2: no answer in time")),
                }
            }
            if over {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    })
}

async fn connect_http2(target: &Target) -> io::Result<SendRequest<Bytes>> {
    let settings = Tls::new(&target.name, &target.root).alpn("h2");
    let socket = AsyncStream::connect(target.tls).await?;
    let stream = TlsConnector::from(settings.config()).connect(settings.name(), socket).await?;
    let (sender, connection) = h2::client::handshake(stream).await.map_err(io::Error::other)?;
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(sender)
}

async fn whole(answer: h2::client::ResponseFuture) -> Result<Vec<u8>, h2::Error> {
    let mut body = answer.await?.into_body();
    let mut bytes = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        let _ = body.flow_control().release_capacity(piece.len());
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}
