//! Failures of an exchange as errors of Pingora's kinds, from which the steps of a request tell whose fault they are and whether
//! the request is tried again ([`crate::proxy::hooks::error`], [`crate::proxy::hooks::retry`]).

use std::io;

use pingora::{Error, ErrorType};

use crate::decision::outcome::Denial;

/// The client can't be written to.
pub(super) fn write_error(e: io::Error) -> Box<Error> {
    Error::because(ErrorType::WriteError, "writing to the client", e).into_down()
}

/// The client can't be read from, or the gateway has ended its connection.
pub(super) fn client_lost(e: io::Error) -> Box<Error> {
    Error::because(ErrorType::ReadError, "reading from the client", e).into_down()
}

/// The client has ended its connection.
pub(super) fn client_gone(why: &'static str) -> Box<Error> {
    Error::explain(ErrorType::ConnectionClosed, why).into_down()
}

/// The client's body is none.
pub(super) fn malformed_body(denial: Denial) -> Box<Error> {
    Error::because(ErrorType::ReadError, "reading a request's body", denial).into_down()
}

/// The origin can't be written to.
pub(super) fn send_error(e: io::Error) -> Box<Error> {
    Error::because(ErrorType::WriteError, "writing to the origin", e).into_up()
}

/// The origin has taken nothing for too long.
pub(super) fn send_timed_out(why: &'static str) -> Box<Error> {
    Error::explain(ErrorType::WriteTimedout, why).into_up()
}

/// The origin can't be read from.
pub(super) fn read_error(e: io::Error) -> Box<Error> {
    Error::because(ErrorType::ReadError, "reading an answer", e).into_up()
}

/// The origin has ended its connection too early.
pub(super) fn origin_closed(why: &'static str) -> Box<Error> {
    Error::explain(ErrorType::ConnectionClosed, why).into_up()
}

/// What the origin sends is no head of an answer.
pub(super) fn invalid_head(why: &'static str) -> Box<Error> {
    Error::explain(ErrorType::InvalidHTTPHeader, why).into_up()
}

/// What the origin sends is no chunk.
pub(super) fn invalid_chunk(why: &'static str) -> Box<Error> {
    Error::explain(ErrorType::new("InvalidChunk"), why).into_up()
}
