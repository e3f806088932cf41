//! Clients that do not read, or leave in the middle.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::super::client;
use super::super::wait::DEADLINE;
use super::ordinary::{echo, open_tunnel};
use super::origin::UPLOAD;
use super::{Target, Turn, wrong};

/// Reads a long answer slowly, and leaves in the middle.
pub(super) fn slow_reader(target: &Target, turn: &mut Turn) -> io::Result<()> {
    turn.leave("/big", |path| {
        let mut stream = begin(target.plain, "GET", path, "")?;
        let mut piece = [0; 16 << 10];
        for _ in 0..50 {
            stream.read_exact(&mut piece)?;
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    })
}

/// Asks for a long answer and reads nothing, until `bounds.write_idle` cuts it off.
pub(super) fn never_reads(target: &Target, turn: &mut Turn) -> io::Result<()> {
    turn.leave("/big", |path| {
        let stream = begin(target.plain, "GET", path, "")?;
        let began = Instant::now();
        // A reset is the one end that shows while what came before it is unread.
        while stream.take_error()?.is_none() {
            if began.elapsed() > DEADLINE {
                return Err(wrong("a client that does not read was not cut off"));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    })
}

/// Leaves before its answer begins, in the middle of it, or in the middle of its upload.
pub(super) fn leaves(target: &Target, turn: &mut Turn) -> io::Result<()> {
    match turn.rng.u8(..3) {
        0 => {
            let patience = Duration::from_millis(turn.rng.u64(0..150));
            turn.leave("/late", |path| {
                let _stream = begin(target.plain, "GET", path, "")?;
                thread::sleep(patience);
                Ok(())
            })?;
        }
        1 => turn.leave("/big", |path| begin(target.plain, "GET", path, "")?.read_exact(&mut [0; 64 << 10]))?,
        _ => turn.leave("/upload", |path| {
            let length = format!("Content-Length: {UPLOAD}\r\n");
            begin(target.plain, "POST", path, &length)?.write_all(&[0; UPLOAD / 2])
        })?,
    }
    turn.rest();
    Ok(())
}

/// Leaves a tunnel without a word.
pub(super) fn leaves_tunnel(target: &Target, turn: &mut Turn) -> io::Result<()> {
    let mut stream = turn.ask("/ws", |path| Ok((101, open_tunnel(target, path)?)))?;
    echo(&mut stream, *b"ping")?;
    thread::sleep(Duration::from_millis(turn.rng.u64(0..200)));
    turn.rest();
    Ok(())
}

/// Connects and leaves without a request, or with a part of one.
pub(super) fn no_request(target: &Target, turn: &mut Turn) -> io::Result<()> {
    match turn.rng.u8(..4) {
        0 => drop(client::open(target.plain)?),
        1 => drop(client::open(target.tls)?),
        // The beginning of a handshake (RFC 8446 §5.1).
        2 => client::open(target.tls)?.write_all(&[0x16, 3, 1, 2, 0, 1])?,
        _ => {
            let request = turn.begin("/small");
            client::open(target.plain)?.write_all(format!("GET {} HTTP/1.1\r\nHo", request.target).as_bytes())?;
        }
    }
    thread::sleep(turn.pause.max(Duration::from_millis(20)));
    Ok(())
}

/// A connection on which a request is sent, and whose kernel takes only a little that is not read.
fn begin(address: SocketAddr, method: &str, path: &str, fields: &str) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_recv_buffer_size(16 << 10)?;
    socket.connect_timeout(&address.into(), DEADLINE)?;
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_write_timeout(Some(DEADLINE))?;
    stream.write_all(format!("{method} {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n").as_bytes())?;
    Ok(stream)
}
