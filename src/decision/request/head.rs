//! The head of an HTTP/1 request, judged as bytes before any parser reads it.
//!
//! Parsers forgive: a line that ends in LF alone, a space before a colon, a folded line, a NUL. Each of them forgives
//! something else, and where two of them stand in a row, the difference is an attack (RFC 9112 §11.1). So nothing is forgiven
//! here: what passes has one reading by the grammar of RFC 9112 §2 to §6, for every parser that comes after.

#[cfg(test)]
mod tests;

use http::Version;

use super::framing::{BodyFraming, BodyLength};
use super::syntax::{is_text, is_token, malformed};
use super::target;
use crate::decision::bounds::HARD_MAX_HEADER_COUNT;
use crate::decision::outcome::{Cause, Denial};

/// Reads a head as it arrives.
#[derive(Debug, Default)]
pub struct HeadReader {
    /// Where the line begins that is not read yet.
    line: usize,
    /// Up to where no end of that line was found.
    searched: usize,
    version: Option<Version>,
    fields: usize,
    hosts: usize,
    measure: BodyFraming,
    /// Whether a target with a character that should have been escaped is refused.
    strict: bool,
    /// Where a target with such characters stands.
    raw_target: Option<TargetPlace>,
}

/// Where a request target stands in a head, in bytes from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetPlace {
    pub start: usize,
    pub end: usize,
}

/// A head that is complete and has one reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// In bytes, the empty line at its end included.
    pub length: usize,
    pub framing: BodyLength,
    /// The target, if it has characters that should have been escaped, and that are to be before the head is read further
    /// ([`target::encode`]).
    pub raw_target: Option<TargetPlace>,
}

impl HeadReader {
    /// `strict`: a target with characters that should have been escaped is refused.
    pub fn new(strict: bool) -> Self {
        HeadReader { strict, ..HeadReader::default() }
    }

    /// Looks at `bytes`, all that have arrived since the head began, of which earlier calls saw a part. `None`: it goes on.
    ///
    /// # Errors
    /// As soon as the bytes can't become a request any more: [`Cause::MalformedRequest`], [`Cause::VersionUnsupported`],
    /// [`Cause::MethodTooLong`], [`Cause::HeadersTooMany`], [`Cause::HostInvalid`], [`Cause::TransferCodingUnknown`]; [`Cause::PathInvalid`] for a target that
    /// is not strict.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Option<Head>, Denial> {
        while let Some(end) = memchr::memchr(b'\n', &bytes[self.searched..]) {
            let end = self.searched + end;
            let Some(line) = bytes[self.line..end].strip_suffix(b"\r") else {
                return malformed("a line ends in LF without CR");
            };
            let start = self.line;
            self.line = end + 1;
            self.searched = end + 1;
            match self.version {
                // RFC 9112 §2.2: an empty line before the request line is to be ignored. More of them are no request.
                None if line.is_empty() && end == 1 => {}
                None => {
                    let (target, version) = request_line(line)?;
                    self.version = Some(version);
                    if target::has_raw(target) {
                        self.note_raw(
                            start + line.iter().position(|byte| *byte == b' ').map_or(0, |at| at + 1),
                            target,
                        )?;
                    }
                }
                Some(version) if line.is_empty() => {
                    let framing = self.measure.framing(version)?;
                    return Ok(Some(Head { length: self.line, framing, raw_target: self.raw_target }));
                }
                Some(_) => self.field(line)?,
            }
        }
        self.searched = bytes.len();
        if self.version.is_none() {
            may_begin(&bytes[self.line..])?;
        }
        Ok(None)
    }

    /// Whether the request line is complete.
    pub fn has_request_line(&self) -> bool {
        self.version.is_some()
    }

    /// The target at `start` has characters that should have been escaped.
    fn note_raw(&mut self, start: usize, target: &[u8]) -> Result<(), Denial> {
        if self.strict {
            return Err(target::not_strict());
        }
        self.raw_target = Some(TargetPlace { start, end: start + target.len() });
        Ok(())
    }

    fn field(&mut self, line: &[u8]) -> Result<(), Denial> {
        self.fields += 1;
        if self.fields > HARD_MAX_HEADER_COUNT {
            let detail = format!("more than {HARD_MAX_HEADER_COUNT} header fields");
            return Err(Denial::new(Cause::HeadersTooMany, detail));
        }
        if matches!(line.first(), Some(b' ' | b'\t')) {
            return malformed("a folded header line");
        }
        let Some(colon) = memchr::memchr(b':', line) else {
            return malformed("a header line without a colon");
        };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if !is_token(name) {
            return malformed("a header name with a character that no name may have");
        }
        if !value.iter().all(|byte| is_text(*byte)) {
            return malformed("a header value with a control character");
        }
        // Every other name is compared by its length alone.
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                self.hosts += 1;
                match value.contains(&b'@') {
                    _ if self.hosts > 1 => malformed("more than one Host"),
                    true => Err(user_information()),
                    false => Ok(()),
                }
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => self.measure.length(trim(value)),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.measure.coding(trim(value)),
            _ => Ok(()),
        }
    }
}

