//! The normal form of a path.
//!
//! Two paths that an origin may take for the same have the same normal form (RFC 3986 §6.2.2), and what origins are known
//! to take differently is refused. In normal form a path begins with `/`, has no dot segment and no `//`, spells unreserved
//! characters plainly, and every other character outside of RFC 3986's `pchar` as an escape in upper case. `%25` is never
//! decoded, so that a second decoding behind the gateway finds what the rules have seen.

use std::borrow::Cow;
use std::fmt;

/// Why a path has no normal form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    NotRooted,
    ControlCharacter,
    EncodedSeparator,
    Backslash,
    Delimiter,
    InvalidEscape,
    NotUtf8,
    AboveRoot,
    DotParameters,
}

impl PathError {
    /// The reason as half a sentence, fit for a log line and for a diagnostic.
    pub const fn as_str(self) -> &'static str {
        match self {
            PathError::NotRooted => "the path does not begin with `/`",
            PathError::ControlCharacter => "the path contains a space or a control character",
            PathError::EncodedSeparator => "the path contains an encoded separator (`%2F` or `%5C`)",
            PathError::Backslash => "the path contains a backslash, which some origins take for `/`",
            PathError::Delimiter => "the path contains `?` or `#`",
            PathError::InvalidEscape => "the path contains `%` without two hexadecimal digits",
            PathError::NotUtf8 => "the path is not valid UTF-8 once decoded",
            PathError::AboveRoot => "the path climbs above the root",
            PathError::DotParameters => "the path contains a dot segment with parameters, such as `/..;/`",
        }
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Brings `path` into normal form, or says why it has none. What is in normal form already costs one scan.
pub fn normalise(path: &[u8]) -> Result<Cow<'_, str>, PathError> {
    if is_plainly_normal(path)
        && let Ok(path) = std::str::from_utf8(path)
    {
        return Ok(Cow::Borrowed(path));
    }
    rebuild(path).map(Cow::Owned)
}

/// Whether `path` is in normal form without escapes and without a segment that begins with a dot: nearly every path is.
fn is_plainly_normal(path: &[u8]) -> bool {
    let mut previous = 0;
    for &byte in path {
        let plain = match byte {
            b'/' | b'.' => previous != b'/',
            _ => PLAIN[byte as usize],
        };
        if !plain {
            return false;
        }
        previous = byte;
    }
    path.first() == Some(&b'/')
}

fn rebuild(path: &[u8]) -> Result<String, PathError> {
    let rest = path.strip_prefix(b"/").ok_or(PathError::NotRooted)?;
    let mut normal = String::with_capacity(path.len() + 8);
    normal.push('/');
    let mut ascii = true;
    let mut segments = rest.split(|&b| b == b'/').peekable();
    while let Some(segment) = segments.next() {
        // Here `normal` always ends with `/`.
        let start = normal.len();
        ascii &= push_segment(&mut normal, segment)?;
        match &normal[start..] {
            "" => {}
            "." => normal.truncate(start),
            ".." => {
                let parent = normal[..start - 1].rfind('/').ok_or(PathError::AboveRoot)?;
                normal.truncate(parent + 1);
            }
            segment if has_dot_parameters(segment) => return Err(PathError::DotParameters),
            _ if segments.peek().is_some() => normal.push('/'),
            _ => {}
        }
    }
    if !ascii && percent_encoding::percent_decode(path).decode_utf8().is_err() {
        return Err(PathError::NotUtf8);
    }
    Ok(normal)
}

/// Appends one segment in normal form; tells whether it decodes to ASCII.
fn push_segment(normal: &mut String, segment: &[u8]) -> Result<bool, PathError> {
    let mut ascii = true;
    let mut bytes = segment.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'%' => {
                let mut digit = || bytes.next().and_then(|&b| char::from(b).to_digit(16));
                let (Some(high), Some(low)) = (digit(), digit()) else { return Err(PathError::InvalidEscape) };
                let decoded = (high << 4 | low) as u8;
                ascii &= decoded.is_ascii();
                match decoded {
                    0..0x20 | 0x7f => return Err(PathError::ControlCharacter),
                    b'/' | b'\\' => return Err(PathError::EncodedSeparator),
                    _ if is_unreserved(decoded) => normal.push(char::from(decoded)),
                    _ => push_escape(normal, decoded),
                }
            }
            0..=0x20 | 0x7f => return Err(PathError::ControlCharacter),
            b'\\' => return Err(PathError::Backslash),
            b'?' | b'#' => return Err(PathError::Delimiter),
            b'.' => normal.push('.'),
            _ if PLAIN[byte as usize] => normal.push(char::from(byte)),
            _ => {
                ascii &= byte.is_ascii();
                push_escape(normal, byte);
            }
        }
    }
    Ok(ascii)
}

