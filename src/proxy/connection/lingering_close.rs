//! A close that lets the client read the answer.
//!
//! Closing a socket with unread bytes makes the kernel reset the connection, and the reset may overtake the answer: a client
//! whose upload is refused would see a broken connection instead of the refusal (RFC 9112 §9.6). So the end is announced
//! first, and what still comes is read and discarded, for a while.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use pingora::protocols::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::timer::Timer;

/// The end of one connection.
pub(super) struct LingeringClose {
    linger: Duration,
    until: Option<Instant>,
    shut_down: bool,
    discarded: usize,
    timer: Timer,
}

/// How long a client may go on sending. A round trip with a margin: its answer has left already.
pub(super) const MAX_LINGER: Duration = Duration::from_secs(2);

/// How long for a client whose connection is retired, and which may be about to send a request: as long as a request and the
/// end of the connection can cross.
pub(super) const MAX_LINGER_RETIRED: Duration = Duration::from_secs(1);

/// How much of it is read.
const MAX_LINGER_BYTES: usize = 1 << 20;

impl LingeringClose {
    /// One that waits for the client for `linger` at most.
    pub fn new(linger: Duration) -> Self {
        LingeringClose { linger, until: None, shut_down: false, discarded: 0, timer: Timer::default() }
    }

    /// Ready when `stream` may be dropped.
    pub fn poll(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<()> {
        let until = *self.until.get_or_insert_with(|| Instant::now() + self.linger);
        if !self.shut_down {
            match Pin::new(&mut *stream).poll_shutdown(cx) {
                Poll::Ready(Ok(())) => self.shut_down = true,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => return self.timer.poll(until, cx),
            }
        }
        let mut discard = [0; 4096];
        while self.discarded < MAX_LINGER_BYTES {
            let mut buf = ReadBuf::new(&mut discard);
            match Pin::new(&mut *stream).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => self.discarded += buf.filled().len(),
                Poll::Ready(_) => break,
                Poll::Pending => return self.timer.poll(until, cx),
            }
        }
        Poll::Ready(())
    }
}
