//! What a fault in the gateway's own code costs: the request that met it, and nothing else.
//!
//! The steps of the hooks that are the gateway's own run [`guarded`]. A panic there becomes a failure with the cause
//! `internal_error`, which takes the way of every other failure: a sealed 500 if nothing was sent yet, one log line, the
//! places in limits given back, the connection closed. A panic anywhere else ends the task of its request, which is one
//! HTTP/1 connection or one HTTP/2 stream: the client sees it closed or reset without an answer, and
//! [`Context`]'s `Drop` gives back and records the same.
//!
//! Either way the panic hook of [`crate::telemetry::program_log`] says where it happened.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use pingora::{Error, ErrorType, Result};

use super::context::Context;

/// A step of a hook has panicked.
#[derive(Debug)]
pub struct Panicked(());

impl Panicked {
    /// Fails the request of `ctx`.
    ///
    /// # Errors
    /// Always.
    pub fn fail<T>(self, ctx: &mut Context) -> Result<T> {
        Error::e_because(ErrorType::InternalError, "a fault in the gateway's own code", ctx.panicked())
    }
}

// Unwind safety of both: what a step left half done in the context is read for the log line only, and what requests share is
// whole after every operation, or behind a lock that says so.

/// Runs a step of a hook on the request's context. A panic in it fails the request.
///
/// # Errors
/// After a panic only; what the step itself says is passed on as it is.
pub fn guarded<T>(ctx: &mut Context, step: impl FnOnce(&mut Context) -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(|| step(ctx))).or_else(|_| Panicked(()).fail(ctx))
}

/// Runs a step of a hook that may wait. A panic in it, whenever it is polled, is for the caller to fail the request with.
///
/// # Errors
/// After a panic only.
pub async fn guarded_async<T>(step: impl Future<Output = T>) -> Result<T, Panicked> {
    let mut step = pin!(step);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| step.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Ok),
        // Never polled again.
        Err(_) => Poll::Ready(Err(Panicked(()))),
    })
    .await
}
