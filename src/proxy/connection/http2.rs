//! What the gateway adds to Pingora's HTTP/2: the [`frame`] parser that reads both directions, the reading of every [`header_block`]
//! before the library does, the [`connection_error`]s that it finds, the detection of [`flood`]s, the
//! [`monitor`] that gives it a clock, the declared headers on the library's own answers ([`header_injection`]), and the bounds on
//! one request's body ([`session`]).

pub mod connection_error;
pub mod flood;
mod frame;
pub mod header_block;
pub mod header_injection;
pub mod monitor;
pub mod session;
