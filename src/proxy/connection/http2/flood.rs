//! What a client may do on an HTTP/2 connection besides asking and being answered.
//!
//! The `h2` crate stops much by itself: endless CONTINUATION frames, header lists far beyond the bound, resets of streams
//! that were not accepted yet, small and empty DATA frames. It does not count what it answers or ignores cheaply: PING,
//! SETTINGS, PRIORITY, WINDOW_UPDATE, frames of unknown types, resets of streams that are already being served (CVE-2023-44487,
//! rapid reset), resets that a client provokes (CVE-2025-8671); and it waits for ever for the rest of a frame.
//!
//! A [`FloodDetector`] reads the headers of all frames of a connection and keeps two leaky buckets: one for resets, one for frames
//! that move nothing. Each is full after as many frames at once as the file allows, and empties in [`LEAK_TIME`]. Requests and data give
//! credit for the control frames that they call for, so that a busy client is never taken for a hostile one.
//!
//! It does no I/O and has no clock: [`FloodDetector::received`] and [`FloodDetector::sent`] take bytes as they come.

use std::time::{Duration, Instant};

use super::frame::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, FRAME_HEADER, FrameHeader, FrameReader, GOAWAY,
    HEADERS, Http2Frame, NO_ERROR, PADDED, RST_STREAM,
};
use crate::telemetry::metrics::Bound;

/// How an HTTP/2 connection begins (RFC 9113 §3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A full bucket is empty again after this time.
const LEAK_TIME: Duration = Duration::from_secs(10);

/// Control frames that a request may bring along: priorities, windows, a ping.
const CREDIT_OF_REQUEST: u32 = 8;
/// Control frames that a DATA frame of an answer may call for: a window update for the stream, one for the connection, a ping
/// that measures the path (gRPC).
const CREDIT_OF_ANSWER: u32 = 4;
/// From this size on, a DATA frame of a request pays for a control frame.
const CREDITED_DATA: usize = 1 << 10;
/// A control frame counts once more for each of these many bytes: a SETTINGS frame may hold thousands of settings.
const PAYLOAD_UNIT: usize = 1 << 10;

/// The bounds that a [`FloodDetector`] keeps.
#[derive(Clone, Copy, Debug)]
pub struct FloodBounds {
    /// From the connection's beginning until the head of its first HEADERS frame.
    pub first_request: Duration,
    /// For the preface, and for a header block from its first byte to its last.
    pub header_time: Duration,
    /// For any other frame from its first byte to its last. `None`: as long as it takes.
    pub frame_time: Option<Duration>,
    /// Longest header block as it is on the wire, with the heads of its frames, in bytes. What is shorter and still too long is
    /// answered 431.
    pub header_block: usize,
    /// Resets at once.
    pub resets: u32,
    /// Control frames at once, beyond those that requests and answers call for.
    pub control_frames: u32,
}

/// Why a connection is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FloodViolation {
    /// Rapid reset, or requests made to be reset.
    Resets,
    /// A flood of frames that move nothing.
    ControlFrames,
    /// A header block longer than any that could be accepted.
    HeaderBlock,
    /// No request.
    FirstRequest,
    /// A preface or header block that does not end.
    SlowHeader,
    /// A frame that does not end.
    SlowFrame,
    /// The client was sent GOAWAY and stays.
    IgnoresGoaway,
}

impl FloodViolation {
    /// The bound of the file that was hit.
    pub fn bound(self) -> Bound {
        match self {
            FloodViolation::Resets => Bound::Http2Resets,
            FloodViolation::ControlFrames => Bound::Http2ControlFrames,
            FloodViolation::HeaderBlock => Bound::HeaderBytes,
            FloodViolation::FirstRequest => Bound::FirstRequest,
            FloodViolation::SlowHeader => Bound::HeaderTime,
            FloodViolation::SlowFrame => Bound::BodyIdle,
            FloodViolation::IgnoresGoaway => Bound::RequestsPerConnection,
        }
    }

    /// The error code of the GOAWAY (RFC 9113 §7).
    pub fn code(self) -> u32 {
        match self {
            // Silence is no fault: load balancers open connections in advance.
            FloodViolation::FirstRequest => NO_ERROR,
            _ => ENHANCE_YOUR_CALM,
        }
    }

    /// For the client's developer and for the program log.
    pub fn reason(self) -> &'static str {
        match self {
            FloodViolation::Resets => "too many resets",
            FloodViolation::ControlFrames => "too many control frames",
            FloodViolation::HeaderBlock => "header block too long",
            FloodViolation::FirstRequest => "no request in time",
            FloodViolation::SlowHeader => "header block not complete in time",
            FloodViolation::SlowFrame => "frame not complete in time",
            FloodViolation::IgnoresGoaway => "the connection was retired",
        }
    }
}

