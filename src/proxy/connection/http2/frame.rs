//! HTTP/2 frames as they stand in a stream of bytes (RFC 9113 §4.1).

/// Length of a frame's head.
pub const FRAME_HEADER: usize = 9;
/// How much of a frame's payload [`FrameReader`] gives with its head: enough for the code of a reset or a GOAWAY.
pub const PEEK: usize = 8;

pub const DATA: u8 = 0x0;
pub const HEADERS: u8 = 0x1;
pub const PRIORITY_FRAME: u8 = 0x2;
pub const RST_STREAM: u8 = 0x3;
pub const SETTINGS: u8 = 0x4;
pub const PUSH_PROMISE: u8 = 0x5;
pub const PING: u8 = 0x6;
pub const GOAWAY: u8 = 0x7;
pub const WINDOW_UPDATE: u8 = 0x8;
pub const CONTINUATION: u8 = 0x9;

pub const END_STREAM: u8 = 0x1;
pub const END_HEADERS: u8 = 0x4;
pub const PADDED: u8 = 0x8;
pub const PRIORITY: u8 = 0x20;
/// Of a SETTINGS frame.
pub const SETTINGS_ACK: u8 = 0x1;

/// Longest payload that every peer accepts, and that this gateway does (SETTINGS_MAX_FRAME_SIZE at its initial value, RFC 9113 §6.5.2).
pub const MAX_FRAME_SIZE: usize = 16_384;

/// Error codes (RFC 9113 §7).
pub const NO_ERROR: u32 = 0x0;
pub const ENHANCE_YOUR_CALM: u32 = 0xb;

/// The name of an error code (RFC 9113 §7).
pub fn error_name(code: u32) -> &'static str {
    const NAMES: [&str; 14] = [
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY",
        "HTTP_1_1_REQUIRED",
    ];
    NAMES.get(code as usize).copied().unwrap_or("an unknown error")
}

/// A frame's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Of the payload, in bytes.
    pub length: usize,
    pub kind: u8,
    pub flags: u8,
    /// 0 is the connection itself.
    pub stream: u32,
}

impl FrameHeader {
    /// The head that `bytes` begin with; `None` if it isn't whole.
    pub fn parse(bytes: &[u8]) -> Option<FrameHeader> {
        let &[l0, l1, l2, kind, flags, s0, s1, s2, s3] = bytes.first_chunk::<FRAME_HEADER>()?;
        Some(FrameHeader {
            length: u32::from_be_bytes([0, l0, l1, l2]) as usize,
            kind,
            flags,
            stream: u32::from_be_bytes([s0, s1, s2, s3]) & 0x7fff_ffff,
        })
    }

    pub fn write(&self, out: &mut Vec<u8>) {
        let [_, length @ ..] = (self.length as u32).to_be_bytes();
        out.extend_from_slice(&length);
        out.extend_from_slice(&[self.kind, self.flags]);
        out.extend_from_slice(&self.stream.to_be_bytes());
    }

    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Whether the frame is a part of a header block, and not its last.
    pub fn leaves_block_open(&self) -> bool {
        matches!(self.kind, HEADERS | CONTINUATION) && !self.has(END_HEADERS)
    }
}

/// Writes the header `block` of the HEADERS frame `head` in as many frames as that takes. Padding and priority are left out.
pub fn write_block(head: &FrameHeader, block: &[u8], out: &mut Vec<u8>) {
    let (here, mut rest) = block.split_at(block.len().min(MAX_FRAME_SIZE));
    let last = |rest: &[u8]| if rest.is_empty() { END_HEADERS } else { 0 };
    let flags = head.flags & !(END_HEADERS | PADDED | PRIORITY) | last(rest);
    FrameHeader { length: here.len(), flags, ..*head }.write(out);
    out.extend_from_slice(here);
    while !rest.is_empty() {
        let (here, later) = rest.split_at(rest.len().min(MAX_FRAME_SIZE));
        rest = later;
        FrameHeader { length: here.len(), kind: CONTINUATION, flags: last(rest), stream: head.stream }.write(out);
        out.extend_from_slice(here);
    }
}

/// A frame that has begun: its head and the beginning of its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http2Frame {
    pub head: FrameHeader,
    start: [u8; PEEK],
}

impl Http2Frame {
    /// The first bytes of the payload, [`PEEK`] at most.
    pub fn start(&self) -> &[u8] {
        &self.start[..self.head.length.min(PEEK)]
    }

