//! Truncates values from a client, so that no request can write a very long line.
//!
//! A line is written for every request, refused ones too. A configuration that accepts long heads must not let them into the
//! log; the beginning of a value identifies the request.

use std::borrow::Cow;
use std::io::Write;

/// Longer than any registered method (`UPDATEREDIRECTREF` has 17 characters).
pub const METHOD: usize = 32;
/// A DNS name has 253 (RFC 1035 §2.3.4).
pub const HOST: usize = 256;
/// Path, query and referer, each.
pub const URI: usize = 4 << 10;
/// All other text: the user agent, the caller, the reason in words.
pub const TEXT: usize = 1 << 10;

/// The first `most` bytes of `value`, and the number of removed bytes as `[+123_bytes]`; `value` itself if it is not longer.
/// A UTF-8 character is removed rather than split.
pub fn truncate(value: Cow<'_, [u8]>, most: usize) -> Cow<'_, [u8]> {
    if value.len() <= most {
        return value;
    }
    let is_inner = |byte: u8| byte & 0b1100_0000 == 0b1000_0000;
    // A character has at most three bytes after its first; more of them are not UTF-8.
    let end = (most.saturating_sub(3)..=most).rev().find(|&end| !is_inner(value[end])).unwrap_or(most);
    let mut beginning = value[..end].to_vec();
    // Writing to a vector can't fail.
    let _ = write!(beginning, "[+{}_bytes]", value.len() - end);
    Cow::Owned(beginning)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str, most: usize) -> String {
        String::from_utf8(truncate(text.as_bytes().into(), most).into_owned()).unwrap()
    }

    #[test]
    fn what_is_short_enough_stays() {
        assert_eq!(of("", 0), "");
        assert_eq!(of("abc", 3), "abc");
    }

    #[test]
    fn what_is_longer_says_by_how_much() {
        assert_eq!(of("abcd", 3), "abc[+1_bytes]");
        assert_eq!(of(&"a".repeat(900_000), 2), "aa[+899998_bytes]");
    }

    #[test]
    fn no_character_is_cut() {
        assert_eq!(of("aéb", 2), "a[+3_bytes]");
        assert_eq!(of("𝄞𝄞", 7), "𝄞[+4_bytes]");
        assert_eq!(&*truncate(b"\x80\x80\x80\x80\x80\x80"[..].into(), 5), b"\x80\x80\x80\x80\x80[+1_bytes]");
    }

    proptest! {
        #[test]
        fn text_stays_text(text: String, most in 0usize..40) {
            prop_assert!(of(&text, most).len() <= most.min(text.len()) + "[+_bytes]".len() + 20);
        }
    }
}
