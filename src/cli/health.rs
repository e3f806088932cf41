//! `portcullis health`: asks a running gateway how it is, for whatever starts programs instead of speaking HTTP: a
//! container's health check (an image without a shell has no curl either), keepalived, a script.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::Value;

use super::output::{Printer, Status};
use crate::config::raw::units::Span;

/// The answer is a few lines; what sends more is not the gateway.
const MAX_ANSWER_BYTES: u64 = 64 << 10;
const MAX_HEADERS: usize = 32;

#[derive(Debug, Args)]
pub struct HealthArgs {
    /// Where the admin listener is (`admin.address`).
    #[arg(long, value_name = "ADDRESS", default_value_t = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9900))]
    pub admin: SocketAddr,
    /// Ask only whether the process answers (`/livez`), instead of whether it should get traffic (`/readyz`).
    #[arg(long)]
    pub live: bool,
    /// How long connecting and the answer may take together.
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = Span::parse)]
    pub timeout: Span,
}

/// Ends with 0 where the gateway is well, with 1 where it says that it is not, with 69 where no gateway says anything.
pub fn health(args: &HealthArgs, printer: &mut Printer) -> Status {
    let path = if args.live { "/livez" } else { "/readyz" };
    let state = ask(args.admin, path, args.timeout.0).and_then(|answer| {
        let state = if args.live { answer.alive() } else { answer.ready() };
        state.ok_or_else(|| io::Error::other("what answers there is no admin listener of Portcullis"))
    });
    match state {
        Ok(State::Well) => {
            printer.data(if args.live { "alive\n" } else { "ready\n" });
            Status::Success
        }
        Ok(State::NotReady(reasons)) => {
            let reasons = if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join(", ")) };
            printer.words(format_args!("{}{path}: not ready{reasons}", args.admin));
            Status::Failure
        }
        Err(error) => {
            printer.words(format_args!("{}{path}: {error}", args.admin));
            Status::Unavailable
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Well,
    /// With the reasons, where whoever asks may know them.
    NotReady(Vec<String>),
}

#[derive(Debug)]
struct Answer {
    status: u16,
    body: Vec<u8>,
}

/// Asks for `path`. The admin listener answers one request a connection, and then closes it.
fn ask(admin: SocketAddr, path: &str, timeout: Duration) -> io::Result<Answer> {
    // The longest that the clock can tell is as good as for ever.
    let deadline = Instant::now().checked_add(timeout);
    let stream = TcpStream::connect_timeout(&admin, timeout)?;
    let mut stream = Timed { stream, deadline };
    let request = format!("GET {path} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer)?;
    Answer::parse(answer).ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "the answer is not HTTP"))
}

impl Answer {
    fn parse(mut bytes: Vec<u8>) -> Option<Answer> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut head = httparse::Response::new(&mut fields);
        let httparse::Status::Complete(length) = head.parse(&bytes).ok()? else { return None };
        let status = head.code?;
        bytes.drain(..length);
        Some(Answer { status, body: bytes })
    }

    /// The state that `/livez` tells. A public listener may answer any path with 200, so the body must be right too.
    fn alive(&self) -> Option<State> {
        (self.status == 200 && self.body == b"ok\n").then_some(State::Well)
    }

    /// The state that `/readyz` tells.
    fn ready(&self) -> Option<State> {
        let body: Value = serde_json::from_slice(&self.body).ok()?;
        match (self.status, body["ready"].as_bool()?) {
            (200, true) => Some(State::Well),
            (503, false) => {
                let reasons = body["reasons"].as_array().into_iter().flatten();
                Some(State::NotReady(reasons.filter_map(Value::as_str).map(str::to_owned).collect()))
            }
            _ => None,
        }
    }
}

/// A connection whose exchange ends at a deadline, however slowly the other side speaks.
struct Timed {
    stream: TcpStream,
    deadline: Option<Instant>,
}

impl Timed {
    fn left(&self) -> io::Result<Option<Duration>> {
        let Some(deadline) = self.deadline else { return Ok(None) };
        match deadline.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(io::Error::new(ErrorKind::TimedOut, "no answer in time")),
            left => Ok(Some(left)),
        }
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(buffer).map_err(in_time)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(bytes).map_err(in_time)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// The time limit of a socket ends a call with "resource temporarily unavailable", which says nothing to a person.
fn in_time(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::WouldBlock => io::Error::new(ErrorKind::TimedOut, "no answer in time"),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> Option<Answer> {
        Answer::parse(text.as_bytes().to_vec())
    }

    #[test]
    fn an_answer_tells_why_it_is_not_ready() {
        let ready = |text: &str| answer(text).expect("HTTP").ready();
        let head = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n\r\n";
        let reasons = ready(&format!("{head}{{\"ready\":false,\"reasons\":[\"draining\",\"starting\"]}}\n"));
        assert_eq!(reasons, Some(State::NotReady(vec!["draining".to_owned(), "starting".to_owned()])));
        assert_eq!(ready(&format!("{head}{{\"ready\":false}}\n")), Some(State::NotReady(Vec::new())));
        assert_eq!(ready("HTTP/1.1 200 OK\r\n\r\n{\"ready\":true,\"reasons\":[]}\n"), Some(State::Well));
    }

    #[test]
    fn the_answers_of_others_tell_nothing() {
        for text in ["", "HTTP/1.1 200 OK\r\n", "220 mail.example ESMTP\r\n"] {
            assert!(answer(text).is_none(), "{text:?}");
        }
        for text in ["HTTP/1.1 200 OK\r\n\r\n<html>", "HTTP/1.1 200 OK\r\n\r\n{}", "HTTP/1.1 404 Not Found\r\n\r\n"] {
            let answer = answer(text).expect("HTTP");
            assert_eq!((answer.alive(), answer.ready()), (None, None), "{text:?}");
        }
    }
}
