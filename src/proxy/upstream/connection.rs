//! The connection under an exchange with an origin: whether it still stands, and what became of what was sent on it.
//!
//! An origin may end a pooled connection at the very moment at which a request is sent on it. HTTP/1 does not tell whether
//! the request was seen (RFC 9112 §9.3.1), nor does HTTP/2 when the connection ends without GOAWAY (RFC 9113 §6.8), and so a
//! request that must not have its effect twice can't simply be repeated. TCP knows more: each segment acknowledges what had
//! arrived when it was sent. If the origin's FIN arrives and none of the request was acknowledged by then, the origin closed the
//! connection before any byte of the request reached its machine. It has not seen the request, whatever the method, and it will
//! never answer on this connection. On HTTP/2 other requests share the connection: what had been written before a request began
//! may be acknowledged, and nothing behind it ([`TcpCounts::written`]).
//!
//! The counts are the kernel's (`TCP_INFO`), and must be read while the descriptor is open. Pingora may close it before it says
//! that the exchange failed, but tells a tracer right before; the tracer reads them.
//!
//! One thing TCP does not tell: an origin that closes while the request waits unread in its kernel sends a reset that looks
//! like that of an origin which has read the request and crashed. So these requests also get no HTTP/1 connection that was unused
//! for longer than `timeouts.idle_unsafe`, and none that was used before from an origin that is seen to end them without a word.

mod tcp_counts;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Instant;

use nix::sys::socket::{Shutdown, shutdown};
use parking_lot::{Mutex, MutexGuard};
use pingora::upstreams::peer::{HttpPeer, Tracer, Tracing};

use crate::state::upstreams::UpstreamState;
use tcp_counts::TcpCounts;

/// Connections are spread over as many locks by their descriptors.
const SHARDS: usize = 16;

/// The least that an HTTP/2 origin sends if it announces the end of a connection: a GOAWAY (RFC 9113 §6.8), and the FIN.
const GOAWAY: u64 = 9 + 8 + 1;
/// The same in the shortest record of TLS 1.3. The alert that closes TLS is shorter.
const GOAWAY_OVER_TLS: u64 = GOAWAY + 5 + 1 + 16;

/// The open connections that may be looked at, by descriptor.
#[derive(Default)]
pub struct UpstreamConnections {
    shards: [Mutex<HashMap<RawFd, Arc<UpstreamConnection>>>; SHARDS],
}

/// One connection.
pub struct UpstreamConnection {
    connections: Arc<UpstreamConnections>,
    purpose: ConnectionPurpose,
    state: Mutex<UseState>,
}

/// What a connection is watched for.
pub enum ConnectionPurpose {
    /// Requests that must not have their effect twice, one after the other. The upstream learns when the origin ends it early.
    OneByOne(Arc<UpstreamState>),
    /// The same on a connection that may be of HTTP/2, where they share it.
    Shared { upstream: Arc<UpstreamState>, tls: bool },
    /// The requests of one client connection.
    Private,
}

#[derive(Default)]
struct UseState {
    /// `None` before it is connected and once it is closed.
    descriptor: Option<RawFd>,
    /// Right before it was closed.
    at_close: Option<TcpCounts>,
    /// Exchanges under way.
    open: usize,
    /// When the last of them had ended.
    unused: Option<TcpCounts>,
    /// It takes no further exchange, and is closed once none is under way.
    given_up: bool,
}

/// A request's use of a connection; dropping it ends the use.
pub struct ConnectionUse {
    connection: Arc<UpstreamConnection>,
    /// When it began.
    before: Option<TcpCounts>,
}

impl UpstreamConnections {
    /// Makes `peer` say what becomes of the connection that may be made to it.
    pub fn watch(self: &Arc<Self>, peer: &mut HttpPeer, purpose: ConnectionPurpose) -> Arc<UpstreamConnection> {
        let connection = Arc::new(UpstreamConnection { connections: self.clone(), purpose, state: Mutex::default() });
        peer.options.tracer = Some(Tracer(Box::new(CloseTracer(connection.clone()))));
        connection
    }

    /// `connection` was connected, and has this descriptor.
    pub fn connected(&self, descriptor: RawFd, connection: &Arc<UpstreamConnection>) {
        // A connection that is no socket has none.
        if descriptor >= 0 {
            connection.state().descriptor = Some(descriptor);
            self.shard(descriptor).insert(descriptor, connection.clone());
        }
    }

    /// The open connection with this descriptor, if it may be looked at.
    pub fn find(&self, descriptor: RawFd) -> Option<Arc<UpstreamConnection>> {
        self.shard(descriptor).get(&descriptor).cloned()
    }

    fn shard(&self, descriptor: RawFd) -> MutexGuard<'_, HashMap<RawFd, Arc<UpstreamConnection>>> {
        self.shards[descriptor.unsigned_abs() as usize % SHARDS].lock()
    }
}

