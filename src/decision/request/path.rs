//! The normal form of a path.
//!
//! Two paths that every origin takes for the same have the same normal form (RFC 3986 §6.2.2). In normal form a path begins
//! with `/`, has no dot segment and no `//`, spells unreserved characters plainly, and every other character outside of
//! RFC 3986's `pchar` as an escape in upper case. It is what rules match and what is forwarded, byte for byte.
//!
//! What only some origins take for the same is kept apart in it and told beside it, as its [`PathVariant`]: `route` accepts such
//! a path only if it leads to the same route however an origin reads it. What nobody sends in good faith is refused.

mod rebuild;
mod variant;

use std::borrow::Cow;

use rebuild::{PLAIN, Pass, Slashes, rebuild};

pub use rebuild::PathError;
pub use variant::{PathVariant, UnmergedPath};

/// A path in normal form, and what in it origins read differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading<'a> {
    /// In normal form.
    pub path: Cow<'a, str>,
    pub spelling: PathVariant,
}

/// Brings `path` into normal form, or says why it has none. What is in normal form already costs one scan.
pub fn read(path: &[u8]) -> Result<Reading<'_>, PathError> {
    if is_plainly_normal(path)
        && let Ok(path) = std::str::from_utf8(path)
    {
        return Ok(Reading { path: Cow::Borrowed(path), spelling: PathVariant::default() });
    }
    let normal = rebuild(path, Pass::Sent, Slashes::Merge)?;
    let mut spelling = variant::of(&normal, Slashes::Merge)?;
    if path.windows(2).any(|pair| pair == b"//") {
        spelling.unmerged = variant::unmerged(path, &normal);
    }
    Ok(Reading { spelling, path: Cow::Owned(normal) })
}

/// The other reading of `normal`, a path in normal form: every `%2F` in it is a `/`.
///
/// An encoded backslash is refused, for it is a separator to some origins only; so is a separator that is escaped twice.
pub fn decode_separators(normal: &str) -> Result<Reading<'static>, PathError> {
    let path = rebuild(normal.replace("%2F", "/").as_bytes(), Pass::Decoded, Slashes::Merge)?;
    let spelling = variant::of(&path, Slashes::Merge)?;
    if spelling.encoded_separators {
        return Err(PathError::EncodedSeparator);
    }
    Ok(Reading { path: Cow::Owned(path), spelling })
}

