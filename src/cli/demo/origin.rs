//! A small origin that sends unwanted headers, and answers with what it received.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use clap::Args;

use crate::cli::output::{ExitStatus, Printer};

#[derive(Debug, Args)]
pub struct OriginArgs {
    /// Its name in its answers.
    name: String,
    address: SocketAddr,
}

/// Serves until standard input closes.
pub fn serve(args: OriginArgs, printer: &mut Printer) -> ExitStatus {
    let socket = match TcpListener::bind(args.address) {
        Ok(socket) => socket,
        Err(error) => {
            printer.message(format_args!("origin {} cannot bind {}: {error}", args.name, args.address));
            return ExitStatus::Unavailable;
        }
    };
    thread::spawn(move || {
        for stream in socket.incoming().flatten() {
            let name = args.name.clone();
            // The error of a connection ends its thread.
            thread::spawn(move || answer_all(stream, &name));
        }
    });
    let _ = io::stdin().read_to_end(&mut Vec::new());
    ExitStatus::Success
}

fn answer_all(stream: TcpStream, name: &str) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    while let Some(request) = OriginRequest::read(&mut reader)? {
        let body = format!("origin {name} saw: {}\n{}", request.line, request.told);
        write!(
            writer,
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
             X-Frame-Options: ALLOWALL\r\nServer: demo-origin/1.0\r\nX-Powered-By: hope\r\n\r\n{body}",
            body.len(),
        )?;
        writer.flush()?;
    }
    Ok(())
}

struct OriginRequest {
    line: String,
    /// The headers that the gateway adds, a line each.
    told: String,
}

impl OriginRequest {
    fn read(reader: &mut impl BufRead) -> io::Result<Option<OriginRequest>> {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut request = OriginRequest { line: line.trim_end().to_owned(), told: String::new() };
        let mut length = 0;
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header)? == 0 || header.trim_end().is_empty() {
                break;
            }
            let Some((name, value)) = header.split_once(':') else { continue };
            let name = name.to_ascii_lowercase();
            if name == "content-length" {
                length = value.trim().parse().unwrap_or(0);
            }
            if name.starts_with("x-") || name == "host" || name == "authorization" {
                request.told.push_str(&format!("  {name}: {}\n", value.trim()));
            }
        }
        io::copy(&mut reader.take(length), &mut io::sink())?;
        Ok(Some(request))
    }
}
