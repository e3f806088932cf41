//! A close that lets the client read the answer.
//!
//! Closing a socket with unread bytes makes the kernel reset the connection, and the reset may overtake the answer: a client
//! whose upload is refused would see a broken connection instead of the refusal (RFC 9112 §9.6). So the end is announced
//! first, and what still comes is read and forgotten, for a while.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use pingora::protocols::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::timer::Timer;

/// The end of one connection.
pub(super) struct Farewell {
    linger: Duration,
    until: Option<Instant>,
    announced: bool,
    forgotten: u64,
    most: u64,
    timer: Timer,
}

/// How long for a client that is told to go on elsewhere, and which may be about to ask something: as long as a request and the
/// end of the connection can cross.
pub(super) const PARTING: Duration = Duration::from_secs(1);

impl Farewell {
    /// One that waits for the client for `linger` at most, and reads about `most` bytes.
    pub fn new(linger: Duration, most: u64) -> Self {
        Farewell { linger, until: None, announced: false, forgotten: 0, most, timer: Timer::default() }
    }

    /// Ready when `stream` may be dropped.
    pub fn poll(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<()> {
        let until = *self.until.get_or_insert_with(|| Instant::now() + self.linger);
        if !self.announced {
            match Pin::new(&mut *stream).poll_shutdown(cx) {
                Poll::Ready(Ok(())) => self.announced = true,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => return self.timer.poll(until, cx),
            }
        }
        let mut waste = [0; 4096];
        while self.forgotten < self.most {
            let mut buf = ReadBuf::new(&mut waste);
            match Pin::new(&mut *stream).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => self.forgotten += buf.filled().len() as u64,
                Poll::Ready(_) => break,
                Poll::Pending => return self.timer.poll(until, cx),
            }
        }
        Poll::Ready(())
    }
}
