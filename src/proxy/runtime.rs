//! What one request reads: a snapshot joined with the running state and the metric handles that belong to it.

pub mod rollout;

use std::hash::RandomState;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use pingora::listeners::tls::Acceptor;
use prometheus::IntCounter;
use smallvec::SmallVec;

use self::rollout::{Rollout, Tried};
use super::drain::Drain;
use super::hooks::mirror;
use super::hooks::mirror::Mirroring;
use super::server::descriptors;
use super::tls::{self, Resumption};
use super::upstream::connection::Wires;
use super::upstream::peer::PeerTemplate;
use crate::config::snapshot::{self, Snapshot};
use crate::config::store::Store;
use crate::decision::access::BucketHasher;
use crate::decision::rules::{Route, RouteId, UpstreamId};
use crate::state::addresses::{AddressList, AddressLists};
use crate::state::connections::Connections;
use crate::state::discovery::Discovery;
use crate::state::limits::{LimitState, Limits};
use crate::state::tokens::Tokens;
use crate::state::upstreams::{UpstreamState, Upstreams};
use crate::telemetry::access_log::{AccessLog, AccessLogs};
use crate::telemetry::metrics::{Metrics, RouteMetrics, UpstreamMetrics};

/// A published configuration with everything that a request needs beside it. Immutable; a request holds one from its
/// first byte to its last, so that all its phases see the same generation.
pub struct Serving {
    /// Counts configurations from 1 on: each has its own number, also one that was only tried, or put back.
    pub generation: u64,
    pub snapshot: Arc<Snapshot>,
    /// In the order of the snapshot's listeners; `None` for plain HTTP.
    acceptors: Vec<Option<Arc<Acceptor>>>,
    /// Where requests are logged that began with this configuration.
    pub access_log: Arc<AccessLog>,
    /// By limit id.
    pub limits: Vec<Arc<LimitState>>,
    /// By limit id.
    pub limit_refusals: Vec<IntCounter>,
    /// By list id.
    pub address_lists: Vec<Arc<AddressList>>,
    /// By upstream id.
    pub upstreams: Vec<ServingUpstream>,
    /// By route id.
    pub routes: Vec<RouteMetrics>,
    /// By route id. `None` where nothing is copied.
    pub mirrors: Vec<Option<mirror::Handle>>,
    /// For requests that no route takes.
    pub no_route: RouteMetrics,
    /// The longest silence within a request body that any route lets pass. `None`: without bound.
    pub longest_body_idle: Option<Duration>,
    /// The owner's headers for an answer that no hook sees, encoded for HTTP/2 (HPACK literals).
    pub h2_fields: Vec<u8>,
}

pub struct ServingUpstream {
    pub state: Arc<UpstreamState>,
    pub peer: PeerTemplate,
    pub metrics: UpstreamMetrics,
}

/// What a configuration is joined with the state for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It is in force from now on, and the state follows it. Unless it is `fresh`, files that are watched have been read
    /// again since it was compiled, and what they say now counts.
    Force { fresh: bool },
    /// It is tried beside the one in force, which the state goes on following.
    Trial,
}

/// Why a configuration that compiled can't be served.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    #[error("listener `{name}` cannot use its certificates: {source}")]
    Tls { name: Arc<str>, source: rustls::Error },
    /// The message names the file.
    #[error(transparent)]
    AccessLog(io::Error),
}

