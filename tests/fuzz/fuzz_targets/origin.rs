//! The reader of an origin's answer: no bytes make it panic, and it does not matter in which pieces the body comes.
//!
//! The first byte of the input says how the body is cut into pieces.

#![no_main]

use http::Method;
use libfuzzer_sys::fuzz_target;
use portcullis::decision::response::HeaderSection;
use portcullis::decision::response::origin_body::OriginBody;
use portcullis::decision::response::origin_head::{framing, is_whole, read};
use portcullis_fuzz::pieces;

fuzz_target!(|input: &[u8]| {
    let Some((&seed, bytes)) = input.split_first() else { return };
    let mut bytes = bytes.to_vec();
    let whole = is_whole(&mut bytes.clone(), &mut 0);
    let (length, body) = match read(&mut bytes) {
        Ok(Some((head, mut fields))) => {
            assert_eq!(whole, Ok(true), "what is read is whole");
            for (name, value) in fields.lines() {
                assert!(!name.is_empty() && !value.contains(&b'\n') && !value.contains(&b'\r'));
            }
            let Ok(body) = framing(&Method::GET, head.status, &mut fields) else { return };
            let coded = fields.contains(&http::header::TRANSFER_ENCODING);
            assert!(!(coded && fields.contains(&http::header::CONTENT_LENGTH)), "one framing");
            (head.length, body)
        }
        Ok(None) => return assert_ne!(whole, Ok(true), "what is whole is read or refused"),
        Err(_) => return,
    };
    let body_bytes = &bytes[length..];
    let at_once = data(body.clone(), body_bytes, std::iter::once(body_bytes.len()));
    assert_eq!(data(body, body_bytes, pieces(body_bytes.len(), seed)), at_once);
});

/// The data of a body that arrives up to each of `ends`, and whether it is whole; `None` for what is no body.
fn data(mut body: OriginBody, bytes: &[u8], ends: impl Iterator<Item = usize>) -> Option<(Vec<u8>, bool)> {
    let (mut data, mut trailers, mut at) = (Vec::new(), Vec::new(), 0);
    for end in ends {
        while !body.is_done() {
            let piece = body.take(&bytes[at..end], &mut trailers).ok()?;
            data.extend_from_slice(&bytes[at + piece.framing..at + piece.framing + piece.data]);
            at += piece.framing + piece.data;
            if piece.framing + piece.data == 0 {
                break;
            }
        }
    }
    data.extend_from_slice(&trailers);
    Some((data, body.is_done()))
}