/// Whether `path` is in normal form without escapes, parameters and a segment that begins or ends with a dot: nearly every path is.
fn is_plainly_normal(path: &[u8]) -> bool {
    let mut previous = 0;
    for &byte in path {
        let plain = match byte {
            b'/' => !matches!(previous, b'/' | b'.'),
            b'.' => previous != b'/',
            b';' => false,
            _ => PLAIN[byte as usize],
        };
        if !plain {
            return false;
        }
        previous = byte;
    }
    path.first() == Some(&b'/') && previous != b'.'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::rebuild::is_unreserved;
    use super::*;

    fn normal(path: &str) -> Result<String, PathError> {
        read(path.as_bytes()).map(|reading| reading.path.into_owned())
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
            ("/a%2fb%2Fc", "/a%2Fb%2Fc"),
            ("/a%5cb", "/a%5Cb"),
            ("/.well-known/x", "/.well-known/x"),
            ("/.../x", "/.../x"),
            ("/caf\u{e9}", "/caf%C3%A9"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/a[0]{x}|", "/a%5B0%5D%7Bx%7D%7C"),
            ("/a\\b\"<>^`", "/a%5Cb%22%3C%3E%5E%60"),
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
            ("/a/..%20/b", PathError::DotSpaces),
            ("/a/.%20/b", PathError::DotSpaces),
            ("/a/%2e.%20.%20", PathError::DotSpaces),
            ("/a/..%2520/b", PathError::DotSpaces),
            ("/a/..%20;x/b", PathError::DotSpaces),
            ("/a\\..\\b", PathError::EncodedDots),
            ("/a%00", PathError::ControlCharacter),
            ("/a%0d%0a", PathError::ControlCharacter),
            ("/a b", PathError::ControlCharacter),
            ("/a\tb", PathError::ControlCharacter),
            ("/a\u{7f}", PathError::ControlCharacter),
            ("/a%zz", PathError::InvalidEscape),
            ("/a%2", PathError::InvalidEscape),
            ("/a%+1", PathError::InvalidEscape),
            ("/a%c0%af", PathError::NotUtf8),
            ("/a%25c0%25af", PathError::NotUtf8),
            ("/a%2500", PathError::ControlCharacter),
            ("/a%250d", PathError::ControlCharacter),
            ("/%ff/../a", PathError::NotUtf8),
            ("/a/..;/b", PathError::DotParameters),
            ("/a/.;x/b", PathError::DotParameters),
            ("/a/%2e%2e%3bx/b", PathError::DotParameters),
            ("/a%253B%252e/../..%253Bx/b", PathError::DotParameters),
            ("/a/..%2fb", PathError::EncodedDots),
            ("/a/%2F..", PathError::EncodedDots),
            ("/a%2f%2e%2e%2fb", PathError::EncodedDots),
            ("/a%5C..", PathError::EncodedDots),
            ("/a/.%5cb", PathError::EncodedDots),
            ("/a/b%2F..;x%2Fc", PathError::EncodedDots),
            ("/a/%252e%252e/b", PathError::EncodedDots),
            ("/a/%25252e/b", PathError::EncodedDots),
            ("/a/..%252fb", PathError::EncodedDots),
            ("/a%252f%252e%252e", PathError::EncodedDots),
            ("/a%2525252525252541", PathError::NestedEscapes),
            ("/a#b", PathError::Delimiter),
        ] {
            assert_eq!(normal(path), Err(expected), "{path}");
        }
        assert_eq!(read(b"/\xff"), Err(PathError::NotUtf8));
    }

    #[test]
    fn a_normal_path_is_borrowed() {
        let plain = read(b"/v1/orders/7.json,a=b").unwrap();
        assert!(matches!(plain.path, Cow::Borrowed(_)));
        assert_eq!(plain.spelling, PathVariant::default());
    }

    #[test]
    fn a_decoded_path_has_no_separator_left() {
        let decoded = |path: &str| decode_separators(&normal(path).unwrap()).map(|reading| reading.path.into_owned());
        assert_eq!(decoded("/a%2fb%2F%2fc%2f").as_deref(), Ok("/a/b/c/"));
        assert_eq!(decoded("/%2fa").as_deref(), Ok("/a"));
        assert_eq!(decoded("/a%2fb;c%2Cd").as_deref(), Ok("/a/b;c%2Cd"));
        for path in ["/a%2fb%5cc", "/a%252fb", "/a%2fb%252fc"] {
            assert_eq!(decoded(path), Err(PathError::EncodedSeparator), "{path}");
        }
    }

    proptest! {
        #[test]
        fn normal_paths_stay_as_they_are(path in "/([a-c./;%~{ \u{e9}]|%2[e5fF]|%3[bB]|%[0-9a-fA-F]{2}|%C3%A9){0,20}") {
            let Ok(once) = normal(&path) else { return Ok(()) };
            prop_assert_eq!(normal(&once), Ok(once.clone()));
            // But for its empty segments, which the normal form has lost.
            let merged = |path: &str| read(path.as_bytes()).map(|r| PathVariant { unmerged: None, ..r.spelling });
            prop_assert_eq!(merged(&once), merged(&path));
            prop_assert!(once.starts_with('/'));
            prop_assert!(!once.contains("//"));
            prop_assert!(once.bytes().all(|b| b.is_ascii_graphic()));
            prop_assert!(once.replace("%2F", "/").split('/').all(|segment| segment != "." && segment != ".."));
            for (at, _) in once.match_indices('%') {
                let digits = &once[at + 1..at + 3];
                prop_assert_eq!(digits.to_ascii_uppercase(), digits);
                prop_assert!(!is_unreserved(u8::from_str_radix(digits, 16).unwrap()));
            }
        }

        #[test]
        fn no_bytes_make_it_panic(path: Vec<u8>) {
            let _ = read(&path);
        }
    }
}
