//! RequestRecord: the log line and the counts of a request that has ended.

use http::Version;
use pingora::proxy::Session;

use super::client_side::ClientSide;
use super::context::Context;
use crate::decision::outcome::Cause;

/// Completes the record with what the session knows, writes it, and gives the connection back.
pub fn finish(session: &mut Session, ctx: &mut Context) {
    if ctx.denial().is_none()
        && ctx.stream.is_some()
        && let Some(ended) = ctx.claim.as_ref().and_then(|claim| claim.control.tunnel_end())
    {
        ctx.end_with(ended, false);
    }
    let written = session.response_written().filter(|_| session.is_answered()).map(|header| header.status.as_u16());
    let ended = Ended {
        status: written,
        version: session.req_header().version,
        body_sent: session.body_bytes_sent() as u64,
        body_received: session.body_bytes_read() as u64,
        reusable: session.is_body_done(),
    };
    record(ended, ctx);
}

/// What the client's side knows of a request that has ended.
pub struct Ended {
    /// Of the answer, if a final one was begun.
    pub status: Option<u16>,
    pub version: Version,
    /// Bytes of the answer's body.
    pub body_sent: u64,
    /// Bytes of the request's body.
    pub body_received: u64,
    /// Whether the request was read to its end: otherwise its connection can't carry another one.
    pub reusable: bool,
}

/// Completes and writes the record, and gives the connection back.
pub fn record(ended: Ended, ctx: &mut Context) {
    let status = ended.status.map_or(0, |status| ctx.grpc_status().unwrap_or(status));
    if let Some(claim) = &mut ctx.claim {
        claim.record.status = status;
        claim.record.bytes_sent = ended.body_sent;
        claim.record.bytes_received = ended.body_received;
    }
    if ended.version == Version::HTTP_10
        && ctx.denial().is_none_or(|denial| denial.cause == Cause::StreamEnded)
        && let Some(claim) = &ctx.claim
    {
        // The answer is whole, and may end with the connection.
        claim.control.connection().close_mode().in_order();
    }
    ctx.finish(ended.reusable);
}
