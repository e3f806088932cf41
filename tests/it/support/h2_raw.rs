//! An HTTP/2 client that sends exactly the given frames and returns all frames of the server.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::wait::DEADLINE;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const ACK: u8 = 1;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub const INITIAL_WINDOW_SIZE: u16 = 4;

/// Error codes (RFC 9113 §7).
pub const NO_ERROR: u32 = 0;
pub const PROTOCOL_ERROR: u32 = 1;
pub const STREAM_CLOSED: u32 = 5;
pub const FRAME_SIZE_ERROR: u32 = 6;
pub const REFUSED_STREAM: u32 = 7;
pub const COMPRESSION_ERROR: u32 = 9;
pub const ENHANCE_YOUR_CALM: u32 = 11;

/// A frame as it came.
#[derive(Clone, Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The code of a reset or a GOAWAY.
    pub fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().expect("four bytes"))
    }
}

/// How a stream ended for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// A status and a body. It may have been followed by a reset that stops an upload.
    Answer(u16, Vec<u8>),
    /// Begun with a status, and broken off.
    BrokenOff(u16),
    Reset(u32),
    GoAway(u32),
    /// The connection ended without a word.
    Closed,
}

/// One connection.
pub struct RawH2 {
    socket: TcpStream,
    buffer: Vec<u8>,
    statuses: Vec<u16>,
}

impl RawH2 {
    /// Sends the preface and empty SETTINGS.
    #[track_caller]
    pub fn connect(address: SocketAddr) -> RawH2 {
        RawH2::connect_with(address, &[])
    }

    /// Sends the preface and these settings.
    #[track_caller]
    pub fn connect_with(address: SocketAddr, settings: &[(u16, u32)]) -> RawH2 {
        let payload: Vec<u8> =
            settings.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
        let mut client = RawH2::silent(address);
        client.send(&[PREFACE, &frame(SETTINGS, 0, 0, &payload)].concat());
        // Agreed once each side has seen and acknowledged the other's.
        let mut seen = [false; 2];
        while seen != [true; 2] {
            let frame = client.next().expect("an HTTP/2 server");
            if frame.kind == SETTINGS {
                seen[usize::from(frame.flags & ACK)] = true;
            }
        }
        client
    }

    /// Sends nothing.
    #[track_caller]
    pub fn silent(address: SocketAddr) -> RawH2 {
        let socket = TcpStream::connect(address).expect("a connection");
        socket.set_nodelay(true).expect("a socket");
        socket.set_write_timeout(Some(DEADLINE)).expect("a socket");
        RawH2 { socket, buffer: Vec::new(), statuses: Vec::new() }
    }

