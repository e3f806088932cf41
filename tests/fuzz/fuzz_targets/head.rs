//! The strict reader of HTTP/1 heads: what it accepts, another parser reads in the same way, and it does not matter in
//! which pieces it comes.
//!
//! The first byte of the input says how the rest is cut into pieces.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::decision::outcome::Denial;
use portcullis::decision::request::framing::BodyLength;
use portcullis::decision::request::head::{Head, HeadReader};
use portcullis_fuzz::pieces;

fuzz_target!(|input: &[u8]| {
    let Some((&seed, bytes)) = input.split_first() else { return };
    let whole = HeadReader::default().read(bytes);
    assert_eq!(in_pieces(bytes, seed), whole.clone().or_else(|denial| in_pieces(bytes, seed).and(Err(denial))));
    if let Ok(Some(head)) = whole {
        let text = &bytes[..head.length];
        has_one_reading(text);
        is_parsed_alike(text, head);
        let with_more = [text, b"\0\r\n: GET / HTTP/9\n"].concat();
        assert_eq!(HeadReader::default().read(&with_more), Ok(Some(head)), "what follows does not matter");
        for end in 0..text.len() {
            assert_eq!(HeadReader::default().read(&text[..end]), Ok(None), "its beginnings are incomplete");
        }
    }
});

/// The verdict over `bytes` when they arrive bit by bit.
fn in_pieces(bytes: &[u8], seed: u8) -> Result<Option<Head>, Denial> {
    let mut reader = HeadReader::default();
    for end in pieces(bytes.len(), seed) {
        if let Some(head) = reader.read(&bytes[..end])? {
            return Ok(Some(head));
        }
    }
    Ok(None)
}

/// Nothing is in it that any parser is known to forgive.
fn has_one_reading(head: &[u8]) {
    let text = head.strip_prefix(b"\r\n").unwrap_or(head);
    let lines = text.strip_suffix(b"\r\n\r\n").expect("an empty line at the end");
    let lines: Vec<&[u8]> = lines.split(|&byte| byte == b'\n').collect();
    for (index, line) in lines.iter().enumerate() {
        let line = if index + 1 < lines.len() { line.strip_suffix(b"\r").expect("CR before LF") } else { line };
        assert!(line.iter().all(|&byte| byte >= b' ' && byte != 0x7f || byte == b'\t' && index > 0));
        if index > 0 {
            let name = line.split(|&byte| byte == b':').next().unwrap_or_default();
            assert!(!name.is_empty() && name.len() < line.len() && name.iter().all(u8::is_ascii_graphic));
        }
    }
}

/// `httparse` is what reads the head behind the gateway's own check.
fn is_parsed_alike(text: &[u8], head: Head) {
    let mut fields = [httparse::EMPTY_HEADER; 256];
    let mut parsed = httparse::Request::new(&mut fields);
    let status = parsed.parse(text).unwrap_or_else(|error| panic!("{error}: {:?}", String::from_utf8_lossy(text)));
    assert_eq!(status, httparse::Status::Complete(head.length));
    let plain = text.strip_prefix(b"\r\n").unwrap_or(text);
    let mut lines = plain.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let first = format!(
        "{} {} HTTP/1.{}",
        parsed.method.expect("a method"),
        parsed.path.expect("a target"),
        parsed.version.expect("a version")
    );
    assert_eq!(Some(first.as_bytes()), lines.next());
    let mut length = None;
    let mut chunked = false;
    let mut hosts = 0;
    for field in parsed.headers.iter() {
        let line = lines.next().expect("a line for each field");
        let (name, value) = line.split_at(field.name.len());
        assert_eq!((name, value[0]), (field.name.as_bytes(), b':'));
        assert_eq!(trimmed(&value[1..]), field.value);
        http::HeaderName::from_bytes(name).expect("a name for everyone");
        http::HeaderValue::from_bytes(field.value).expect("a value for everyone");
        match field.name.to_ascii_lowercase().as_str() {
            "content-length" => {
                let digits = std::str::from_utf8(field.value).expect("digits");
                assert!(length.replace(digits.parse::<u64>().expect("digits")).is_none(), "one length");
            }
            "transfer-encoding" => {
                assert!(field.value.eq_ignore_ascii_case(b"chunked") && !chunked);
                chunked = true;
            }
            "host" => hosts += 1,
            _ => {}
        }
    }
    assert_eq!((lines.next(), lines.next(), lines.next()), (Some(&b""[..]), Some(&b""[..]), None));
    assert!(hosts <= 1, "one host");
    let framing = match (length, chunked) {
        (None, false) => BodyLength::None,
        (Some(length), false) => BodyLength::Length(length),
        (None, true) => BodyLength::Chunked,
        (Some(_), true) => panic!("two lengths"),
    };
    assert_eq!(head.framing, framing);
    assert!(!chunked || parsed.version == Some(1), "chunks are of HTTP/1.1");
}

fn trimmed(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}
