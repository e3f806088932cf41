//! The chunks of a request body, judged as bytes (RFC 9112 §7.1).
//!
//! A size that two parsers read differently, or an extension in which one of them finds the end of a line and the other does
//! not, ends a body in two places. So sizes are plain, lines end in CR LF, and extensions are bounded: they reach no origin, and
//! a body made of them would cost a server more than it brings.

use super::syntax::{is_text, is_token, malformed};
use crate::decision::outcome::Denial;

/// Follows a chunked body.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chunks {
    state: ChunkState,
    /// Bytes of extensions, trailers and leading zeros so far.
    extra: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ChunkState {
    #[default]
    SizeBegins,
    Size(u64),
    Extension(u64),
    SizeLf(u64),
    Data(u64),
    DataCr,
    DataLf,
    /// At the beginning of a line after the last chunk.
    Trailer,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    Done,
}

/// Extensions and trailers that one body may have, in bytes. Nobody is known to use them in requests, and they are dropped.
const MAX_EXTRA_BYTES: usize = 4096;

impl Chunks {
    /// Follows `bytes`, and says how many of them belong to the body: all, unless it ends among them.
    ///
    /// # Errors
    /// [`MalformedRequest`](crate::decision::outcome::Cause::MalformedRequest) for everything but the plain form.
    pub fn follow(&mut self, bytes: &[u8]) -> Result<usize, Denial> {
        let mut at = 0;
        while at < bytes.len() && self.state != ChunkState::Done {
            if let ChunkState::Data(left) = self.state {
                let count = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len() - at);
                self.data_followed(left, count);
                at += count;
                continue;
            }
            self.state = self.step(bytes[at])?;
            at += 1;
        }
        Ok(at)
    }

    /// Follows `bytes` like [`Chunks::follow`], and moves the data of the chunks to their front. Says how many bytes belong to the
    /// body, and how many of data there are.
    ///
    /// # Errors
    /// As those of [`Chunks::follow`].
    pub fn decode(&mut self, bytes: &mut [u8]) -> Result<(usize, usize), Denial> {
        let (mut at, mut data) = (0, 0);
        while at < bytes.len() && self.state != ChunkState::Done {
            let ChunkState::Data(left) = self.state else {
                self.state = self.step(bytes[at])?;
                at += 1;
                continue;
            };
            let count = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len() - at);
            bytes.copy_within(at..at + count, data);
            self.data_followed(left, count);
            at += count;
            data += count;
        }
        Ok((at, data))
    }

    /// `count` bytes of the chunk's data, of which `left` were to come, have come.
    fn data_followed(&mut self, left: u64, count: usize) {
        self.state = match left - count as u64 {
            0 => ChunkState::DataCr,
            left => ChunkState::Data(left),
        };
    }

    /// Whether the body is complete.
    pub fn is_done(&self) -> bool {
        self.state == ChunkState::Done
    }

    fn step(&mut self, byte: u8) -> Result<ChunkState, Denial> {
        Ok(match (self.state, byte) {
            (ChunkState::SizeBegins, _) => ChunkState::Size(digit(byte)?),
            (ChunkState::Size(size), b'\r') => ChunkState::SizeLf(size),
            (ChunkState::Size(size), b';') => ChunkState::Extension(size),
            (ChunkState::Size(size), _) => {
                let digit = digit(byte)?;
                match size.checked_mul(16) {
                    // Leading zeros would never end otherwise.
                    Some(0) => self.extra(ChunkState::Size(digit))?,
                    Some(size) => ChunkState::Size(size | digit),
                    None => return malformed("a chunk's size is too large"),
                }
            }
            (ChunkState::Extension(size), b'\r') => ChunkState::SizeLf(size),
            (ChunkState::Extension(size), _) if is_text(byte) => self.extra(ChunkState::Extension(size))?,
            (ChunkState::Extension(_), _) => return malformed("a chunk's extension has a control character"),
            (ChunkState::SizeLf(0), b'\n') => ChunkState::Trailer,
            (ChunkState::SizeLf(size), b'\n') => ChunkState::Data(size),
            (ChunkState::DataCr, b'\r') => ChunkState::DataLf,
            (ChunkState::DataLf, b'\n') => ChunkState::SizeBegins,
            (ChunkState::Trailer, b'\r') => ChunkState::EndLf,
            (ChunkState::Trailer, _) if is_token(&[byte]) => self.extra(ChunkState::TrailerName)?,
            (ChunkState::TrailerName, b':') => self.extra(ChunkState::TrailerValue)?,
            (ChunkState::TrailerName, _) if is_token(&[byte]) => self.extra(ChunkState::TrailerName)?,
            (ChunkState::TrailerValue, b'\r') => ChunkState::TrailerLf,
            (ChunkState::TrailerValue, _) if is_text(byte) => self.extra(ChunkState::TrailerValue)?,
            (ChunkState::TrailerLf, b'\n') => ChunkState::Trailer,
            (ChunkState::EndLf, b'\n') => ChunkState::Done,
            (ChunkState::Trailer | ChunkState::TrailerName | ChunkState::TrailerValue, _) => {
                return malformed("a malformed trailer");
            }
            _ => return malformed("a chunk does not end in CR LF"),
        })
    }

    fn extra(&mut self, next: ChunkState) -> Result<ChunkState, Denial> {
        self.extra += 1;
        if self.extra > MAX_EXTRA_BYTES {
            return malformed("the chunks' extensions and trailers are too long");
        }
        Ok(next)
    }
}

