//! What is known about one request on its way through the hooks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderValue;
use http::uri::PathAndQuery;
use smallvec::SmallVec;

use super::mirror;
use crate::decision::access::Permit;
use crate::decision::outcome::{Cause, Denial};
use crate::decision::request::Normal;
use crate::decision::route::Parameters;
use crate::decision::rules::{RouteId, UpstreamId};
use crate::decision::upstream::retry::Failure;
use crate::proxy::connection::control::RequestControl;
use crate::proxy::drain::DrainEnding;
use crate::proxy::request_id::request_id_value;
use crate::proxy::runtime::Runtime;
use crate::proxy::runtime::active_config::ActiveConfig;
use crate::proxy::runtime::rollout::CanarySample;
use crate::proxy::upstream::connection::{ConnectionUse, CutTimer, UpstreamConnection};
use crate::proxy::upstream::tunnel::Tunnel;
use crate::state::limits::ConcurrencyGuard;
use crate::state::upstreams::SelectedEndpoint;
use crate::telemetry::metrics::GaugeGuard;
use crate::telemetry::record::{RecordedDecision, RequestRecord, UpstreamRecord};

/// The per-request context of the hooks.
pub struct Context {
    pub shared: Arc<Runtime>,
    pub serving: Arc<ActiveConfig>,
    /// Of a request that is counted while a new configuration is tried.
    canary: Option<CanarySample>,
    _in_flight: GaugeGuard,
    pub started: Instant,
    /// The log line that this request owes; taken when it is written, and written by `Drop` if nobody did.
    pub record: Option<Box<RequestRecord>>,
    pub control: Option<Arc<RequestControl>>,
    /// The record's id, as a value that is shared by the request to the origin and the answer.
    pub request_id: HeaderValue,
    /// As received, for the log line of a request that has no normal form.
    pub target: Option<PathAndQuery>,
    pub normal: Option<Normal>,
    pub route: Option<RouteId>,
    pub parameters: Parameters,
    pub permit: Option<Permit>,
    /// Why the request was refused or failed, once that is known.
    pub denial: Option<Denial>,
    /// The refusal was said in gRPC's own words: its status is not the one of the answer.
    pub grpc_refused: bool,
    pub attempt: Attempt,
    /// The copy of the request for a mirror.
    pub mirror: mirror::Progress,
    /// A panic was met and counted.
    panicked: bool,
    /// Request body bytes seen by the body filter.
    pub body_seen: u64,
    /// Of a tunnel, or of an answer without an end.
    pub stream: Option<GaugeGuard>,
    /// Places held in concurrency limits; given back when the request ends, however it ends.
    pub concurrency: SmallVec<[ConcurrencyGuard; 2]>,
}

/// The tries to reach an upstream.
#[derive(Default)]
pub struct Attempt {
    pub upstream: Option<UpstreamId>,
    pub chosen: Option<SelectedEndpoint>,
    pub tried: SmallVec<[SocketAddr; 4]>,
    pub count: u32,
    pub reused: bool,
    pub began: Option<Instant>,
    pub connected: Option<Instant>,
    pub answered: Option<Instant>,
    /// The status of the origin's answer.
    pub status: Option<u16>,
    /// Interim answers (1xx) of the origin.
    pub interim: u32,
    /// Of a request that asks for an upgrade.
    pub tunnel: Option<Arc<Tunnel>>,
    /// How long this try may take to the header of its answer.
    pub limit: Option<Duration>,
    /// What the connection of this try would be known by, should it be a new one.
    pub wire: Option<Arc<UpstreamConnection>>,
    /// This try's use of its connection, where that is watched.
    pub exchange: Option<ConnectionUse>,
    /// Ends a try that takes too long.
    pub overdue: Option<CutTimer>,
    /// How this try failed, where a hook has found that out.
    pub failure: Option<Failure>,
    /// Before the next try.
    pub wait: Option<Duration>,
    /// The next try is made on a new connection.
    pub fresh: bool,
    /// Pooled connections that had ended before anything was sent on them.
    pub stale: u32,
    /// Why the last try but one failed.
    pub reason: Option<Failure>,
}

