//! A run: start everything, check each proxy's answers, let them take turns, measure.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::TcpListener;
use std::process::{ChildStdout, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::AsyncWriteExt;

use crate::load::{http2_head, request_bytes};
use crate::peers::{Proxy, Site, log};
use crate::process::{OTHERS_CPU, Owned, can_pin, pinned};
use crate::report::{Measured, print};
use crate::scenario::{Scenario, Transport};
use crate::{Plan, tokens, wire};

pub fn run(plan: &Plan) -> io::Result<()> {
    let dir = tempfile::tempdir()?;
    let token = tokens::write_jwt(dir.path())?;
    tokens::write_certificate(dir.path())?;
    if !can_pin() {
        eprintln!("warning: this machine can't keep the proxy and the load on CPUs of their own; ratios will be rough");
    }
    let wanted = |proxy: &Proxy| plan.only.is_empty() || plan.only.iter().any(|name| name == proxy.name());
    let (proxies, missing): (Vec<_>, Vec<_>) = Proxy::ALL.into_iter().filter(wanted).partition(|p| p.is_installed());
    for proxy in missing.into_iter().filter(|proxy| *proxy != Proxy::Baseline) {
        eprintln!("note: {} is not installed", proxy.name());
    }
    let (_origin, origin) = start_origin()?;
    for &scenario in &plan.scenarios {
        let token = if scenario == Scenario::Jwt { token.as_str() } else { "" };
        let mut running = Vec::new();
        for &proxy in &proxies {
            let address = free_address()?;
            let site = Site { dir: dir.path(), address: &address, origin: &origin };
            let started = Instant::now();
            let Some(mut process) = proxy.start(scenario, &site)? else { continue };
            check(scenario, &site, token, &mut process, started)
                .map_err(|error| refusal(proxy, scenario, &site, &error))?;
            running.push(Turn { proxy, process, address, measured: Vec::new() });
        }
        let root = dir.path().join("edge.pem").display().to_string();
        for _ in 0..plan.rounds {
            for turn in &mut running {
                let measured = turn.take(plan, scenario, &root, token)?;
                turn.measured.push(measured);
            }
        }
        print(scenario, running.iter().map(|turn| (turn.proxy.name(), turn.measured.as_slice())));
    }
    Ok(())
}

fn refusal(proxy: Proxy, scenario: Scenario, site: &Site<'_>, error: &io::Error) -> io::Error {
    let words = fs::read_to_string(log(proxy, site)).unwrap_or_default();
    io::Error::other(format!("{} is not fit for {}: {error}\n{words}", proxy.name(), scenario.name()))
}

/// One proxy among those that take turns.
struct Turn {
    proxy: Proxy,
    process: Owned,
    address: String,
    measured: Vec<Measured>,
}

impl Turn {
    fn take(&mut self, plan: &Plan, scenario: Scenario, root: &str, token: &str) -> io::Result<Measured> {
        let mut command = itself("load")?;
        let (connections, seconds) = (plan.connections.to_string(), plan.turn.as_secs_f64().to_string());
        command.args([scenario.name(), &self.address, root, &connections, &seconds, token]);
        let mut load = Owned(command.stdout(Stdio::piped()).spawn()?);
        let mut lines = lines(&mut load)?;
        next(&mut lines)?;
        let before = self.process.cpu();
        let result: serde_json::Value = serde_json::from_str(&next(&mut lines)?)?;
        let cpu = self.process.cpu() - before;
        let number = |name: &str| result[name].as_f64().unwrap_or(0.0);
        Ok(Measured {
            cpu_micros: cpu.as_secs_f64() * 1e6 / number("requests").max(1.0),
            per_second: number("requests") / number("seconds"),
            p50_micros: number("p50"),
            p99_micros: number("p99"),
            memory: self.process.memory(),
            errors: number("errors") as u64,
        })
    }
}

fn start_origin() -> io::Result<(Owned, String)> {
    let mut origin = Owned(itself("origin")?.stdout(Stdio::piped()).spawn()?);
    let address = next(&mut lines(&mut origin)?)?;
    Ok((origin, address))
}

/// This program in another role.
fn itself(role: &str) -> io::Result<std::process::Command> {
    let program = std::env::current_exe()?;
    let mut command = pinned(OTHERS_CPU, &program.display().to_string());
    command.arg(role).stdin(Stdio::null());
    Ok(command)
}

type Lines = io::Lines<BufReader<ChildStdout>>;

fn lines(process: &mut Owned) -> io::Result<Lines> {
    let stdout = process.0.stdout.take().ok_or_else(|| io::Error::other("the process has no standard output"))?;
    Ok(BufReader::new(stdout).lines())
}

fn next(lines: &mut Lines) -> io::Result<String> {
    lines.next().ok_or_else(|| io::Error::other("the process ended early"))?
}

fn free_address() -> io::Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

/// Waits until the proxy answers, and makes sure that it does the scenario's work.
fn check(scenario: Scenario, site: &Site<'_>, token: &str, process: &mut Owned, started: Instant) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        loop {
            match wire::connect(site.address).await {
                Ok(_) => break,
                Err(error) if started.elapsed() > Duration::from_secs(30) => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
            if let Some(status) = process.0.try_wait()? {
                return Err(io::Error::other(format!("it ended with {status}")));
            }
        }
        if scenario == Scenario::TooMany {
            // Takes the one request that the limit lets through.
            once(scenario, site, token).await?;
        }
        let answer = once(scenario, site, token).await?;
        let framing: Vec<_> = answer.framing.iter().map(String::as_str).collect();
        if answer.status != scenario.status() || framing != ["DENY"] {
            return Err(io::Error::other(format!("it answers {answer:?}")));
        }
        if scenario.body().is_some_and(|size| size != answer.body) {
            return Err(io::Error::other(format!("its answer has {} bytes", answer.body)));
        }
        Ok(())
    })
}