impl UpstreamConnection {
    /// Begins an exchange on a connection that was just made.
    pub fn begin(self: &Arc<Self>) -> ConnectionUse {
        let mut state = self.state();
        let counts = state.descriptor.and_then(TcpCounts::of);
        self.begin_with(&mut state, counts)
    }

    /// Begins an exchange on a pooled connection; `None` if the origin has ended it, or nobody may use it any more.
    pub fn begin_again(self: &Arc<Self>) -> Option<ConnectionUse> {
        let mut state = self.state();
        if state.given_up {
            return None;
        }
        match state.descriptor.and_then(TcpCounts::of) {
            Some(counts) if counts.is_established() => Some(self.begin_with(&mut state, Some(counts))),
            counts => {
                self.ended_unused(&state, counts);
                None
            }
        }
    }

    fn begin_with(self: &Arc<Self>, state: &mut UseState, before: Option<TcpCounts>) -> ConnectionUse {
        state.open += 1;
        ConnectionUse { connection: self.clone(), before }
    }

    /// Lets no further exchange begin, and closes the connection when none is under way.
    pub fn give_up(&self) {
        let mut state = self.state();
        state.given_up = true;
        state.close_if_unused();
    }

    /// Closes the connection, whatever is under way.
    pub fn close(&self) {
        let mut state = self.state();
        state.given_up = true;
        state.close();
    }

    /// The origin has ended the connection while it was unused, which `now` shows.
    fn ended_unused(&self, state: &UseState, now: Option<TcpCounts>) {
        let upstream = match &self.purpose {
            ConnectionPurpose::OneByOne(upstream) => upstream,
            ConnectionPurpose::Shared { upstream, tls } => {
                let goaway = if *tls { GOAWAY_OVER_TLS } else { GOAWAY };
                let came = now.zip(state.unused).map(|(now, unused)| now.received_since(&unused));
                if came.is_none_or(|came| came >= goaway) {
                    return;
                }
                upstream
            }
            ConnectionPurpose::Private => return,
        };
        upstream.reuse().ended_early(Instant::now());
    }

    /// The origin has ended the connection while a request was on its way.
    fn ended_under_request(&self) {
        if let ConnectionPurpose::OneByOne(upstream) | ConnectionPurpose::Shared { upstream, .. } = &self.purpose {
            upstream.reuse().ended_early(Instant::now());
        }
    }

    /// The connection is about to be closed: the last moment to look at it.
    fn closing(&self) {
        let mut state = self.state();
        let Some(descriptor) = state.descriptor.take() else { return };
        self.connections.shard(descriptor).remove(&descriptor);
        state.at_close = TcpCounts::of(descriptor);
        if state.open == 0 && !state.given_up && state.at_close.is_some_and(|counts| counts.is_ended_by_origin()) {
            self.ended_unused(&state, state.at_close);
        }
    }

    fn state(&self) -> MutexGuard<'_, UseState> {
        self.state.lock()
    }
}

impl UseState {
    /// Under the lock that `closing` takes: the descriptor is still that of this connection.
    fn close(&self) {
        if let Some(descriptor) = self.descriptor {
            let _ = shutdown(descriptor, Shutdown::Both);
        }
    }

    fn close_if_unused(&self) {
        if self.given_up && self.open == 0 {
            self.close();
        }
    }
}

impl ConnectionUse {
    /// Whether the origin had ended the connection before a byte of the request reached it. `reset`: the connection's end was
    /// found out by a reset instead of the origin's FIN, which says nothing about what the origin has seen.
    pub fn was_unread(&self, reset: bool) -> bool {
        let now = {
            let state = self.connection.state();
            match state.descriptor {
                Some(descriptor) => TcpCounts::of(descriptor),
                None => state.at_close,
            }
        };
        let unread = match (&self.before, now) {
            (Some(before), Some(now)) => now.is_end_before_anything_after(before, reset),
            _ => false,
        };
        if unread {
            self.connection.ended_under_request();
        }
        unread
    }

    /// The connection it is a use of.
    pub fn connection(&self) -> &Arc<UpstreamConnection> {
        &self.connection
    }
}

impl Drop for ConnectionUse {
    fn drop(&mut self) {
        let mut state = self.connection.state();
        state.open -= 1;
        if state.open == 0 && matches!(self.connection.purpose, ConnectionPurpose::Shared { .. }) {
            state.unused = state.descriptor.and_then(TcpCounts::of);
        }
        state.close_if_unused();
    }
}

/// Hears from Pingora that a connection is about to be closed.
struct CloseTracer(Arc<UpstreamConnection>);

impl Tracing for CloseTracer {
    fn on_connected(&self) {}

    fn on_disconnected(&self) {
        self.0.closing();
    }

    fn boxed_clone(&self) -> Box<dyn Tracing> {
        Box::new(CloseTracer(self.0.clone()))
    }
}

impl fmt::Debug for CloseTracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CloseTracer")
    }
}
