//! The request target (RFC 9112 §3.2): its parts, and the characters that clients send in it though they should be escaped.
//!
//! Browsers and curl send `|`, `{`, `"` and raw UTF-8 where RFC 3986 has a percent escape. Parsers differ in which of them they take,
//! so that a library would decide what is served. Both protocols' readers therefore escape these characters ([`encode`]) before any
//! library sees the target; under `request.target: strict` they refuse them.

use std::borrow::Cow;

use http::Method;

use super::host;
use super::scheme::Scheme;
use crate::decision::outcome::{Cause, Denial};

/// Longest target in bytes, escapes included, that the parser behind the readers takes.
pub const HARD_MAX_TARGET: usize = (u16::MAX - 1) as usize;

/// A request target, cut into its parts but not yet judged.
pub(super) struct RequestTarget<'a> {
    pub scheme: Option<Scheme>,
    /// Of an absolute-form target.
    pub authority: Option<&'a str>,
    pub path: &'a [u8],
    pub query: Option<Cow<'a, str>>,
}

impl<'a> RequestTarget<'a> {
    /// Tells the forms of RFC 9112 §3.2 apart.
    pub fn split(target: &'a [u8], method: &Method) -> Result<Self, Denial> {
        if target == b"*" {
            return match *method {
                Method::OPTIONS => Ok(RequestTarget { scheme: None, authority: None, path: target, query: None }),
                _ => Err(Denial::new(Cause::PathInvalid, "only OPTIONS may ask for `*`")),
            };
        }
        if target.first() == Some(&b'/') {
            let (path, query) = cut_query(target)?;
            return Ok(RequestTarget { scheme: None, authority: None, path, query });
        }
        let (scheme, rest) = if let Some(rest) = strip_ignoring_case(target, b"http://") {
            (Scheme::Http, rest)
        } else if let Some(rest) = strip_ignoring_case(target, b"https://") {
            (Scheme::Https, rest)
        } else {
            return Err(Denial::new(Cause::PathInvalid, "the target is neither a path nor an http URL"));
        };
        let end = rest.iter().position(|b| matches!(b, b'/' | b'?' | b'#')).unwrap_or(rest.len());
        let authority = std::str::from_utf8(&rest[..end])
            .map_err(|_| Denial::new(Cause::HostInvalid, host::HostError::Character.as_str()))?;
        let (path, query) = cut_query(&rest[end..])?;
        // RFC 9112 §3.2.4: without path and query, OPTIONS means the server itself.
        let path: &[u8] = match (path, *method == Method::OPTIONS && query.is_none()) {
            (b"", true) => b"*",
            (b"", false) => b"/",
            (path, _) => path,
        };
        Ok(RequestTarget { scheme: Some(scheme), authority: Some(authority), path, query })
    }

    /// Whether the query had characters that were escaped.
    pub fn query_changed(&self) -> bool {
        matches!(self.query, Some(Cow::Owned(_)))
    }
}

fn strip_ignoring_case<'a>(target: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = target.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// Takes the query off, and escapes what a client should have escaped in it. Its own escapes stay as received.
fn cut_query(target: &[u8]) -> Result<(&[u8], Option<Cow<'_, str>>), Denial> {
    let Some(mark) = target.iter().position(|&b| b == b'?') else { return Ok((target, None)) };
    let query = &target[mark + 1..];
    let plain = |&b: &u8| b.is_ascii_graphic() && b != b'#' && !is_raw(b);
    if query.iter().all(plain) {
        let text = std::str::from_utf8(query).expect("BUG: ASCII is UTF-8");
        return Ok((&target[..mark], Some(Cow::Borrowed(text))));
    }
    let allowed = query.iter().all(|&b| is_raw(b) || plain(&b)) && std::str::from_utf8(query).is_ok();
    if !allowed {
        return Err(Denial::new(Cause::PathInvalid, "the query contains a character that no target may have"));
    }
    Ok((&target[..mark], Some(Cow::Owned(encoded_text(query)))))
}

/// Whether a client should have escaped `byte` in a target, and may be understood all the same: `"`, `<`, `>`, `\`, `^`, `` ` ``,
/// `{`, `|`, `}`, and what is beyond ASCII.
pub const fn is_raw(byte: u8) -> bool {
    matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | 0x80..)
}

/// Whether anything in `target` should have been escaped.
pub fn has_raw(target: &[u8]) -> bool {
    target.iter().any(|&byte| is_raw(byte))
}

/// Appends `target` with everything escaped that should have been.
pub fn encode(target: &[u8], out: &mut Vec<u8>) {
    for &byte in target {
        if is_raw(byte) {
            out.extend_from_slice(percent_encoding::percent_encode_byte(byte).as_bytes());
        } else {
            out.push(byte);
        }
    }
}

fn encoded_text(target: &[u8]) -> String {
    let mut encoded = Vec::with_capacity(target.len() + 16);
    encode(target, &mut encoded);
    String::from_utf8(encoded).expect("BUG: what is not ASCII was escaped")
}

/// The refusal of a target with raw characters under `request.target: strict`.
pub fn not_strict() -> Denial {
    let detail = "the target contains a character that must be percent-encoded, as `request.target` says";
    Denial::new(Cause::PathInvalid, detail)
}

#[cfg(test)]
mod tests {
    use http::uri::PathAndQuery;

    use super::*;

    #[test]
    fn the_parser_takes_whatever_is_not_escaped() {
        for byte in (b'!'..=b'~').filter(|byte| !is_raw(*byte) && *byte != b'#') {
            for target in [vec![b'/', byte], vec![b'/', b'?', byte]] {
                assert!(PathAndQuery::try_from(&target[..]).is_ok(), "{:?}", char::from(byte));
            }
        }
    }

    #[test]
    fn raw_characters_are_escaped_and_others_are_not() {
        let mut out = Vec::new();
        encode("/a\"<>\\^`{|}\u{e9}?[%7B]'".as_bytes(), &mut out);
        assert_eq!(String::from_utf8_lossy(&out), "/a%22%3C%3E%5C%5E%60%7B%7C%7D%C3%A9?[%7B]'");
    }
}
