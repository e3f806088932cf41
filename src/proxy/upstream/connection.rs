//! The connection under an exchange with an HTTP/1 origin: whether it still stands, what became of what was sent on it, and
//! an end by force.
//!
//! An origin may end a pooled connection at the very moment at which a request is sent on it. HTTP/1 does not tell whether
//! the request was seen (RFC 9112 §9.3.1), and so a request that must not have its effect twice can't simply be repeated. TCP
//! knows more: each segment acknowledges what had arrived when it was sent. If the origin's FIN arrives and none of the
//! request was acknowledged by then, the origin closed the connection before any byte of the request reached its machine.
//! It has not seen the request, whatever the method, and it will never answer on this connection.
//!
//! The counts are the kernel's (`TCP_INFO`), and must be read while the descriptor is open. Pingora closes it before it says
//! that the exchange failed, but tells a tracer right before; the tracer reads them.
//!
//! One thing TCP does not tell: an origin that closes while the request waits unread in its kernel sends a reset that looks
//! like that of an origin which has read the request and crashed. So these requests also get no connection that was unused
//! for longer than `timeouts.idle_unsafe`, and none that was used before from an origin that is seen to end them sooner.

use std::collections::HashMap;
use std::fmt;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::socket::{Shutdown, shutdown};
use parking_lot::{Mutex, MutexGuard};
use pingora::protocols::l4::ext::get_tcp_info;
use pingora::upstreams::peer::{HttpPeer, Tracer, Tracing};
use tokio::task::JoinHandle;

use crate::state::upstreams::UpstreamState;

/// `TCP_ESTABLISHED` of Linux: neither side has ended the connection.
const ESTABLISHED: u8 = 1;

/// Connections are spread over as many locks by their descriptors.
const SHARDS: usize = 16;

/// The open connections that may be looked at, by descriptor.
#[derive(Default)]
pub struct UpstreamConnections {
    shards: [Mutex<HashMap<RawFd, Arc<UpstreamConnection>>>; SHARDS],
}

/// One connection.
pub struct UpstreamConnection {
    connections: Arc<UpstreamConnections>,
    /// Of an origin that is to keep its connections as long as requests that can't be repeated may use them.
    keeps: Option<Arc<UpstreamState>>,
    state: Mutex<UseState>,
}

#[derive(Default)]
struct UseState {
    /// `None` before it is connected and once it is closed.
    descriptor: Option<RawFd>,
    /// Counts exchanges, so that one that is over can't touch the next.
    exchanges: u64,
    current: Option<CurrentUse>,
}

/// The exchange that uses the connection.
struct CurrentUse {
    number: u64,
    /// When it began.
    before: Option<TcpCounts>,
    end: UseEnd,
}

#[derive(Clone, Copy, Default)]
struct UseEnd {
    cut: bool,
    unread: bool,
}

/// Bytes of the connection's whole life, as the kernel counts them.
#[derive(Clone, Copy)]
struct TcpCounts {
    established: bool,
    /// Sent by us, and acknowledged.
    acknowledged: u64,
    /// Sent by the origin; its FIN counts as one.
    received: u64,
}

/// A request's use of a connection; dropping it ends the use.
pub struct ConnectionUse {
    connection: Arc<UpstreamConnection>,
    number: u64,
}

/// Cuts an exchange when its time is over, unless it is dropped before.
pub struct CutTimer(JoinHandle<()>);

impl UpstreamConnections {
    /// Makes `peer` say what becomes of the connection that may be made to it. With `keeps`, the upstream is to learn when the
    /// origin ends the connection while it is unused.
    pub fn watch(self: &Arc<Self>, peer: &mut HttpPeer, keeps: Option<&Arc<UpstreamState>>) -> Arc<UpstreamConnection> {
        let connection =
            Arc::new(UpstreamConnection { connections: self.clone(), keeps: keeps.cloned(), state: Mutex::default() });
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

    /// Begins an exchange on a pooled connection; `None` if the origin has ended it.
    pub fn begin_again(self: &Arc<Self>) -> Option<ConnectionUse> {
        let mut state = self.state();
        let counts = state.descriptor.and_then(TcpCounts::of).filter(|counts| counts.established);
        if counts.is_none() {
            self.ended_early();
        }
        counts.map(|counts| self.begin_with(&mut state, Some(counts)))
    }

    fn begin_with(self: &Arc<Self>, state: &mut UseState, before: Option<TcpCounts>) -> ConnectionUse {
        state.exchanges += 1;
        let number = state.exchanges;
        state.current = Some(CurrentUse { number, before, end: UseEnd::default() });
        ConnectionUse { connection: self.clone(), number }
    }

    fn ended_early(&self) {
        if let Some(upstream) = &self.keeps {
            upstream.reuse().ended_early(Instant::now());
        }
    }

    /// Ends the connection if it still carries the exchange `number`.
    fn cut(&self, number: u64) {
        let mut state = self.state();
        let descriptor = state.descriptor;
        if let Some(current) = state.current.as_mut().filter(|current| current.number == number) {
            current.end.cut = true;
            // Under the lock that `closing` takes: the descriptor is still that of this connection.
            if let Some(descriptor) = descriptor {
                let _ = shutdown(descriptor, Shutdown::Both);
            }
        }
    }

    /// The connection is about to be closed: the last moment to look at it.
    fn closing(&self) {
        let mut state = self.state();
        let Some(descriptor) = state.descriptor.take() else { return };
        self.connections.shard(descriptor).remove(&descriptor);
        let Some(now) = TcpCounts::of(descriptor) else { return };
        let early = match &mut state.current {
            None => !now.established,
            Some(current) => {
                let unread = current.before.is_some_and(|before| now.is_fin_unread_since(&before));
                current.end.unread = unread && !current.end.cut;
                current.end.unread
            }
        };
        if early {
            self.ended_early();
        }
    }

    fn state(&self) -> MutexGuard<'_, UseState> {
        self.state.lock()
    }
}

