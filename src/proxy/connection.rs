//! The byte stream of a client, between Pingora and the socket: what no hook reaches is reached here.
//!
//! [`ClientStream`] reads HTTP/1 one message at a time, so that Pingora's forgiving parser gets only heads and chunks with one
//! reading ([`message_reader`]). It ends the wait for a client that is too slow ([`read_deadlines`], [`min_rate`]), and that for an
//! origin once the client has sent its request ([`answer_clock`]). What is wrong
//! it refuses itself, with the declared headers, a log line and a count ([`record`]), and it replaces the answers that Pingora gives before
//! any hook: 405 for CONNECT, 400 for a head that it can't parse. It gathers small writes, so that a head and a short body leave
//! in one packet ([`answer_writer`], [`worker_buffer`]), bounds how slowly they may be taken ([`answer_pace`]), and it closes so that the client can read its answer ([`lingering_close`]),
//! or resets the connection of one that does not read ([`socket`]). In a drain it
//! ends what has to end ([`super::drain`]). [`http2`] says what is different there.
//!
//! Hooks see a connection as [`client::ClientConnection`], fixed once the handshake is over, and act on its request through
//! [`control::RequestControl`], which is the same for HTTP/1 and HTTP/2.

mod answer_clock;
pub mod answer_pace;
mod answer_writer;
pub mod client;
pub mod control;
pub mod http2;
mod lingering_close;
mod message_reader;
mod min_rate;
mod read_deadlines;
pub mod record;
pub mod socket;
mod stream;
pub mod timer;
pub mod worker_buffer;

pub use stream::ClientStream;
