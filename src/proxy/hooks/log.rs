//! Record: the log line and the counts of a request that has ended.

use pingora::proxy::Session;

use super::context::Context;
use super::error::answered;

/// Completes the record with what the session knows, writes it, and gives the connection back.
pub fn finish(session: &mut Session, ctx: &mut Context) {
    if ctx.denial.is_none() && ctx.stream.is_some() {
        ctx.denial = ctx.connection.as_ref().and_then(|connection| connection.tunnel_end());
    }
    if let Some(record) = &mut ctx.record {
        let written = session.response_written().filter(|_| answered(session));
        record.status = match &ctx.denial {
            // The caller reads the refusal from `grpc-status`; people look for what it is.
            Some(denial) if ctx.grpc_refused && written.is_some() => denial.cause.status().as_u16(),
            _ => written.map_or(0, |header| header.status.as_u16()),
        };
        record.bytes_sent = session.body_bytes_sent() as u64;
        record.bytes_received = session.body_bytes_read() as u64;
    }
    ctx.finish();
    ctx.stream = None;
    // A connection whose request body was not read to its end can't carry another request.
    let reusable = session.is_body_done();
    if let Some(connection) = ctx.connection.take() {
        connection.request_ended(reusable);
    }
}
