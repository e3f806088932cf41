//! The id of a request: in `X-Request-Id` of the request to the origin and of every answer, and in the log.

use std::cell::RefCell;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

/// `X-Request-Id`, on every answer.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Bytes of an id before they are written in hexadecimal.
const ID_BYTES: usize = 16;
/// Ids of which the random bytes are taken from the generator at once: one call costs as much as many ids.
const BLOCK: usize = 64;

/// Random bytes for the next ids of a thread.
struct RandomBlock {
    bytes: [u8; BLOCK * ID_BYTES],
    /// How many ids were taken from it.
    taken: usize,
}

thread_local! {
    static RANDOM: RefCell<RandomBlock> =
        const { RefCell::new(RandomBlock { bytes: [0; BLOCK * ID_BYTES], taken: BLOCK }) };
}

impl RandomBlock {
    /// The bytes of the next id, which the block forgets.
    ///
    /// # Panics
    /// If the system has no random numbers.
    fn next(&mut self) -> [u8; ID_BYTES] {
        if self.taken == BLOCK {
            aws_lc_rs::rand::fill(&mut self.bytes)
                .expect("BUG: a system without random numbers could not do TLS either");
            self.taken = 0;
        }
        let at = self.taken * ID_BYTES;
        self.taken += 1;
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(&self.bytes[at..at + ID_BYTES]);
        self.bytes[at..at + ID_BYTES].fill(0);
        id
    }
}

/// 128 random bits in hexadecimal, of a generator that is made for secrets (AES-CTR-DRBG of AWS-LC, seeded by the system).
///
/// Long enough that no two requests of a fleet share one, and that nobody guesses another's, whatever ids they have seen:
/// operators look requests up by them, and origins may take them for proof.
pub fn new_request_id() -> String {
    let bytes = RANDOM.with_borrow_mut(RandomBlock::next);
    let mut id = String::with_capacity(2 * ID_BYTES);
    for byte in bytes {
        for digit in [byte >> 4, byte & 0xf] {
            id.push(char::from(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 }));
        }
    }
    id
}

/// A request id as a header value, without a check that its characters already passed.
pub fn request_id_value(id: &str) -> HeaderValue {
    HeaderValue::from_maybe_shared(Bytes::copy_from_slice(id.as_bytes()))
        .unwrap_or_else(|_| HeaderValue::from_static("invalid"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::thread;

    use super::*;

    #[test]
    fn ids_of_all_threads_and_blocks_differ() {
        let ids = || (0..3 * BLOCK).map(|_| new_request_id()).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| thread::spawn(ids)).collect();
        let all: Vec<String> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert!(
            all.iter().all(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)))
        );
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), 4 * 3 * BLOCK);
    }

    #[test]
    fn what_was_given_out_is_forgotten() {
        let mut block = RandomBlock { bytes: [0; BLOCK * ID_BYTES], taken: BLOCK };
        let id = block.next();
        assert_ne!(id, [0; ID_BYTES]);
        assert_eq!((&block.bytes[..ID_BYTES], block.taken), (&[0; ID_BYTES][..], 1));
        assert_ne!(block.bytes[ID_BYTES..2 * ID_BYTES], [0; ID_BYTES]);
    }
}
