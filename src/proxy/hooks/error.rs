//! The one place where Pingora's errors become causes.

pub mod reason;

use std::io;

use pingora::proxy::Session;
use pingora::{Error, ErrorSource, ErrorType};

use super::client_side::ClientSide;
use super::context::Context;
use super::{log, response};
use crate::decision::outcome::{Cause, Denial};
use crate::proxy::connection::http2::stream::connection_end;
use crate::telemetry::metrics::Bound;

/// Answers a request that failed, if the client can still be answered. Returns the status for Pingora's bookkeeping, 0
/// when nobody is there to read one.
pub async fn answer(session: &mut Session, e: &Error, ctx: &mut Context) -> u16 {
    if session.is_answered() && ctx.tunnel_timed_out() {
        // An end like any other for a tunnel, not a failure of the origin.
        ctx.shared.metrics.bound_hit(Bound::TunnelIdle);
        if let Some(claim) = &mut ctx.claim {
            claim.record.detail = Some("the tunnel was silent for longer than `bounds.tunnel_idle`".into());
        }
        return 0;
    }
    // What carries a denial was found out by whoever failed; from other errors the cause is derived.
    let denial = denial_of(e).cloned().unwrap_or_else(|| derived(e, ctx));
    let status = denial.cause.status().as_u16();
    session.set_keepalive(None);
    let ends = matches!(denial.cause, Cause::StreamEnded | Cause::ShutDown);
    if session.is_answered() || denial.cause.is_client_lost() {
        let in_order = denial.cause == Cause::StreamEnded;
        ctx.end_with(denial, false);
        if in_order {
            response::end_stream(session, ctx).await;
            leave(session, ctx).await;
        }
        return 0;
    }
    let refused = response::refuse(session, ctx, denial).await;
    if ends && refused.is_ok() {
        leave(session, ctx).await;
    }
    if refused.is_ok() { status } else { 0 }
}

/// Closes an HTTP/1 connection in order, which Pingora does not after a failure.
async fn leave(session: &mut Session, ctx: &mut Context) {
    if !session.request().is_http2() {
        // The line first: the client may take a while to leave.
        log::finish(session, ctx);
        session.as_mut().shutdown().await;
    }
}

/// The denial that `error` carries: as its cause, or inside the `io::Error` of the client's connection that is its cause.
pub fn denial_of(error: &Error) -> Option<&Denial> {
    let cause = error.root_cause();
    cause.downcast_ref::<Denial>().or_else(|| cause.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref())
}

/// `error` with `denial` as its cause. The kind of error, whose fault it is and whether it is tried again stay.
pub fn carrying(mut error: Box<Error>, denial: Denial) -> Box<Error> {
    error.set_cause(denial);
    error
}

/// What went wrong, for the log. Pingora's own text may quote what the other side sent, cookies included, so only the kind
/// of error and what the operating system said are taken from it.
pub fn detail(e: &Error) -> String {
    let kind = e.etype().as_str();
    match reason::reason(e).or_else(|| reason::io_error(e).map(ToString::to_string)) {
        Some(why) => format!("{kind}: {why}"),
        None => kind.to_owned(),
    }
}

/// The denial of an error that carries none. Why the gateway ended the connection explains more than that it has ended.
pub fn derived(e: &Error, ctx: &Context) -> Denial {
    let cause = cause(e);
    let ended = || ctx.claim.as_ref()?.control.connection().end().cloned();
    let end = if cause == Cause::ClientClosed { ended().or_else(|| connection_end(e)) } else { None };
    end.unwrap_or_else(|| Denial::new(cause, detail(e)))
}

/// The cause of a failure, by whose fault it is.
fn cause(e: &Error) -> Cause {
    match e.esource() {
        ErrorSource::Upstream => upstream_cause(e),
        ErrorSource::Downstream => downstream_cause(e),
        ErrorSource::Internal | ErrorSource::Unset => match e.etype() {
            // Pingora's request sanitiser does not say whose fault a bad `Connection` is.
            ErrorType::InvalidHTTPHeader => Cause::MalformedRequest,
            _ => Cause::InternalError,
        },
    }
}

fn downstream_cause(e: &Error) -> Cause {
    match e.etype() {
        ErrorType::ReadTimedout => Cause::RequestTimeout,
        ErrorType::WriteTimedout => Cause::ClientTooSlow,
        ErrorType::ReadError | ErrorType::WriteError | ErrorType::ConnectionClosed | ErrorType::H2Error => {
            Cause::ClientClosed
        }
        _ => Cause::MalformedRequest,
    }
}

/// Whether the connection itself gave up waiting.
pub fn is_timeout(e: &Error) -> bool {
    e.root_cause().downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::TimedOut)
}

/// Whether a connection failed for want of something on this side, such as a descriptor or a port.
pub fn is_local(e: &Error) -> bool {
    matches!(e.root_etype(), ErrorType::BindError | ErrorType::SocketError)
}

/// The cause of a failure beyond the gateway.
pub fn upstream_cause(e: &Error) -> Cause {
    match e.etype() {
        ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout => Cause::UpstreamConnectTimeout,
        ErrorType::TLSHandshakeFailure
        | ErrorType::InvalidCert
        | ErrorType::HandshakeError
        | ErrorType::TLSWantX509Lookup => Cause::UpstreamTlsFailed,
        ErrorType::ReadTimedout | ErrorType::WriteTimedout => Cause::UpstreamTimeout,
        ErrorType::ReadError | ErrorType::WriteError if is_timeout(e) => Cause::UpstreamTimeout,
        ErrorType::ReadError | ErrorType::WriteError | ErrorType::ConnectionClosed => Cause::UpstreamClosed,
        ErrorType::ConnectRefused
        | ErrorType::ConnectNoRoute
        | ErrorType::ConnectError
        | ErrorType::ConnectProxyFailure
        | ErrorType::BindError
        | ErrorType::SocketError => Cause::UpstreamConnectFailed,
        // What Pingora calls an internal error when there is no socket to be had.
        ErrorType::InternalError if is_local(e) => Cause::UpstreamConnectFailed,
        // Bad heads, bad chunks, bodies that end too early, HTTP/2 errors.
        _ => Cause::UpstreamProtocol,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_is_found_in_whatever_carries_it() {
        let denial = Denial::new(Cause::RequestTimeout, "too slow");
        let direct = Error::because(ErrorType::ReadTimedout, "reading a body", denial.clone());
        let read = io::Error::new(io::ErrorKind::InvalidData, denial.clone());
        let read = Error::because(ErrorType::ReadError, "when reading body", read);
        for error in [&direct, &read] {
            assert_eq!(denial_of(error), Some(&denial));
        }
        assert_eq!(denial_of(&read.more_context("endpoint 127.0.0.1:1")), Some(&denial));
        let lost =
            Error::because(ErrorType::ReadError, "when reading body", io::Error::from(io::ErrorKind::UnexpectedEof));
        assert_eq!(denial_of(&lost), None);
        assert_eq!(denial_of(&Error::new(ErrorType::InternalError)), None);
    }
}
