//! The Huffman code of HPACK (RFC 7541 appendix B), decoded.

/// How long the code of each symbol is, in bits. The code is canonical: codes of one length ascend with their symbols, and follow
/// those of the length before. So the lengths are all there is to know. The last one is EOS.
#[rustfmt::skip]
const LENGTHS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28,
    28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15,
    6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22,
    20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23,
    23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22,
    22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26,
    27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27,
    26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

const SYMBOLS: usize = 257;
const EOS: u16 = 256;
const LONGEST: usize = 30;
/// Codes up to this length are looked up at once.
const SHORT: u32 = 8;

/// The codes of one length.
#[derive(Clone, Copy)]
struct CodeRange {
    /// The first code, at the upper end of 32 bits.
    first: u32,
    /// How many there are.
    count: u32,
    /// Where their symbols begin in [`Code::symbols`].
    at: usize,
}

struct Code {
    /// By the next eight bits: the symbol, and the length of its code; 0 if that is longer.
    short: [(u8, u8); 1 << SHORT],
    by_length: [CodeRange; LONGEST + 1],
    /// In the order of their codes.
    symbols: [u16; SYMBOLS],
}

static CODE: Code = Code::build();

impl Code {
    const fn build() -> Code {
        let mut code = Code {
            short: [(0, 0); 1 << SHORT],
            by_length: [CodeRange { first: 0, count: 0, at: 0 }; LONGEST + 1],
            symbols: [0; SYMBOLS],
        };
        let (mut next, mut at, mut length) = (0u64, 0, 1);
        while length <= LONGEST {
            next <<= 1;
            code.by_length[length] = CodeRange { first: (next << (32 - length)) as u32, count: 0, at };
            let mut symbol = 0;
            while symbol < SYMBOLS {
                if LENGTHS[symbol] as usize == length {
                    code.symbols[at] = symbol as u16;
                    if length <= SHORT as usize {
                        let spread = SHORT as usize - length;
                        let mut rest = 0;
                        while rest < 1 << spread {
                            code.short[(next as usize) << spread | rest] = (symbol as u8, length as u8);
                            rest += 1;
                        }
                    }
                    code.by_length[length].count += 1;
                    at += 1;
                    next += 1;
                }
                symbol += 1;
            }
            length += 1;
        }
        code
    }

    /// The symbol whose code, longer than [`SHORT`], begins `window`, and the length of that code.
    fn long(&self, window: u32) -> (u16, u32) {
        for length in SHORT + 1..LONGEST as u32 {
            let range = &self.by_length[length as usize];
            let nth = window.wrapping_sub(range.first) >> (32 - length);
            if window >= range.first && nth < range.count {
                return (self.symbols[range.at + nth as usize], length);
            }
        }
        let range = &self.by_length[LONGEST];
        let nth = window.wrapping_sub(range.first) >> (32 - LONGEST as u32);
        (self.symbols[range.at + nth as usize], LONGEST as u32)
    }
}

/// Appends what `encoded` stands for. `None`: it is no valid code (RFC 7541 §5.2).
pub(super) fn decode(encoded: &[u8], out: &mut Vec<u8>) -> Option<()> {
    // The bits at the upper end come next.
    let (mut window, mut bits) = (0u64, 0u32);
    let mut octets = encoded.iter();
    loop {
        while bits <= 56 {
            let Some(octet) = octets.next() else { break };
            window |= u64::from(*octet) << (56 - bits);
            bits += 8;
        }
        if bits == 0 {
            return Some(());
        }
        let (short, length) = CODE.short[(window >> 56) as usize];
        let (symbol, length) = match length {
            0 => CODE.long((window >> 32) as u32),
            length => (u16::from(short), u32::from(length)),
        };
        if length > bits {
            // What is left is padding: the beginning of EOS, less than an octet.
            let padding = bits < 8 && window >> (64 - bits) == (1 << bits) - 1;
            return padding.then_some(());
        }
        if symbol == EOS {
            return None;
        }
        out.push(symbol as u8);
        window <<= length;
        bits -= length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(encoded: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        decode(encoded, &mut out).map(|()| out)
    }

    /// The code of `text`, from the lengths alone.
    fn encode(text: &[u8]) -> Vec<u8> {
        let mut bits = Vec::new();
        for &byte in text {
            let length = u32::from(LENGTHS[usize::from(byte)]);
            let range = &CODE.by_length[length as usize];
            let nth = CODE.symbols[range.at..].iter().position(|symbol| *symbol == u16::from(byte)).unwrap() as u32;
            let code = (range.first >> (32 - length)) + nth;
            bits.extend((0..length).rev().map(|bit| code >> bit & 1 == 1));
        }
        bits.resize(bits.len().next_multiple_of(8), true);
        bits.chunks(8).map(|octet| octet.iter().fold(0, |sum, bit| sum << 1 | u8::from(*bit))).collect()
    }

    #[test]
    fn the_examples_of_rfc_7541_are_decoded() {
        for (encoded, text) in [
            (&b"\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff"[..], "www.example.com"),
            (b"\xa8\xeb\x10\x64\x9c\xbf", "no-cache"),
            (b"\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f", "custom-key"),
            (b"\x64\x02", "302"),
            (
                b"\xd0\x7a\xbe\x94\x10\x54\xd4\x44\xa8\x20\x05\x95\x04\x0b\x81\x66\xe0\x82\xa6\x2d\x1b\xff",
                "Mon, 21 Oct 2013 20:13:21 GMT",
            ),
            (b"", ""),
        ] {
            assert_eq!(decoded(encoded).as_deref(), Some(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn every_octet_comes_back() {
        for byte in 0..=u8::MAX {
            for count in 1..9 {
                let text = vec![byte; count];
                assert_eq!(decoded(&encode(&text)).as_ref(), Some(&text), "{byte} {count} times");
            }
        }
    }

    #[test]
    fn what_is_no_code_is_refused() {
        for (encoded, why) in [
            (&b"\xff\xff\xff\xff"[..], "EOS"),
            (b"\x64\x02\xff", "an octet of padding"),
            (b"\x00", "padding that is not ones"),
            (b"\xff", "nothing but padding"),
        ] {
            assert_eq!(decoded(encoded), None, "{why}");
        }
    }
}
