//! What is known about one request on its way through the hooks.

use std::mem;
use std::sync::Arc;
use std::time::Instant;

use http::HeaderValue;
use http::uri::PathAndQuery;
use pingora::{Error, ErrorType, Result};
use smallvec::SmallVec;

use super::client_side::RequestParts;
use super::forward::{Forwarded, UpstreamContext};
use super::mirror;
use crate::decision::access::Permit;
use crate::decision::ids::RouteId;
use crate::decision::outcome::{Cause, Denial};
use crate::decision::pipeline::{Admitted, Decision, Findings, ReplyContent};
use crate::decision::request::{NormalizedRequest, RequestView};
use crate::decision::response;
use crate::proxy::connection::control::RequestControl;
use crate::proxy::drain::DrainEnding;
use crate::proxy::request_id::request_id_value;
use crate::proxy::runtime::Runtime;
use crate::proxy::runtime::active_config::ActiveConfig;
use crate::proxy::runtime::rollout::{CanarySample, PickedConfig};
use crate::state::limits::ConcurrencyGuard;
use crate::telemetry::metrics::GaugeGuard;
use crate::telemetry::record::{RecordedDecision, RequestRecord};

/// The per-request context of the hooks.
pub struct Context {
    pub shared: Arc<Runtime>,
    pub serving: Arc<ActiveConfig>,
    /// Of a request that is counted while a new configuration is tried.
    canary: Option<CanarySample>,
    _in_flight: GaugeGuard,
    pub started: Instant,
    /// The record's id, as a value that is shared by the request to the origin and the answer.
    pub request_id: HeaderValue,
    /// From the moment at which a hook takes the request over until its log line is written.
    pub claim: Option<Claim>,
    pub state: RequestState,
    /// The copy of the request for a mirror.
    copy: mirror::MirrorProgress,
    /// How the request ended, if it did not end well.
    outcome: Option<Outcome>,
    /// A panic was met and counted.
    panicked: bool,
    /// Of a tunnel, or of an answer without an end.
    pub stream: Option<GaugeGuard>,
    /// Places held in concurrency limits; given back when the request ends, however it ends.
    pub places: Places,
    /// What is done to the body of the answer, where anything is.
    pub response_body: Option<response::BodyStage>,
}

/// Places held in concurrency limits.
pub type Places = SmallVec<[ConcurrencyGuard; 2]>;

/// What the gateway owes for a request that it has taken over: the log line, and the connection given back.
pub struct Claim {
    pub record: Box<RequestRecord>,
    pub control: Arc<RequestControl>,
    /// As received, for the log line of a request that has no normal form.
    pub target: Option<PathAndQuery>,
}

/// How far a request has come.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one in each context; a box would be an allocation for each request"
)]
pub enum RequestState {
    /// Before the decision, and after a refusal.
    Pending(Findings),
    /// Its route answers it.
    Replied(Replied),
    /// It goes to an upstream.
    Forwarded(Forwarded),
}

/// An admitted request that its route answers.
pub struct Replied {
    request: NormalizedRequest,
    route: RouteId,
    permit: Permit,
}

