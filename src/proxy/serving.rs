//! What one request reads: a snapshot joined with the running state and the metric handles that belong to it.

use std::hash::RandomState;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use prometheus::IntCounter;

use super::mirror::{self, Mirroring};
use super::peer::PeerTemplate;
use crate::config::snapshot::Snapshot;
use crate::config::store::Store;
use crate::decision::access::BucketHasher;
use crate::decision::rules::{Route, RouteId, UpstreamId};
use crate::state::addresses::{AddressList, AddressLists};
use crate::state::connections::Connections;
use crate::state::limits::{DEFAULT_MAX_KEYS, LimitState, Limits};
use crate::state::tokens::Tokens;
use crate::state::upstreams::{UpstreamState, Upstreams};
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::metrics::{Metrics, RouteMetrics, UpstreamMetrics};

/// A published configuration with everything that a request needs beside it. Immutable; a request holds one from its
/// first byte to its last, so that all its phases see the same generation.
pub struct Serving {
    pub snapshot: Snapshot,
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

impl Serving {
    /// Joins `snapshot` with the state that survives reloads.
    pub fn assemble(snapshot: Snapshot, state: &State, metrics: &Metrics) -> Serving {
        let limits = state.limits.handles(&snapshot.rules.limits);
        let address_lists = state.address_lists.handles(&snapshot.rules.address_lists);
        let upstreams = state
            .upstreams
            .reconcile(&snapshot.upstreams)
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
        let mut idle = snapshot.rules.routes.iter().map(|route| route.body_pacing.idle);
        let longest_body_idle = idle.try_fold(snapshot.bounds.body_idle, |longest, idle| Some(longest.max(idle?)));
        Serving {
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
        }
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

/// What survives a reload.
pub struct State {
    pub limits: Limits,
    pub address_lists: AddressLists,
    pub tokens: Tokens,
    pub upstreams: Upstreams,
    pub connections: Arc<Connections>,
    pub mirroring: Mirroring,
}

/// Shared by all listeners of the process.
pub struct Shared {
    pub store: Store<Serving>,
    pub state: State,
    pub metrics: Arc<Metrics>,
    pub access_log: AccessLog,
    /// Keys the names of limit buckets, so that nobody can aim for a collision.
    pub bucket_hasher: BucketHasher,
    /// Limits count time from here, in nanoseconds.
    pub epoch: Instant,
    in_flight: AtomicUsize,
}

impl Shared {
    pub fn new(snapshot: Snapshot, metrics: Arc<Metrics>, access_log: AccessLog) -> Arc<Shared> {
        let state = State {
            limits: Limits::new(DEFAULT_MAX_KEYS),
            address_lists: AddressLists::default(),
            tokens: Tokens::default(),
            upstreams: Upstreams::new(),
            connections: Connections::new(),
            mirroring: Mirroring::default(),
        };
        let serving = Serving::assemble(snapshot, &state, &metrics);
        Arc::new(Shared {
            store: Store::new(serving),
            state,
            metrics,
            access_log,
            bucket_hasher: BucketHasher::new(RandomState::new(), RandomState::new()),
            epoch: Instant::now(),
            in_flight: AtomicUsize::new(0),
        })
    }

    /// Serves `snapshot` from the next request on; requests in progress finish on what they began with. Returns the new
    /// generation.
    pub fn publish(&self, snapshot: Snapshot) -> u64 {
        let serving = Serving::assemble(snapshot, &self.state, &self.metrics);
        self.store.publish(Arc::new(serving))
    }

    /// Requests that are being answered now.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }

    pub(super) fn request_began(&self) {
        self.in_flight.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn request_ended(&self) {
        self.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}
