//! RequestRecord: the log line and the counts of a request that has ended.

use http::Version;
use pingora::proxy::Session;

use super::context::Context;
use super::response::answered;
use crate::decision::outcome::Cause;

/// Completes the record with what the session knows, writes it, and gives the connection back.
pub fn finish(session: &mut Session, ctx: &mut Context) {
    if ctx.denial().is_none()
        && ctx.stream.is_some()
        && let Some(ended) = ctx.claim.as_ref().and_then(|claim| claim.control.tunnel_end())
    {
        ctx.end_with(ended, false);
    }
    let written = session.response_written().filter(|_| answered(session)).map(|header| header.status.as_u16());
    let status = written.map_or(0, |status| ctx.grpc_status().unwrap_or(status));
    if let Some(claim) = &mut ctx.claim {
        claim.record.status = status;
        claim.record.bytes_sent = session.body_bytes_sent() as u64;
        claim.record.bytes_received = session.body_bytes_read() as u64;
    }
    if session.req_header().version == Version::HTTP_10
        && ctx.denial().is_none_or(|denial| denial.cause == Cause::StreamEnded)
        && let Some(claim) = &ctx.claim
    {
        // The answer is whole, and may end with the connection.
        claim.control.connection().close_mode().in_order();
    }
    // A connection whose request body was not read to its end can't carry another request.
    let reusable = session.is_body_done();
    ctx.finish(reusable);
}
