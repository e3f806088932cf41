//! The answer on its way to the client: its body, as it comes from the origin.

use std::pin::Pin;
use std::task::{Context as TaskContext, Poll, ready};

use pingora::Result;
use pingora::protocols::Stream;
use tokio::io::AsyncWrite;

use super::buffer::ReadBuffer;
use super::errors::{invalid_chunk, origin_closed, read_error, write_error};
use super::upload::push_chunk_size;
use crate::decision::response::origin_body::OriginBody;
use crate::proxy::connection::ClientStream;

/// The origin's answer on its way.
pub(super) struct Download {
    pub buffer: ReadBuffer,
    /// Up to where no end of a head was found in it.
    pub searched: usize,
    body: OriginBody,
    /// Whether the client gets it in chunks.
    chunked: bool,
    /// Bytes at the front of the buffer that are on their way to the client.
    piece: usize,
    /// Whether the end of the body was given to the client's connection.
    ended: bool,
    /// Whether it waits for the client, and not for the origin.
    pub waits_for_client: bool,
    /// Bytes of the body that were sent.
    pub sent: u64,
}

impl Download {
    pub fn new() -> Self {
        Download {
            buffer: ReadBuffer::new(),
            searched: 0,
            body: OriginBody::Done,
            chunked: false,
            piece: 0,
            ended: false,
            waits_for_client: false,
            sent: 0,
        }
    }

    /// The head of the answer was read: `body` follows, and goes to the client in chunks or as it is.
    pub fn begin(&mut self, body: OriginBody, chunked: bool) {
        (self.body, self.chunked) = (body, chunked);
    }

    /// Whether the origin has sent it whole, and nothing behind it.
    pub fn is_received(&self) -> bool {
        self.body.is_done() && self.buffer.unused().len() == self.piece
    }

    /// The end of the body for a client that gets no more of it; nothing in the middle of a chunk.
    pub fn end_of_body(&self) -> &'static [u8] {
        if self.chunked && !self.ended && self.piece == 0 { b"0\r\n\r\n" } else { b"" }
    }

    /// Passes on what is there. Ready when the client's connection has it all.
    ///
    /// # Errors
    /// The origin's, or the client's.
    pub fn poll(
        &mut self,
        client: &mut ClientStream,
        origin: &mut Stream,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Result<()>> {
        loop {
            self.waits_for_client = true;
            while self.piece > 0 {
                let bytes = &self.buffer.unused()[..self.piece];
                let count = ready!(Pin::new(&mut *client).poll_write(cx, bytes)).map_err(write_error)?;
                if count == 0 {
                    return Poll::Ready(Err(write_error(std::io::ErrorKind::WriteZero.into())));
                }
                self.buffer.consume(count);
                self.piece -= count;
                self.sent += count as u64;
                if self.piece == 0 && self.chunked {
                    client.gather(b"\r\n");
                }
            }
            self.waits_for_client = false;
            if !self.body.is_done() {
                let piece = self.body.take(self.buffer.unused()).map_err(invalid_chunk)?;
                self.buffer.consume(piece.framing);
                if piece.data > 0 {
                    self.piece = piece.data;
                    if self.chunked {
                        let mut line = Vec::with_capacity(20);
                        push_chunk_size(&mut line, piece.data);
                        client.gather(&line);
                    }
                    continue;
                }
            }
            if self.body.is_done() {
                if !self.ended {
                    client.gather(self.end_of_body());
                    self.ended = true;
                }
                return Poll::Ready(Ok(()));
            }
            match ready!(self.buffer.poll_fill(origin, cx)) {
                Ok(0) if self.body.may_end_here() => self.body = OriginBody::Done,
                Ok(0) => return Poll::Ready(Err(origin_closed("the origin closed the connection within its answer"))),
                Ok(_) => {}
                Err(e) => return Poll::Ready(Err(read_error(e))),
            }
        }
    }
}
