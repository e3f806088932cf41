//! How the hooks of a request act on the connection that it came by, and learn from it.
//!
//! A [`RequestControl`] stands for one request: on HTTP/1 for the one that the connection is at, on HTTP/2 for one stream. It travels
//! in the session's digest, the only thing that the sessions of both protocols carry from their connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use parking_lot::Mutex;
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use pingora::protocols::raw_connect::ProxyDigest;

use super::answer_clock::AnswerClock;
use super::client::ClientConnection;
use crate::decision::outcome::Denial;
use crate::decision::pacing::Pacing;
use crate::proxy::drain::{DrainEnding, DrainStage};
use crate::proxy::runtime::rollout::PickedConfig;

/// The control of one request.
pub struct RequestControl {
    connection: Arc<ClientConnection>,
    phase: AtomicU8,
    /// What the route says of the request's body.
    pacing: Mutex<Option<Pacing>>,
    answer: AnswerClock,
    /// The answer has no end of its own.
    endless: AtomicBool,
    answers_half_closed: AtomicBool,
    /// What serves the next request, where that was picked already.
    config: Mutex<Option<PickedConfig>>,
}

/// Where an HTTP/1 connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum RequestPhase {
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

impl RequestControl {
    /// The control of an HTTP/1 connection's requests, one after the other.
    pub(super) fn http1(connection: Arc<ClientConnection>) -> Self {
        RequestControl::new(connection, RequestPhase::Idle)
    }

    /// The control of one HTTP/2 request.
    pub(super) fn http2(connection: Arc<ClientConnection>) -> Self {
        RequestControl::new(connection, RequestPhase::Http2)
    }

    fn new(connection: Arc<ClientConnection>, phase: RequestPhase) -> Self {
        let (pacing, answer, endless, answers_half_closed, config) = Default::default();
        let phase = AtomicU8::new(phase as u8);
        RequestControl { connection, phase, pacing, answer, endless, answers_half_closed, config }
    }

    /// The control of the request of `session`.
    pub fn of(session: &ServerSession) -> Option<Arc<RequestControl>> {
        let proxy = session.digest()?.proxy_digest.as_ref()?;
        proxy.user_data.as_ref()?.downcast_ref::<Arc<RequestControl>>().cloned()
    }

    /// What carries this control to [`RequestControl::of`]. `unused` belongs to a use of the digest's that this one is not.
    pub fn into_digest(self: Arc<Self>, unused: Box<ResponseHeader>) -> Arc<ProxyDigest> {
        Arc::new(ProxyDigest::new(unused, Some(Box::new(self))))
    }

    /// The connection that the request came by.
    pub fn connection(&self) -> &Arc<ClientConnection> {
        &self.connection
    }

    /// A hook takes the request over that has just been read.
    pub fn began(&self) {
        // Of HTTP/2, each request has a control of its own.
        if self.phase() != RequestPhase::Http2 {
            *self.pacing.lock() = None;
            self.answer_half_closed(false);
            self.answer.stop();
            self.set_phase(RequestPhase::Claimed);
        }
    }

    /// Keeps the configuration that was picked for the request, for who serves it.
    pub fn keep_config(&self, config: PickedConfig) {
        *self.config.lock() = Some(config);
    }

    /// The configuration that was picked for the request before.
    pub fn take_config(&self) -> Option<PickedConfig> {
        self.config.lock().take()
    }

    /// The request's body may come as slowly as `pacing` says. Until a route says so, the file's bounds hold.
    pub fn pace_body(&self, pacing: Pacing) {
        *self.pacing.lock() = Some(pacing);
    }

    /// Whether a client that ends its side of an HTTP/1 connection waits for the answer to this request. Until a route says so,
    /// it does not.
    pub fn answer_half_closed(&self, answers: bool) {
        self.answers_half_closed.store(answers, Ordering::Relaxed);
    }

    pub(super) fn answers_half_closed(&self) -> bool {
        self.answers_half_closed.load(Ordering::Relaxed)
    }

    /// The clock for the origin's answer.
    pub fn answer(&self) -> &AnswerClock {
        &self.answer
    }

    pub(super) fn pacing(&self) -> Pacing {
        let of_file = || self.connection.listener.runtime.store.load().snapshot.bounds.body_pacing();
        self.pacing.lock().unwrap_or_else(of_file)
    }

    /// The origin has switched protocols: what follows is no HTTP.
    pub fn tunnel_began(&self) {
        self.set_phase(RequestPhase::Tunnel);
    }

    /// The answer to the request has no end of its own.
    pub fn stream_began(&self) {
        self.endless.store(true, Ordering::Relaxed);
    }

    /// The request's log line is written. `reusable`: another request may follow on an HTTP/1 connection.
    pub fn ended(&self, reusable: bool) {
        if self.phase() != RequestPhase::Http2 {
            self.endless.store(false, Ordering::Relaxed);
            self.set_phase(if reusable { RequestPhase::Idle } else { RequestPhase::Closing });
        }
    }

    /// How far the drain of the process has come.
    pub(super) fn drain_stage(&self) -> DrainStage {
        self.connection.listener.runtime.drain.stage()
    }

    /// Whether, and why, a drain ends the request.
    pub(super) fn ending(&self) -> Option<DrainEnding> {
        let drain = &self.connection.listener.runtime.drain;
        if drain.stage() < DrainStage::StreamsEnd {
            return None;
        }
        drain.ending(self.phase() == RequestPhase::Tunnel || self.endless.load(Ordering::Relaxed))
    }

    /// Why the request's tunnel was ended, if a drain did it. To Pingora it looks as if the client had ended it, so no error
    /// says so.
    pub fn tunnel_end(&self) -> Option<Denial> {
        if self.phase() != RequestPhase::TunnelEnded {
            return None;
        }
        self.connection.listener.runtime.drain.ending(true).map(DrainEnding::denial)
    }

    pub(super) fn phase(&self) -> RequestPhase {
        match self.phase.load(Ordering::Relaxed) {
            0 => RequestPhase::Idle,
            1 => RequestPhase::Head,
            2 => RequestPhase::Claimed,
            3 => RequestPhase::Tunnel,
            4 => RequestPhase::TunnelEnded,
            5 => RequestPhase::Closing,
            _ => RequestPhase::Http2,
        }
    }

    pub(super) fn set_phase(&self, phase: RequestPhase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }
}
