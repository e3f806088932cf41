//! A configuration as requests read it: the snapshot, joined with the running state and the metric handles that belong to it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use pingora::listeners::tls::Acceptor;
use prometheus::IntCounter;

use super::state::RuntimeState;
use crate::config::snapshot::{self, Snapshot};
use crate::decision::ids::{RouteId, UpstreamId};
use crate::decision::lane::Lane;
use crate::decision::policy::Route;
use crate::proxy::tls::{self, SessionResumption};
use crate::proxy::upstream::mirror;
use crate::proxy::upstream::peer::PeerTemplate;
use crate::state::address_lists::AddressList;
use crate::state::limits::LimitState;
use crate::state::upstreams::UpstreamState;
use crate::telemetry::access_log::AccessLogger;
use crate::telemetry::metrics::{Metrics, RouteMetrics, UpstreamMetrics};

/// A published configuration with everything that a request needs beside it. Immutable; a request holds one from its
/// first byte to its last, so that all its phases see the same generation.
pub struct ActiveConfig {
    /// Counts configurations from 1 on: each has its own number, also a canary, or one that was put back.
    pub generation: u64,
    pub snapshot: Arc<Snapshot>,
    /// In the order of the snapshot's listeners; `None` for plain HTTP.
    acceptors: Vec<Option<Arc<Acceptor>>>,
    /// Where requests are logged that began with this configuration.
    pub access_log: Arc<AccessLogger>,
    /// By limit id.
    pub limits: Vec<Arc<LimitState>>,
    /// By limit id.
    pub limit_refusals: Vec<IntCounter>,
    /// By list id.
    pub address_lists: Vec<Arc<AddressList>>,
    /// By upstream id.
    pub upstreams: Vec<ActiveUpstream>,
    /// By route id.
    pub routes: Vec<RouteMetrics>,
    /// By route id. `None` where nothing is copied.
    pub mirrors: Vec<Option<mirror::RouteMirror>>,
    /// By route id.
    lanes: Vec<Lane>,
    /// For requests that no route takes.
    pub no_route: RouteMetrics,
    /// The longest silence within a request body that any route lets pass. `None`: without bound.
    pub longest_body_idle: Option<Duration>,
}

pub struct ActiveUpstream {
    pub state: Arc<UpstreamState>,
    pub peer: PeerTemplate,
    pub metrics: UpstreamMetrics,
}

/// What a configuration is joined with the state for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigRole {
    /// It is in force from now on, and the state follows it. Unless it is `fresh`, files that are watched have been read
    /// again since it was compiled, and what they say now counts.
    Active { fresh: bool },
    /// It is tried beside the one in force, which the state goes on following.
    Canary,
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

impl ActiveConfig {
    /// Joins `snapshot` with the state that survives reloads.
    ///
    /// # Errors
    /// A log file that can't be opened, or TLS without randomness. The state is as it was then.
    pub fn assemble(
        snapshot: Arc<Snapshot>,
        generation: u64,
        role: ConfigRole,
        state: &RuntimeState,
        metrics: &Metrics,
    ) -> Result<ActiveConfig, AssembleError> {
        let acceptors = snapshot.listeners.iter().map(|listener| acceptor(listener, &state.resumption));
        let acceptors = acceptors.collect::<Result<_, _>>()?;
        let access_log = state.access_logs.open(&snapshot.access_log).map_err(AssembleError::AccessLog)?;
        let (limits, lists) = (&snapshot.rules.limits, &snapshot.rules.address_lists);
        if let ConfigRole::Active { .. } = role {
            state.limits.set_max_keys(snapshot.bounds.limit_keys as usize);
            state.tokens.set_room(snapshot.bounds.remembered_tokens as usize);
        }
        let (limits, address_lists) = match role {
            ConfigRole::Active { fresh } => (state.limits.handles(limits), state.address_lists.handles(lists, fresh)),
            ConfigRole::Canary => (state.limits.trial(limits), state.address_lists.trial(lists)),
        };
        state.discovery.adopt(&snapshot.upstreams, role != (ConfigRole::Active { fresh: false }));
        let upstreams = state
            .upstreams
            .reconcile(&snapshot.upstreams, &state.discovery)
            .into_iter()
            .zip(&snapshot.upstreams)
            .map(|(state, upstream)| ActiveUpstream {
                state,
                peer: PeerTemplate::new(upstream)
                    .with_http2_window(snapshot.bounds.upstream_http2_stream_window as u32),
                metrics: metrics.upstream(&upstream.name),
            })
            .collect();
        let limit_refusals = snapshot.rules.limits.iter().map(|limit| metrics.limit_refusals(&limit.name)).collect();
        let routes = snapshot.rules.routes.iter().map(|route| metrics.route(&route.name)).collect();
        let mirrors = state.mirror_pool.handles(&snapshot.rules, metrics);
        let is_http2 = |id| snapshot.upstream(id).http2;
        let lane = |route| Lane::of(route, snapshot.process.fast_lane, is_http2);
        let lanes = snapshot.rules.routes.iter().map(lane).collect();
        let mut idle = snapshot.rules.routes.iter().map(|route| route.bounds.body_idle);
        let longest_body_idle = idle.try_fold(snapshot.bounds.body_idle, |longest, idle| Some(longest.max(idle?)));
        Ok(ActiveConfig {
            generation,
            acceptors,
            access_log,
            limits,
            limit_refusals,
            address_lists,
            upstreams,
            routes,
            mirrors,
            lanes,
            no_route: metrics.route(""),
            longest_body_idle,
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

    /// On which way HTTP/1 requests of the route `id` are served.
    pub fn lane(&self, id: RouteId) -> Lane {
        self.lanes[id.0 as usize]
    }

    pub fn upstream(&self, id: UpstreamId) -> &ActiveUpstream {
        &self.upstreams[id.0 as usize]
    }

    /// The metric handles of `route`, or those of requests without a route.
    pub fn route_metrics(&self, route: Option<RouteId>) -> &RouteMetrics {
        route.map_or(&self.no_route, |id| &self.routes[id.0 as usize])
    }
}

fn acceptor(
    listener: &snapshot::ListenerConfig,
    resumption: &SessionResumption,
) -> Result<Option<Arc<Acceptor>>, AssembleError> {
    let Some(settings) = &listener.tls else { return Ok(None) };
    match tls::acceptor(&listener.name, settings, listener.http2, resumption) {
        Ok(acceptor) => Ok(Some(Arc::new(acceptor))),
        Err(source) => Err(AssembleError::Tls { name: listener.name.clone(), source }),
    }
}