/// Checks `method SP target SP HTTP-version` (RFC 9112 §3); gives the last two.
fn request_line(line: &[u8]) -> Result<(&[u8], Version), Denial> {
    let mut words = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), version) = (words.next(), words.next(), words.next()) else {
        return malformed("the request line is no request line");
    };
    if !is_token(method) {
        return malformed("the method has a character that no method may have");
    }
    if method.len() > MAX_METHOD_BYTES {
        return Err(method_too_long());
    }
    let plain = |byte: &u8| byte.is_ascii_graphic() || !byte.is_ascii();
    if target.is_empty() || !target.iter().all(plain) || std::str::from_utf8(target).is_err() {
        return malformed("the request target has a character that no target may have");
    }
    if names_user(target) {
        return Err(user_information());
    }
    if target.contains(&b'#') {
        return malformed("the request target has a fragment, which is no part of it");
    }
    if words.next().is_some() {
        return malformed("the request line has more than three words");
    }
    match version {
        Some(b"HTTP/1.1") => Ok((target, Version::HTTP_11)),
        Some(b"HTTP/1.0") => Ok((target, Version::HTTP_10)),
        None => Err(Denial::new(Cause::VersionUnsupported, "HTTP/0.9")),
        Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor])
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Err(Denial::new(Cause::VersionUnsupported, "neither HTTP/1.0 nor HTTP/1.1"))
        }
        Some(_) => malformed("the request line does not end in a version"),
    }
}

/// Whether the authority of an absolute-form target has user information before the host, which HTTP does not know
/// (RFC 9110 §4.2.4).
fn names_user(target: &[u8]) -> bool {
    if target.first() == Some(&b'/') {
        return false;
    }
    let Some(scheme) = memchr::memmem::find(target, b"://") else { return false };
    let authority = &target[scheme + 3..];
    authority.iter().take_while(|byte| !matches!(byte, b'/' | b'?')).any(|byte| *byte == b'@')
}

fn user_information() -> Denial {
    Denial::new(Cause::HostInvalid, "the host has user information before it")
}

/// Refuses at once what can't become a request line, such as TLS on a plain port: its end might never come.
fn may_begin(line: &[u8]) -> Result<(), Denial> {
    let method = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
    let complete = method < line.len();
    match &line[..method] {
        b"" if complete => malformed("the request line is no request line"),
        b"" | b"\r" => Ok(()),
        method if !is_token(method) => malformed("what arrived does not begin an HTTP request"),
        method if method.len() > MAX_METHOD_BYTES => Err(method_too_long()),
        _ => Ok(()),
    }
}

fn method_too_long() -> Denial {
    Denial::new(Cause::MethodTooLong, format!("the method is longer than {MAX_METHOD_BYTES} bytes"))
}

/// Longer than any registered method (`UPDATEREDIRECTREF`, 17), so that none is written to a log in kilobytes.
pub(super) const MAX_METHOD_BYTES: usize = 32;

/// Without the white space around it (RFC 9112 §5.1), which is less than what [`<[u8]>::trim_ascii`] takes.
fn trim(value: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !is_space(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !is_space(byte)).map_or(start, |last| last + 1);
    &value[start..end]
}
