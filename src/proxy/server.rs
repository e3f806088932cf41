//! Builds Pingora's server from a snapshot and runs it until it has drained ([`super::drain`]).

pub mod accept;
pub mod accept_gate;
pub mod admin;
pub mod drain;
pub mod http2;
pub mod lanes;
pub mod listener;
pub mod signals;

use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use log::{info, warn};
use pingora::proxy::HttpProxy;
use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, Server, ShutdownSignal, ShutdownSignalWatch};
use pingora::services::background::background_service;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;

use self::accept_gate::AcceptGate;
use self::admin::{AdminService, ControlService};
use self::lanes::Lanes;
use self::listener::{ListenerService, bind};
use self::signals::{ShutdownHooks, Signals};
use super::connection::client::ListenerContext;
use super::fast_lane::{FastLane, OriginPoolUpkeep};
use super::hooks::gateway::Gateway;
use super::hooks::retry::MAX_TRIES;
use super::runtime::{Runtime, descriptors};
use super::tls;
use super::upkeep::health::UpkeepService;
use super::upkeep::watchdog::Watchdog;
use crate::admin::command::CommandHandler;
use crate::admin::{AdminAuth, AdminHandler, Liveness, Readiness};
use crate::config::snapshot::Snapshot;
use crate::state::upstreams::EndpointView;
use crate::telemetry::metrics::{Bound, EndpointSample, set_total};
use crate::telemetry::program_log;

/// Sockets that are bound.
pub struct BoundSockets {
    listeners: Vec<(Arc<str>, SocketAddr, Arc<StdListener>)>,
    admin: Option<(SocketAddr, Arc<StdListener>)>,
}

/// What the process around the server adds to it.
pub struct ServerEnvironment {
    /// Where an operator gives orders: each socket takes the place of the one before.
    pub control: Option<UnboundedReceiver<UnixListener>>,
    /// When listeners begin to accept.
    pub accept_gate: Arc<AcceptGate>,
    /// Whether they wait for another process besides, which this one takes over from.
    pub takes_over: bool,
    /// Becomes true when another process has followed this one, which then drains.
    pub followed: watch::Receiver<bool>,
    /// Whom the threads that serve tell that they do.
    pub watchdog: Arc<Watchdog>,
    /// Whether they have done so lately.
    pub liveness: Arc<Liveness>,
    pub shutdown_hooks: Arc<dyn ShutdownHooks>,
}

/// Why the process can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("listener `{name}` cannot bind {address}: {source}")]
    Bind { name: String, address: std::net::SocketAddr, source: std::io::Error },
}

impl BoundSockets {
    /// Binds every socket of `snapshot` that `inherited` does not give, or says which one failed.
    pub fn bind(
        snapshot: &Snapshot,
        mut inherited: impl FnMut(SocketAddr) -> Option<StdListener>,
    ) -> Result<BoundSockets, StartError> {
        tls::install_provider();
        descriptors::provide(snapshot);
        let mut bind = |address| inherited(address).map_or_else(|| bind(address), Ok).map(Arc::new);
        let mut listeners = Vec::new();
        for listener in &snapshot.listeners {
            let socket = bind(listener.address).map_err(|source| StartError::Bind {
                name: listener.name.to_string(),
                address: listener.address,
                source,
            })?;
            listeners.push((listener.name.clone(), listener.address, socket));
        }
        let admin = match snapshot.admin.as_ref().map(|admin| admin.address) {
            Some(address) => {
                let failed = |source| StartError::Bind { name: "admin".into(), address, source };
                Some((address, bind(address).map_err(failed)?))
            }
            None => None,
        };
        Ok(BoundSockets { listeners, admin })
    }

    /// Every socket with its name and the address of the configuration.
    pub fn all(&self) -> impl Iterator<Item = (&str, SocketAddr, &Arc<StdListener>)> {
        let listeners = self.listeners.iter().map(|(name, address, socket)| (&**name, *address, socket));
        listeners.chain(self.admin.iter().map(|(address, socket)| ("admin", *address, socket)))
    }
}

