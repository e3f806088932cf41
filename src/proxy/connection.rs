//! One client connection, wrapped: what no hook reaches is reached here.
//!
//! The wrapper stands between Pingora and the socket. It reads HTTP/1 one message at a time, so that Pingora's forgiving parser
//! gets only heads and chunks with one reading ([`incoming`]); it ends the wait for a client that is too slow with any of
//! it ([`patience`], [`pace`]). What is wrong it refuses itself, sealed, logged and counted ([`super::reply`]), as it does with
//! an answer that Pingora gives before any hook: 405 for CONNECT, 400 for what it finds wrong. On HTTP/2 it finishes the
//! bare answers of the HTTP/2 library ([`h2_seal`]), ends connections of clients that only cost ([`h2_guard`]), and paces each
//! request ([`h2_session`]). It also gathers small writes, so that a head and a short body leave
//! in one packet, and closes so that the client can read what it was told ([`farewell`]).
//! In a drain it ends what has to end ([`super::drain`]).

mod farewell;
mod h2_frame;
mod h2_guard;
pub mod h2_seal;
pub mod h2_session;
mod h2_watch;
mod incoming;
mod outgoing;
mod pace;
mod patience;
mod stream;
mod timer;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::time::SystemTime;

use http::Method;
use parking_lot::Mutex;
use pingora::server::ShutdownWatch;
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, watch};

use super::drain::{Ending, Stage};
use super::hooks::context::{begin_record, bound_of};
use super::reply;
use super::server::accept::Ends;
use super::server::listener::Listener;
use crate::decision::outcome::{Cause, Denial};
use crate::decision::request::Scheme;
use crate::decision::request::connection::{ConnectionFacts, TlsFacts};
use crate::decision::rules::Pacing;
use crate::telemetry::metrics::Bound;
use crate::telemetry::record::{Decision, Record};

pub use stream::Connection;

/// What a connection knows about itself, shared with the hooks of its requests.
pub struct ConnectionInfo {
    pub listener: Arc<Listener>,
    /// The client, or the last proxy before this one that speaks HTTP.
    pub peer: SocketAddr,
    /// The load balancer whose PROXY header announced `peer`.
    pub via: Option<SocketAddr>,
    /// Where a PROXY header says that `peer` connected to.
    pub destination: Option<SocketAddr>,
    /// `TLSv1.3`, … for TLS connections.
    pub tls: Option<&'static str>,
    /// As rules see it.
    pub facts: ConnectionFacts,
    phase: AtomicU8,
    /// Of the request body at hand.
    pacing: Mutex<Option<Pacing>>,
    /// HTTP/2 requests that have begun, and those among them that have not ended.
    requests: AtomicU32,
    open: AtomicU32,
    /// The answer to the request at hand has no end of its own. HTTP/1.
    endless: AtomicBool,
    /// Tells Pingora that the connection is to take no more requests.
    retire: watch::Sender<bool>,
    /// Wakes the requests that have tasks of their own, with every stage of a drain.
    drain_turns: Notify,
}

/// Where an HTTP/1 connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    /// Between requests: the next byte begins a head.
    Idle,
    /// Pingora has a head. An answer in this phase is Pingora's own.
    Head,
    /// A hook has taken the request over.
    Claimed,
    /// The client and an origin talk to each other.
    Tunnel,
    /// A drain has ended the tunnel: nothing more is read from the client.
    TunnelEnded,
    /// No further request will be read; what is left is the rest of the last answer.
    Closing,
    /// HTTP/2: requests are streams, and no hook needs to say when one begins.
    Http2,
}

impl ConnectionInfo {
    pub fn new(listener: Arc<Listener>, ends: Ends, tls: Option<&'static str>) -> Self {
        let Ends { peer, via, destination } = ends;
        let tls_facts = tls.map(|version| TlsFacts { version, sni: None, client_certificate: None });
        let facts = ConnectionFacts { listener: Arc::clone(&listener.name), peer, tls: tls_facts };
        let phase = AtomicU8::new(Phase::Idle as u8);
        let (pacing, requests, open, endless, retire, drain_turns) = Default::default();
        ConnectionInfo {
            listener,
            peer,
            via,
            destination,
            tls,
            facts,
            phase,
            pacing,
            requests,
            open,
            endless,
            retire,
            drain_turns,
        }
    }

