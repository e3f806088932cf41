//! The state of a request on its way to an upstream: what was decided, the try under way, and what outlives a try.

use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::{HeaderName, HeaderValue};
use smallvec::SmallVec;

use super::client_side::RequestParts;
use crate::config::snapshot::Upstream;
use crate::decision::ids::UpstreamId;
use crate::decision::outcome::Denial;
use crate::decision::pipeline::Admitted;
use crate::decision::policy::{Action, Route};
use crate::decision::request::RequestView;
use crate::decision::request::fields::AUTHORIZATION;
use crate::decision::upstream::connection_auth::authenticates_connection;
use crate::decision::upstream::retry::{Effective, Failure};
use crate::proxy::connection::control::RequestControl;
use crate::proxy::runtime::Runtime;
use crate::proxy::runtime::active_config::{ActiveConfig, ActiveUpstream};
use crate::proxy::upstream::connection::{ConnectionUse, UpstreamConnection};
use crate::proxy::upstream::tunnel::Tunnel;
use crate::state::upstreams::SelectedEndpoint;
use crate::telemetry::record::UpstreamRecord;

/// An admitted request that goes to an upstream.
pub struct Forwarded {
    pub admitted: Admitted,
    pub tries: Tries,
    /// The try under way, or the one that ended the request.
    pub current: Option<Try>,
}

/// What outlives a try.
pub struct Tries {
    /// Which upstream the tries are made at: the one that was decided on, or the rest of its split.
    pub upstream: UpstreamId,
    /// The endpoints that were asked, the latest last.
    pub tried: SmallVec<[SocketAddr; 4]>,
    pub count: u32,
    /// Pooled connections that had ended before anything was sent on them.
    pub stale: u32,
    /// Whether the request has a body, be it empty in the end.
    pub has_body: bool,
    /// How long the tries had to wait for the client to send the request.
    pub uploading: Duration,
    /// Before the next try.
    pub wait: Option<Duration>,
    /// The next try is made on a new connection.
    pub fresh: bool,
    /// Why the try before this one failed, as retries see it.
    pub reason: Option<Failure>,
    /// Why the last try failed, for the client, should there be no endpoint for another one.
    pub failed: Option<Denial>,
    /// The exchange has no clock but the gateway's own ([`RequestControl::answer`]).
    pub own_clock: bool,
    /// Bytes of the request body that the body filter has seen for this try.
    pub body_seen: u64,
    /// Of the last try that was dropped.
    last: Option<TryTimes>,
}

/// One try at one endpoint. Dropping it gives back the endpoint and what else it holds.
pub struct Try {
    pub selected: SelectedEndpoint,
    pub times: TryTimes,
    /// How long it may take to the header of its answer, without the time in which the client sends the request.
    pub limit: Option<Duration>,
    pub connection: TryConnection,
    /// Of the connection, while an exchange is under way on it.
    pub descriptor: Option<RawFd>,
    /// The pool's key of a connection that belongs to the client.
    pub private: Option<u64>,
    /// The connection ends with the answer.
    pub closes: bool,
    /// Of a request that asks for an upgrade.
    pub tunnel: Option<Arc<Tunnel>>,
    /// How it failed, where a hook has found that out.
    pub failure: Option<Failure>,
    /// Interim answers (1xx) of the origin.
    pub interim: u32,
}

/// What a try holds of its connection.
pub enum TryConnection {
    /// Nothing: it is not watched.
    Unwatched,
    /// A new connection will be known by this.
    Connecting(Arc<UpstreamConnection>),
    /// The try's use of the connection.
    InUse(ConnectionUse),
}

/// When the steps of a try came.
#[derive(Clone, Copy)]
pub struct TryTimes {
    pub began: Instant,
    pub connected: Option<Instant>,
    /// Whether the connection had carried another request before.
    pub reused: bool,
    /// When the whole request was on its way, where that is of interest.
    pub sent: Option<Instant>,
    /// When the header of the answer came, with its status.
    pub answered: Option<(Instant, u16)>,
}

/// What the hooks of the upstream work on.
pub struct UpstreamContext<'a> {
    pub shared: &'a Arc<Runtime>,
    pub serving: &'a Arc<ActiveConfig>,
    pub control: &'a Arc<RequestControl>,
    pub request_id: &'a HeaderValue,
    /// When the request began.
    pub started: Instant,
    pub time: SystemTime,
    pub admitted: &'a Admitted,
    pub tries: &'a mut Tries,
    pub current: &'a mut Option<Try>,
}