/// Serves until a signal ends it, then drains and ends the process.
pub fn run(
    sockets: BoundSockets,
    runtime: Arc<Runtime>,
    readiness: Arc<Readiness>,
    commands: Arc<dyn CommandHandler>,
    surroundings: ServerEnvironment,
) -> ! {
    let ServerEnvironment {
        control: control_sockets,
        accept_gate,
        takes_over,
        followed,
        watchdog,
        liveness,
        shutdown_hooks,
    } = surroundings;
    let snapshot = runtime.store.load().snapshot.clone();
    let conf = Arc::new(server_conf(&snapshot));
    let mut server = Server::new_with_opt_and_conf(None, server_conf(&snapshot));
    // Each listener has threads of its own.
    let workers = snapshot.process.threads * sockets.listeners.len();
    let lane = snapshot.process.fast_lane.then(|| FastLane::new(runtime.clone(), &conf, workers));
    let mut proxy = HttpProxy::new(Gateway::new(runtime.clone()), conf);
    proxy.handle_init_modules();
    let proxy = Arc::new(proxy);

    for (name, address, socket) in sockets.listeners {
        info!("listening on {address} ({name})");
        let metrics = runtime.metrics.listener(&name);
        let listener = Arc::new(ListenerContext { name, runtime: runtime.clone(), metrics });
        let service = ListenerService::new(
            listener,
            (address, socket),
            accept_gate.entry(),
            Lanes { full: proxy.clone(), fast: lane.clone() },
        );
        server.add_service(service.watched_by(&watchdog));
    }
    let admin = |auth| AdminHandler {
        metrics: runtime.metrics.clone(),
        readiness: readiness.clone(),
        liveness: liveness.clone(),
        commands: commands.clone(),
        auth,
    };
    if let Some((_, socket)) = sockets.admin {
        // Whoever asks whether the process is ready is answered while it is not.
        let gate = if takes_over { accept_gate.clone() } else { AcceptGate::new(true) };
        if !takes_over {
            gate.open();
        }
        let (entry, followed) = (gate.entry(), followed.clone());
        server.add_service(AdminService::new(socket, entry, followed, admin(AdminAuth::None), runtime.clone()));
    }
    if let Some(sockets) = control_sockets {
        server.add_service(ControlService::new(sockets, admin(AdminAuth::PeerCredentials)));
    }
    let on_settled = Box::new(move || {
        if !takes_over {
            accept_gate.open();
        }
    });
    let upkeep = UpkeepService { runtime: runtime.clone(), readiness: readiness.clone(), on_settled };
    let mut upkeep = background_service("upkeep", upkeep);
    upkeep.threads = Some(1);
    server.add_service(upkeep);
    if let Some(lane) = lane {
        let mut upkeep = background_service("origin pool", OriginPoolUpkeep(lane));
        upkeep.threads = Some(1);
        server.add_service(upkeep);
    }

    scrape(&runtime);
    // Before anything accepts: until then, a signal ends the process without a drain.
    if let Err(e) = (Signals { runtime: runtime.clone(), readiness, commands, followed, shutdown_hooks }).watch() {
        warn!("signals cannot be watched, so that one ends the process without a drain: {e}");
    }
    server.run(RunArgs { shutdown_signal: Box::new(NoShutdownSignal) });
    unreachable!("BUG: Pingora's server ends only by its signal, which never comes")
}

/// Brings what is kept elsewhere into the metrics at each scrape.
fn scrape(runtime: &Arc<Runtime>) {
    let weak = Arc::downgrade(runtime);
    runtime.metrics.on_scrape(move |metrics| {
        let Some(runtime) = weak.upgrade() else { return };
        let serving = runtime.store.current();
        let now = Instant::now();
        metrics.set_endpoints(serving.upstreams.iter().flat_map(|upstream| {
            let sample = |endpoint: EndpointView| EndpointSample {
                upstream: upstream.state.name(),
                endpoint: endpoint.address.to_string(),
                takes_requests: endpoint.condition.takes_requests(),
                ejected: endpoint.ejected.is_some(),
                draining: endpoint.draining,
                requests: endpoint.active,
            };
            upstream.state.view(now).into_iter().map(sample)
        }));
        for upstream in serving.upstreams.iter().filter(|upstream| upstream.state.passed_over() > 0) {
            metrics.set_endpoint_full(upstream.state.name(), upstream.state.passed_over());
        }
        metrics.set_address_lists(
            serving.address_lists.iter().map(|list| (&**list.file(), list.entries(), list.is_stale())),
        );
        metrics.set_discovery(
            runtime
                .state
                .discovery
                .statuses()
                .iter()
                .map(|status| (status.kind, &*status.name, status.entries, status.stale, status.success)),
        );
        let overflowed = serving.limits.iter().map(|limit| limit.overflowed()).sum();
        set_total(&metrics.limit_overflow, overflowed);
        metrics.set_bound_hits(Bound::LimitKeys, overflowed);
        set_total(&metrics.program_log_dropped, program_log::dropped());
        set_total(&metrics.access_log_dropped, runtime.state.access_logs.dropped());
        set_total(&metrics.access_log_write_errors, runtime.state.access_logs.write_errors());
        metrics.draining.set((runtime.drain.stage() as u8).into());
        metrics.drain_seconds.set(runtime.drain.elapsed().unwrap_or_default().as_secs_f64());
        set_total(&metrics.drain_cut, runtime.drain.cut());
    });
}

fn server_conf(snapshot: &Snapshot) -> ServerConf {
    ServerConf {
        threads: snapshot.process.threads,
        // No stealing: requests stay on the core that accepted them, which costs a tenth less CPU.
        work_stealing: false,
        max_retries: MAX_TRIES,
        upstream_keepalive_pool_size: snapshot.bounds.upstream_pool as usize,
        ..ServerConf::default()
    }
}

/// Pingora goes on running all services: the process ends by itself when it has drained.
struct NoShutdownSignal;

#[async_trait]
impl ShutdownSignalWatch for NoShutdownSignal {
    async fn recv(&self) -> ShutdownSignal {
        std::future::pending().await
    }
}