    /// False once the other side takes no more.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.socket.write_all(bytes).is_ok()
    }

    /// Sends `bytes` again and again, `count` times at most, until the other side takes no more.
    pub fn flood(&mut self, count: usize, bytes: impl Fn(u32) -> Vec<u8>) {
        for n in 0..count {
            if !self.send(&bytes(n as u32)) {
                return;
            }
        }
    }

    /// The next frame; `None` at the end of the connection. Settings and pings are answered.
    #[track_caller]
    pub fn next(&mut self) -> Option<Frame> {
        self.next_within(DEADLINE).unwrap_or_else(|| panic!("no frame and no end within {DEADLINE:?}"))
    }

    /// The next frame or the end of the connection, if that comes in time.
    pub fn next_within(&mut self, time: Duration) -> Option<Option<Frame>> {
        let start = Instant::now();
        loop {
            if let Some(frame) = self.take() {
                self.acknowledge(&frame);
                return Some(Some(frame));
            }
            let left = time.checked_sub(start.elapsed()).filter(|left| !left.is_zero())?;
            self.socket.set_read_timeout(Some(left)).expect("a socket");
            let mut piece = [0; 16 << 10];
            match self.socket.read(&mut piece) {
                Ok(0) => return Some(None),
                Ok(count) => self.buffer.extend_from_slice(&piece[..count]),
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                Err(_) => return Some(None),
            }
        }
    }

    /// How `stream` ends.
    #[track_caller]
    pub fn end_of(&mut self, stream: u32) -> End {
        let (mut status, mut body) = (None, Vec::new());
        while let Some(frame) = self.next() {
            match frame.kind {
                GOAWAY if frame.code() != NO_ERROR => return End::GoAway(frame.code()),
                RST_STREAM if frame.stream == stream => {
                    return status.map_or(End::Reset(frame.code()), End::BrokenOff);
                }
                HEADERS if frame.stream == stream => {
                    status = status.or(Some(self.status(&frame.payload)));
                }
                DATA if frame.stream == stream => body.extend_from_slice(&frame.payload),
                _ => continue,
            }
            if frame.flags & END_STREAM != 0 {
                return End::Answer(status.expect("a status"), body);
            }
        }
        status.map_or(End::Closed, End::BrokenOff)
    }

    /// Reads to the end of the connection; the code of the GOAWAY that came before it.
    #[track_caller]
    pub fn goaway(&mut self) -> Option<u32> {
        let mut code = None;
        while let Some(frame) = self.next() {
            if frame.kind == GOAWAY {
                code = Some(frame.code());
            }
        }
        code
    }

    fn take(&mut self) -> Option<Frame> {
        let &[l0, l1, l2, kind, flags, s0, s1, s2, s3] = self.buffer.first_chunk::<9>()?;
        let length = u32::from_be_bytes([0, l0, l1, l2]) as usize;
        let payload = self.buffer.get(9..9 + length)?.to_vec();
        self.buffer.drain(..9 + length);
        Some(Frame { kind, flags, stream: u32::from_be_bytes([s0, s1, s2, s3]), payload })
    }

    fn acknowledge(&mut self, frame: &Frame) {
        if frame.flags & ACK == 0 && matches!(frame.kind, SETTINGS | PING) {
            let payload = if frame.kind == PING { &frame.payload[..] } else { &[] };
            self.send(&self::frame(frame.kind, ACK, 0, payload));
        }
    }

    /// The status that a response's header block begins with (RFC 7541).
    fn status(&mut self, block: &[u8]) -> u16 {
        const STATIC: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
        let rest = match block {
            // Table size updates.
            [0x20..=0x3e, rest @ ..] => return self.status(rest),
            [indexed @ 0x88..=0x8e, ..] => return STATIC[usize::from(indexed - 0x88)],
            [0x80..=0xff, ..] => {
                assert_eq!(self.statuses.len(), 1, "which status of the dynamic table is meant is not known");
                return self.statuses[0];
            }
            [_, rest @ ..] => rest,
            [] => panic!("an empty header block"),
        };
        let (huffman, length) = (rest[0] & 0x80 != 0, usize::from(rest[0] & 0x7f));
        let text = &rest[1..=length];
        let status = if huffman { digits(text) } else { String::from_utf8_lossy(text).parse().expect("a status") };
        if !self.statuses.contains(&status) {
            self.statuses.push(status);
        }
        status
    }
}

/// Three digits in the code of RFC 7541 appendix B: 0 to 2 are five bits, 3 to 9 are six.
fn digits(octets: &[u8]) -> u16 {
    let mut bits = octets.iter().flat_map(|octet| (0..8).rev().map(move |bit| u16::from(octet >> bit & 1)));
    let mut number = |count| bits.by_ref().take(count).fold(0, |number, bit| number << 1 | bit);
    (0..3).fold(0, |status, _| {
        let digit = number(5);
        status * 10 + if digit < 3 { digit } else { (digit << 1 | number(1)) - 0x16 }
    })
}

/// A frame on the wire.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A HEADERS frame that ends its header block.
pub fn headers(stream: u32, flags: u8, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | flags, stream, &block(fields))
}

/// A GET request.
pub fn get(stream: u32, path: &str) -> Vec<u8> {
    headers(stream, END_STREAM, &request("GET", path))
}

/// The head of a POST request whose body is to follow.
pub fn post(stream: u32, path: &str) -> Vec<u8> {
    headers(stream, 0, &request("POST", path))
}

pub fn data(stream: u32, flags: u8, body: &[u8]) -> Vec<u8> {
    frame(DATA, flags, stream, body)
}

pub fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.to_be_bytes())
}

pub fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
}

pub fn request<'a>(method: &'a str, path: &'a str) -> [(&'static str, &'a str); 4] {
    [(":method", method), (":scheme", "http"), (":authority", "gateway.test"), (":path", path)]
}

/// A header block of literals without indexing (RFC 7541 §6.2.2).
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        string(name.as_bytes(), &mut block);
        string(value.as_bytes(), &mut block);
    }
    block
}

/// A string literal, not compressed (RFC 7541 §5.2).
pub fn string(text: &[u8], block: &mut Vec<u8>) {
    let mut rest = text.len();
    if rest < 0x7f {
        block.push(rest as u8);
    } else {
        block.push(0x7f);
        rest -= 0x7f;
        while rest >= 0x80 {
            block.push(rest as u8 & 0x7f | 0x80);
            rest >>= 7;
        }
        block.push(rest as u8);
    }
    block.extend_from_slice(text);
}
