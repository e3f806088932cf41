//! The declared headers on the answers that the HTTP/2 implementation gives on its own.
//!
//! The `h2` crate answers an oversized header list with a bare 431, and Pingora an invalid authority with a bare 400:
//! one HEADERS frame that no hook sees. A [`ResponseHeaderInjector`] reads the bytes that a server writes on one connection and adds
//! the owner's headers to such frames; everything else passes untouched and uncopied.
//!
//! What it recognises (RFC 9113, RFC 7541):
//!
//! * a HEADERS frame with END_HEADERS and END_STREAM, the first of its stream. A response's first field is `:status`
//!   (RFC 9113 §8.3), so a first header block of a single field is a bare status: no length has to be guessed;
//! * the second HEADERS frame of a stream is its trailers, which may well be a single field. Therefore the injector
//!   remembers which streams have begun an answer and not ended it;
//! * interim answers (1xx) don't end their stream and are left alone.
//!
//! The added fields are literals without indexing (RFC 7541 §6.2.2): both ends' dynamic tables stay as they are.

use super::frame::{
    DATA, END_HEADERS, END_STREAM, FRAME_HEADER, FrameHeader, HEADERS, PADDED, PRIORITY, RST_STREAM, write_block,
};
use crate::proxy::hpack;

/// Longest header block that can be a bare `:status`: two table size updates of six bytes at most, an index, and a value of
/// three digits. A longer one is never held back to be looked into.
const BARE_MAX: usize = 24;
/// Streams remembered at most. A stream that the client resets never ends on our side, so this must be bounded; it is far
/// above the number of streams that a connection may have open.
const OPEN_MAX: usize = 1024;

/// Watches one connection's outgoing bytes. It does no I/O: [`ResponseHeaderInjector::scan`] says what to write.
#[derive(Debug)]
pub struct ResponseHeaderInjector {
    /// Bytes taken from earlier chunks and not yet decided on: a part of a head, or a head and a part of a short block.
    held: [u8; FRAME_HEADER + BARE_MAX],
    held_len: usize,
    /// Bytes of the current frame that are still to come.
    payload_left: usize,
    /// Bytes already looked at that the caller has not yet written.
    cleared: usize,
    /// Streams with an unfinished answer, ascending.
    open: Vec<u32>,
    /// Streams up to this one are taken as having begun their answer: the highest that had to be forgotten.
    forgotten: u32,
    replacement: Vec<u8>,
}

/// What to do with a chunk of outgoing bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum InjectorOutput<'a> {
    /// Write the first bytes, this many, as they are, and report what was written with [`ResponseHeaderInjector::wrote`].
    Pass(usize),
    /// The first `consumed` bytes of the chunk are taken. Write `bytes` (which may be empty) in their place, all of them,
    /// before anything else.
    Replace { consumed: usize, bytes: &'a [u8], completed: Option<BareAnswer> },
}

/// An answer that got the owner's headers, for the log and the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BareAnswer {
    pub stream: u32,
    /// `None` where only the dynamic table knows it.
    pub status: Option<u16>,
}

impl Default for ResponseHeaderInjector {
    fn default() -> Self {
        ResponseHeaderInjector::new()
    }
}

impl ResponseHeaderInjector {
    pub fn new() -> Self {
        ResponseHeaderInjector {
            held: [0; FRAME_HEADER + BARE_MAX],
            held_len: 0,
            payload_left: 0,
            cleared: 0,
            open: Vec::new(),
            forgotten: 0,
            replacement: Vec::new(),
        }
    }

