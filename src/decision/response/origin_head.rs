//! The head of an HTTP/1 answer, as an origin sends it.
//!
//! Read by the library that Pingora reads such heads with, and with its settings, so that both take and refuse the same.

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{Method, StatusCode, Version};

use super::byte_head::ByteHead;
use super::origin_body::OriginBody;
use super::section::HeaderSection;

/// Longest head in bytes.
pub const MAX_HEAD_BYTES: usize = 1 << 20;

/// Most fields of a head.
const MAX_FIELDS: usize = 256;

/// Up to so many bytes, a head that has not come whole is looked at again with every piece, so that what is no HTTP is found out at
/// once.
const EAGER_BYTES: usize = 4096;

/// A head that is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OriginHead {
    pub status: StatusCode,
    pub version: Version,
    /// In bytes, with the empty line at its end.
    pub length: usize,
}

/// Whether the head at the front of `bytes` has come whole, of which the first `searched` bytes were looked at before.
///
/// # Errors
/// What has come is no head of an answer, or is too long for one.
pub fn is_whole(bytes: &mut [u8], searched: &mut usize) -> Result<bool, &'static str> {
    if end(bytes, searched.saturating_sub(2)).is_some() {
        return Ok(true);
    }
    *searched = bytes.len();
    if bytes.len() > MAX_HEAD_BYTES {
        return Err("the head of the answer is too long");
    }
    if bytes.len() <= EAGER_BYTES {
        read(bytes)?;
    }
    Ok(false)
}

/// Reads the head at the front of `bytes`; `None`: it goes on. Folded lines are unfolded in place (RFC 9112 §5.2).
///
/// # Errors
/// Why it is no head of an answer.
pub fn read(bytes: &mut [u8]) -> Result<Option<(OriginHead, ByteHead<'_>)>, &'static str> {
    let end = end(bytes, 0);
    if let Some(end) = end {
        unfold(&mut bytes[..end]);
    }
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut answer = httparse::Response::new(&mut fields);
    let mut parser = httparse::ParserConfig::default();
    parser.allow_spaces_after_header_name_in_responses(true);
    // Nothing is folded any more in a head that is whole.
    parser.allow_obsolete_multiline_headers_in_responses(end.is_none());
    let length = match parser.parse_response(&mut answer, bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err("the head of the answer is malformed"),
    };
    let version = if answer.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
    let status = answer.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or("the status is no status")?;
    let head = ByteHead::of_fields(answer.headers.iter().map(|field| (field.name.as_bytes(), field.value)));
    Ok(Some((OriginHead { status, version, length }, head)))
}

/// How the body is framed of an answer with `status` to a request with `method` (RFC 9112 §6.3). A length beside a transfer coding is
/// taken away.
///
/// # Errors
/// A length that is none, or two that differ.
pub fn framing(
    method: &Method,
    status: StatusCode,
    fields: &mut impl HeaderSection,
) -> Result<OriginBody, &'static str> {
    let coded = fields.contains(&TRANSFER_ENCODING);
    if coded {
        fields.remove(&CONTENT_LENGTH);
    }
    let length = length(fields)?;
    if *method == Method::HEAD
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        || status.is_informational()
    {
        return Ok(OriginBody::Done);
    }
    Ok(match (coded, length) {
        (true, _) => OriginBody::chunked(),
        (false, Some(0)) => OriginBody::Done,
        (false, Some(length)) => OriginBody::Length(length),
        (false, None) => OriginBody::UntilClose,
    })
}

/// The length that all values agree on (RFC 9110 §8.6).
fn length(fields: &impl HeaderSection) -> Result<Option<u64>, &'static str> {
    let mut agreed = None;
    for value in fields.values(&CONTENT_LENGTH).flat_map(|value| value.split(|byte| *byte == b',')) {
        let digits = value.trim_ascii();
        let number = std::str::from_utf8(digits).ok().filter(|_| digits.iter().all(u8::is_ascii_digit));
        let length: u64 = number.and_then(|text| text.parse().ok()).ok_or("the Content-Length is no number")?;
        if agreed.is_some_and(|agreed| agreed != length) {
            return Err("two lengths of one answer differ");
        }
        agreed = Some(length);
    }
    Ok(agreed)
}

/// Where the head ends, the empty line included, if it does behind `from`. Empty lines before a status line are no end.
fn end(bytes: &[u8], from: usize) -> Option<usize> {
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n'))?;
    let from = from.max(start);
    memchr::memchr_iter(b'\n', bytes.get(from..)?).map(|at| from + at).find_map(|at| match &bytes[at + 1..] {
        [b'\n', ..] => Some(at + 2),
        [b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    })
}

/// Puts one space in the place of each line end that a line with leading white space follows, and of that white space. What is left
/// over of a line is filled with spaces, which are no part of its value.
fn unfold(head: &mut [u8]) {
    if memchr::memmem::find(head, b"\n ").is_none() && memchr::memmem::find(head, b"\n\t").is_none() {
        return;
    }
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let start = head.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(0);
    // The status line is no field: nothing belongs to it behind its end.
    let fields = memchr::memchr(b'\n', &head[start..]).map_or(head.len(), |end| start + end + 1);
    // Up to where the line at hand was read, and written.
    let (mut read, mut written) = (fields, fields);
    while read < head.len() {
        let ends = head[read..].starts_with(b"\r\n") || head[read] == b'\n';
        let behind = read + if head[read] == b'\r' { 2 } else { 1 };
        if ends && blank(head.get(behind)) {
            head[written] = b' ';
            written += 1;
            read = behind;
            while blank(head.get(read)) {
                read += 1;
            }
            continue;
        }
        if ends {
            head[written..read].fill(b' ');
            (read, written) = (behind, behind);
            continue;
        }
        head[written] = head[read];
        (read, written) = (read + 1, written + 1);
    }
}

#[cfg(test)]
mod tests;