/// Servlet containers drop `;…` before they resolve dots, so that `/..;/` climbs there and nowhere else.
fn has_dot_parameters(segment: &str) -> bool {
    [".", ".."]
        .into_iter()
        .any(|dots| segment.strip_prefix(dots).is_some_and(|rest| rest.starts_with(';') || rest.starts_with("%3B")))
}

fn push_escape(normal: &mut String, byte: u8) {
    normal.push_str(percent_encoding::percent_encode_byte(byte));
}

/// RFC 3986 §2.3.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// RFC 3986's `pchar` without `%` and without the dot, which may make a dot segment.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        plain[byte] = b != b'.' && is_unreserved(b)
            || matches!(b, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':' | b'@');
        byte += 1;
    }
    plain
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normal(path: &str) -> Result<String, PathError> {
        normalise(path.as_bytes()).map(Cow::into_owned)
    }

    #[test]
    fn spellings_of_one_path_have_one_normal_form() {
        for (path, expected) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/b/"),
            ("//a///b//", "/a/b/"),
            ("/a/./b/.", "/a/b/"),
            ("/a/x/../b", "/a/b"),
            ("/a/b/..", "/a/"),
            ("/a/%2e%2E/b", "/b"),
            ("/a/.%2e/b", "/b"),
            ("/%61%7Eb", "/a~b"),
            ("/a%3ab", "/a%3Ab"),
            ("/a%252e%252e/b", "/a%252e%252e/b"),
            ("/.well-known/x", "/.well-known/x"),
            ("/.../x", "/.../x"),
            ("/caf\u{e9}", "/caf%C3%A9"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/a[0]{x}|", "/a%5B0%5D%7Bx%7D%7C"),
            ("/a;v=1/b", "/a;v=1/b"),
            ("/a//../b", "/b"),
        ] {
            assert_eq!(normal(path).as_deref(), Ok(expected), "{path}");
        }
    }

    #[test]
    fn what_origins_read_differently_is_refused() {
        for (path, expected) in [
            ("", PathError::NotRooted),
            ("a", PathError::NotRooted),
            ("/..", PathError::AboveRoot),
            ("/a/../../b", PathError::AboveRoot),
            ("/%2e%2e/a", PathError::AboveRoot),
            ("/a%2fb", PathError::EncodedSeparator),
            ("/a%5Cb", PathError::EncodedSeparator),
            ("/a\\b", PathError::Backslash),
            ("/a%00", PathError::ControlCharacter),
            ("/a%0d%0a", PathError::ControlCharacter),
            ("/a b", PathError::ControlCharacter),
            ("/a\tb", PathError::ControlCharacter),
            ("/a\u{7f}", PathError::ControlCharacter),
            ("/a%zz", PathError::InvalidEscape),
            ("/a%2", PathError::InvalidEscape),
            ("/a%+1", PathError::InvalidEscape),
            ("/a%c0%af", PathError::NotUtf8),
            ("/%ff/../a", PathError::NotUtf8),
            ("/a/..;/b", PathError::DotParameters),
            ("/a/.;x/b", PathError::DotParameters),
            ("/a/%2e%2e%3bx/b", PathError::DotParameters),
            ("/a#b", PathError::Delimiter),
        ] {
            assert_eq!(normal(path), Err(expected), "{path}");
        }
        assert_eq!(normalise(b"/\xff"), Err(PathError::NotUtf8));
    }

    #[test]
    fn a_normal_path_is_borrowed() {
        assert!(matches!(normalise(b"/v1/orders/7.json;a=b"), Ok(Cow::Borrowed(_))));
    }

    proptest! {
        #[test]
        fn normal_paths_stay_as_they_are(path in "/([a-c./;%~{ \u{e9}]|%2[e5fF]|%3[bB]|%[0-9a-fA-F]{2}|%C3%A9){0,20}") {
            let Ok(once) = normal(&path) else { return Ok(()) };
            prop_assert_eq!(normal(&once), Ok(once.clone()));
            prop_assert!(once.starts_with('/'));
            prop_assert!(!once.contains("//"));
            prop_assert!(once.bytes().all(|b| b.is_ascii_graphic()));
            prop_assert!(once.split('/').all(|segment| segment != "." && segment != ".."));
            for (at, _) in once.match_indices('%') {
                let digits = &once[at + 1..at + 3];
                prop_assert_eq!(digits.to_ascii_uppercase(), digits);
                prop_assert!(!is_unreserved(u8::from_str_radix(digits, 16).unwrap()));
            }
        }

        #[test]
        fn no_bytes_make_it_panic(path: Vec<u8>) {
            let _ = normalise(&path);
        }
    }
}
