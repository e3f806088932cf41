//! What the gateway adds to the HTTP/2 library: the [`frame`] parser that reads both directions, the reading of every [`header_block`]
//! before the library does, the [`connection_error`]s that it finds, the detection of [`flood`]s, the
//! [`monitor`] that gives it a clock, and one request with its bounds ([`stream`]), also in the form that Pingora knows
//! ([`session`]).

pub mod connection_error;
pub mod flood;
mod frame;
pub mod header_block;
pub mod monitor;
pub mod session;
pub mod stream;