#[derive(Debug)]
struct Answer {
    status: u16,
    /// Every `X-Frame-Options`.
    framing: Vec<String>,
    body: usize,
}

async fn once(scenario: Scenario, site: &Site<'_>, token: &str) -> io::Result<Answer> {
    let root = site.dir.join("edge.pem").display().to_string();
    match scenario.transport() {
        Transport::Plain => http1(scenario, wire::connect(site.address).await?, token).await,
        Transport::Http2 => http2(scenario, site, &root, token).await.map_err(io::Error::other),
        Transport::Tls | Transport::Handshakes => {
            let connector = wire::connector(&root, &["http/1.1"]);
            http1(scenario, wire::connect_tls(site.address, &connector).await?, token).await
        }
    }
}

async fn http1(
    scenario: Scenario,
    mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    token: &str,
) -> io::Result<Answer> {
    stream.write_all(&request_bytes(scenario, token)).await?;
    let mut buffer = Vec::new();
    let head = wire::read_answer(&mut stream, &mut buffer).await?;
    let framing = wire::fields(&buffer[..head.end])
        .filter(|(name, _)| name.eq_ignore_ascii_case(b"x-frame-options"))
        .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
        .collect();
    Ok(Answer { status: head.status, framing, body: head.length })
}

async fn http2(
    scenario: Scenario,
    site: &Site<'_>,
    root: &str,
    token: &str,
) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    let stream = wire::connect_tls(site.address, &wire::connector(root, &["h2"])).await?;
    let (sender, connection) = h2::client::handshake(stream).await?;
    tokio::spawn(connection);
    let mut sender: h2::client::SendRequest<Bytes> = sender.ready().await?;
    let (answer, _) = sender.send_request(http2_head(scenario, token), true)?;
    let (head, mut stream) = answer.await?.into_parts();
    let mut body = 0;
    while let Some(piece) = stream.data().await {
        let size = piece?.len();
        stream.flow_control().release_capacity(size)?;
        body += size;
    }
    let framing = head.headers.get_all("x-frame-options").iter();
    let framing = framing.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect();
    Ok(Answer { status: head.status.as_u16(), framing, body })
}