impl Forwarded {
    pub fn new(admitted: Admitted) -> Self {
        let tries = Tries {
            upstream: admitted.upstream,
            tried: SmallVec::new(),
            count: 0,
            stale: 0,
            has_body: false,
            uploading: Duration::ZERO,
            wait: None,
            fresh: false,
            reason: None,
            failed: None,
            own_clock: false,
            body_seen: 0,
            last: None,
        };
        Forwarded { admitted, tries, current: None }
    }

    /// The times of the try under way, or of the last one.
    fn times(&self) -> Option<TryTimes> {
        self.current.as_ref().map(|current| current.times).or(self.tries.last)
    }

    /// The status of the origin's answer.
    pub fn status(&self) -> Option<u16> {
        Some(self.times()?.answered?.1)
    }

    /// The part of the log line that tells of the upstream.
    pub fn record(&self, serving: &ActiveConfig) -> UpstreamRecord {
        let times = self.times();
        let connected = times.and_then(|times| times.connected);
        let answered = times.and_then(|times| times.answered);
        UpstreamRecord {
            name: serving.snapshot.upstream(self.tries.upstream).name.clone(),
            endpoint: self.tries.tried.last().copied(),
            attempts: self.tries.count,
            retried: self.tries.reason.map(Failure::as_str),
            reused: times.is_some_and(|times| times.reused),
            connect: connected.zip(times).map(|(connected, times)| connected - times.began),
            response: answered.zip(connected).map(|((answered, _), connected)| answered - connected),
        }
    }
}

impl Tries {
    /// Whether no try was made yet.
    pub fn is_first(&self) -> bool {
        self.last.is_none()
    }
}

impl Try {
    pub fn new(selected: SelectedEndpoint, began: Instant) -> Self {
        Try {
            selected,
            times: TryTimes { began, connected: None, reused: false, sent: None, answered: None },
            limit: None,
            connection: TryConnection::Unwatched,
            descriptor: None,
            private: None,
            closes: false,
            tunnel: None,
            failure: None,
            interim: 0,
        }
    }
}

impl<'a> UpstreamContext<'a> {
    /// The request, as rules see it.
    pub fn view<'s>(&'s self, request: RequestParts<'s>) -> RequestView<'s> {
        let (normal, connection) = (&self.admitted.request, &self.control.connection().facts);
        RequestView { method: request.method, normal, fields: request.fields, connection }
    }

    /// The route that took the request.
    pub fn route(&self) -> &Route {
        self.serving.route(self.admitted.route)
    }

    /// The upstream that tries are made at.
    pub fn upstream(&self) -> &ActiveUpstream {
        self.serving.upstream(self.tries.upstream)
    }

    /// The upstream's settings.
    pub fn config(&self) -> &'a Upstream {
        self.serving.snapshot.upstream(self.tries.upstream)
    }

    /// When this request is tried again: the rules of its route and upstream.
    pub fn retry_rules(&self) -> Effective<'a> {
        Effective {
            upstream: &self.config().retries,
            route: self.serving.route(self.admitted.route).retries.as_deref(),
        }
    }

    /// What of `timeouts.request` is spent at `now`: the client's own time is not counted.
    pub fn spent(&self, now: Instant) -> Duration {
        (now - self.started).saturating_sub(self.tries.uploading)
    }

    /// Whether the origin will see credentials that authenticate the connection.
    pub fn authenticates(&self, request: RequestParts<'_>) -> bool {
        request.fields.get_all(&AUTHORIZATION).any(authenticates_connection)
            && !self.hidden_headers().any(|name| AUTHORIZATION == *name)
    }

    /// The headers of the request that the origin must not see.
    pub fn hidden_headers(&self) -> impl Iterator<Item = &HeaderName> {
        self.route().access.hidden_headers(self.admitted.permit.principal().map(|principal| &**principal))
    }

    /// Drops the try under way, and keeps its times for the log.
    pub fn end_try(&mut self) {
        self.control.answer().stop();
        if let Some(ended) = self.current.take() {
            if let (true, Some(connected), None) = (self.tries.has_body, ended.times.connected, ended.times.sent) {
                self.tries.uploading += connected.elapsed();
            }
            self.tries.last = Some(ended.times);
        }
    }

    /// Where the request goes instead if the side of the split that it was given to can't be used.
    pub fn rest_of_split(&self) -> Option<UpstreamId> {
        match &self.route().action {
            Action::Forward { to, .. } => to.instead_of(self.tries.upstream),
            Action::Respond(_) | Action::Redirect(_) | Action::Nothing => None,
        }
    }

    /// Gives the request to the rest of its split, which has tries of its own.
    pub fn fall_back(&mut self, rest: UpstreamId) {
        self.upstream().metrics.fell_back();
        self.tries.upstream = rest;
        self.tries.tried.clear();
        self.tries.count = 0;
    }
}
