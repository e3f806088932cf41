//! The one place where Pingora's errors become causes.

use pingora::proxy::Session;
use pingora::{Error, ErrorSource, ErrorType};

use super::context::Context;
use super::response;
use crate::decision::outcome::{Cause, Denial};

/// Answers a request that failed, if the client can still be answered. Returns the status for Pingora's bookkeeping, 0
/// when nobody is there to read one.
pub async fn answer(session: &mut Session, e: &Error, ctx: &mut Context) -> u16 {
    let denial = match ctx.denial.take() {
        Some(denial) => denial,
        None => Denial::new(cause(e), e.to_string()),
    };
    let status = denial.cause.status().as_u16();
    session.set_keepalive(None);
    if session.response_written().is_some() || denial.cause == Cause::ClientClosed {
        ctx.denial = Some(denial);
        return 0;
    }
    match response::refuse(session, ctx, denial).await {
        Ok(()) => status,
        Err(_) => 0,
    }
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
        ErrorType::ReadError
        | ErrorType::WriteError
        | ErrorType::WriteTimedout
        | ErrorType::ConnectionClosed
        | ErrorType::H2Error => Cause::ClientClosed,
        _ => Cause::MalformedRequest,
    }
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
        ErrorType::ReadError | ErrorType::WriteError | ErrorType::ConnectionClosed => Cause::UpstreamClosed,
        ErrorType::InvalidHTTPHeader | ErrorType::H1Error | ErrorType::H2Error | ErrorType::InvalidH2 => {
            Cause::UpstreamProtocol
        }
        _ => Cause::UpstreamConnectFailed,
    }
}
