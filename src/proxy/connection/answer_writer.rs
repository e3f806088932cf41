//! What leaves a connection: small writes gathered into one, and a deadline for a client that takes nothing.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pingora::protocols::Stream;
use tokio::io::AsyncWrite;

use super::answer_pace::{AnswerFootprint, AnswerPace};
use super::socket::{CloseMode, unsent};
use super::worker_buffer::WorkerBuffer;

/// Writes below this are gathered until the next flush; an answer's head with a short body fits.
const GATHER: usize = 8 << 10;

/// Bytes on their way to the client.
pub(super) struct AnswerWriter {
    bytes: WorkerBuffer,
    /// How many of `bytes` are sent already.
    sent: usize,
    /// Whether bytes were handed down that may still wait there: TLS and the socket's writer have buffers of their own.
    unflushed: bool,
    pace: AnswerPace,
    /// A client that takes too little is reset: the kernel would keep for it what it has been given.
    close: CloseMode,
}

impl AnswerWriter {
    /// `pace` bounds how slowly the client may take what is sent.
    pub fn new(pace: AnswerPace, close: CloseMode) -> Self {
        AnswerWriter { bytes: WorkerBuffer::default(), sent: 0, unflushed: false, pace, close }
    }

    /// The answers to come are made in this way.
    pub fn set_footprint(&mut self, footprint: AnswerFootprint) {
        self.pace.set_footprint(footprint);
    }

    /// Whether everything has reached the socket.
    pub fn is_flushed(&self) -> bool {
        self.bytes.is_empty() && !self.unflushed
    }

    /// What is gathered, to add to.
    pub fn gathered(&mut self) -> &mut Vec<u8> {
        self.bytes.bytes_mut()
    }

    /// Sends everything. Fails when the client takes nothing for too long.
    pub fn poll_send(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.bytes.len() {
            let poll = Pin::new(&mut *stream).poll_write(cx, &self.bytes[self.sent..]);
            let written = ready!(self.in_time(stream, cx, poll))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += written;
        }
        self.clear();
        Poll::Ready(Ok(()))
    }

    /// Sends everything, down to the socket. Fails when the client takes nothing for too long.
    pub fn poll_flush(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(stream, cx))?;
        let poll = Pin::new(&mut *stream).poll_flush(cx).map_ok(|()| 0);
        ready!(self.in_time(stream, cx, poll))?;
        self.unflushed = false;
        Poll::Ready(Ok(()))
    }

    /// Sends everything, and then the end. Fails when the client takes nothing for too long.
    pub fn poll_shutdown(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(stream, cx))?;
        let poll = Pin::new(&mut *stream).poll_shutdown(cx).map_ok(|()| 0);
        self.in_time(stream, cx, poll).map_ok(drop)
    }

    /// Gathers `bytes`, or sends them, with what is gathered before them, without copying them.
    pub fn poll_write(&mut self, stream: &mut Stream, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.bytes.len() - self.sent + bytes.len() <= GATHER {
            self.gathered().extend_from_slice(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        loop {
            let waiting = self.bytes.len() - self.sent;
            let poll = if waiting == 0 {
                Pin::new(&mut *stream).poll_write(cx, bytes)
            } else {
                let slices = [IoSlice::new(&self.bytes[self.sent..]), IoSlice::new(bytes)];
                Pin::new(&mut *stream).poll_write_vectored(cx, &slices)
            };
            let written = ready!(self.in_time(stream, cx, poll))?;
            if written == 0 {
                return Poll::Ready(Ok(0));
            }
            if written < waiting {
                self.sent += written;
                continue;
            }
            self.clear();
            if written > waiting {
                return Poll::Ready(Ok(written - waiting));
            }
        }
    }

    fn clear(&mut self) {
        self.bytes.give_back();
        self.sent = 0;
    }

    fn in_time(
        &mut self,
        stream: &Stream,
        cx: &mut Context<'_>,
        poll: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match poll {
            Poll::Ready(Ok(taken)) => {
                self.unflushed |= taken > 0;
                self.pace.moved(taken);
                return poll;
            }
            Poll::Ready(Err(_)) => return poll,
            Poll::Pending => {}
        }
        let denial = ready!(self.pace.poll_too_slow(cx, || unsent(stream.id())));
        self.close.reset();
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, denial)))
    }
}