/// Follows the frames of one connection in both directions.
#[derive(Debug)]
pub struct FloodDetector {
    bounds: FloodBounds,
    began: Instant,
    preface_left: usize,
    incoming: FrameReader,
    /// When the first byte of the incomplete frame came.
    frame_since: Option<Instant>,
    block: Option<ArrivingBlock>,
    /// The last frame that came ends a header block, once it is complete.
    block_ends: bool,
    /// The kind of the last frame that came.
    last: u8,
    /// The highest stream that the client has opened.
    highest: u32,
    resets: FrameBucket,
    control: FrameBucket,
    outgoing: FrameReader,
    /// The header block that leaves is not complete.
    sending_block: bool,
    /// The last frame that left blames the client for a stream.
    blamed: bool,
    /// Found while looking at what leaves.
    found: Option<FloodViolation>,
    /// Some of an answer's body has left.
    answered: bool,
    /// The error code of the GOAWAY with which the HTTP/2 library has ended the connection.
    library_error: Option<u32>,
}

/// A header block that is arriving.
#[derive(Clone, Copy, Debug)]
struct ArrivingBlock {
    since: Instant,
    bytes: usize,
}

impl FloodDetector {
    pub fn new(bounds: FloodBounds, now: Instant) -> Self {
        FloodDetector {
            bounds,
            began: now,
            preface_left: PREFACE.len(),
            incoming: FrameReader::default(),
            frame_since: None,
            block: None,
            block_ends: false,
            last: DATA,
            highest: 0,
            resets: FrameBucket::new(bounds.resets, now),
            control: FrameBucket::new(bounds.control_frames, now),
            outgoing: FrameReader::default(),
            sending_block: false,
            blamed: false,
            found: None,
            library_error: None,
            answered: false,
        }
    }

    /// Takes note of what the client sent.
    ///
    /// # Errors
    ///
    /// The connection must end.
    pub fn received(&mut self, mut bytes: &[u8], now: Instant) -> Result<(), FloodViolation> {
        let preface = self.preface_left.min(bytes.len());
        self.preface_left -= preface;
        bytes = &bytes[preface..];

        let begun = self.incoming.begun();
        while let Some(frame) = self.incoming.next(&mut bytes) {
            self.take(&frame, now)?;
        }
        if self.incoming.at_boundary() {
            self.frame_since = None;
            if self.block_ends {
                self.block = None;
            }
        } else if self.incoming.begun() != begun {
            self.frame_since = Some(now);
        }
        self.overdue(now).map_or(Ok(()), Err)
    }

    /// Takes note of what leaves. Says why, if the HTTP/2 library itself ends the connection over the client's behaviour.
    pub fn sent(&mut self, mut bytes: &[u8], now: impl Fn() -> Instant) -> Option<FloodViolation> {
        let mut violation = None;
        while let Some(frame) = self.outgoing.next(&mut bytes) {
            self.sending_block = frame.head.leaves_block_open();
            if frame.head.kind == GOAWAY {
                self.library_error = frame.number(4).filter(|code| *code != NO_ERROR);
                if self.library_error == Some(ENHANCE_YOUR_CALM) {
                    violation = Some(self.found_by_library());
                }
            }
            self.blamed = frame.head.kind == RST_STREAM && frame.number(0).is_some_and(blames_client);
            if self.blamed && !self.resets.charge(1, now()) {
                self.found = Some(FloodViolation::Resets);
            }
            if frame.head.kind == DATA {
                self.answered = true;
                self.control.credit(CREDIT_OF_ANSWER);
            }
        }
        violation
    }

    /// Whether some of an answer's body has left since this was asked last.
    pub fn take_answered(&mut self) -> bool {
        std::mem::take(&mut self.answered)
    }

    /// The error code of the GOAWAY with which the HTTP/2 library has ended the connection (RFC 9113 §7), if it has.
    pub fn library_error(&self) -> Option<u32> {
        self.library_error
    }

    /// Until when the client must go on, if something is incomplete.
    pub fn due(&self) -> Option<Instant> {
        if self.found.is_some() {
            return Some(self.began);
        }
        self.slow().map(|(due, _)| due)
    }

    /// Why the connection must end at `now`, if it must.
    pub fn overdue(&self, now: Instant) -> Option<FloodViolation> {
        self.found.or_else(|| self.slow().filter(|(due, _)| *due <= now).map(|(_, violation)| violation))
    }

    /// Whether a frame of the gateway's own may be put after what has been [`sent`](FloodDetector::sent) so far.
    pub fn may_interject(&self) -> bool {
        self.outgoing.at_boundary() && !self.sending_block
    }

    /// The GOAWAY that ends the connection with the error `code` (RFC 9113 §6.8), for `reason`.
    pub fn goaway(&self, code: u32, reason: &str) -> Vec<u8> {
        let mut frame = Vec::with_capacity(64);
        FrameHeader { length: 8 + reason.len(), kind: GOAWAY, flags: 0, stream: 0 }.write(&mut frame);
        frame.extend_from_slice(&self.highest.to_be_bytes());
        frame.extend_from_slice(&code.to_be_bytes());
        frame.extend_from_slice(reason.as_bytes());
        frame
    }

