//! What an exchange needs of its client's side, whichever protocol the client speaks.

use std::future::Future;
use std::net::SocketAddr;
use std::task::{Context as TaskContext, Poll};

use http::StatusCode;
use pingora::{Error, Result};
use tokio::io::ReadBuf;

use crate::decision::outcome::Denial;
use crate::decision::response::byte_head::ByteHead;
use crate::decision::response::origin_body::OriginBody;
use crate::proxy::hooks::client_side::RequestParts;
use crate::proxy::hooks::context::Context;
use crate::proxy::reply::LocalReply;

/// What becomes of a client's connection after a request. A stream of HTTP/2 has none of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// The next request.
    Next,
    /// It is closed in order.
    Close,
    /// It is dropped.
    Drop,
    /// The request is not for this lane.
    HandOver,
}

/// The client's connection or stream, for one request.
pub(super) trait Downstream: Send {
    /// Reads what comes next of the request's body, and gives the data in it: nothing, where it was framing or the end. `room` is for
    /// what is read.
    ///
    /// # Errors
    /// The client's: it left, took too long, or sent what is no body.
    fn poll_body<'b>(&'b mut self, room: &'b mut ReadBuf<'_>, cx: &mut TaskContext<'_>) -> Poll<Result<&'b [u8]>>;

    /// Whether the request has come whole.
    fn is_received(&self) -> bool;

    /// Bytes of the request's body that have come.
    fn received(&self) -> u64;

    /// Ready with the reason when the origin is not to be waited for any longer: its time is over, a drain ends the request, or the
    /// client has left. `idle`: the client is not read from otherwise.
    fn poll_ended(&mut self, idle: bool, cx: &mut TaskContext<'_>) -> Poll<Box<Error>>;

    /// Nothing follows the answer.
    fn set_last(&mut self);

    /// Frames the final answer with the status `status` and the body `body` for the client.
    fn frame(&mut self, status: StatusCode, body: &OriginBody, fields: &mut ByteHead<'_>, ctx: &Context);

    /// Begins the final answer.
    ///
    /// # Errors
    /// The client left.
    fn begin(&mut self, status: StatusCode, fields: ByteHead<'_>, body: &OriginBody, ctx: &Context) -> Result<()>;

    /// Passes an interim answer on (RFC 9110 §15.2).
    ///
    /// # Errors
    /// The client left.
    fn send_interim(&mut self, status: StatusCode, fields: ByteHead<'_>, ctx: &Context) -> Result<()>;

    /// Sends of `data`, a part of the answer's body, what the client takes. `last`: the body ends with it.
    ///
    /// # Errors
    /// The client left, or takes too little.
    fn poll_write(&mut self, data: &[u8], last: bool, cx: &mut TaskContext<'_>) -> Poll<Result<usize>>;

    /// The body of the answer has ended, with `trailers` behind it.
    ///
    /// # Errors
    /// The client left.
    fn end(&mut self, trailers: ByteHead<'_>) -> Result<()>;

    /// Whether trailers behind an answer in chunks reach the client.
    fn takes_trailers(&self) -> bool;

    /// Sends what waits to be sent.
    ///
    /// # Errors
    /// The client takes nothing.
    fn poll_flush(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<()>>;

    /// Bytes of the answer's body that were sent.
    fn sent(&self) -> u64;

    /// Answers `request` with `reply`, and reads what is left of a short body where the connection can be kept for that.
    fn reply(
        &mut self,
        request: RequestParts<'_>,
        reply: LocalReply,
        ctx: &Context,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Ends an answer that has begun, and will not become whole for the reason `denial`: in order, where it has no end of its own.
    fn break_off(&mut self, denial: &Denial) -> impl Future<Output = After> + Send;

    /// What becomes of the connection after an exchange that went well.
    fn after(&self) -> After;

    /// The address that the client has connected to.
    fn local_address(&self) -> Option<SocketAddr>;
}
