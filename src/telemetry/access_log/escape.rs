//! Escaping for text lines, so that no value from a client can end a line or a quoted field.

/// Appends `value` as Apache's and nginx's logs do: `"` and `\` with a backslash, control characters and everything
/// beyond ASCII as `\xhh`.
pub fn push_escaped(line: &mut Vec<u8>, value: &[u8]) {
    for &byte in value {
        match byte {
            b'"' | b'\\' => line.extend_from_slice(&[b'\\', byte]),
            b' '..=b'~' => line.push(byte),
            _ => push_hex(line, byte),
        }
    }
}

/// Like [`push_escaped`], for a field that ends at the next space.
pub fn push_escaped_word(line: &mut Vec<u8>, value: &[u8]) {
    for (index, word) in value.split(|&byte| byte == b' ').enumerate() {
        if index > 0 {
            push_hex(line, b' ');
        }
        push_escaped(line, word);
    }
}

fn push_hex(line: &mut Vec<u8>, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    line.extend_from_slice(&[b'\\', b'x', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn escaped(value: &[u8]) -> String {
        let mut line = Vec::new();
        push_escaped(&mut line, value);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn quotes_backslashes_and_control_characters_are_escaped() {
        assert_eq!(escaped(b"a\"b\\c\nd\x7f\xe9"), r#"a\"b\\c\x0ad\x7f\xe9"#);
    }

    #[test]
    fn a_word_has_no_space() {
        let mut line = Vec::new();
        push_escaped_word(&mut line, b" a b");
        assert_eq!(line, br"\x20a\x20b");
    }

    proptest! {
        #[test]
        fn escaped_text_is_printable_and_ends_no_quotation(value: Vec<u8>) {
            let text = escaped(&value);
            prop_assert!(text.bytes().all(|b| (b' '..=b'~').contains(&b)));
            let mut bytes = text.bytes();
            while let Some(byte) = bytes.next() {
                prop_assert_ne!(byte, b'"');
                if byte == b'\\' {
                    prop_assert!(matches!(bytes.next(), Some(b'"' | b'\\' | b'x')));
                }
            }
        }

        #[test]
        fn different_values_stay_different(a: Vec<u8>, b: Vec<u8>) {
            prop_assert_eq!(a == b, escaped(&a) == escaped(&b));
        }
    }
}
