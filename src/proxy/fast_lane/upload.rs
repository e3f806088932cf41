//! The request on its way to the origin: the head, then the body as it comes from the client.

use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::Instant;

use pingora::protocols::Stream;
use pingora::{Error, ErrorType, Result};
use tokio::io::{AsyncWrite, ReadBuf};

use super::downstream::Downstream;
use super::errors::{send_error, send_timed_out};
use crate::decision::request::framing::BodyLength;
use crate::decision::upstream::retry::KEPT_BODY;
use crate::proxy::connection::timer::Timer;
use crate::proxy::connection::worker_buffer::WorkerBuffer;
use crate::proxy::hooks::context::Context;
use crate::proxy::hooks::{origin_connection, request};

/// What is read of a body at once.
pub(super) const PIECE_BYTES: usize = 16 << 10;

/// Pieces that are sent before the answer is looked at again.
const PIECES_A_TURN: usize = 8;

/// The client's request on its way.
pub(super) struct Upload {
    chunked: bool,
    has_body: bool,
    /// What has come of the body, for another try. `None`: too much.
    kept: Option<Vec<u8>>,
    /// On their way to the origin of this try.
    out: WorkerBuffer,
    sent: usize,
    /// How much of `kept` is on its way in this try.
    replayed: usize,
    progress: UploadProgress,
    /// Since when the origin has taken nothing.
    stalled: Option<Instant>,
    timer: Timer,
    /// Why nothing can be sent any more. What the origin has answered may be read all the same.
    failed: Option<Box<Error>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UploadProgress {
    Sending,
    /// All of the body is in `out`, its end too.
    Ending,
    /// The origin has it all.
    Done,
}

impl Upload {
    pub fn new(body: BodyLength) -> Self {
        Upload {
            has_body: !matches!(body, BodyLength::None | BodyLength::Length(0)),
            chunked: body == BodyLength::Chunked,
            kept: Some(Vec::new()),
            out: WorkerBuffer::default(),
            sent: 0,
            replayed: 0,
            progress: UploadProgress::Sending,
            stalled: None,
            timer: Timer::default(),
            failed: None,
        }
    }

    /// Whether the request has a body, be it empty in the end.
    pub fn has_body(&self) -> bool {
        self.has_body
    }

    /// Whether the body goes in chunks.
    pub fn is_chunked(&self) -> bool {
        self.chunked
    }

    /// Whether all that has come is kept for another try.
    pub fn keeps_body(&self) -> bool {
        self.kept.is_some()
    }

    /// Whether nothing is left to do: the origin has the whole request, or takes no more of it.
    pub fn is_done(&self) -> bool {
        self.progress == UploadProgress::Done
    }

    /// Whether the origin has the whole request.
    pub fn is_whole(&self) -> bool {
        self.is_done() && self.failed.is_none()
    }

    /// Why nothing could be sent any more.
    pub fn take_failure(&mut self) -> Option<Box<Error>> {
        self.failed.take()
    }

    /// That the origin takes nothing, if it does not.
    pub fn take_timeout(&mut self) -> Option<Box<Error>> {
        self.failed.take_if(|e| *e.etype() == ErrorType::WriteTimedout)
    }

    /// Begins a try with the head that `write` gives.
    pub fn begin(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let out = self.out.bytes_mut();
        out.clear();
        write(out);
        (self.sent, self.replayed, self.stalled, self.failed) = (0, 0, None, None);
        self.progress = UploadProgress::Sending;
    }

    /// Sends what is there. It is done when the origin has it all, or takes no more of it; what it has answered may be read all
    /// the same.
    ///
    /// # Errors
    /// The client's: it left, took too long, or sent too much.
    pub fn advance(
        &mut self,
        client: &mut impl Downstream,
        origin: &mut Stream,
        ctx: &mut Context,
        cx: &mut TaskContext<'_>,
    ) -> Result<()> {
        match self.poll(client, origin, ctx, cx) {
            Poll::Ready(done) => done,
            Poll::Pending => Ok(()),
        }
    }