impl TcpCounts {
    fn of(descriptor: RawFd) -> Option<TcpCounts> {
        get_tcp_info(descriptor).ok().map(|info| TcpCounts {
            established: info.tcpi_state == ESTABLISHED,
            acknowledged: info.tcpi_bytes_acked,
            received: info.tcpi_bytes_received,
        })
    }

    /// Whether the origin has ended the connection without a byte of what was sent since `before` having reached it. A reset
    /// alone says nothing: its acknowledgement is not looked at by the kernel.
    fn is_fin_unread_since(&self, before: &TcpCounts) -> bool {
        !self.established && self.acknowledged == before.acknowledged && self.received > before.received
    }
}

impl ConnectionUse {
    /// Cuts the connection after `time`.
    pub fn cut_after(&self, time: Duration) -> CutTimer {
        let (connection, number) = (self.connection.clone(), self.number);
        CutTimer(tokio::spawn(async move {
            tokio::time::sleep(time).await;
            connection.cut(number);
        }))
    }

    /// Whether it was cut because its time was over.
    pub fn was_cut(&self) -> bool {
        self.end().cut
    }

    /// Whether the origin had ended the connection before a byte of the request reached it. Known once it is closed.
    pub fn was_unread(&self) -> bool {
        self.end().unread
    }

    fn end(&self) -> UseEnd {
        let state = self.connection.state();
        let current = state.current.as_ref().filter(|current| current.number == self.number);
        current.map(|current| current.end).unwrap_or_default()
    }
}

impl Drop for ConnectionUse {
    fn drop(&mut self) {
        let mut state = self.connection.state();
        if state.current.as_ref().is_some_and(|current| current.number == self.number) {
            state.current = None;
        }
    }
}

impl Drop for CutTimer {
    fn drop(&mut self) {
        self.0.abort();
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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    use super::*;

    /// A connection with an exchange that is about to begin, and the origin's end of it.
    struct Pair {
        connections: Arc<UpstreamConnections>,
        ours: TcpStream,
        theirs: TcpStream,
    }

    impl Pair {
        fn new() -> (Pair, Arc<UpstreamConnection>) {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (theirs, _) = listener.accept().unwrap();
            let connections = Arc::new(UpstreamConnections::default());
            let connection =
                Arc::new(UpstreamConnection { connections: connections.clone(), keeps: None, state: Mutex::default() });
            connections.connected(ours.as_raw_fd(), &connection);
            (Pair { connections, ours, theirs }, connection)
        }

        /// One request and its answer, so that the connection is a used one.
        fn use_once(&mut self) {
            self.ours.write_all(b"first").unwrap();
            self.theirs.read_exact(&mut [0; 5]).unwrap();
            self.theirs.write_all(b"answer").unwrap();
            self.ours.read_exact(&mut [0; 6]).unwrap();
        }
    }

    /// Waits until the kernel knows that the connection has ended.
    fn wait_for_end(stream: &TcpStream) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpCounts::of(stream.as_raw_fd()).unwrap().established {
            assert!(Instant::now() < deadline, "the end never came");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_request_that_crosses_the_end_of_its_connection_was_not_read() {
        let (mut pair, connection) = Pair::new();
        pair.use_once();
        let exchange =
            pair.connections.find(pair.ours.as_raw_fd()).and_then(|connection| connection.begin_again()).unwrap();
        let Pair { mut ours, theirs, .. } = pair;
        drop(theirs);
        wait_for_end(&ours);
        // The first is answered by a reset, which ends what the second finds.
        let _ = ours.write_all(b"POST");
        let _ = ours.write_all(b"more");
        assert_eq!(ours.read(&mut [0; 1]).unwrap_or(0), 0);
        connection.closing();
        assert!(exchange.was_unread());
    }

    #[test]
    fn a_request_that_was_taken_may_have_been_read() {
        for read in [true, false] {
            let (mut pair, connection) = Pair::new();
            pair.use_once();
            let exchange = connection.begin_again().unwrap();
            pair.ours.write_all(b"POST").unwrap();
            if read {
                pair.theirs.read_exact(&mut [0; 4]).unwrap();
            } else {
                pair.theirs.peek(&mut [0; 4]).unwrap();
            }
            let Pair { connections, ours, theirs } = pair;
            drop(theirs);
            wait_for_end(&ours);
            connection.closing();
            assert!(!exchange.was_unread(), "read: {read}");
            assert!(connections.find(ours.as_raw_fd()).is_none());
        }
    }

    #[test]
    fn no_exchange_begins_on_a_connection_that_has_ended() {
        let (mut pair, connection) = Pair::new();
        pair.use_once();
        let Pair { ours, theirs, .. } = pair;
        drop(theirs);
        wait_for_end(&ours);
        assert!(connection.begin_again().is_none());
    }

    #[test]
    fn an_exchange_that_is_over_can_not_cut_the_next() {
        let (pair, connection) = Pair::new();
        let first = connection.begin();
        let second = connection.begin_again().unwrap();
        connection.cut(first.number);
        assert!(!second.was_cut() && TcpCounts::of(pair.ours.as_raw_fd()).unwrap().established);
        drop(first);
        connection.cut(second.number);
        assert!(second.was_cut());
        wait_for_end(&pair.ours);
        connection.closing();
        assert!(second.was_cut() && !second.was_unread());
    }
}
