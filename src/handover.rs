//! How one gateway process takes over from another without a moment in which nobody listens.
//!
//! The new process asks over the old one's `upgrade.sock` for its listening sockets and gets the descriptors themselves
//! (SCM_RIGHTS, unix(7)). Both processes then hold the same sockets with the same queues, so that a connection that waits in
//! a queue is not lost, whichever process accepts it.
//!
//! ```text
//! new                                   old
//! request  protocol, pid, timeout   ->
//!                                   <-  Offer  listeners, settings of the service manager; then the descriptors
//! (binds new listeners, loads, becomes ready; accepts nothing yet)
//! Ready                             ->
//!                                   <-  Go
//! (accepts; control.sock and upgrade.sock lead to it)
//! Publish                           ->           only if it may not replace those links, as another user
//!                                   <-  Published
//! Serving                           ->
//!                                       (stops to accept, and drains)
//! ```
//!
//! Orders of operators are carried out until `Go`, which is refused if one was carried out since the request: the new process does not
//! know of it ([`state`]).
//!
//! Until `Serving` the old process changes nothing that it could not undo: if the new process ends, is late or sends an
//! invalid message, the old one continues to serve. Until `Go` the new one has no connection that its end could break. Each
//! side checks that the other runs as its own user or as root, and the new one that each socket listens where the old one says.
//!
//! Descriptors are handed over, memory is not: limits start at zero, endpoints start as healthy, and remembered tokens are
//! verified again.

pub mod client;
pub mod server;
pub mod state;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::service_manager::NotifySettings;

/// The version of the protocol. It grows when a message changes in a way that an older process would misread.
const PROTOCOL: u32 = 1;

/// The timeout for a message that the other side sends at once.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why a handover failed.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the other process is of user {0}, neither this one's nor root")]
    Stranger(u32),
    #[error("the other process refuses: {0}")]
    Refused(String),
    #[error("the other process sent {0}")]
    Protocol(&'static str),
}

/// The first message of the new process.
#[derive(Debug, Serialize, Deserialize)]
struct HandoverRequest {
    protocol: u32,
    pid: u32,
    version: String,
    /// How long it may take to become ready, in milliseconds. The name on the wire is that of protocol 1.
    #[serde(rename = "patience")]
    timeout: u64,
    /// The addresses of its configuration. What waits on other sockets is the old process's to serve. An older program does not
    /// say.
    #[serde(default)]
    listens: Option<Vec<SocketAddr>>,
}

/// The messages of the old process.
#[derive(Debug, Serialize, Deserialize)]
enum HandoverAnswer {
    Offer(HandoverOffer),
    Go,
    /// The links lead to the new process.
    Published,
    Refused(String),
}

/// What the old process hands over. The descriptors follow the message: the listeners in their order, standard output,
/// standard error.
#[derive(Debug, Serialize, Deserialize)]
struct HandoverOffer {
    pid: u32,
    version: String,
    listeners: Vec<ListenerAddress>,
    /// The name on the wire is that of protocol 1.
    #[serde(rename = "terms")]
    settings: NotifySettings,
}

/// A listener by the name and address of its configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct ListenerAddress {
    name: String,
    address: SocketAddr,
}

/// The later messages of the new process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum HandoverStep {
    Ready,
    /// The old process is to make the links in the runtime folder lead to the new one.
    Publish,
    Serving,
}

#[cfg(test)]
mod tests;
