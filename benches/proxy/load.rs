//! The load generator: a closed loop on each of N connections, in one thread.

use std::future::poll_fn;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_rustls::TlsConnector;

use crate::scenario::{Scenario, Transport, UPLOAD};
use crate::wire;

/// Streams of an HTTP/2 connection.
const STREAMS: usize = 8;
/// Before measuring begins, so that connections are open and pools are filled.
const WARM_UP: Duration = Duration::from_millis(300);

/// `load SCENARIO ADDRESS ROOT CONNECTIONS SECONDS TOKEN`: prints `go` when measuring begins and the result, as JSON,
/// the moment it ends.
pub fn main(arguments: &[String]) -> ExitCode {
    let [scenario, address, root, connections, seconds, token] = arguments else {
        eprintln!("load is started by the bench itself");
        return ExitCode::from(2);
    };
    let scenario = Scenario::named(scenario).expect("a scenario");
    let connections: usize = connections.parse().expect("a number");
    let turn = Duration::from_secs_f64(seconds.parse().expect("a number"));
    let work = Arc::new(Work {
        scenario,
        address: address.clone(),
        request: request_bytes(scenario, token),
        token: token.clone(),
        connector: scenario.transport().is_encrypted().then(|| {
            wire::connector(root, if scenario.transport() == Transport::Http2 { &["h2"] } else { &["http/1.1"] })
        }),
        measuring: AtomicBool::new(false),
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    println!("{}", runtime.block_on(measure(work, connections, turn)));
    ExitCode::SUCCESS
}

struct Work {
    scenario: Scenario,
    address: String,
    request: Vec<u8>,
    token: String,
    connector: Option<TlsConnector>,
    measuring: AtomicBool,
}

/// One finished request; `None` when it failed or had the wrong status.
type Outcome = Option<Duration>;

async fn measure(work: Arc<Work>, connections: usize, turn: Duration) -> String {
    let (outcomes, mut received) = unbounded_channel();
    for _ in 0..connections {
        let (work, outcomes) = (work.clone(), outcomes.clone());
        tokio::spawn(async move {
            // A connection that ends is opened again; a proxy that refuses them all shows in the errors.
            while !outcomes.is_closed() {
                if converse(&work, &outcomes).await.is_err() {
                    report(&work, &outcomes, None);
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        });
    }
    tokio::time::sleep(WARM_UP).await;
    println!("go");
    work.measuring.store(true, Ordering::Relaxed);
    let start = Instant::now();
    tokio::time::sleep(turn).await;
    work.measuring.store(false, Ordering::Relaxed);
    let elapsed = start.elapsed();
    received.close();
    let mut micros = Vec::new();
    let mut errors = 0u64;
    while let Ok(outcome) = received.try_recv() {
        match outcome {
            Some(latency) => micros.push(latency.as_micros() as u64),
            None => errors += 1,
        }
    }
    micros.sort_unstable();
    let at = |part: f64| micros.get((micros.len() as f64 * part) as usize).copied().unwrap_or(0);
    json!({
        "requests": micros.len(),
        "errors": errors,
        "seconds": elapsed.as_secs_f64(),
        "p50": at(0.50),
        "p99": at(0.99),
    })
    .to_string()
}

fn report(work: &Work, outcomes: &UnboundedSender<Outcome>, outcome: Outcome) {
    if work.measuring.load(Ordering::Relaxed) {
        let _ = outcomes.send(outcome);
    }
}

async fn converse(work: &Arc<Work>, outcomes: &UnboundedSender<Outcome>) -> io::Result<()> {
    let start = Instant::now();
    let Some(connector) = &work.connector else {
        return http1(work, outcomes, wire::connect(&work.address).await?, start).await;
    };
    let stream = wire::connect_tls(&work.address, connector).await?;
    match work.scenario.transport() {
        Transport::Http2 => http2(work, outcomes, stream).await,
        _ => http1(work, outcomes, stream, start).await,
    }
}

/// `opened` is when the connection began, for the scenario in which that is part of a request.
async fn http1(
    work: &Work,
    outcomes: &UnboundedSender<Outcome>,
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    opened: Instant,
) -> io::Result<()> {
    let once = work.scenario.closes();
    let mut buffer = Vec::with_capacity(8 << 10);
    while !outcomes.is_closed() {
        let start = if once { opened } else { Instant::now() };
        stream.write_all(&work.request).await?;
        let head = wire::read_answer(&mut stream, &mut buffer).await?;
        report(work, outcomes, (head.status == work.scenario.status()).then(|| start.elapsed()));
        if once || head.close {
            break;
        }
    }
    let _ = stream.shutdown().await;
    Ok(())
}

async fn http2(
    work: &Arc<Work>,
    outcomes: &UnboundedSender<Outcome>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> io::Result<()> {
    let (sender, connection) = h2::client::handshake(stream).await.map_err(io::Error::other)?;
    let streams: Vec<_> = (0..STREAMS)
        .map(|_| {
            let (work, outcomes, sender) = (work.clone(), outcomes.clone(), sender.clone());
            tokio::spawn(async move {
                while !outcomes.is_closed() {
                    let start = Instant::now();
                    let status = http2_request(&work, &sender).await?;
                    report(&work, &outcomes, (status == work.scenario.status()).then(|| start.elapsed()));
                }
                Ok::<(), h2::Error>(())
            })
        })
        .collect();
    let driven = connection.await;
    for stream in streams {
        stream.abort();
    }
    driven.map_err(io::Error::other)
}

async fn http2_request(work: &Work, sender: &SendRequest<Bytes>) -> Result<u16, h2::Error> {
    let mut sender = sender.clone();
    poll_fn(|cx| sender.poll_ready(cx)).await?;
    let (answer, _) = sender.send_request(http2_head(work.scenario, &work.token), true)?;
    let (head, mut body) = answer.await?.into_parts();
    while let Some(piece) = body.data().await {
        body.flow_control().release_capacity(piece?.len())?;
    }
    Ok(head.status.as_u16())
}

/// The bytes of the scenario's request.
pub fn request_bytes(scenario: Scenario, token: &str) -> Vec<u8> {
    let upload = scenario == Scenario::Post;
    let method = if upload { "POST" } else { "GET" };
    let mut head =
        format!("{method} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: bench\r\n", scenario.path(), scenario.host());
    if upload {
        head.push_str(&format!("Content-Type: text/plain\r\nContent-Length: {UPLOAD}\r\n"));
    }
    if !token.is_empty() {
        head.push_str(&format!("Authorization: Bearer {token}\r\n"));
    }
    head.push_str("\r\n");
    let mut request = head.into_bytes();
    if upload {
        request.resize(request.len() + UPLOAD, b'x');
    }
    request
}

pub fn http2_head(scenario: Scenario, token: &str) -> Request<()> {
    let mut request = Request::builder()
        .uri(format!("https://{}{}", scenario.host(), scenario.path()))
        .version(http::Version::HTTP_2)
        .header("user-agent", "bench");
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    request.body(()).expect("a valid request")
}