    /// Why the library ends the connection over the client's behaviour: it has just read the last frame that came.
    fn found_by_library(&self) -> FloodViolation {
        match self.last {
            _ if self.blamed => FloodViolation::Resets,
            // Of a whole block the library only finds that it has to reset the stream, once too often: the resets themselves may never
            // leave. What is too large is answered before the library sees it.
            RST_STREAM => FloodViolation::Resets,
            HEADERS if self.block_ends => FloodViolation::Resets,
            HEADERS | CONTINUATION => FloodViolation::HeaderBlock,
            _ => FloodViolation::ControlFrames,
        }
    }

    fn take(&mut self, frame: &Http2Frame, now: Instant) -> Result<(), FloodViolation> {
        self.last = frame.head.kind;
        if self.block_ends {
            self.block = None;
            self.block_ends = false;
        }
        let head = &frame.head;
        match head.kind {
            HEADERS => {
                self.block = Some(ArrivingBlock { since: now, bytes: 0 });
                if head.stream > self.highest {
                    self.highest = head.stream;
                    self.control.credit(CREDIT_OF_REQUEST);
                } else {
                    self.charge(1, now)?;
                }
                self.lengthen_block(head)
            }
            CONTINUATION => self.lengthen_block(head),
            DATA if data_length(frame) >= CREDITED_DATA => {
                self.control.credit(1);
                Ok(())
            }
            // The last one ends a body, and a body that is just a little is still one.
            DATA if head.has(END_STREAM) || data_length(frame) > 0 => Ok(()),
            RST_STREAM => self.resets.charge(1, now).then_some(()).ok_or(FloodViolation::Resets),
            _ => self.charge(1 + (head.length / PAYLOAD_UNIT) as u32, now),
        }
    }

    fn charge(&mut self, frames: u32, now: Instant) -> Result<(), FloodViolation> {
        self.control.charge(frames, now).then_some(()).ok_or(FloodViolation::ControlFrames)
    }

    fn lengthen_block(&mut self, head: &FrameHeader) -> Result<(), FloodViolation> {
        self.block_ends = head.has(END_HEADERS);
        let Some(block) = &mut self.block else { return Ok(()) };
        block.bytes += FRAME_HEADER + head.length;
        if block.bytes > self.bounds.header_block { Err(FloodViolation::HeaderBlock) } else { Ok(()) }
    }

    /// What is incomplete, and until when it must be complete.
    fn slow(&self) -> Option<(Instant, FloodViolation)> {
        let short_block = self.incoming.beginning().is_some_and(|head| head.kind == HEADERS);
        let header_since = match self.block {
            _ if self.preface_left > 0 => Some(self.began),
            Some(block) => Some(block.since),
            None => self.frame_since.filter(|_| short_block),
        };
        let header = header_since.and_then(|since| since.checked_add(self.bounds.header_time));
        let frame_time = self.bounds.frame_time;
        let frame = self.frame_since.and_then(|since| since.checked_add(frame_time?));
        let header = header.map(|due| (due, FloodViolation::SlowHeader));
        let frame = frame.map(|due| (due, FloodViolation::SlowFrame));
        let silent = self.highest == 0 && self.block.is_none();
        let first = silent.then(|| self.began.checked_add(self.bounds.first_request)).flatten();
        let first = first.map(|due| (due, FloodViolation::FirstRequest));
        [first, header, frame].into_iter().flatten().min_by_key(|(due, _)| *due)
    }
}

/// Bytes of body in a DATA frame, without padding (RFC 9113 §6.1).
fn data_length(frame: &Http2Frame) -> usize {
    let length = frame.head.length;
    if !frame.head.has(PADDED) {
        return length;
    }
    let padding = frame.start().first().map_or(0, |length| usize::from(*length));
    length.saturating_sub(1 + padding)
}

/// Whether a reset with this code answers a mistake: PROTOCOL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED, FRAME_SIZE_ERROR,
/// REFUSED_STREAM.
fn blames_client(code: u32) -> bool {
    matches!(code, 0x1 | 0x3 | 0x5 | 0x6 | 0x7)
}

/// FrameReader at once that are tolerated, and forgiven over time.
#[derive(Debug)]
struct FrameBucket {
    /// What one frame adds. The bucket is full at [`LEAK_TIME`].
    unit: Duration,
    level: Duration,
    at: Instant,
}

impl FrameBucket {
    fn new(frames: u32, now: Instant) -> Self {
        FrameBucket { unit: LEAK_TIME / frames.max(1), level: Duration::ZERO, at: now }
    }

    /// Adds `frames`. False if the bucket overflows.
    fn charge(&mut self, frames: u32, now: Instant) -> bool {
        self.level = self.level.saturating_sub(now.saturating_duration_since(self.at));
        self.at = now;
        self.level = self.level.saturating_add(self.unit.saturating_mul(frames));
        self.level <= LEAK_TIME
    }

    fn credit(&mut self, frames: u32) {
        self.level = self.level.saturating_sub(self.unit.saturating_mul(frames));
    }
}

#[cfg(test)]
mod tests;