impl Serving {
    /// Joins `snapshot` with the state that survives reloads.
    ///
    /// # Errors
    /// A log file that can't be opened, or TLS without randomness. The state is as it was then.
    pub fn assemble(
        snapshot: Arc<Snapshot>,
        generation: u64,
        purpose: Purpose,
        state: &State,
        metrics: &Metrics,
    ) -> Result<Serving, AssembleError> {
        let acceptors = snapshot.listeners.iter().map(|listener| acceptor(listener, &state.resumption));
        let acceptors = acceptors.collect::<Result<_, _>>()?;
        let access_log = state.access_logs.open(&snapshot.access_log).map_err(AssembleError::AccessLog)?;
        if let Purpose::Force { .. } = purpose {
            state.limits.set_max_keys(snapshot.bounds.limit_keys as usize);
            state.tokens.set_room(snapshot.bounds.remembered_tokens as usize);
        }
        let (limits, lists) = (&snapshot.rules.limits, &snapshot.rules.address_lists);
        let (limits, address_lists) = match purpose {
            Purpose::Force { fresh } => (state.limits.handles(limits), state.address_lists.handles(lists, fresh)),
            Purpose::Trial => (state.limits.trial(limits), state.address_lists.trial(lists)),
        };
        state.discovery.adopt(&snapshot.upstreams, purpose != (Purpose::Force { fresh: false }));
        let upstreams = state
            .upstreams
            .reconcile(&snapshot.upstreams, &state.discovery)
            .into_iter()
            .zip(&snapshot.upstreams)
            .map(|(state, upstream)| ServingUpstream {
                state,
                peer: PeerTemplate::new(upstream),
                metrics: metrics.upstream(&upstream.name),
            })
            .collect();
        let limit_refusals = snapshot.rules.limits.iter().map(|limit| metrics.limit_refusals(&limit.name)).collect();
        let routes = snapshot.rules.routes.iter().map(|route| metrics.route(&route.name)).collect();
        let mirrors = state.mirroring.handles(&snapshot.rules, metrics);
        let h2_fields = super::reply::hpack_fields(&snapshot.rules.response);
        let mut idle = snapshot.rules.routes.iter().map(|route| route.bounds.body_idle);
        let longest_body_idle = idle.try_fold(snapshot.bounds.body_idle, |longest, idle| Some(longest.max(idle?)));
        Ok(Serving {
            generation,
            acceptors,
            access_log,
            limits,
            limit_refusals,
            address_lists,
            upstreams,
            routes,
            mirrors,
            no_route: metrics.route(""),
            longest_body_idle,
            h2_fields,
            snapshot,
        })
    }

    /// The listener called `name`, and how it accepts TLS. `None` where this configuration has no such listener.
    pub fn listener(&self, name: &str) -> Option<(&snapshot::ListenerConfig, Option<&Arc<Acceptor>>)> {
        let mut listeners = self.snapshot.listeners.iter().zip(&self.acceptors);
        listeners.find(|(listener, _)| &*listener.name == name).map(|(listener, tls)| (listener, tls.as_ref()))
    }

    pub fn route(&self, id: RouteId) -> &Route {
        &self.snapshot.rules.routes[id.0 as usize]
    }

    pub fn upstream(&self, id: UpstreamId) -> &ServingUpstream {
        &self.upstreams[id.0 as usize]
    }

    /// The metric handles of `route`, or those of requests without a route.
    pub fn route_metrics(&self, route: Option<RouteId>) -> &RouteMetrics {
        route.map_or(&self.no_route, |id| &self.routes[id.0 as usize])
    }
}

fn acceptor(
    listener: &snapshot::ListenerConfig,
    resumption: &Resumption,
) -> Result<Option<Arc<Acceptor>>, AssembleError> {
    let Some(settings) = &listener.tls else { return Ok(None) };
    match tls::acceptor(&listener.name, settings, listener.http2, resumption) {
        Ok(acceptor) => Ok(Some(Arc::new(acceptor))),
        Err(source) => Err(AssembleError::Tls { name: listener.name.clone(), source }),
    }
}

/// What survives a reload.
pub struct State {
    pub limits: Limits,
    pub address_lists: AddressLists,
    pub tokens: Tokens,
    pub discovery: Arc<Discovery>,
    pub upstreams: Upstreams,
    pub connections: Arc<Connections>,
    pub access_logs: AccessLogs,
    resumption: Resumption,
    pub mirroring: Mirroring,
}

/// Shared by all listeners of the process.
pub struct Shared {
    pub store: Store<Serving>,
    /// A configuration that some requests try.
    rollout: ArcSwapOption<Rollout>,
    generations: AtomicU64,
    pub state: State,
    pub metrics: Arc<Metrics>,
    /// Connections to origins that may be looked at and cut.
    pub wires: Arc<Wires>,
    /// Keys the names of limit buckets, so that nobody can aim for a collision.
    pub bucket_hasher: BucketHasher,
    /// Limits count time from here, in nanoseconds.
    pub epoch: Instant,
    pub drain: Arc<Drain>,
    in_flight: AtomicUsize,
}

