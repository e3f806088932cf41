//! Chunked bodies: the reader that goes byte by byte agrees with one that has the whole body before it.
//!
//! The first byte of the input says how the rest is cut into pieces.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::decision::request::chunked::Chunks;
use portcullis_fuzz::pieces;

fuzz_target!(|input: &[u8]| {
    let Some((&seed, bytes)) = input.split_first() else { return };
    let whole = follow(bytes, [bytes.len()]);
    assert_eq!(follow(bytes, pieces(bytes.len(), seed)), whole, "the pieces do not matter");
    match (&whole, reference(bytes)) {
        (Verdict::Done(length), Reference::Done(expected)) => assert_eq!(*length, expected),
        (Verdict::GoesOn, Reference::GoesOn) | (Verdict::Malformed, Reference::Malformed) => {}
        // Too many extensions are no matter of grammar.
        (Verdict::Malformed, _) if bytes.len() > 4096 => {}
        (found, expected) => panic!("{found:?}, expected {expected:?}"),
    }
});

#[derive(Debug, PartialEq)]
enum Verdict {
    Done(usize),
    GoesOn,
    Malformed,
}

fn follow(bytes: &[u8], ends: impl IntoIterator<Item = usize>) -> Verdict {
    let mut chunks = Chunks::default();
    let mut from = 0;
    for end in ends {
        match chunks.follow(&bytes[from..end]) {
            Err(_) => return Verdict::Malformed,
            Ok(count) if chunks.is_done() => return Verdict::Done(from + count),
            Ok(count) => assert_eq!(count, end - from, "a body that goes on takes everything"),
        }
        from = end;
    }
    Verdict::GoesOn
}

#[derive(Debug)]
enum Reference {
    Done(usize),
    GoesOn,
    Malformed,
}

/// RFC 9112 §7.1, line by line. A line that has no end yet is judged as far as it goes.
fn reference(bytes: &[u8]) -> Reference {
    let mut at = 0;
    loop {
        let Some(Line { text, end }) = Line::first(&bytes[at..]) else { return Reference::Malformed };
        let (size, extension) = match text.iter().position(|&byte| byte == b';') {
            Some(mark) => (&text[..mark], &text[mark + 1..]),
            None => (text, &b""[..]),
        };
        let nothing_yet = text.is_empty() && end == End::Missing;
        let digits = size.iter().all(u8::is_ascii_hexdigit) && (!size.is_empty() || nothing_yet);
        let significant = size.iter().skip_while(|&&digit| digit == b'0').count();
        if !digits || significant > 16 || !extension.iter().all(is_text) {
            return Reference::Malformed;
        }
        if end != End::CrLf {
            return Reference::GoesOn;
        }
        at += text.len() + 2;
        let digit = |digit: u8| u64::from(char::from(digit).to_digit(16).unwrap_or(0));
        let size = size.iter().fold(0, |size, &next| size << 4 | digit(next));
        if size == 0 {
            return trailers(bytes, at);
        }
        let rest = usize::try_from(size).ok().and_then(|size| bytes[at..].get(size..));
        match rest {
            Some([b'\r', b'\n', rest @ ..]) => at = bytes.len() - rest.len(),
            None | Some([] | [b'\r']) => return Reference::GoesOn,
            Some(_) => return Reference::Malformed,
        }
    }
}

fn trailers(bytes: &[u8], mut at: usize) -> Reference {
    loop {
        let Some(Line { text, end }) = Line::first(&bytes[at..]) else { return Reference::Malformed };
        at += text.len() + 2;
        if text.is_empty() {
            return if end == End::CrLf { Reference::Done(at) } else { Reference::GoesOn };
        }
        let name = text.iter().take_while(|&&byte| http::HeaderName::from_bytes(&[byte]).is_ok()).count();
        let field = match &text[name..] {
            [] => end == End::Missing,
            [b':', value @ ..] => value.iter().all(is_text),
            _ => false,
        };
        if name == 0 || !field {
            return Reference::Malformed;
        }
        if end != End::CrLf {
            return Reference::GoesOn;
        }
    }
}

struct Line<'a> {
    text: &'a [u8],
    end: End,
}

#[derive(PartialEq)]
enum End {
    Missing,
    Cr,
    CrLf,
}

impl<'a> Line<'a> {
    /// The line that `bytes` begin with. None has a CR that ends nothing, or an LF without CR.
    fn first(bytes: &'a [u8]) -> Option<Self> {
        let length = bytes.iter().position(|&byte| matches!(byte, b'\r' | b'\n')).unwrap_or(bytes.len());
        let (text, rest) = bytes.split_at(length);
        match rest {
            [] => Some(Line { text, end: End::Missing }),
            [b'\r'] => Some(Line { text, end: End::Cr }),
            [b'\r', b'\n', ..] => Some(Line { text, end: End::CrLf }),
            _ => None,
        }
    }
}

fn is_text(byte: &u8) -> bool {
    *byte >= b' ' && *byte != 0x7f || *byte == b'\t'
}