    /// A hook takes the request over that has just been read.
    pub fn request_began(&self) {
        if self.phase() == Phase::Http2 {
            self.open.fetch_add(1, Ordering::Relaxed);
        } else {
            *self.pacing.lock() = None;
            self.set_phase(Phase::Claimed);
        }
    }

    /// The request's body may come as slowly as `pacing` says. Until a route says so, the file's bounds hold.
    pub fn pace_body(&self, pacing: Pacing) {
        *self.pacing.lock() = Some(pacing);
    }

    fn pacing(&self) -> Pacing {
        self.pacing.lock().unwrap_or_else(|| self.listener.shared.store.load().snapshot.bounds.body_pacing())
    }

    /// The origin has switched protocols: what follows is no HTTP.
    pub fn tunnel_began(&self) {
        self.set_phase(Phase::Tunnel);
    }

    /// The answer to the request at hand has no end of its own.
    pub fn stream_began(&self) {
        self.endless.store(true, Ordering::Relaxed);
    }

    /// Why the tunnel of this connection was ended, if a drain did it. To Pingora it looks as if the client had ended it, so
    /// no error says so.
    pub fn tunnel_end(&self) -> Option<Denial> {
        if self.phase() != Phase::TunnelEnded {
            return None;
        }
        self.listener.shared.drain.ending(true).map(Ending::denial)
    }

    /// The request's log line is written. `reusable`: another request may follow.
    pub fn request_ended(&self, reusable: bool) {
        if self.phase() == Phase::Http2 {
            self.open.fetch_sub(1, Ordering::Relaxed);
        } else {
            self.endless.store(false, Ordering::Relaxed);
            self.set_phase(if reusable { Phase::Idle } else { Phase::Closing });
        }
    }

    /// An HTTP/2 request begins. The last that the bound allows retires the connection.
    pub fn http2_request_began(&self) {
        let bound = self.listener.shared.store.load().snapshot.bounds.requests_per_connection;
        let count = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        if count >= bound && !self.is_retired() {
            self.listener.shared.metrics.bound_hit(Bound::RequestsPerConnection);
            self.retire();
        }
    }

    /// Whether the client asks on and on though it was told to go elsewhere.
    fn overstays(&self) -> bool {
        // Asked with every read: nearly all connections are not retired.
        self.is_retired() && {
            let bounds = self.listener.shared.store.load().snapshot.bounds;
            let most = bounds.requests_per_connection.saturating_add(bounds.http2_streams);
            self.requests.load(Ordering::Relaxed) > most
        }
    }

    /// HTTP/2 requests that have not ended.
    fn open_requests(&self) -> u32 {
        self.open.load(Ordering::Relaxed)
    }

    fn is_retired(&self) -> bool {
        *self.retire.borrow()
    }

    /// Whether the next answer is the last one of an HTTP/1 connection, because the process drains.
    pub fn parts(&self) -> bool {
        match self.listener.shared.drain.stage() {
            Stage::Serving => false,
            Stage::Notice => self.is_retired(),
            _ => true,
        }
    }

    /// Asks the client to go on elsewhere once its requests are answered. HTTP/2: GOAWAY, twice, so that no request is lost
    /// that is on its way (RFC 9113 §6.8).
    pub fn retire(&self) {
        self.retire.send_replace(true);
    }

    /// Turns true when the connection retires.
    pub fn retirement(&self) -> ShutdownWatch {
        self.retire.subscribe()
    }

    /// A drain has entered its next stage.
    pub fn drain_goes_on(&self) {
        self.drain_turns.notify_waiters();
    }

