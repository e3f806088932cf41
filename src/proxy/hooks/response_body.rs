//! The body of an answer, as it streams by. Off unless the head of the answer asks for it.

use bytes::Bytes;

use super::context::Context;

/// Applies the stage that the answer's head asked for to a piece of its body.
pub fn filter(body: &mut Option<Bytes>, ctx: &mut Context) {
    if let Some(stage) = &mut ctx.response_body {
        stage.piece(body);
    }
}
