//! The frames of one header block (RFC 9113 §4.3).

use crate::proxy::connection::http2::connection_error::{Http2ConnectionError, PRIORITY_LENGTH, check_frame};
use crate::proxy::connection::http2::frame::{CONTINUATION, END_HEADERS, FRAME_HEADER, FrameHeader, PADDED, PRIORITY};

/// A header block that is complete.
pub(super) struct HeaderBlock<'a> {
    pub head: FrameHeader,
    /// HEADERS, and CONTINUATION if there is any.
    pub frames: &'a [u8],
    /// What the frames hold, if they are more than one.
    joined: Vec<u8>,
}

/// What has arrived of a header block.
pub(super) enum ArrivedBlock<'a> {
    Whole(HeaderBlock<'a>),
    /// It goes on: there is nothing to look at before there are so many bytes of it.
    Needs(usize),
}

impl<'a> HeaderBlock<'a> {
    /// The block that begins with `head`, the first of `bytes`.
    pub fn read(head: FrameHeader, bytes: &'a [u8]) -> Result<ArrivedBlock<'a>, Http2ConnectionError> {
        if head.stream.is_multiple_of(2) {
            return Err(Http2ConnectionError::Protocol("HEADERS on a stream that no client opens"));
        }
        let first = FRAME_HEADER + head.length;
        let (mut end, mut last) = (first, head);
        while !last.has(END_HEADERS) {
            let Some(next) = bytes.get(end..).and_then(FrameHeader::parse) else {
                return Ok(ArrivedBlock::Needs(end + FRAME_HEADER));
            };
            if next.kind != CONTINUATION || next.stream != head.stream {
                return Err(Http2ConnectionError::Protocol("another frame within a header block"));
            }
            check_frame(&next)?;
            end += FRAME_HEADER + next.length;
            last = next;
        }
        let Some(frames) = bytes.get(..end) else { return Ok(ArrivedBlock::Needs(end)) };
        let block = HeaderBlock { head, frames, joined: Vec::new() };
        let fragment = block.first_fragment()?;
        let mut joined = Vec::new();
        if first < end {
            joined.extend_from_slice(fragment);
            let mut rest = &frames[first..];
            while let Some(next) = FrameHeader::parse(rest) {
                let (frame, later) = rest.split_at(FRAME_HEADER + next.length);
                joined.extend_from_slice(&frame[FRAME_HEADER..]);
                rest = later;
            }
        }
        Ok(ArrivedBlock::Whole(HeaderBlock { joined, ..block }))
    }

    /// What the HEADERS frame itself holds of the block, without padding and priority (RFC 9113 §6.2).
    fn first_fragment(&self) -> Result<&'a [u8], Http2ConnectionError> {
        let mut payload = &self.frames[FRAME_HEADER..FRAME_HEADER + self.head.length];
        let mut padding = 0;
        if self.head.has(PADDED) {
            let (length, rest) = payload.split_first().ok_or(Http2ConnectionError::FrameSize)?;
            padding = usize::from(*length);
            payload = rest;
        }
        if self.head.has(PRIORITY) {
            payload = payload.get(PRIORITY_LENGTH..).ok_or(Http2ConnectionError::FrameSize)?;
        }
        let end = payload.len().checked_sub(padding);
        let end = end.ok_or(Http2ConnectionError::Protocol("padding that is longer than its frame"))?;
        Ok(&payload[..end])
    }

    /// Whether the stream has the priority of one that depends on it, a stream error (RFC 7540 §5.3.1).
    pub fn depends_on_itself(&self) -> bool {
        let at = FRAME_HEADER + usize::from(self.head.has(PADDED));
        let dependency = self.frames.get(at..).and_then(|rest| rest.first_chunk());
        self.head.has(PRIORITY)
            && dependency.is_some_and(|bytes| u32::from_be_bytes(*bytes) & 0x7fff_ffff == self.head.stream)
    }

    /// What is to be decoded.
    pub fn text(&self) -> &[u8] {
        match self.joined.as_slice() {
            [] => self.first_fragment().unwrap_or_default(),
            joined => joined,
        }
    }
}
