//! The body of an HTTP/1 answer, as an origin frames it.

/// How much of a body is to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginBody {
    /// Nothing.
    Done,
    /// So many bytes.
    Length(u64),
    /// What the chunks say (RFC 9112 §7.1).
    Chunked(OriginChunks),
    /// Everything until the origin closes the connection (RFC 9112 §6.3).
    UntilClose,
}

/// Where a chunked body is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OriginChunks {
    state: ChunkPart,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum ChunkPart {
    #[default]
    Size,
    Data(u64),
    DataEnd,
    Trailers,
}

/// What stands at the front of the bytes at hand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BodyPiece {
    /// Bytes of framing.
    pub framing: usize,
    /// Bytes of data behind them.
    pub data: usize,
}

/// Longest line of a chunk's size with its extensions, and most bytes of trailers.
const MAX_EXTRA_BYTES: usize = 8192;

impl OriginBody {
    /// A body in chunks, of which nothing has come.
    pub fn chunked() -> Self {
        OriginBody::Chunked(OriginChunks::default())
    }

    /// Whether it has come whole.
    pub fn is_done(&self) -> bool {
        *self == OriginBody::Done
    }

    /// Whether it is whole if the origin closes the connection now.
    pub fn may_end_here(&self) -> bool {
        matches!(self, OriginBody::Done | OriginBody::UntilClose)
    }

    /// Takes the next piece off the front of `bytes`, and appends to `trailers` what comes behind the last chunk. An empty piece:
    /// more has to come, or it is done.
    ///
    /// # Errors
    /// What comes is no chunk.
    pub fn take(&mut self, bytes: &[u8], trailers: &mut Vec<u8>) -> Result<BodyPiece, &'static str> {
        match self {
            OriginBody::Done => Ok(BodyPiece::default()),
            OriginBody::UntilClose => Ok(BodyPiece { framing: 0, data: bytes.len() }),
            OriginBody::Length(left) => {
                let data = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= data as u64;
                if *left == 0 {
                    *self = OriginBody::Done;
                }
                Ok(BodyPiece { framing: 0, data })
            }
            OriginBody::Chunked(chunks) => {
                let (piece, done) = chunks.take(bytes, trailers)?;
                if done {
                    *self = OriginBody::Done;
                }
                Ok(piece)
            }
        }
    }
}

impl OriginChunks {
    /// The next piece, and whether the body is done behind it.
    fn take(&mut self, bytes: &[u8], trailers: &mut Vec<u8>) -> Result<(BodyPiece, bool), &'static str> {
        let mut at = 0;
        loop {
            let rest = &bytes[at..];
            match self.state {
                ChunkPart::Size => match httparse::parse_chunk_size(rest) {
                    Ok(httparse::Status::Complete((line, size))) => {
                        at += line;
                        self.state = if size == 0 { ChunkPart::Trailers } else { ChunkPart::Data(size) };
                    }
                    Ok(httparse::Status::Partial) if rest.len() <= MAX_EXTRA_BYTES => break,
                    _ => return Err("a chunk of the answer has no size"),
                },
                ChunkPart::Data(left) => {
                    let data = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    let left = left - data as u64;
                    self.state = if left == 0 { ChunkPart::DataEnd } else { ChunkPart::Data(left) };
                    return Ok((BodyPiece { framing: at, data }, false));
                }
                ChunkPart::DataEnd => match rest {
                    [b'\r', b'\n', ..] => {
                        at += 2;
                        self.state = ChunkPart::Size;
                    }
                    [] | [b'\r'] => break,
                    _ => return Err("a chunk of the answer is longer than its size"),
                },
                ChunkPart::Trailers => {
                    let end = memchr::memchr(b'\n', rest);
                    let line = &rest[..end.map_or(rest.len(), |end| end + 1)];
                    if trailers.len() + line.len() > MAX_EXTRA_BYTES {
                        return Err("the trailers of the answer are too long");
                    }
                    if end.is_none() {
                        break;
                    }
                    at += line.len();
                    if line.trim_ascii().is_empty() {
                        return Ok((BodyPiece { framing: at, data: 0 }, true));
                    }
                    trailers.extend_from_slice(line);
                }
            }
        }
        Ok((BodyPiece { framing: at, data: 0 }, false))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The data of a body that comes in pieces of `step` bytes with its trailers, what is left behind it, and whether it is whole.
    fn data(mut body: OriginBody, bytes: &[u8], step: usize) -> Result<(Vec<u8>, usize, bool), &'static str> {
        let (mut data, mut trailers, mut start, mut end) = (Vec::new(), Vec::new(), 0, 0);
        loop {
            let piece = body.take(&bytes[start..end], &mut trailers)?;
            data.extend_from_slice(&bytes[start + piece.framing..start + piece.framing + piece.data]);
            start += piece.framing + piece.data;
            if piece == BodyPiece::default() || body.is_done() {
                if end == bytes.len() || body.is_done() {
                    data.extend_from_slice(&trailers);
                    return Ok((data, bytes.len() - start, body.is_done()));
                }
                end = (end + step).min(bytes.len());
            }
        }
    }

    #[test]
    fn chunks_are_taken_apart_however_they_come() {
        let wire = b"5\r\nhello\r\n1;ext=\"a\"\r\n \r\n5  \r\nworld\r\n0\r\nX-Sum: 1\r\n\r\nHTTP";
        for step in 1..wire.len() {
            let taken = data(OriginBody::chunked(), &wire[..wire.len() - 4], step);
            assert_eq!(taken, Ok((b"hello worldX-Sum: 1\r\n".to_vec(), 0, true)), "{step}");
        }
        assert_eq!(data(OriginBody::chunked(), wire, wire.len()), Ok((b"hello worldX-Sum: 1\r\n".to_vec(), 4, true)));
        assert_eq!(data(OriginBody::chunked(), &wire[..8], 3), Ok((b"hello".to_vec(), 0, false)));
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        for wire in [&b"hello"[..], b"5\r\nhello world\r\n", b"g\r\n", b"-1\r\n", b"fffffffffffffffff\r\n"] {
            assert!(data(OriginBody::chunked(), wire, wire.len()).is_err(), "{wire:?}");
        }
        let long = format!("0\r\n{}", "x: y\r\n".repeat(2000));
        assert!(data(OriginBody::chunked(), long.as_bytes(), long.len()).is_err());
        let long = format!("1;{}", "x".repeat(9000));
        assert!(data(OriginBody::chunked(), long.as_bytes(), long.len()).is_err());
    }

    #[test]
    fn a_length_leaves_what_is_behind_it() {
        assert_eq!(data(OriginBody::Length(3), b"abcde", 2), Ok((b"abc".to_vec(), 2, true)));
        assert_eq!(data(OriginBody::Length(3), b"ab", 1), Ok((b"ab".to_vec(), 0, false)));
        assert!(!OriginBody::Length(3).may_end_here() && OriginBody::UntilClose.may_end_here());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, step in 1usize..9) {
            let _ = data(OriginBody::chunked(), &bytes, step);
        }
    }
}