    /// Looks at the next outgoing bytes. `fields` is the header block to add, from [`hpack::encode_literals`].
    ///
    /// After [`InjectorOutput::Pass`], bytes that were not written must be offered again first, as `AsyncWrite` demands anyway.
    pub fn scan(&mut self, chunk: &[u8], fields: &[u8]) -> InjectorOutput<'_> {
        if self.cleared == 0 && self.held_len == 0 {
            self.cleared = self.verbatim(chunk);
        }
        if self.cleared > 0 || chunk.is_empty() {
            return InjectorOutput::Pass(self.cleared.min(chunk.len()));
        }
        self.replace(chunk, fields)
    }

    /// Reports that the first `count` bytes of what was to pass have been written.
    pub fn wrote(&mut self, count: usize) {
        self.cleared = self.cleared.saturating_sub(count);
    }

    /// What is held back, to be written when the stream ends in the middle of a frame.
    pub fn finish(&mut self) -> &[u8] {
        let held = self.held_len;
        self.held_len = 0;
        &self.held[..held]
    }

    /// How many leading bytes of `chunk` can go out as they are.
    fn verbatim(&mut self, chunk: &[u8]) -> usize {
        let mut at = 0;
        loop {
            let payload = self.payload_left.min(chunk.len() - at);
            at += payload;
            self.payload_left -= payload;
            let Some(frame) = FrameHeader::parse(&chunk[at..]) else { return at };
            if self.may_be_bare(&frame) {
                let block = at + FRAME_HEADER;
                match chunk.get(block..block + frame.length) {
                    Some(block) if hpack::bare_status(block).is_none() => {}
                    _ => return at,
                }
            }
            self.track(&frame);
            at += FRAME_HEADER;
            self.payload_left = frame.length;
        }
    }

    /// Takes bytes until the frame at hand can be decided on, then gives it back as it is to be written.
    fn replace(&mut self, chunk: &[u8], fields: &[u8]) -> InjectorOutput<'_> {
        self.replacement.clear();
        let mut completed = None;
        let mut consumed = self.hold(chunk, FRAME_HEADER);
        let Some(frame) = FrameHeader::parse(&self.held[..self.held_len]) else {
            return InjectorOutput::Replace { consumed, bytes: &[], completed };
        };
        if self.may_be_bare(&frame) {
            consumed += self.hold(&chunk[consumed..], FRAME_HEADER + frame.length);
            if self.held_len < FRAME_HEADER + frame.length {
                return InjectorOutput::Replace { consumed, bytes: &[], completed };
            }
            let block = &self.held[FRAME_HEADER..self.held_len];
            match hpack::bare_status(block) {
                Some(status) => {
                    write_block(&frame, &[block, fields].concat(), &mut self.replacement);
                    completed = Some(BareAnswer { stream: frame.stream, status });
                }
                None => self.replacement.extend_from_slice(&self.held[..self.held_len]),
            }
        } else {
            self.replacement.extend_from_slice(&self.held[..self.held_len]);
            self.payload_left = frame.length;
        }
        self.held_len = 0;
        self.track(&frame);
        InjectorOutput::Replace { consumed, bytes: &self.replacement, completed }
    }

    /// Takes bytes of `chunk` until `wanted` are held; says how many it took.
    fn hold(&mut self, chunk: &[u8], wanted: usize) -> usize {
        let count = wanted.saturating_sub(self.held_len).min(chunk.len());
        self.held[self.held_len..self.held_len + count].copy_from_slice(&chunk[..count]);
        self.held_len += count;
        count
    }

    fn may_be_bare(&self, frame: &FrameHeader) -> bool {
        const ASKED: u8 = END_STREAM | END_HEADERS | PADDED | PRIORITY;
        frame.kind == HEADERS
            && frame.flags & ASKED == END_STREAM | END_HEADERS
            && frame.length <= BARE_MAX
            && frame.stream > self.forgotten
            && self.open.binary_search(&frame.stream).is_err()
    }

    /// Keeps `open` right as `frame` goes out.
    fn track(&mut self, frame: &FrameHeader) {
        let ends = frame.flags & END_STREAM != 0;
        match frame.kind {
            HEADERS if !ends => {
                if let Err(at) = self.open.binary_search(&frame.stream) {
                    self.open.insert(at, frame.stream);
                }
                if self.open.len() > OPEN_MAX {
                    // The lowest is the oldest. Should it still be alive, its trailers pass untouched all the same.
                    self.forgotten = self.forgotten.max(self.open.remove(0));
                }
            }
            HEADERS | DATA if ends => self.close(frame.stream),
            RST_STREAM => self.close(frame.stream),
            _ => {}
        }
    }

    fn close(&mut self, stream: u32) {
        if let Ok(at) = self.open.binary_search(&stream) {
            self.open.remove(at);
        }
    }
}

#[cfg(test)]
mod tests;
