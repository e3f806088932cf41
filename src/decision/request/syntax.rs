//! The pieces of grammar that all of a request's parts share.

use crate::decision::outcome::{Cause, Denial};

/// Refuses what breaks the grammar, or what parts of a request contradict each other in.
pub(super) fn malformed<T>(detail: &'static str) -> Result<T, Denial> {
    Err(Denial::new(Cause::MalformedRequest, detail))
}

/// Whether `name` is a token (RFC 9110 §5.6.2): a method, a field name, a coding.
pub(in crate::decision) fn is_token(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| TOKEN[*byte as usize])
}

const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mark = b"!#$%&'*+-.^_`|~";
    let mut at = 0;
    while at < mark.len() {
        table[mark[at] as usize] = true;
        at += 1;
    }
    table
};

/// A byte that a field value may have (RFC 9110 §5.5).
pub const fn is_text(byte: u8) -> bool {
    byte >= b' ' && byte != 0x7f || byte == b'\t'
}
