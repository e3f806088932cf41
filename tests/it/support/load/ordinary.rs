//! Clients over HTTP/1 whose requests all succeed.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use super::super::client::{self, Client, Tls};
use super::origin::{BIG, UPLOAD, pattern};
use super::{Target, Turn, wrong};

/// One GET that must be answered 200 with `body`. Whether the connection may be used again.
pub(super) fn get(client: &mut Client, target: &str, body: &str) -> io::Result<bool> {
    client.send_request("GET", target, &[], b"")?;
    let answer = client.try_read_response(false)?;
    if answer.status != 200 || (!body.is_empty() && answer.text() != body) {
        return Err(wrong(format!("{target} was answered {}: {}", answer.status, answer.text())));
    }
    Ok(answer.leaves_open())
}

pub(super) fn keep_alive(target: &Target, turn: &mut Turn) -> io::Result<()> {
    let mut client = Client::try_connect(target.plain)?;
    while turn.goes_on() && turn.count("/small", |path| get(&mut client, path, "small"))? {
        turn.rest();
    }
    Ok(())
}

/// Waits a little between two requests, so that a gateway that closes idle connections does so at any point of the cycle.
pub(super) fn idle_keep_alive(target: &Target, turn: &mut Turn) -> io::Result<()> {
    let mut client = Client::try_connect(target.plain)?;
    while turn.goes_on() {
        thread::sleep(Duration::from_millis(turn.rng.u64(0..40)));
        // An end that came while nothing was on its way is none of our business.
        if client.has_input() || !turn.count("/small", |path| get(&mut client, path, "small"))? {
            break;
        }
    }
    Ok(())
}

pub(super) fn new_connections(target: &Target, turn: &mut Turn) -> io::Result<()> {
    turn.count("/small", |path| get(&mut Client::try_connect(target.plain)?, path, "small").map(drop))?;
    // The port range is not endless, and what is under test is not how fast it goes round.
    thread::sleep(Duration::from_millis(2));
    turn.rest();
    Ok(())
}

pub(super) fn tls(target: &Target, turn: &mut Turn) -> io::Result<()> {
    let (mut client, _) = Client::tls(target.tls, &Tls::new(&target.name, &target.root))?;
    for _ in 0..20 {
        if !turn.goes_on() || !turn.count("/small", |path| get(&mut client, path, "small"))? {
            break;
        }
        turn.rest();
    }
    Ok(())
}

/// Answered by either of two endpoints, one of which may be dead.
pub(super) fn pair(target: &Target, turn: &mut Turn) -> io::Result<()> {
    let mut client = Client::try_connect(target.plain)?;
    while turn.goes_on() && turn.count("/pair", |path| get(&mut client, path, ""))? {
        thread::sleep(Duration::from_millis(1));
        turn.rest();
    }
    Ok(())
}

pub(super) fn websocket(target: &Target, turn: &mut Turn) -> io::Result<()> {
    let mut stream = turn.ask("/ws", |path| Ok((101, open_tunnel(target, path)?)))?;
    while turn.goes_on() {
        let (began, said) = (Instant::now(), turn.rng.u32(..).to_be_bytes());
        echo(&mut stream, said)?;
        turn.report.latencies.push((began, began.elapsed()));
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// A tunnel that the origin has accepted.
pub(super) fn open_tunnel(target: &Target, path: &str) -> io::Result<TcpStream> {
    let mut stream = client::open(target.plain)?;
    let ask = format!("GET {path} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n");
    stream.write_all(ask.as_bytes())?;
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    if head.starts_with(b"HTTP/1.1 101") {
        return Ok(stream);
    }
    Err(wrong(format!("no tunnel: {}", String::from_utf8_lossy(&head))))
}

pub(super) fn echo(stream: &mut TcpStream, said: [u8; 4]) -> io::Result<()> {
    let mut heard = [0; 4];
    let exchange = stream.write_all(&said).and_then(|()| stream.read_exact(&mut heard));
    exchange.map_err(|error| wrong(format!("in the tunnel: {error}")))?;
    if heard == said { Ok(()) } else { Err(wrong("another echo in the tunnel")) }
}

/// Takes about a second, so that changes happen during it.
pub(super) fn download(target: &Target, turn: &mut Turn) -> io::Result<()> {
    let mut stream = client::open(target.plain)?;
    turn.count("/big", |path| {
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").as_bytes())?;
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
pub(super) fn upload(target: &Target, turn: &mut Turn) -> io::Result<()> {
    let mut client = Client::try_connect(target.plain)?;
    turn.count("/upload", |path| {
        client.try_send(format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {UPLOAD}\r\n\r\n"))?;
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
