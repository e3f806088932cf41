//! Reads the header blocks of a client's connection before the HTTP/2 library does, and changes what the library must not see.
//!
//! Every block is held until it is complete, decoded, and judged by [`section`]. As long as nothing has to be changed, the frames pass
//! as they came. A target that lacks escapes gets them. A request that is to be answered with a refusal is replaced by one that the
//! library takes, and that carries the refusal to the hooks in its `:scheme`, where no client can put it
//! ([`refusal_of`]). A malformed message is replaced by one that the library resets with PROTOCOL_ERROR, so that the stream ends for
//! it too.
//!
//! From the first change on, the dynamic table of the library is not that of the client any more: this and every later block is
//! encoded anew, as literals without indexing (RFC 7541 §6.2.2).

mod block;

use self::block::{ArrivedBlock, HeaderBlock};
use super::connection_error::{Http2ConnectionError, check_frame};
use super::frame::{DATA, END_STREAM, FRAME_HEADER, FrameHeader, HEADERS, RST_STREAM, write_block};
use crate::decision::request::section::{self, SectionRefusal, SectionVerdict};
use crate::decision::request::target;
use crate::proxy::hpack::decoder::{HpackDecoder, InvalidHpack};
use crate::proxy::hpack::encode_field;
use crate::proxy::hpack::field_list::FieldList;

/// Streams remembered at most whose requests have not ended; far more than a connection may have open. Of a stream that had to be
/// forgotten, trailers are taken for what they are by the library.
const OPEN_MAX: usize = 1024;

/// How much of the target of a refused request is kept for its log line, in bytes.
const LOGGED_TARGET: usize = 1 << 10;

/// When so many bytes wait to be handed over, what follows them waits to be judged: a reference of one byte may stand for a field
/// of 4 KiB.
const OUT_MAX: usize = 64 << 10;

/// What a `:scheme` begins with that carries a refusal to the hooks; its number follows.
const REFUSED: &str = "refused.";

/// A request that was found malformed.
pub struct MalformedRequest<'a> {
    /// What is left of it.
    pub fields: &'a FieldList,
    pub why: &'static str,
}

/// Follows the frames that a client sends, behind its preface.
#[derive(Debug)]
pub struct HeaderBlockReader {
    preface_left: usize,
    decoder: HpackDecoder,
    fields: FieldList,
    /// From this size on, as RFC 9113 §6.5.2 counts, a field section is too large.
    max_list: usize,
    strict_target: bool,
    /// A frame's head, or a header block, that is not complete.
    held: Vec<u8>,
    /// How many bytes must be held before there is anything to look at.
    needed: usize,
    /// Frames are held that wait for what is before them to be handed over.
    paused: bool,
    /// Bytes of the current frame that are still to pass.
    payload_left: usize,
    /// What passes in place of bytes that were held.
    out: Vec<u8>,
    /// How much of it has been handed over.
    handed: usize,
    /// The highest stream that the client has opened.
    highest: u32,
    /// Streams whose request has not ended, ascending.
    open: Vec<u32>,
    /// Whether blocks are encoded anew.
    encodes: bool,
}

impl HeaderBlockReader {
    pub fn new(preface: usize, max_list: usize, strict_target: bool) -> Self {
        HeaderBlockReader {
            preface_left: preface,
            decoder: HpackDecoder::default(),
            fields: FieldList::default(),
            max_list,
            strict_target,
            held: Vec::new(),
            needed: 0,
            paused: false,
            payload_left: 0,
            out: Vec::new(),
            handed: 0,
            highest: 0,
            open: Vec::new(),
            encodes: false,
        }
    }