/// Why a request was refused or failed.
struct Outcome {
    denial: Denial,
    /// It was said in gRPC's own way: the status of the answer is not that of the cause.
    grpc: bool,
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
            request_id: HeaderValue::from_static(""),
            claim: None,
            state: RequestState::Pending(Findings::Unread),
            copy: mirror::MirrorProgress::default(),
            outcome: None,
            panicked: false,
            stream: None,
            places: Places::new(),
            response_body: None,
        }
    }

    /// The configuration that the request is served by.
    pub fn config(&self) -> PickedConfig {
        (self.serving.clone(), self.canary.clone())
    }

    /// Serves the request by the configuration that was picked for it before.
    pub fn serve_by(&mut self, (serving, canary): PickedConfig) {
        self.serving = serving;
        self.canary = canary;
    }

    /// The route that takes the request, once it is known.
    pub fn route(&self) -> Option<RouteId> {
        match &self.state {
            RequestState::Pending(findings) => findings.route(),
            RequestState::Replied(replied) => Some(replied.route),
            RequestState::Forwarded(forwarded) => Some(forwarded.admitted.route),
        }
    }

    /// The request in its normal form, once it is read.
    pub fn request(&self) -> Option<&NormalizedRequest> {
        match &self.state {
            RequestState::Pending(findings) => findings.request(),
            RequestState::Replied(replied) => Some(&replied.request),
            RequestState::Forwarded(forwarded) => Some(&forwarded.admitted.request),
        }
    }

    /// The request as rules see it, once it is read and until its log line is written.
    pub fn view<'s>(&'s self, request: RequestParts<'s>) -> Option<RequestView<'s>> {
        let (normal, claim) = (self.request()?, self.claim.as_ref()?);
        let connection = &claim.control.connection().facts;
        Some(RequestView { method: request.method, normal, fields: request.fields, connection })
    }

    /// The evidence that the request was admitted.
    pub fn permit(&self) -> Option<&Permit> {
        match &self.state {
            RequestState::Pending(_) => None,
            RequestState::Replied(replied) => Some(&replied.permit),
            RequestState::Forwarded(forwarded) => Some(&forwarded.admitted.permit),
        }
    }

    /// What the hooks of the upstream work on.
    ///
    /// # Errors
    /// If the request was not admitted to an upstream. Pingora asks for none then.
    pub fn upstream(&mut self) -> Result<UpstreamContext<'_>> {
        self.mirrored().map(|(upstream, _)| upstream)
    }

    /// The same, with the copy for a mirror.
    ///
    /// # Errors
    /// As those of [`Context::upstream`].
    pub fn mirrored(&mut self) -> Result<(UpstreamContext<'_>, &mut mirror::MirrorProgress)> {
        let (RequestState::Forwarded(forwarded), Some(claim)) = (&mut self.state, &self.claim) else {
            return Error::e_explain(
                ErrorType::InternalError,
                "BUG: an upstream is asked for without an admitted request",
            );
        };
        let upstream = UpstreamContext {
            shared: &self.shared,
            serving: &self.serving,
            control: &claim.control,
            request_id: &self.request_id,
            started: self.started,
            time: claim.record.time,
            admitted: &forwarded.admitted,
            tries: &mut forwarded.tries,
            current: &mut forwarded.current,
        };
        Ok((upstream, &mut self.copy))
    }

    /// Whether the request's tunnel was ended because nothing moved in it.
    pub fn tunnel_timed_out(&self) -> bool {
        let RequestState::Forwarded(Forwarded { current: Some(current), .. }) = &self.state else { return false };
        current.tunnel.as_ref().is_some_and(|tunnel| tunnel.timed_out())
    }

    /// The response rules of the route, or those of the file.
    pub fn response_rules(&self) -> &response::ResponseRules {
        match self.route() {
            Some(id) => &self.serving.route(id).response,
            None => &self.serving.snapshot.rules.response,
        }
    }

    /// Takes over what was decided. The rest of the request's way goes by it.
    ///
    /// # Errors
    /// The refusal.
    pub fn settle(&mut self, mut decision: Decision) -> Result<Option<ReplyContent>, Denial> {
        let kept = match (&mut decision, &mut self.state) {
            (Decision::Forward(Admitted { request, .. }), _) => request.request_id.take(),
            (Decision::Reply(reply), _) => reply.request.request_id.take(),
            (Decision::Refuse(_), RequestState::Pending(findings)) => {
                findings.request_mut().and_then(|request| request.request_id.take())
            }
            (Decision::Refuse(_), _) => None,
        };
        if let Some(id) = kept {
            self.identify_as(id);
        }
        match decision {
            Decision::Forward(admitted) => {
                self.state = RequestState::Forwarded(Forwarded::new(admitted));
                Ok(None)
            }
            Decision::Reply(reply) => {
                let (request, route, permit) = (reply.request, reply.route, reply.permit);
                self.state = RequestState::Replied(Replied { request, route, permit });
                Ok(Some(reply.content))
            }
            Decision::Refuse(denial) => Err(denial),
        }
    }

    /// Goes by `id` from here on, in the log and in every header.
    fn identify_as(&mut self, id: String) {
        self.request_id = request_id_value(&id);
        if let Some(claim) = &mut self.claim {
            claim.record.request_id = id;
        }
    }

    /// Notes why the request was refused or failed. `grpc`: that is said in gRPC's own way.
    pub fn end_with(&mut self, denial: Denial, grpc: bool) {
        self.outcome = Some(Outcome { denial, grpc });
    }

    /// Why the request was refused or failed.
    pub fn denial(&self) -> Option<&Denial> {
        self.outcome.as_ref().map(|outcome| &outcome.denial)
    }

    /// The status to log where it is not that of the answer: who refuses a gRPC call says so in `grpc-status`, and people look
    /// for what it is.
    pub fn grpc_status(&self) -> Option<u16> {
        self.outcome.as_ref().filter(|outcome| outcome.grpc).map(|outcome| outcome.denial.cause.status().as_u16())
    }

    /// Notes a fault in the gateway's own code, which is why this request fails. Counted once a request.
    pub fn panicked(&mut self) -> Denial {
        if !mem::replace(&mut self.panicked, true) {
            self.shared.metrics.panics.inc();
        }
        let denial = Denial::new(Cause::InternalError, "panicked while handling the request");
        self.end_with(denial.clone(), false);
        denial
    }

    /// Writes the log line, counts the request and gives its connection back. `reusable`: the connection may carry another
    /// request. Does nothing the second time.
    pub fn finish(&mut self, reusable: bool) {
        let Some(Claim { mut record, control, target }) = self.claim.take() else { return };
        record.duration = self.started.elapsed();
        record.generation = self.serving.generation;
        let route = self.route();
        record.route = route.map(|id| self.serving.route(id).name.clone());
        if let Some(permit) = self.permit() {
            record.would_deny = permit.would_deny();
            record.decision = RecordedDecision::Allow;
        }
        let mut status = None;
        let mut upstream_id = None;
        let (request, principal) = match mem::replace(&mut self.state, RequestState::Pending(Findings::Unread)) {
            RequestState::Pending(Findings::Unread) => (None, None),
            RequestState::Pending(Findings::Unrouted(request)) => (Some(request), None),
            RequestState::Pending(Findings::Routed(routed)) => (Some(routed.request), routed.principal),
            RequestState::Replied(replied) => (Some(replied.request), replied.permit.into_principal()),
            RequestState::Forwarded(forwarded) => {
                record.upstream = Some(forwarded.record(&self.serving));
                status = forwarded.status();
                upstream_id = Some(forwarded.tries.upstream);
                (Some(forwarded.admitted.request), forwarded.admitted.permit.into_principal())
            }
        };
        record.principal = principal;
        match (request, target) {
            (Some(request), _) => {
                record.host = request.host;
                record.path = request.path;
                record.query = request.query;
                record.client = request.client;
                record.scheme = request.scheme;
                if let Some(conflict) = request.conflict {
                    // Behind any other reason, should there be one.
                    record.detail.get_or_insert(conflict.as_str().into());
                    self.shared.forwarded_conflict(record.peer.ip(), conflict);
                }
            }
            (None, Some(target)) => {
                record.path = target.path().to_owned();
                record.query = target.query().map(str::to_owned);
            }
            (None, None) => {}
        }
        if let Some(Outcome { denial, .. }) = self.outcome.take() {
            record.decision = if denial.cause.is_refusal() { RecordedDecision::Deny } else { RecordedDecision::Fail };
            record.cause = Some(denial.cause);
            record.detail = Some(denial.detail);
        }
        self.serving.route_metrics(route).record(&record);
        if let (Some(id), Some(upstream)) = (upstream_id, &record.upstream) {
            self.serving.upstream(id).metrics.record(upstream, status);
        }
        if let Some(cause) = record.cause {
            if let Some(bound) = cause.bound() {
                self.shared.metrics.bound_hit(bound);
            }
            self.shared.drain.failed(cause);
        }
        if let Some(canary) = &self.canary {
            canary.count(&record);
        }
        self.serving.access_log.record(*record);
        self.stream = None;
        control.ended(reusable);
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // A request whose task was cancelled or panicked never reaches the logging hook.
        if std::thread::panicking() {
            self.panicked();
        }
        if self.claim.is_some() {
            if self.outcome.is_none() {
                let end = self.claim.as_ref().and_then(|claim| claim.control.connection().end().cloned());
                let cut = || end.unwrap_or_else(|| Denial::new(Cause::ClientClosed, "the request was cancelled"));
                let denial = self.shared.drain.ending(self.stream.is_some()).map_or_else(cut, DrainEnding::denial);
                self.end_with(denial, false);
            }
            self.finish(false);
        }
        self.shared.request_ended();
    }
}
