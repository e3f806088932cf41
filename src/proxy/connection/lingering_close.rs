//! A close that lets the client read the answer.
//!
//! Closing a socket with unread bytes makes the kernel reset the connection, and the reset may overtake the answer: a client
//! whose upload is refused would see a broken connection instead of the refusal (RFC 9112 §9.6). So the end is announced
//! first, and what still comes is read and discarded, for a while.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use pingora::protocols::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::socket::unsent;
use super::timer::Timer;

/// The end of one connection.
pub(super) struct LingeringClose {
    linger: Duration,
    until: Option<Instant>,
    shut_down: bool,
    discarded: u64,
    max_bytes: u64,
    /// Bytes that the client had made no room for when its end was announced.
    unsent: u32,
    timer: Timer,
}

/// How a lingering close ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LingerEnd {
    /// The client has ended its side, or has said too much, or the time is over. What it has not taken yet, the kernel goes on
    /// sending.
    InOrder,
    /// The time is over, and the client has made room for nothing all the while.
    Stuck,
}

/// How long for a client whose connection is retired, and which may be about to send a request: as long as a request and the
/// end of the connection can cross.
pub(super) const MAX_LINGER_RETIRED: Duration = Duration::from_secs(1);

impl LingeringClose {
    /// One that waits for the client for `linger` at most, and reads about `max_bytes`.
    pub fn new(linger: Duration, max_bytes: u64) -> Self {
        let (until, timer) = Default::default();
        LingeringClose { linger, until, shut_down: false, discarded: 0, max_bytes, unsent: 0, timer }
    }

    /// Ready when `stream` may be dropped.
    pub fn poll(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<LingerEnd> {
        let until = *self.until.get_or_insert_with(|| Instant::now() + self.linger);
        if !self.shut_down {
            match Pin::new(&mut *stream).poll_shutdown(cx) {
                Poll::Ready(Ok(())) => {
                    self.shut_down = true;
                    self.unsent = unsent(stream.id());
                }
                Poll::Ready(Err(_)) => return Poll::Ready(LingerEnd::InOrder),
                Poll::Pending => return self.timer.poll(until, cx).map(|()| LingerEnd::Stuck),
            }
        }
        let mut discard = [0; 4096];
        while self.discarded < self.max_bytes {
            let mut buf = ReadBuf::new(&mut discard);
            match Pin::new(&mut *stream).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => self.discarded += buf.filled().len() as u64,
                Poll::Ready(_) => break,
                Poll::Pending => {
                    ready!(self.timer.poll(until, cx));
                    let stuck = self.unsent > 0 && unsent(stream.id()) >= self.unsent;
                    return Poll::Ready(if stuck { LingerEnd::Stuck } else { LingerEnd::InOrder });
                }
            }
        }
        Poll::Ready(LingerEnd::InOrder)
    }
}