impl Shared {
    /// Joins the first configuration with a state that has seen nothing yet.
    ///
    /// # Errors
    /// As those of [`Serving::assemble`].
    pub fn new(snapshot: Arc<Snapshot>, metrics: Arc<Metrics>) -> Result<Arc<Shared>, AssembleError> {
        let state = State {
            limits: Limits::new(snapshot.bounds.limit_keys as usize),
            address_lists: AddressLists::default(),
            tokens: Tokens::new(snapshot.bounds.remembered_tokens as usize),
            discovery: Arc::default(),
            upstreams: Upstreams::new(),
            connections: Connections::new(),
            access_logs: AccessLogs::default(),
            resumption: Resumption::default(),
            mirroring: Mirroring::default(),
        };
        let serving = Serving::assemble(snapshot, 1, Purpose::Force { fresh: true }, &state, &metrics)?;
        Ok(Arc::new(Shared {
            store: Store::new(serving),
            rollout: ArcSwapOption::empty(),
            generations: AtomicU64::new(1),
            state,
            metrics,
            wires: Arc::default(),
            bucket_hasher: BucketHasher::new(RandomState::new(), RandomState::new()),
            epoch: Instant::now(),
            drain: Arc::default(),
            in_flight: AtomicUsize::new(0),
        }))
    }

    /// Serves `snapshot` from the next request on; requests in progress finish on what they began with. A roll-out that is
    /// under way ends. `fresh`: it was compiled just now. Returns the new generation.
    ///
    /// # Errors
    /// As those of [`Serving::assemble`]: what is served stays as it is.
    pub fn publish(&self, snapshot: Arc<Snapshot>, fresh: bool) -> Result<u64, AssembleError> {
        let needs = |snapshot: &Snapshot| (snapshot.bounds.connections, mirror::connections(&snapshot.rules));
        let (connections, copies) = needs(&snapshot);
        if needs(&self.store.load().snapshot) != (connections, copies) {
            descriptors::provide(connections, copies, snapshot.bounds.upstream_pool, snapshot.process.threads);
        }
        let serving = self.assemble(snapshot, Purpose::Force { fresh })?;
        let generation = serving.generation;
        self.rollout.store(None);
        self.store.publish(Arc::new(serving));
        // Its bounds on a drain count at once.
        self.drain.look_again();
        Ok(generation)
    }

    /// Serves `snapshot` to `share` of the requests, beside the configuration in force.
    ///
    /// # Errors
    /// As those of [`Serving::assemble`].
    pub fn roll_out(&self, snapshot: Arc<Snapshot>, share: f64) -> Result<Arc<Rollout>, AssembleError> {
        let serving = self.assemble(snapshot, Purpose::Trial)?;
        let rollout = Arc::new(Rollout::new(Arc::new(serving), share));
        self.rollout.store(Some(Arc::clone(&rollout)));
        Ok(rollout)
    }

    /// Serves everyone by the configuration in force again.
    pub fn end_rollout(&self) {
        self.rollout.store(None);
    }

    /// The configuration for a request that begins now, and the roll-out that counts it.
    pub(in crate::proxy) fn pick(&self) -> (Arc<Serving>, Option<Tried>) {
        let rollout = self.rollout.load();
        match rollout.as_ref() {
            None => (self.store.current(), None),
            Some(rollout) if rollout.takes(fastrand::u64(..)) => {
                (rollout.next.clone(), Some(Tried { rollout: rollout.clone(), next: true }))
            }
            Some(rollout) => (self.store.current(), Some(Tried { rollout: rollout.clone(), next: false })),
        }
    }

    /// Every configuration that requests may be served by that begin now.
    pub fn servings(&self) -> SmallVec<[Arc<Serving>; 2]> {
        let tried = self.rollout.load();
        let tried = tried.as_ref().map(|rollout| rollout.next.clone());
        [self.store.current()].into_iter().chain(tried).collect()
    }

    fn assemble(&self, snapshot: Arc<Snapshot>, purpose: Purpose) -> Result<Serving, AssembleError> {
        let generation = self.generations.fetch_add(1, Ordering::Relaxed) + 1;
        Serving::assemble(snapshot, generation, purpose, &self.state, &self.metrics)
    }

    /// Requests that are being answered now.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }

    pub(in crate::proxy) fn request_began(&self) {
        self.in_flight.fetch_add(1, Ordering::AcqRel);
    }

    pub(in crate::proxy) fn request_ended(&self) {
        self.in_flight.fetch_sub(1, Ordering::AcqRel);
        self.drain.look_again();
    }
}