impl Context {
    pub fn new(shared: Arc<Runtime>) -> Self {
        let (serving, canary) = shared.pick();
        shared.request_began();
        Context {
            serving,
            canary,
            _in_flight: shared.metrics.request_in_flight(),
            shared,
            started: Instant::now(),
            record: None,
            control: None,
            target: None,
            request_id: HeaderValue::from_static(""),
            normal: None,
            route: None,
            parameters: Parameters::new(),
            permit: None,
            denial: None,
            grpc_refused: false,
            attempt: Attempt::default(),
            mirror: mirror::Progress::default(),
            panicked: false,
            body_seen: 0,
            stream: None,
            concurrency: SmallVec::new(),
        }
    }

    /// The response rules of the route, or those of the file.
    pub fn response_rules(&self) -> &crate::decision::response::Rules {
        match self.route {
            Some(id) => &self.serving.route(id).response,
            None => &self.serving.snapshot.rules.response,
        }
    }

    /// Goes by `id` from here on, in the log and in every header.
    pub fn identify_as(&mut self, id: String) {
        self.request_id = request_id_value(&id);
        if let Some(record) = &mut self.record {
            record.request_id = id;
        }
    }

    /// Notes a fault in the gateway's own code, which is why this request fails. Counted once a request.
    pub fn panicked(&mut self) {
        if !std::mem::replace(&mut self.panicked, true) {
            self.shared.metrics.panics.inc();
        }
        self.denial = Some(Denial::new(Cause::InternalError, "panicked while handling the request"));
    }

    /// Writes the log line and counts the request. Does nothing the second time.
    pub fn finish(&mut self) {
        let Some(mut record) = self.record.take() else { return };
        let now = Instant::now();
        record.duration = now - self.started;
        match (self.normal.take(), &self.target) {
            (Some(normal), _) => {
                record.host = normal.host;
                record.path = normal.path;
                record.query = normal.query;
                record.client = normal.client;
                record.scheme = normal.scheme;
            }
            (None, Some(target)) => {
                record.path = target.path().to_owned();
                record.query = target.query().map(str::to_owned);
            }
            (None, None) => {}
        }
        record.generation = self.serving.generation;
        record.route = self.route.map(|id| self.serving.route(id).name.clone());
        if let Some(permit) = &self.permit {
            record.would_deny = permit.would_deny();
            record.decision = RecordedDecision::Allow;
        }
        if let Some(denial) = self.denial.take() {
            record.decision = if denial.cause.is_refusal() { RecordedDecision::Deny } else { RecordedDecision::Fail };
            record.cause = Some(denial.cause);
            record.detail = Some(denial.detail);
        }
        record.upstream = self.attempt.record(&self.serving);
        self.count(&record);
        if let Some(canary) = &self.canary {
            canary.count(&record);
        }
        self.serving.access_log.record(*record);
    }

    fn count(&self, record: &RequestRecord) {
        self.serving.route_metrics(self.route).record(record);
        if let Some(bound) = record.cause.and_then(Cause::bound) {
            self.shared.metrics.bound_hit(bound);
        }
        if let Some(cause) = record.cause {
            self.shared.drain.failed(cause);
        }
        if let (Some(id), Some(upstream)) = (self.attempt.upstream, &record.upstream) {
            self.serving.upstream(id).metrics.record(upstream, self.attempt.status);
        }
    }
}

impl Attempt {
    fn response_time(&self) -> Option<std::time::Duration> {
        Some(self.answered? - self.connected?)
    }

    fn record(&self, serving: &ActiveConfig) -> Option<UpstreamRecord> {
        let id = self.upstream?;
        Some(UpstreamRecord {
            name: serving.snapshot.upstream(id).name.clone(),
            endpoint: self.tried.last().copied(),
            attempts: self.count,
            retried: self.reason.map(Failure::as_str),
            reused: self.reused,
            connect: self.connected.zip(self.began).map(|(connected, began)| connected - began),
            response: self.response_time(),
        })
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // A request whose task was cancelled or panicked never reaches the logging hook.
        if std::thread::panicking() {
            self.panicked();
        }
        if self.record.is_some() {
            if self.denial.is_none() {
                let cut = || Denial::new(Cause::ClientClosed, "the request was cancelled");
                self.denial =
                    Some(self.shared.drain.ending(self.stream.is_some()).map_or_else(cut, DrainEnding::denial));
            }
            self.finish();
        }
        if let Some(control) = &self.control {
            control.ended(false);
        }
        self.shared.request_ended();
    }
}