    /// Takes what has arrived. The first bytes, as many as it returns, pass as they are; what follows them is [`handed
    /// over`](HeaderBlockReader::hand_over) later.
    ///
    /// # Errors
    /// The connection must end.
    pub fn take(
        &mut self,
        bytes: &[u8],
        malformed: &mut dyn FnMut(MalformedRequest<'_>),
    ) -> Result<usize, Http2ConnectionError> {
        debug_assert!(!self.has_output(), "BUG: what was taken before is not handed over");
        self.paused = false;
        if self.held.is_empty() {
            return self.scan(bytes, malformed);
        }
        if self.held.len() + bytes.len() < self.needed {
            self.held.extend_from_slice(bytes);
            return Ok(0);
        }
        let mut all = std::mem::take(&mut self.held);
        all.extend_from_slice(bytes);
        let passed = self.scan(&all, malformed)?;
        if passed > 0 {
            let rest = std::mem::take(&mut self.out);
            all.truncate(passed);
            all.extend_from_slice(&rest);
            self.out = all;
        }
        Ok(0)
    }

    /// Whether more can be taken from what is held, now that everything before it is handed over.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Whether something is to be handed over.
    pub fn has_output(&self) -> bool {
        self.handed < self.out.len()
    }

    /// Hands over as much as there is room for, through `put`.
    pub fn hand_over(&mut self, room: usize, put: impl FnOnce(&[u8])) {
        let end = self.out.len().min(self.handed + room);
        put(&self.out[self.handed..end]);
        self.handed = end;
        if end == self.out.len() {
            self.out = Vec::new();
            self.handed = 0;
        }
    }

    /// The highest stream that the client has opened.
    pub fn highest(&self) -> u32 {
        self.highest
    }

    /// How many leading bytes pass as they are. What passes after them is in `out`, and what is not complete in `held`.
    fn scan(
        &mut self,
        bytes: &[u8],
        malformed: &mut dyn FnMut(MalformedRequest<'_>),
    ) -> Result<usize, Http2ConnectionError> {
        let (mut at, mut verbatim) = (0, 0);
        self.needed = 0;
        while at < bytes.len() {
            if self.out.len() >= OUT_MAX {
                self.held.extend_from_slice(&bytes[at..]);
                self.paused = true;
                break;
            }
            let begun = self.preface_left.max(self.payload_left).min(bytes.len() - at);
            if begun > 0 {
                self.preface_left -= begun.min(self.preface_left);
                self.payload_left -= begun.min(self.payload_left);
                self.pass(&bytes[at..at + begun], &mut verbatim);
                at += begun;
                continue;
            }
            let rest = &bytes[at..];
            let Some(head) = FrameHeader::parse(rest) else {
                self.held.extend_from_slice(rest);
                self.needed = FRAME_HEADER;
                break;
            };
            check_frame(&head)?;
            if head.kind != HEADERS {
                self.track(&head);
                self.payload_left = FRAME_HEADER + head.length;
                continue;
            }
            let block = match HeaderBlock::read(head, rest)? {
                ArrivedBlock::Whole(block) => block,
                ArrivedBlock::Needs(needed) => {
                    self.held.extend_from_slice(rest);
                    self.needed = needed;
                    break;
                }
            };
            let length = block.frames.len();
            let passes = self.passes(&block, malformed)?;
            self.fields.release();
            if passes {
                self.pass(&bytes[at..at + length], &mut verbatim);
            }
            at += length;
        }
        Ok(verbatim)
    }

    /// Lets `bytes` pass: in place, as long as everything before them does.
    fn pass(&mut self, bytes: &[u8], verbatim: &mut usize) {
        if self.out.is_empty() {
            *verbatim += bytes.len();
        } else {
            self.out.extend_from_slice(bytes);
        }
    }

    /// Judges a block. True if it passes as it is; otherwise what passes in its place is in `out`.
    fn passes(
        &mut self,
        block: &HeaderBlock<'_>,
        malformed: &mut dyn FnMut(MalformedRequest<'_>),
    ) -> Result<bool, Http2ConnectionError> {
        let head = block.head;
        // Every block uses the same memory, unless one has made it large.
        self.fields.reset(self.max_list);
        let decoded = self.decoder.decode(block.text(), &mut self.fields);
        decoded.map_err(|InvalidHpack| Http2ConnectionError::Compression)?;
        let (opens, trails) = (head.stream > self.highest, self.open.binary_search(&head.stream).is_ok());
        self.track(&head);
        let (ends, too_large) = (head.has(END_STREAM), self.fields.is_too_large());
        let verdict = match (opens, trails) {
            // The library would not decode the block, and then no later one.
            _ if block.depends_on_itself() => SectionVerdict::Malformed("a stream that depends on itself"),
            (true, _) if too_large => SectionVerdict::Refused(SectionRefusal::FieldsTooLarge),
            (_, true) if too_large => SectionVerdict::Malformed("trailers larger than `bounds.header_bytes`"),
            (true, _) => section::request(self.fields.iter(), ends, self.strict_target),
            (_, true) => section::trailers(self.fields.iter()),
            // The stream has ended: whatever the block says, the library answers for the stream.
            _ if self.encodes => SectionVerdict::Malformed(""),
            _ => SectionVerdict::Plain,
        };
        match verdict {
            SectionVerdict::Plain if !self.encodes => return Ok(true),
            SectionVerdict::Plain | SectionVerdict::RawTarget => self.write_encoded(&head),
            SectionVerdict::Refused(refusal) => self.write_refused(&head, refusal),
            SectionVerdict::Malformed(why) => {
                // With malformed trailers, the request that they belong to has its own line.
                if opens {
                    malformed(MalformedRequest { fields: &self.fields, why });
                }
                self.write_malformed(&head);
            }
        }
        self.encodes = true;
        Ok(false)
    }

    /// The fields as they are, with a target that has its escapes.
    fn write_encoded(&mut self, head: &FrameHeader) {
        let mut block = Vec::with_capacity(512);
        let mut escaped = Vec::new();
        for (name, value) in self.fields.iter() {
            if name == b":path" && target::has_raw(value) {
                target::encode(value, &mut escaped);
                encode_field(name, &escaped, &mut block);
            } else {
                encode_field(name, value, &mut block);
            }
        }
        write_block(head, &block, &mut self.out);
    }

    /// A request that carries `refusal`, and of the client's only what the log line and the answer need.
    fn write_refused(&mut self, head: &FrameHeader, refusal: SectionRefusal) {
        let number = SectionRefusal::ALL.iter().position(|other| *other == refusal).unwrap_or_default();
        let method = self.fields.get(b":method").filter(|method| is_word(method) && *method != b"CONNECT");
        let sent = self.fields.get(b":path").unwrap_or_default();
        let mut path = Vec::new();
        target::encode(&sent[..sent.len().min(LOGGED_TARGET)], &mut path);
        path.retain(|byte| byte.is_ascii_graphic() && *byte != b'#');
        let loggable = path.first() == Some(&b'/');
        let mut block = Vec::with_capacity(256);
        encode_field(b":method", method.unwrap_or(b"GET"), &mut block);
        encode_field(b":scheme", format!("{REFUSED}{number}").as_bytes(), &mut block);
        encode_field(b":authority", b"refused.invalid", &mut block);
        encode_field(b":path", if loggable { &path } else { b"/" }, &mut block);
        for name in [&b"accept"[..], b"user-agent", b"referer"] {
            // The list was not judged: it may be the library that ends the connection over a value.
            if let Some(value) = self.fields.get(name).filter(|value| value.iter().all(|byte| section::is_text(*byte)))
            {
                encode_field(name, value, &mut block);
            }
        }
        write_block(head, &block, &mut self.out);
    }

    /// A block for which the library resets the stream: it has a field that HTTP/2 knows no more (RFC 9113 §8.2.2).
    fn write_malformed(&mut self, head: &FrameHeader) {
        let mut block = Vec::new();
        encode_field(b"connection", b"close", &mut block);
        write_block(head, &block, &mut self.out);
    }

    /// Keeps `open` and `highest` right.
    fn track(&mut self, head: &FrameHeader) {
        let ends = head.has(END_STREAM);
        match head.kind {
            HEADERS if head.stream > self.highest => {
                self.highest = head.stream;
                if !ends {
                    if self.open.len() == OPEN_MAX {
                        self.open.remove(0);
                    }
                    self.open.push(head.stream);
                }
            }
            HEADERS | DATA if ends => self.close(head.stream),
            RST_STREAM => self.close(head.stream),
            _ => {}
        }
    }

    fn close(&mut self, stream: u32) {
        if let Ok(at) = self.open.binary_search(&stream) {
            self.open.remove(at);
        }
    }
}

/// The refusal that a `:scheme` carries.
pub fn refusal_of(scheme: &str) -> Option<SectionRefusal> {
    let number: usize = scheme.strip_prefix(REFUSED)?.parse().ok()?;
    SectionRefusal::ALL.get(number).copied()
}

/// A method that the library takes, and the log may have.
fn is_word(method: &[u8]) -> bool {
    (1..=32).contains(&method.len()) && method.iter().all(u8::is_ascii_uppercase)
}

#[cfg(test)]
mod tests;
