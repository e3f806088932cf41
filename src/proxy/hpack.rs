//! HPACK (RFC 7541): a [`decoder`] for what clients send, and literals for what the gateway hands to the HTTP/2 library in its place.

pub mod decoder;
pub mod field_list;
mod huffman;
mod table;

/// Appends a literal header field without indexing, its strings not compressed (RFC 7541 §6.2.2).
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
    use super::decoder::HpackDecoder;
    use super::field_list::FieldList;
    use super::*;

    #[test]
    fn long_strings_have_long_lengths() {
        for length in [0, 1, 126, 127, 128, 254, 255, 300, 16_383, 16_384 + 127, 70_000] {
            let value = vec![b'v'; length];
            let mut block = Vec::new();
            encode_field(b"x", &value, &mut block);
            let mut fields = FieldList::default();
            fields.reset(100_000);
            HpackDecoder::default().decode(&block, &mut fields).unwrap();
            assert_eq!(fields.get(b"x"), Some(&value[..]));
        }
    }
}