    /// The 32-bit number at the byte `at` of the payload.
    pub fn number(&self, at: usize) -> Option<u32> {
        self.start().get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
    }
}

/// Finds the frames in bytes that come in pieces.
#[derive(Clone, Debug, Default)]
pub struct FrameReader {
    /// A head and the beginning of a payload, not complete yet.
    held: [u8; FRAME_HEADER + PEEK],
    held_len: usize,
    /// Bytes of the current payload that are still to come.
    payload_left: usize,
    begun: u64,
}

impl FrameReader {
    /// The next frame that `bytes` begin, and takes what was looked at off their front. `None`: all of them are taken.
    pub fn next(&mut self, bytes: &mut &[u8]) -> Option<Http2Frame> {
        let payload = self.payload_left.min(bytes.len());
        self.payload_left -= payload;
        *bytes = &bytes[payload..];

        if self.payload_left == 0 && self.held_len == 0 && !bytes.is_empty() {
            self.begun += 1;
        }
        self.hold(bytes, FRAME_HEADER);
        let head = FrameHeader::parse(&self.held[..self.held_len])?;
        let wanted = head.length.min(PEEK);
        self.hold(bytes, FRAME_HEADER + wanted);
        if self.held_len < FRAME_HEADER + wanted {
            return None;
        }
        let mut start = [0; PEEK];
        start[..wanted].copy_from_slice(&self.held[FRAME_HEADER..FRAME_HEADER + wanted]);
        self.held_len = 0;
        self.payload_left = head.length - wanted;
        Some(Http2Frame { head, start })
    }

    /// Whether every frame that has begun has also ended.
    pub fn at_boundary(&self) -> bool {
        self.held_len == 0 && self.payload_left == 0
    }

    /// The head of a frame that is still too short for [`FrameReader::next`] to give.
    pub fn beginning(&self) -> Option<FrameHeader> {
        FrameHeader::parse(&self.held[..self.held_len])
    }

    /// How many frames have begun so far.
    pub fn begun(&self) -> u64 {
        self.begun
    }

    /// Takes bytes until `wanted` are held.
    fn hold(&mut self, bytes: &mut &[u8], wanted: usize) {
        let count = wanted.saturating_sub(self.held_len).min(bytes.len());
        let (taken, rest) = bytes.split_at(count);
        self.held[self.held_len..self.held_len + count].copy_from_slice(taken);
        self.held_len += count;
        *bytes = rest;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames_of(pieces: &[&[u8]]) -> (Vec<Http2Frame>, bool) {
        let mut frames = FrameReader::default();
        let mut found = Vec::new();
        for piece in pieces {
            let mut bytes = *piece;
            while let Some(frame) = frames.next(&mut bytes) {
                found.push(frame);
            }
            assert!(bytes.is_empty());
        }
        (found, frames.at_boundary())
    }

    fn wire(frames: &[(u8, u8, u32, usize)]) -> Vec<u8> {
        let mut wire = Vec::new();
        for &(kind, flags, stream, length) in frames {
            FrameHeader { length, kind, flags, stream }.write(&mut wire);
            wire.extend((0..length).map(|at| at as u8));
        }
        wire
    }

    #[test]
    fn a_frame_is_found_with_the_beginning_of_its_payload() {
        let (found, whole) = frames_of(&[&wire(&[(GOAWAY, 0, 0, 40)])]);
        assert_eq!(found[0].head, FrameHeader { length: 40, kind: GOAWAY, flags: 0, stream: 0 });
        assert_eq!((found[0].number(0), found[0].number(4)), (Some(0x0001_0203), Some(0x0405_0607)));
        assert!(whole);
    }

    #[test]
    fn a_frame_cut_off_is_no_boundary() {
        let wire = wire(&[(DATA, 0, 1, 100)]);
        for end in 1..wire.len() {
            assert!(!frames_of(&[&wire[..end]]).1, "{end}");
        }
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_bytes_are_cut(
            frames in prop::collection::vec((0u8..12, any::<u8>(), 0u32..1000, 0usize..60), 0..12),
            cuts in prop::collection::vec(0usize..600, 0..20),
        ) {
            let wire = wire(&frames);
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut <= wire.len()).collect();
            cuts.extend([0, wire.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &wire[pair[0]..pair[1]]).collect();
            let (found, whole) = frames_of(&pieces);
            let heads: Vec<_> =
                found.iter().map(|frame| (frame.head.kind, frame.head.flags, frame.head.stream, frame.head.length)).collect();
            prop_assert_eq!(heads, frames);
            prop_assert!(whole);
        }
    }
}
