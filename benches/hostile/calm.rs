//! The ordinary client: requests at a constant rate, and the latency of each.

use std::io;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::gateway::Gateway;
use crate::process::Owned;

/// Connections, each with a request every [`PACE`].
const CONNECTIONS: usize = 8;
const PACE: Duration = Duration::from_millis(10);
/// Beyond this, a request counts as failed.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the client saw.
pub struct Seen {
    pub p50: Duration,
    pub p99: Duration,
    pub failed: usize,
}

/// Asks for `time`, and calls `watch` twice a second meanwhile.
pub fn measure(gateway: &Gateway, time: Duration, mut watch: impl FnMut(&Owned)) -> io::Result<Seen> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let end = Instant::now() + time;
        let clients: Vec<_> = (0..CONNECTIONS).map(|_| tokio::spawn(ask_until(gateway.address.clone(), end))).collect();
        while Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(500)).await;
            watch(&gateway.process);
        }
        let (mut times, mut failed) = (Vec::new(), 0);
        for client in clients {
            let (its_times, its_failed) = client.await.map_err(io::Error::other)?;
            times.extend(its_times);
            failed += its_failed;
        }
        times.sort_unstable();
        let at = |share: f64| times.get((times.len() as f64 * share) as usize).copied().unwrap_or(PATIENCE);
        Ok(Seen { p50: at(0.50), p99: at(0.99), failed })
    })
}

async fn ask_until(address: String, end: Instant) -> (Vec<Duration>, usize) {
    let (mut times, mut failed) = (Vec::new(), 0);
    let mut ticks = interval(PACE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut connection = None;
    while Instant::now() < end {
        ticks.tick().await;
        let start = Instant::now();
        match timeout(PATIENCE, ask(&mut connection, &address)).await {
            Ok(Ok(())) => times.push(start.elapsed()),
            Ok(Err(_)) | Err(_) => {
                failed += 1;
                connection = None;
            }
        }
    }
    (times, failed)
}

async fn ask(connection: &mut Option<TcpStream>, address: &str) -> io::Result<()> {
    if connection.is_none() {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        *connection = Some(stream);
    }
    let Some(stream) = connection else { return Ok(()) };
    stream.write_all(b"GET /calm HTTP/1.1\r\nHost: calm.test\r\n\r\n").await?;
    let mut answer = Vec::with_capacity(4096);
    loop {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(head) = answer.windows(4).position(|window| window == b"\r\n\r\n")
            && answer.len() >= head + 4 + 1024
        {
            let ok = answer.starts_with(b"HTTP/1.1 200");
            return if ok { Ok(()) } else { Err(io::Error::other("not a 200")) };
        }
    }
}
