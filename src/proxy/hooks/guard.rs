//! What a fault in the gateway's own code costs: the request that met it, and nothing else.
//!
//! The steps of the hooks that are the gateway's own run [`guarded`]. A panic there becomes a failure with the cause
//! `internal_error`, which takes the way of every other failure: a sealed 500 if nothing was sent yet, one log line, the
//! places in limits given back, the connection closed. A panic anywhere else ends the task of its request, which is one
//! HTTP/1 connection or one HTTP/2 stream: the client sees it closed or reset without an answer, and
//! [`Context`]'s `Drop` gives back and records the same.
//!
//! Either way the panic hook of [`crate::telemetry::program_log`] says where it happened.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pingora::{Error, ErrorType, Result};

use super::context::Context;

/// Runs a step of a hook on the request's context. A panic in it fails the request.
///
/// # Errors
/// After a panic only; what the step itself says is passed on as it is.
pub fn guarded<T>(ctx: &mut Context, step: impl FnOnce(&mut Context) -> T) -> Result<T> {
    // Unwind safety: what the step left half done in the context is read for the log line only, and what requests share
    // is whole after every operation, or behind a lock that says so.
    match catch_unwind(AssertUnwindSafe(|| step(ctx))) {
        Ok(value) => Ok(value),
        Err(_) => {
            ctx.panicked();
            Error::e_explain(ErrorType::InternalError, "a fault in the gateway's own code")
        }
    }
}
