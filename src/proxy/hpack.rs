//! HPACK (RFC 7541): a [`decoder`] for what clients send, literals for what the gateway writes, and the recognition of an answer
//! that is a status alone.

pub mod decoder;
pub mod field_list;
mod huffman;
mod table;

use http::{HeaderName, HeaderValue};

/// `:status` in the static table (RFC 7541 appendix A): index 8 to 14.
const STATUSES: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
const FIRST_STATUS: usize = 8;
const AFTER_STATUS: usize = FIRST_STATUS + STATUSES.len();
const LAST_STATIC: usize = 61;

/// Encodes `fields` as literal header fields without indexing, strings not compressed (RFC 7541 §6.2.2).
pub fn encode_literals<'a>(fields: impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)>) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        encode_field(name.as_str().as_bytes(), value.as_bytes(), &mut block);
    }
    block
}

/// Appends one such field.
pub fn encode_field(name: &[u8], value: &[u8], block: &mut Vec<u8>) {
    block.push(0);
    write_string(name, block);
    write_string(value, block);
}

fn write_string(text: &[u8], block: &mut Vec<u8>) {
    let mut rest = text.len();
    if rest < 0x7f {
        block.push(rest as u8);
    } else {
        block.push(0x7f);
        rest -= 0x7f;
        while rest >= 0x80 {
            block.push(rest as u8 & 0x7f | 0x80);
            rest >>= 7;
        }
        block.push(rest as u8);
    }
    block.extend_from_slice(text);
}

/// If `block`, the first of a response, holds exactly one field: the status that this field must be, as far as it can be
/// read without the dynamic table.
pub fn bare_status(block: &[u8]) -> Option<Option<u16>> {
    let mut block = block;
    // Dynamic table size updates come before the first field (RFC 7541 §4.2).
    while block.first()? & 0xe0 == 0x20 {
        block = integer(block, 5)?.1;
    }
    let first = *block.first()?;
    if first & 0x80 != 0 {
        let (index, rest) = integer(block, 7)?;
        let status = match index {
            FIRST_STATUS..AFTER_STATUS => Some(STATUSES[index - FIRST_STATUS]),
            0..FIRST_STATUS | AFTER_STATUS..=LAST_STATIC => return None,
            _ => None,
        };
        return rest.is_empty().then_some(status);
    }
    let (index, rest) = integer(block, if first & 0x40 != 0 { 6 } else { 4 })?;
    let value = match index {
        0 => string(string(rest)?.rest)?,
        1..FIRST_STATUS | AFTER_STATUS..=LAST_STATIC => return None,
        _ => string(rest)?,
    };
    value.rest.is_empty().then(|| value.status())
}

/// A string literal (RFC 7541 §5.2) and what follows it.
struct Literal<'a> {
    huffman: bool,
    octets: &'a [u8],
    rest: &'a [u8],
}

fn string(block: &[u8]) -> Option<Literal<'_>> {
    let huffman = block.first()? & 0x80 != 0;
    let (length, rest) = integer(block, 7)?;
    let (octets, rest) = rest.split_at_checked(length)?;
    Some(Literal { huffman, octets, rest })
}

impl Literal<'_> {
    /// The three digits, if it is three digits.
    fn status(&self) -> Option<u16> {
        if self.huffman {
            return huffman_digits(self.octets);
        }
        let digits: &[u8; 3] = self.octets.try_into().ok()?;
        digits.iter().try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + u16::from(digit - b'0')))
    }
}

