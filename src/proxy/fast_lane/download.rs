//! The answer on its way to the client: its body, as it comes from the origin.

use std::task::{Context as TaskContext, Poll, ready};

use pingora::Result;
use pingora::protocols::Stream;

use super::buffer::ReadBuffer;
use super::downstream::Downstream;
use super::errors::{invalid_chunk, origin_closed, read_error};
use crate::decision::response::byte_head::ByteHead;
use crate::decision::response::origin_body::OriginBody;
use crate::decision::response::{ResponseRules, trailers};

/// The origin's answer on its way.
pub(super) struct Download {
    pub buffer: ReadBuffer,
    /// Up to where no end of a head was found in it.
    pub searched: usize,
    body: OriginBody,
    /// What has come behind it.
    trailers: Vec<u8>,
    /// Bytes at the front of the buffer that are on their way to the client.
    piece: usize,
    /// Whether the end of the body was given to the client's connection.
    ended: bool,
    /// Whether it waits for the client, and not for the origin.
    pub waits_for_client: bool,
}

impl Download {
    pub fn new() -> Self {
        Download {
            buffer: ReadBuffer::new(),
            searched: 0,
            body: OriginBody::Done,
            trailers: Vec::new(),
            piece: 0,
            ended: false,
            waits_for_client: false,
        }
    }

    /// The head of the answer was read: `body` follows.
    pub fn begin(&mut self, body: OriginBody) {
        self.body = body;
    }

    /// Whether the origin has sent it whole, and nothing behind it.
    pub fn is_received(&self) -> bool {
        self.body.is_done() && self.buffer.unused().len() == self.piece
    }

    /// Passes on what is there, of trailers what `rules` let pass. Ready when the client's connection has it all.
    ///
    /// # Errors
    /// The origin's, or the client's.
    pub fn poll(
        &mut self,
        client: &mut impl Downstream,
        origin: &mut Stream,
        rules: &ResponseRules,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Result<()>> {
        loop {
            self.waits_for_client = true;
            while self.piece > 0 {
                let data = &self.buffer.unused()[..self.piece];
                let count = ready!(client.poll_write(data, self.body.is_done(), cx))?;
                self.buffer.consume(count);
                self.piece -= count;
            }
            self.waits_for_client = false;
            if !self.body.is_done() {
                let piece = self.body.take(self.buffer.unused(), &mut self.trailers).map_err(invalid_chunk)?;
                self.buffer.consume(piece.framing);
                if piece.data > 0 {
                    self.piece = piece.data;
                    continue;
                }
            }
            if self.body.is_done() {
                if !self.ended {
                    let mut trailers = ByteHead::default();
                    if !self.trailers.is_empty() {
                        trailers = trailers::read(&self.trailers);
                        trailers::strip(&mut trailers, rules);
                    }
                    client.end(trailers)?;
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
