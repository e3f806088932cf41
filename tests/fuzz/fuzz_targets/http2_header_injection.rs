//! The injector of response headers into bare HTTP/2 answers: it adds the owner's fields to whole bare answers and to nothing else,
//! and it does not matter in which pieces a server writes.
//!
//! The first byte of the input says how the rest is cut into pieces; the rest is what a server writes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::proxy::connection::http2::header_injection::{BareAnswer, InjectorOutput, ResponseHeaderInjector};
use portcullis_fuzz::pieces;

/// `a: b`, as a literal without indexing.
const FIELDS: &[u8] = b"\x00\x01a\x01b";
const HEAD: usize = 9;
const HEADERS: u8 = 1;
const ENDS_ALL: u8 = 0x5;
const PADDED_OR_WITH_PRIORITY: u8 = 0x28;

fuzz_target!(|input: &[u8]| {
    let Some((&seed, written)) = input.split_first() else { return };
    let (out, completed) = inject(written, [written.len()]);
    assert_eq!(
        inject(written, pieces(written.len(), seed)),
        (out.clone(), completed.clone()),
        "the pieces do not matter"
    );
    is_only_added_to(written, &out, &completed);
});

fn inject(written: &[u8], ends: impl IntoIterator<Item = usize>) -> (Vec<u8>, Vec<BareAnswer>) {
    let mut injector = ResponseHeaderInjector::new();
    let (mut out, mut all) = (Vec::new(), Vec::new());
    let mut at = 0;
    for end in ends {
        while at < end {
            match injector.scan(&written[at..end], FIELDS) {
                InjectorOutput::Pass(count) => {
                    assert!((1..=end - at).contains(&count), "a scan makes progress");
                    // A socket may take less than it is given.
                    let count = count.div_ceil(2);
                    injector.wrote(count);
                    out.extend_from_slice(&written[at..at + count]);
                    at += count;
                }
                InjectorOutput::Replace { consumed, bytes, completed } => {
                    assert!((1..=end - at).contains(&consumed), "a scan makes progress");
                    out.extend_from_slice(bytes);
                    all.extend(completed);
                    at += consumed;
                }
            }
        }
    }
    out.extend_from_slice(injector.finish());
    (out, all)
}

/// Frame by frame, `out` is what was written; only the frames that `completed` names are longer, by the fields.
fn is_only_added_to(mut written: &[u8], mut out: &[u8], completed: &[BareAnswer]) {
    let mut completed = completed.iter().peekable();
    let mut begun = std::collections::HashSet::new();
    while let Some(frame) = whole_frame(written) {
        let (kind, flags) = (frame[3], frame[4]);
        let stream = u32::from_be_bytes([frame[5], frame[6], frame[7], frame[8]]) & 0x7fff_ffff;
        let same = out.starts_with(frame);
        if !same {
            let answer = completed.next().expect("a frame that changes is a bare answer");
            assert_eq!(answer.stream, stream);
            assert!(kind == HEADERS && flags & ENDS_ALL == ENDS_ALL && flags & PADDED_OR_WITH_PRIORITY == 0);
            assert!(!begun.contains(&stream), "trailers are left alone");
            let (head, block) = frame.split_at(HEAD);
            let length = u32::try_from(block.len() + FIELDS.len()).expect("short").to_be_bytes();
            let stream = stream.to_be_bytes();
            let longer = [&length[1..], &head[3..5], &stream, block, FIELDS].concat();
            assert!(out.starts_with(&longer));
            out = &out[longer.len()..];
        } else {
            out = &out[frame.len()..];
        }
        match (kind, flags & 1) {
            (HEADERS, 0) => drop(begun.insert(stream)),
            (0 | HEADERS, 1) | (3, _) => drop(begun.remove(&stream)),
            _ => {}
        }
        written = &written[frame.len()..];
    }
    assert_eq!(out, written, "what is no whole frame goes out as it is");
    assert!(completed.next().is_none());
}

fn whole_frame(bytes: &[u8]) -> Option<&[u8]> {
    let length = u32::from_be_bytes([0, *bytes.first()?, *bytes.get(1)?, *bytes.get(2)?]);
    bytes.get(..HEAD + length as usize)
}
