//! The gateway under attack, with an origin that answers at once.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::process::{Owned, PROXY_CPU, pinned};

/// A running gateway with its default bounds, HTTP/1.1 and HTTP/2 without TLS. It ends with this value.
pub struct Gateway {
    pub address: String,
    pub process: Owned,
    _dir: TempDir,
}

/// Starts the gateway, or the one that `PORTCULLIS_BIN` names.
pub fn start() -> io::Result<Gateway> {
    let origin = start_origin()?;
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("portcullis.yaml");
    let text = format!(
        "version: 1\n\
         listeners: [{{ name: main, address: \"{address}\", http2: true }}]\n\
         process: {{ threads: 1 }}\n\
         access_log: {{ output: off }}\n\
         upstreams: {{ origin: {{ endpoints: [\"{origin}\"] }} }}\n\
         routes: [{{ name: all, access: public, upstream: origin }}]\n"
    );
    fs::write(&file, text)?;
    let program = std::env::var("PORTCULLIS_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_portcullis").to_owned());
    let mut command = pinned(PROXY_CPU, &program);
    command.arg("run").arg(&file);
    let log = dir.path().join("log");
    let mut process = Owned::start(command, &log)?;
    let start = Instant::now();
    while std::net::TcpStream::connect(&address).is_err() {
        if let Some(status) = process.0.try_wait()? {
            return Err(io::Error::other(format!("the gateway ended with {status}: {}", fs::read_to_string(&log)?)));
        }
        if start.elapsed() > Duration::from_secs(10) {
            return Err(io::Error::other("the gateway never listened"));
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(Gateway { address, process, _dir: dir })
}

static PIECE: [u8; 64 << 10] = [b'x'; 64 << 10];

/// Answers `/large` with 8 MiB and everything else with 1 KiB, in a thread that ends with the program.
fn start_origin() -> io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?.to_string();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::spawn(move || {
        runtime.block_on(async {
            let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let _ = stream.set_nodelay(true);
                    let _ = answer(stream).await;
                });
            }
        });
    });
    Ok(address)
}

async fn answer(mut stream: tokio::net::TcpStream) -> io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        while !buffer.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
        let size = if buffer.starts_with(b"GET /large") { 8 << 20 } else { 1 << 10 };
        buffer.clear();
        stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n").as_bytes()).await?;
        let piece = &PIECE[..size.min(PIECE.len())];
        for _ in 0..size / piece.len() {
            stream.write_all(piece).await?;
        }
    }
}
