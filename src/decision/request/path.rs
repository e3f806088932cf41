//! The one normal form of a path.
//!
//! RFC 3986 §6.2.2 names the spellings that mean the same: dot segments, percent-encoded unreserved characters, and
//! the case of percent escapes. They are resolved here, before any rule looks. What servers read in different ways is
//! refused instead of guessed: encoded separators (`%2F`, `%5C`), backslashes, NUL and control characters, bytes that are
//! not UTF-8 when decoded, and dot segments that hide behind path parameters (`/..;x/`).

use std::borrow::Cow;

/// The normal form of `path`, borrowed when it is normal already, or why it has none.
pub fn normalise(path: &[u8]) -> Result<Cow<'_, str>, &'static str> {
    if is_normal(path) {
        // `is_normal` saw only ASCII.
        return std::str::from_utf8(path).map(Cow::Borrowed).map_err(|_| NOT_UTF8);
    }
    if path == b"*" {
        return Ok(Cow::Borrowed("*"));
    }
    let decoded = decode(path)?;
    resolve(&decoded).map(Cow::Owned)
}

const NOT_UTF8: &str = "the path is not UTF-8 when decoded";

/// Whether `path` needs no second look: plain characters, no escapes, no empty or dot segments.
fn is_normal(path: &[u8]) -> bool {
    if path.first() != Some(&b'/') {
        return false;
    }
    let mut previous = 0;
    for &byte in path {
        // A dot after a slash may begin a dot segment; a slash after a slash is an empty one.
        if !PLAIN[byte as usize] || (previous == b'/' && matches!(byte, b'/' | b'.')) {
            return false;
        }
        previous = byte;
    }
    true
}

/// Characters that stand for themselves in a path and raise no question: `pchar` (RFC 3986 §3.3) without `%` and `;`, and `/`.
static PLAIN: [bool; 256] = table(b"-._~!$&'()*+,=:@/");
/// Characters that an escape needlessly hides (RFC 3986 §2.3).
static UNRESERVED: [bool; 256] = table(b"-._~");

const fn table(others: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut i = 0;
    while i < others.len() {
        table[others[i] as usize] = true;
        i += 1;
    }
    table
}

/// Decodes what an escape needlessly hides, and writes all other escapes in upper case.
fn decode(path: &[u8]) -> Result<String, &'static str> {
    let mut out = String::with_capacity(path.len());
    // The raw bytes of the path, to see whether they are text.
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.iter();
    while let Some(&byte) = rest.next() {
        match byte {
            b'%' => {
                let (high, low) = (hex(rest.next()), hex(rest.next()));
                let (Some(high), Some(low)) = (high, low) else { return Err("the path has an incomplete escape") };
                let value = high << 4 | low;
                bytes.push(value);
                match value {
                    b'/' | b'\\' => return Err("the path has an encoded separator"),
                    0 => return Err("the path has an encoded NUL"),
                    1..=31 | 127 => return Err("the path has an encoded control character"),
                    _ if UNRESERVED[value as usize] => out.push(char::from(value)),
                    _ => escape(value, &mut out),
                }
            }
            b'\\' => return Err("the path has a backslash"),
            b'#' => return Err("the path has a fragment"),
            // Browsers send these as they are, though RFC 3986 wants them encoded.
            b'[' | b']' | b'|' | b'^' | b'"' | b'<' | b'>' | b'`' | b'{' | b'}' => {
                bytes.push(byte);
                escape(byte, &mut out);
            }
            _ if PLAIN[byte as usize] || byte == b';' => {
                bytes.push(byte);
                out.push(char::from(byte));
            }
            _ => return Err("the path has a character that must be percent-encoded"),
        }
    }
    match std::str::from_utf8(&bytes) {
        Ok(_) => Ok(out),
        Err(_) => Err(NOT_UTF8),
    }
}

fn escape(byte: u8, out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push('%');
    out.push(char::from(DIGITS[usize::from(byte >> 4)]));
    out.push(char::from(DIGITS[usize::from(byte & 15)]));
}

fn hex(digit: Option<&u8>) -> Option<u8> {
    char::from(*digit?).to_digit(16).map(|value| value as u8)
}

/// Merges empty segments and resolves dot segments (RFC 3986 §5.2.4). Climbing above the root is refused, not ignored.
fn resolve(path: &str) -> Result<String, &'static str> {
    let Some(path) = path.strip_prefix('/') else { return Err("the path does not begin with a slash") };
    let mut out = String::with_capacity(path.len() + 1);
    let mut segments = path.split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        // Some servers cut parameters off before they resolve dots: `/..;x/` climbs there and not here.
        let (name, parameters) = segment.split_once(';').map_or((segment, None), |(name, rest)| (name, Some(rest)));
        match name {
            "." | ".." if parameters.is_some() => return Err("the path has a dot segment with parameters"),
            "." => {}
            ".." => {
                let parent = out.rfind('/').ok_or("the path climbs above the root")?;
                out.truncate(parent);
            }
            // An empty segment is `//`; at the end it is the slash that the path ends with.
            "" if parameters.is_none() => {}
            _ => {
                out.push('/');
                out.push_str(segment);
                if !last {
                    continue;
                }
                return Ok(out);
            }
        }
        if last {
            out.push('/');
        }
    }
    Ok(out)
}

/// A query as it is forwarded: visible ASCII without a fragment. It has no normal form; what matches it decodes it.
pub fn query(query: &[u8]) -> Result<&str, &'static str> {
    match query.iter().find(|byte| !byte.is_ascii_graphic() || **byte == b'#') {
        Some(_) => Err("the query has a character that must be percent-encoded"),
        None => std::str::from_utf8(query).map_err(|_| "the query is not ASCII"),
    }
}
