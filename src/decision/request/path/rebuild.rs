//! Writes a path anew, segment by segment, in normal form.

use std::fmt;

/// Why a path has no normal form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    NotRooted,
    ControlCharacter,
    EncodedSeparator,
    Delimiter,
    InvalidEscape,
    NestedEscapes,
    NotUtf8,
    AboveRoot,
    DotParameters,
    EncodedDots,
    DotSpaces,
}

impl PathError {
    /// The reason as half a sentence, fit for a log line and for a diagnostic.
    pub const fn as_str(self) -> &'static str {
        match self {
            PathError::NotRooted => "the path does not begin with `/`",
            PathError::ControlCharacter => "the path contains a space or a control character",
            PathError::EncodedSeparator => "the path contains an encoded separator (`%2F` or `%5C`)",
            PathError::Delimiter => "the path contains `?` or `#`",
            PathError::InvalidEscape => "the path contains `%` without two hexadecimal digits",
            PathError::NestedEscapes => "the path contains a character that is escaped again and again",
            PathError::NotUtf8 => "the path is not valid UTF-8 once decoded",
            PathError::AboveRoot => "the path climbs above the root",
            PathError::DotParameters => "the path contains a dot segment with parameters, such as `/..;/`",
            PathError::EncodedDots => "the path contains a dot segment that shows only once it is decoded further",
            PathError::DotSpaces => "the path contains a dot segment with spaces after it, such as `/..%20/`",
        }
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a path is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    /// As the client sent it.
    Sent,
    /// Decoded further than the client's own spelling. Dot segments that appear now were hidden, and are refused.
    Decoded,
    /// Like [`Pass::Decoded`], and an escaped character of `pchar` counts as the character.
    Loosest,
}

/// What becomes of `//`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Slashes {
    /// It is `/`.
    Merge,
    /// There is an empty segment between them.
    Keep,
}

/// The normal form of `path`, read as `pass` says.
pub(super) fn rebuild(path: &[u8], pass: Pass, slashes: Slashes) -> Result<String, PathError> {
    let rest = path.strip_prefix(b"/").ok_or(PathError::NotRooted)?;
    let mut normal = String::with_capacity(path.len() + 8);
    normal.push('/');
    let mut ascii = true;
    let mut segments = rest.split(|&b| b == b'/').peekable();
    while let Some(segment) = segments.next() {
        // Here `normal` always ends with `/`.
        let start = normal.len();
        ascii &= push_segment(&mut normal, segment, pass)?;
        match &normal[start..] {
            "" if slashes == Slashes::Keep && segments.peek().is_some() => normal.push('/'),
            "" => {}
            "." | ".." if pass != Pass::Sent => return Err(PathError::EncodedDots),
            "." => normal.truncate(start),
            ".." => {
                let parent = normal[..start - 1].rfind('/').ok_or(PathError::AboveRoot)?;
                normal.truncate(parent + 1);
            }
            segment => {
                refuse_dots(segment)?;
                if segments.peek().is_some() {
                    normal.push('/');
                }
            }
        }
    }
    if !ascii && percent_encoding::percent_decode(path).decode_utf8().is_err() {
        return Err(PathError::NotUtf8);
    }
    Ok(normal)
}

/// Appends one segment in normal form; tells whether it decodes to ASCII.
fn push_segment(normal: &mut String, segment: &[u8], pass: Pass) -> Result<bool, PathError> {
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
                    _ if is_unreserved(decoded) => normal.push(char::from(decoded)),
                    _ if pass == Pass::Loosest && PLAIN[decoded as usize] => normal.push(char::from(decoded)),
                    _ => push_escape(normal, decoded),
                }
            }
            0..=0x20 | 0x7f => return Err(PathError::ControlCharacter),
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

fn push_escape(normal: &mut String, byte: u8) {
    normal.push_str(percent_encoding::percent_encode_byte(byte));
}

/// RFC 3986 §2.3.
pub(super) const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// RFC 3986's `pchar` without `%` and without the dot, which may make a dot segment.
pub(super) const PLAIN: [bool; 256] = {
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

/// Refuses a segment with dots that turn into a dot segment where parameters are dropped, as servlet containers do before
/// they resolve dots, or where separators are decoded: `..;`, `..%2F`. No policy makes that a name.
fn refuse_dots(segment: &str) -> Result<(), PathError> {
    let mut rest = segment;
    while !rest.is_empty() {
        let end = rest.match_indices('%').map(|(at, _)| at).find(|&at| is_separator(&rest[at..]));
        let piece = &rest[..end.unwrap_or(rest.len())];
        let name = piece.split(';').next().unwrap_or_default();
        let name = name.split("%3B").next().unwrap_or_default();
        if matches!(name, "." | "..") {
            let whole = piece.len() == segment.len();
            return Err(if whole { PathError::DotParameters } else { PathError::EncodedDots });
        }
        rest = end.map_or("", |end| &rest[end + "%2F".len()..]);
    }
    Ok(())
}

fn is_separator(text: &str) -> bool {
    text.starts_with("%2F") || text.starts_with("%5C")
}