    /// Returns when a drain enters its next stage, counted from this call.
    pub fn drain_turn(&self) -> Notified<'_> {
        self.drain_turns.notified()
    }

    /// Whether, and why, a drain ends the request at hand. HTTP/1.
    fn ending(&self) -> Option<Ending> {
        let drain = &self.listener.shared.drain;
        if drain.stage() < Stage::StreamsEnd {
            return None;
        }
        drain.ending(self.phase() == Phase::Tunnel || self.endless.load(Ordering::Relaxed))
    }

    fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Idle,
            1 => Phase::Head,
            2 => Phase::Claimed,
            3 => Phase::Tunnel,
            4 => Phase::TunnelEnded,
            5 => Phase::Closing,
            _ => Phase::Http2,
        }
    }

    fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// The sealed answer that refuses a head which began with `head`. Writes the log line.
    fn seal(&self, denial: Denial, head: &[u8]) -> Vec<u8> {
        let serving = self.listener.shared.store.load();
        let mut record = self.record(head);
        record.status = denial.cause.status().as_u16();
        let wire = reply::http1_refusal(&serving.snapshot.rules.response, &denial, &record.request_id);
        self.write_record(record, denial);
        wire
    }

    /// Logs a request of which no answer can be given any more.
    fn lost(&self, head: &[u8], denial: Denial) {
        self.write_record(self.record(head), denial);
    }

    /// Logs an answer that the HTTP/2 library gave on its own. Which request it was is not known here.
    fn sealed_http2(&self, status: Option<u16>) {
        let cause = if status == Some(431) { Cause::HeadersTooLarge } else { Cause::MalformedRequest };
        let mut record = self.record(b"");
        record.protocol = "HTTP/2";
        record.status = status.unwrap_or(400);
        self.write_record(record, Denial::new(cause, "the HTTP/2 request was refused before it could be read"));
    }

    fn record(&self, head: &[u8]) -> Record {
        let scheme = if self.tls.is_some() { Scheme::Https } else { Scheme::Http };
        let (method, target) = request_line(head);
        begin_record(self, method, target, "HTTP/1.1", scheme, SystemTime::now())
    }

    pub(super) fn write_record(&self, mut record: Record, denial: Denial) {
        record.decision = if denial.cause.is_refusal() { Decision::Deny } else { Decision::Fail };
        let denial_cause = denial.cause;
        self.listener.shared.drain.failed(denial_cause);
        record.cause = Some(denial_cause);
        record.detail = Some(denial.detail);
        let serving = self.listener.shared.store.load();
        record.generation = serving.generation;
        serving.no_route.record(&record);
        if let Some(bound) = bound_of(denial_cause) {
            self.listener.shared.metrics.bound_hit(bound);
        }
        serving.access_log.record(record);
    }
}

/// Method and target of a head that may be cut off or malformed, as far as they can be told.
fn request_line(head: &[u8]) -> (Method, &[u8]) {
    let line = head.split(|b| matches!(b, b'\r' | b'\n')).next().unwrap_or_default();
    let mut words = line.split(|b| *b == b' ').filter(|word| !word.is_empty());
    // Only what looks like a method and a target: anything else may be a credential that arrived out of place.
    let method = words.next().filter(|word| word.len() <= 16 && word.iter().all(u8::is_ascii_uppercase));
    let target = words.next().filter(|word| method.is_some() && matches!(word.first(), Some(b'/' | b'*')));
    // Method can hold no empty one; this is what the log shows for absent values.
    let method = method.unwrap_or(b"-");
    (Method::from_bytes(method).unwrap_or(Method::GET), target.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_line_is_read_as_far_as_it_goes() {
        assert_eq!(request_line(b"GET /a?b HTTP/1.1\r\nHost"), (Method::GET, &b"/a?b"[..]));
        assert_eq!(request_line(b"GET"), (Method::GET, &b""[..]));
        assert_eq!(request_line(b"\x16\x03\x01").0.as_str(), "-");
        assert_eq!(request_line(b"").1, b"");
    }
}
