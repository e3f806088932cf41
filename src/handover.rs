//! How one gateway follows another without a moment in which nobody listens.
//!
//! The new process asks over the old one's `upgrade.sock` for its listening sockets and gets the descriptors themselves
//! (SCM_RIGHTS, unix(7)): both processes then hold the same sockets with the same queues, so that a connection which waits
//! in one is not lost, whoever accepts it.
//!
//! ```text
//! new                                   old
//! Request  protocol, pid, patience  ->
//!                                   <-  Offer  listeners, terms of the service manager; then the descriptors
//! (binds what is new, loads, becomes ready; accepts nothing yet)
//! Ready                             ->
//!                                   <-  Go
//! (accepts; is the one that is found in the runtime folder)
//! Serving                           ->
//!                                       (stops to accept, and drains)
//! ```
//!
//! Until `Serving` the old process does nothing that it could not take back: whatever breaks off before, be it the death of
//! the new process, its lateness or a nonsensical message, leaves the old one serving as if nothing had happened. And until
//! `Go` the new one has no connection that its end could cost. Each side makes sure that the other is its own user or root.
//!
//! The descriptors move; what is in memory does not. Limits begin anew, endpoints begin as healthy, and verified tokens are
//! verified again.

pub mod give;
pub mod take;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::service_manager::Terms;

/// What both sides must agree on. It grows when a message changes in a way that an older process would misread.
const PROTOCOL: u32 = 1;

/// For one message of the other side that needs no work of it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a handover did not come about.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the other process is of user {0}, neither this one's nor root")]
    Stranger(u32),
    #[error("the other process refuses: {0}")]
    Refused(String),
    #[error("the other process sent {0}")]
    Nonsense(&'static str),
}

/// The new process's wish.
#[derive(Debug, Serialize, Deserialize)]
struct Request {
    protocol: u32,
    pid: u32,
    version: String,
    /// How long it gives itself to become ready, in milliseconds.
    patience: u64,
}

/// What the old process says.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    Offer(Offer),
    Go,
    Refused(String),
}

/// What follows the offer as descriptors: the listeners in their order, standard output, standard error.
#[derive(Debug, Serialize, Deserialize)]
struct Offer {
    pid: u32,
    version: String,
    listeners: Vec<Address>,
    terms: Terms,
}

/// A listener as its configuration names it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Address {
    name: String,
    address: SocketAddr,
}

/// How far the new process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Step {
    Ready,
    Serving,
}

#[cfg(test)]
mod tests;
