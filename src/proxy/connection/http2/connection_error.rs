//! What ends a whole connection (RFC 9113 §5.4.1): frames that can't be.

use super::frame::{
    FrameHeader, GOAWAY, MAX_FRAME_SIZE, PING, PRIORITY_FRAME, PUSH_PROMISE, RST_STREAM, SETTINGS, SETTINGS_ACK,
    WINDOW_UPDATE,
};

/// Why a connection can't go on (RFC 9113 §5.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http2ConnectionError {
    Protocol(&'static str),
    FrameSize,
    Compression,
}

impl Http2ConnectionError {
    /// RFC 9113 §7.
    pub fn code(self) -> u32 {
        match self {
            Http2ConnectionError::Protocol(_) => 0x1,
            Http2ConnectionError::FrameSize => 0x6,
            Http2ConnectionError::Compression => 0x9,
        }
    }

    /// For the client's developer and for the log.
    pub fn reason(self) -> &'static str {
        match self {
            Http2ConnectionError::Protocol(reason) => reason,
            Http2ConnectionError::FrameSize => "a frame of a length that its type can't have",
            Http2ConnectionError::Compression => "a header block that is no HPACK",
        }
    }
}

/// Octets of a PRIORITY frame, and of the same fields in a HEADERS frame.
pub(super) const PRIORITY_LENGTH: usize = 5;

/// Whether a frame can be as long as it is (RFC 9113 §4.2 and §6), and stands where it may.
pub(super) fn check_frame(head: &FrameHeader) -> Result<(), Http2ConnectionError> {
    let fits = match head.kind {
        _ if head.length > MAX_FRAME_SIZE => false,
        // RFC 9113 §8.4. The library would decode its block, and its table would not be the one that later blocks are judged by.
        PUSH_PROMISE => return Err(Http2ConnectionError::Protocol("PUSH_PROMISE from a client")),
        PRIORITY_FRAME => head.length == PRIORITY_LENGTH,
        RST_STREAM | WINDOW_UPDATE => head.length == 4,
        SETTINGS if head.has(SETTINGS_ACK) => head.length == 0,
        SETTINGS => head.length.is_multiple_of(6),
        PING => head.length == 8,
        GOAWAY => head.length >= 8,
        _ => true,
    };
    if fits { Ok(()) } else { Err(Http2ConnectionError::FrameSize) }
}