    fn poll(
        &mut self,
        client: &mut impl Downstream,
        origin: &mut Stream,
        ctx: &mut Context,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Result<()>> {
        for _ in 0..PIECES_A_TURN {
            if self.is_done() {
                return Poll::Ready(Ok(()));
            }
            let sent = match self.poll_send(origin, cx) {
                Poll::Pending => ready!(self.poll_stalled(ctx, cx))?,
                Poll::Ready(sent) => sent,
            };
            self.stalled = None;
            match sent {
                Err(e) => self.stop(e, ctx)?,
                Ok(()) if self.progress == UploadProgress::Ending => self.end(ctx)?,
                Ok(()) => {
                    self.out.bytes_mut().clear();
                    self.sent = 0;
                    ready!(self.poll_next(client, origin, ctx, cx))?;
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// The origin has the whole request.
    fn end(&mut self, ctx: &mut Context) -> Result<()> {
        self.progress = UploadProgress::Done;
        origin_connection::request_sent(&mut ctx.upstream()?);
        Ok(())
    }

    /// The origin takes no more. Its time to answer begins.
    fn stop(&mut self, e: Box<Error>, ctx: &mut Context) -> Result<()> {
        self.failed = Some(e);
        self.end(ctx)
    }

    /// Sends `out`, and with the end of the request everything that waits below.
    fn poll_send(&mut self, origin: &mut Stream, cx: &mut TaskContext<'_>) -> Poll<Result<()>> {
        while self.sent < self.out.len() {
            match ready!(Pin::new(&mut *origin).poll_write(cx, &self.out[self.sent..])) {
                Ok(0) => return Poll::Ready(Err(send_error(io::ErrorKind::WriteZero.into()))),
                Ok(count) => {
                    self.sent += count;
                    self.stalled = None;
                }
                Err(e) => return Poll::Ready(Err(send_error(e))),
            }
        }
        if self.progress == UploadProgress::Ending {
            ready!(Pin::new(origin).poll_flush(cx)).map_err(send_error)?;
        }
        Poll::Ready(Ok(()))
    }

    /// Ready with the failure when the origin has taken nothing for too long.
    fn poll_stalled(&mut self, ctx: &mut Context, cx: &mut TaskContext<'_>) -> Poll<Result<Result<()>>> {
        let since = *self.stalled.get_or_insert_with(Instant::now);
        let bound = ctx.upstream()?.config().timeouts.send;
        self.timer
            .poll(since + bound, cx)
            .map(|()| Ok(Err(send_timed_out("the origin took nothing for `timeouts.send`"))))
    }

    /// Puts the next piece of the body into `out`, or its end.
    fn poll_next(
        &mut self,
        client: &mut impl Downstream,
        origin: &mut Stream,
        ctx: &mut Context,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Result<()>> {
        if let Some(kept) = self.kept.as_ref().filter(|kept| kept.len() > self.replayed) {
            let piece = kept[self.replayed..].to_vec();
            self.replayed += piece.len();
            request::bound_body(&mut ctx.upstream()?, piece.len())?;
            encode(self.out.bytes_mut(), self.chunked, &piece);
            return Poll::Ready(Ok(()));
        }
        if client.is_received() {
            if self.chunked {
                self.out.bytes_mut().extend_from_slice(b"0\r\n\r\n");
            }
            self.progress = UploadProgress::Ending;
            return Poll::Ready(Ok(()));
        }
        let mut room = [MaybeUninit::uninit(); PIECE_BYTES];
        let mut buf = ReadBuf::uninit(&mut room);
        let Poll::Ready(piece) = client.poll_body(&mut buf, cx) else {
            // What the client waits for may depend on what was sent so far.
            if let Poll::Ready(Err(e)) = Pin::new(origin).poll_flush(cx) {
                self.stop(send_error(e), ctx)?;
                return Poll::Ready(Ok(()));
            }
            return Poll::Pending;
        };
        let piece = piece?;
        request::bound_body(&mut ctx.upstream()?, piece.len())?;
        match &mut self.kept {
            Some(kept) if (kept.len() + piece.len()) as u64 <= KEPT_BODY => {
                kept.extend_from_slice(piece);
                self.replayed = kept.len();
            }
            kept => *kept = None,
        }
        encode(self.out.bytes_mut(), self.chunked, piece);
        Poll::Ready(Ok(()))
    }
}

/// Appends `piece` as it is sent. An empty chunk would be the last one.
fn encode(out: &mut Vec<u8>, chunked: bool, piece: &[u8]) {
    if chunked && !piece.is_empty() {
        push_chunk_size(out, piece.len());
        out.extend_from_slice(piece);
        out.extend_from_slice(b"\r\n");
    } else {
        out.extend_from_slice(piece);
    }
}

/// Appends the line that begins a chunk of `size` bytes (RFC 9112 §7.1).
pub(super) fn push_chunk_size(out: &mut Vec<u8>, size: usize) {
    write!(out, "{size:x}\r\n").expect("BUG: a vector takes every write");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_begins_with_its_size() {
        for (size, line) in
            [(0, "0\r\n"), (9, "9\r\n"), (16, "10\r\n"), (0xabcd, "abcd\r\n"), (usize::MAX, "ffffffffffffffff\r\n")]
        {
            let mut out = Vec::new();
            push_chunk_size(&mut out, size);
            assert_eq!(String::from_utf8(out).unwrap(), line);
        }
    }
}
