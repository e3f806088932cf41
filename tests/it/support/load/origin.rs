//! The origin that the clients' requests lead to.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::super::raw_origin::{RawOrigin, Wire};

/// Size of what `/big` answers with.
pub(super) const BIG: usize = 8 << 20;
/// Size of what is uploaded.
pub(super) const UPLOAD: usize = 256 << 10;

/// An origin for [`super::Target`].
pub fn origin() -> RawOrigin {
    let big: Arc<[u8]> = (0..BIG).map(pattern).collect();
    RawOrigin::start(move |wire| {
        while let Some(head) = wire.head() {
            let target = head.split(' ').nth(1).unwrap_or_default();
            let answered = match target.split('?').next().unwrap_or_default() {
                "/big" => answer(wire, &big),
                "/upload" => wire.take(UPLOAD).is_some_and(|body| {
                    let whole = body.iter().enumerate().all(|(at, byte)| *byte == pattern(at));
                    answer(wire, if whole { b"whole" } else { b"other" })
                }),
                "/ws" => return tunnel(wire),
                "/late" => {
                    thread::sleep(Duration::from_millis(200));
                    answer(wire, b"late")
                }
                "/fail" => wire.send("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"),
                "/cut" => return,
                "/half" => {
                    wire.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it");
                    return;
                }
                "/garbage" => {
                    wire.send("220 mail.test ESMTP\r\n\r\n");
                    return;
                }
                "/never" => return wire.drain(),
                _ => answer(wire, b"small"),
            };
            if !answered {
                return;
            }
        }
    })
}

/// The byte at `at` of what is sent and uploaded.
pub(super) fn pattern(at: usize) -> u8 {
    (at % 251) as u8
}

fn answer(wire: &mut Wire, body: &[u8]) -> bool {
    wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len())) && wire.send(body)
}

fn tunnel(wire: &mut Wire) {
    wire.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n");
    while let Some(piece) = wire.take(4) {
        wire.send(piece);
    }
}
