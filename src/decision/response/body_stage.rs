//! What is done to the body of an answer as it streams by.

use bytes::Bytes;
use http::{Method, StatusCode};

/// What is done to each piece of one answer's body. Most answers have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyStage {
    /// The answer has no body (RFC 9110 §6.4.1). HTTP/2 frames one all the same if an origin sends it, and a client that takes it
    /// for the next answer, or for a protocol error, is the worse for it.
    Drop,
}

impl BodyStage {
    /// What is done to the body of an answer with `status` to a request with `method`.
    pub fn of(method: &Method, status: StatusCode) -> Option<BodyStage> {
        let bodyless = *method == Method::HEAD || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        bodyless.then_some(BodyStage::Drop)
    }

    /// Changes a piece of the body.
    pub fn piece(&mut self, piece: &mut Option<Bytes>) {
        match self {
            BodyStage::Drop => *piece = piece.take().map(|_| Bytes::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_without_a_body_have_a_stage() {
        let stage = |method, status| BodyStage::of(&method, StatusCode::from_u16(status).unwrap());
        for (method, status) in [(Method::HEAD, 200), (Method::GET, 204), (Method::GET, 304)] {
            assert_eq!(stage(method, status), Some(BodyStage::Drop), "{status}");
        }
        for (method, status) in [(Method::GET, 200), (Method::GET, 101), (Method::GET, 404), (Method::POST, 205)] {
            assert_eq!(stage(method, status), None, "{status}");
        }
    }

    #[test]
    fn a_body_that_must_not_be_is_dropped_piece_by_piece() {
        let mut stage = BodyStage::Drop;
        let mut pieces = [Some(Bytes::from_static(b"stray")), None, Some(Bytes::new())];
        for piece in &mut pieces {
            stage.piece(piece);
        }
        assert_eq!(pieces, [Some(Bytes::new()), None, Some(Bytes::new())]);
    }
}