fn digit(byte: u8) -> Result<u64, Denial> {
    match char::from(byte).to_digit(16) {
        Some(digit) => Ok(digit.into()),
        None => malformed("a chunk's size is not a hexadecimal number"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::decision::outcome::Cause;

    fn follow(body: &str) -> Result<(usize, bool), Cause> {
        let mut chunks = Chunks::default();
        chunks.follow(body.as_bytes()).map(|count| (count, chunks.is_done())).map_err(|denial| denial.cause)
    }

    #[test]
    fn a_body_is_followed_to_its_end() {
        for body in [
            "0\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "A\r\n0123456789\r\n0a\r\n0123456789\r\n00\r\n\r\n",
            "5;name=value; other=\"a b\"\r\nhello\r\n0;last\r\n\r\n",
            "0\r\nX-Sum: 1\r\nY:\r\n\r\n",
            "2\r\n\r\n\r\n0\r\n\r\n",
        ] {
            assert_eq!(follow(body), Ok((body.len(), true)), "{body:?}");
            assert_eq!(follow(&format!("{body}GET / HTTP/1.1\r\n")), Ok((body.len(), true)), "{body:?}");
            assert_eq!(follow(&body[..body.len() - 1]), Ok((body.len() - 1, false)), "{body:?}");
        }
    }

    #[test]
    fn a_body_with_two_readings_is_malformed() {
        for body in [
            "\r\n",
            " 5\r\nhello\r\n",
            "5 \r\nhello\r\n",
            "5 ;x\r\nhello\r\n",
            "+5\r\nhello\r\n",
            "-1\r\n",
            "0x5\r\nhello\r\n",
            "5\nhello\r\n",
            "5\rhello\r\n",
            "5;x\nhello\r\n",
            "5;x\0\r\nhello\r\n",
            "5\r\nhello0\r\n\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "5\r\nhello\r0\r\n\r\n",
            "10000000000000000\r\n",
            "0\r\nX: a\n\r\n",
            "0\r\nX : a\r\n\r\n",
            "0\r\n folded\r\n\r\n",
            "0\r\nGET / HTTP/1.1\r\n\r\n",
            "0\r\n\n",
            "g\r\n",
        ] {
            assert_eq!(follow(body), Err(Cause::MalformedRequest), "{body:?}");
        }
    }

    #[test]
    fn extensions_are_bounded() {
        let body = format!("1;{}\r\nx\r\n", "a".repeat(1000)).repeat(5);
        assert_eq!(follow(&body), Err(Cause::MalformedRequest));
        assert_eq!(follow(&"0".repeat(5000)), Err(Cause::MalformedRequest));
    }

    #[test]
    fn the_largest_size_does_not_overflow() {
        assert_eq!(follow("ffffffffffffffff\r\n"), Ok((18, false)));
        assert_eq!(follow("00000000000000001\r\nx\r\n0\r\n\r\n").map(|(_, done)| done), Ok(true));
    }

    proptest! {
        #[test]
        fn pieces_are_followed_as_the_whole(body in "([0-3]{1,2}(;x)?(\r\n|\n)[a-c]{0,3}(\r\n)?){0,5}(0\r\n\r\n)?.{0,3}", cut in any::<prop::sample::Index>()) {
            let cut = cut.index(body.len() + 1);
            let mut pieces = Chunks::default();
            let (first, second) = body.as_bytes().split_at(cut);
            let followed = pieces.follow(first).and_then(|count| Ok(count + pieces.follow(second)?));
            let followed = followed.map(|count| (count, pieces.is_done())).map_err(|denial| denial.cause);
            prop_assert_eq!(followed, follow(&body));
        }

        #[test]
        fn data_is_decoded_however_it_comes(chunks in prop::collection::vec("[a-z\r\n]{1,20}", 0..5), step in 1usize..9) {
            let mut wire: String = chunks.iter().map(|data| format!("{:x};e\r\n{data}\r\n", data.len())).collect();
            wire.push_str("0\r\nT: 1\r\n\r\n");
            let (mut decoder, mut decoded) = (Chunks::default(), Vec::new());
            for piece in wire.as_bytes().chunks(step) {
                let mut piece = piece.to_vec();
                let (taken, data) = decoder.decode(&mut piece).unwrap();
                prop_assert_eq!(taken, piece.len());
                decoded.extend_from_slice(&piece[..data]);
            }
            prop_assert!(decoder.is_done());
            prop_assert_eq!(String::from_utf8(decoded).unwrap(), chunks.concat());
        }

        #[test]
        fn no_bytes_make_it_panic(body: Vec<u8>) {
            let _ = Chunks::default().decode(&mut body.clone());
            let _ = Chunks::default().follow(&body);
        }
    }
}