/// Three digits in the code of RFC 7541 appendix B: 0 to 2 are five bits (their value), 3 to 9 six bits (0x19 to 0x1f).
fn huffman_digits(octets: &[u8]) -> Option<u16> {
    if octets.len() > 3 {
        return None;
    }
    let mut left = octets.len() * 8;
    let bits = octets.iter().fold(0u32, |bits, &octet| bits << 8 | u32::from(octet));
    let mut take = |count: usize| {
        left = left.checked_sub(count)?;
        Some(bits >> left & ((1 << count) - 1))
    };
    let mut status = 0;
    for _ in 0..3 {
        let digit = match take(5)? {
            digit @ 0..=2 => digit,
            prefix => match prefix << 1 | take(1)? {
                code @ 0x19..=0x1f => code - 0x16,
                _ => return None,
            },
        };
        status = status * 10 + digit;
    }
    u16::try_from(status).ok().filter(|_| left < 8)
}

/// An integer with a prefix of `prefix` bits (RFC 7541 §5.1) and what follows it.
fn integer(block: &[u8], prefix: u32) -> Option<(usize, &[u8])> {
    let (&first, mut rest) = block.split_first()?;
    let full = (1usize << prefix) - 1;
    let mut value = usize::from(first) & full;
    if value < full {
        return Some((value, rest));
    }
    // No index, size or length that matters here takes more than four bytes.
    for shift in [0, 7, 14, 21] {
        let (&next, later) = rest.split_first()?;
        rest = later;
        value += usize::from(next & 0x7f) << shift;
        if next & 0x80 == 0 {
            return Some((value, rest));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_static_table_knows_seven_statuses() {
        assert_eq!(bare_status(&[0x88]), Some(Some(200)));
        assert_eq!(bare_status(&[0x8c]), Some(Some(400)));
        assert_eq!(bare_status(&[0x8e]), Some(Some(500)));
    }

    #[test]
    fn literal_statuses_are_read() {
        assert_eq!(bare_status(b"\x48\x03431"), Some(Some(431)));
        assert_eq!(bare_status(b"\x08\x03503"), Some(Some(503)));
        // As in RFC 7541 C.6.1 and C.6.2.
        assert_eq!(bare_status(&[0x48, 0x82, 0x64, 0x02]), Some(Some(302)));
        assert_eq!(bare_status(&[0x48, 0x83, 0x64, 0x0e, 0xff]), Some(Some(307)));
        assert_eq!(bare_status(b"\x40\x07:status\x03418"), Some(Some(418)));
    }

    #[test]
    fn a_status_of_the_dynamic_table_is_bare_but_unknown() {
        assert_eq!(bare_status(&[0xbe]), Some(None));
    }

    #[test]
    fn table_size_updates_may_come_first() {
        assert_eq!(bare_status(&[0x20, 0x3f, 0xe1, 0x1f, 0x8c]), Some(Some(400)));
    }

    #[test]
    fn a_second_field_makes_it_another_answer() {
        assert_eq!(bare_status(&[0x8c, 0xbe]), None);
        assert_eq!(bare_status(b"\x48\x03431\x88"), None);
        assert_eq!(bare_status(b"\x48\x03431\x00\x01a\x01b"), None);
    }

    #[test]
    fn broken_blocks_are_left_alone() {
        let broken: [&[u8]; 7] =
            [b"", b"\x20", b"\x48", b"\x48\x03", b"\x48\x0343", b"\xff", b"\xff\xff\xff\xff\xff\xff\xff\x01"];
        for block in broken {
            assert_eq!(bare_status(block), None, "{block:x?}");
        }
        // `:path: /` is not the field that a response begins with.
        assert_eq!(bare_status(&[0x84]), None);
    }

    #[test]
    fn long_strings_have_long_lengths() {
        for length in [0, 1, 126, 127, 128, 254, 255, 300, 16_383, 16_384 + 127, 70_000] {
            let value = HeaderValue::from_bytes(&vec![b'v'; length]).unwrap();
            let name = HeaderName::from_static("x");
            let block = encode_literals([(&name, &value)].into_iter());
            let read = string(&block[1..]).and_then(|name| string(name.rest)).unwrap();
            assert_eq!((read.octets.len(), read.rest.len(), read.huffman), (length, 0, false));
        }
    }
}
