//! Builds Pingora's server from a snapshot and runs it until it has drained.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::unix::net::UnixListener;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use log::{info, warn};
use pingora::proxy::HttpProxy;
use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, Server, ShutdownSignal, ShutdownSignalWatch};
use pingora::services::background::background_service;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::admin::{AdminService, ControlService};
use super::descriptors;
use super::gateway::Gateway;
use super::health::Upkeep;
use super::listener::{Listener, ListenerService, bind};
use super::opening::Opening;
use super::pulse::Pulse;
use super::serving::Shared;
use super::tls;
use crate::admin::control::{Command, Control};
use crate::admin::{Admin, Door, Readiness};
use crate::config::snapshot::{Process, Snapshot};
use crate::state::upstreams::Endpoint;
use crate::telemetry::metrics::set_total;

/// Sockets that are bound, and certificates that are loaded: nothing that can still fail for the owner's reasons.
pub struct Sockets {
    listeners: Vec<(crate::config::snapshot::Listener, Arc<StdListener>, Option<pingora::listeners::tls::Acceptor>)>,
    admin: Option<(SocketAddr, Arc<StdListener>)>,
}

/// What the process around the server adds to it.
pub struct Surroundings {
    /// Where an operator gives orders.
    pub control: Option<UnixListener>,
    /// When listeners begin to accept.
    pub opening: Arc<Opening>,
    /// Becomes true when another process has followed this one, which then drains.
    pub followed: watch::Receiver<bool>,
    /// Whom the threads that serve tell that they do.
    pub pulse: Option<Arc<Pulse>>,
    pub lifecycle: Arc<dyn Lifecycle>,
}

/// What the process around the server does at its turning points.
pub trait Lifecycle: Send + Sync {
    /// A signal has begun the drain.
    fn drains(&self);
    /// The process ends now.
    fn ends(&self);
}

/// Why the process can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("listener `{name}` cannot bind {address}: {source}")]
    Bind { name: String, address: std::net::SocketAddr, source: std::io::Error },
    #[error("listener `{name}` cannot use its certificates: {source}")]
    Tls { name: String, source: rustls::Error },
}

impl Sockets {
    /// Binds every socket of `snapshot` that `inherited` does not give, or says which one failed.
    pub fn bind(
        snapshot: &Snapshot,
        mut inherited: impl FnMut(SocketAddr) -> Option<StdListener>,
    ) -> Result<Sockets, StartError> {
        tls::install_provider();
        descriptors::provide(snapshot.bounds.connections, snapshot.process.threads);
        let mut bind = |address| inherited(address).map_or_else(|| bind(address), Ok).map(Arc::new);
        let mut listeners = Vec::new();
        for listener in &snapshot.listeners {
            let name = || listener.name.to_string();
            let acceptor = match &listener.tls {
                Some(settings) => Some(
                    tls::acceptor(settings, listener.http2)
                        .map_err(|source| StartError::Tls { name: name(), source })?,
                ),
                None => None,
            };
            let socket = bind(listener.address).map_err(|source| StartError::Bind {
                name: name(),
                address: listener.address,
                source,
            })?;
            listeners.push((listener.clone(), socket, acceptor));
        }
        let admin = match snapshot.admin.as_ref().map(|admin| admin.address) {
            Some(address) => {
                let failed = |source| StartError::Bind { name: "admin".into(), address, source };
                Some((address, bind(address).map_err(failed)?))
            }
            None => None,
        };
        Ok(Sockets { listeners, admin })
    }

    /// Every socket with its name and the address of the configuration.
    pub fn all(&self) -> impl Iterator<Item = (&str, SocketAddr, &Arc<StdListener>)> {
        let listeners = self.listeners.iter().map(|(listener, socket, _)| (&*listener.name, listener.address, socket));
        listeners.chain(self.admin.iter().map(|(address, socket)| ("admin", *address, socket)))
    }
}

/// Serves until a signal ends it, then drains and ends the process.
pub fn run(
    sockets: Sockets,
    shared: Arc<Shared>,
    readiness: Arc<Readiness>,
    control: Arc<dyn Control>,
    surroundings: Surroundings,
) -> ! {
    let Surroundings { control: control_socket, opening, followed, pulse, lifecycle } = surroundings;
    let (process, admin) = {
        let serving = shared.store.load();
        (serving.snapshot.process.clone(), serving.snapshot.admin.clone())
    };
    let conf = Arc::new(server_conf(&process));
    let mut server = Server::new_with_opt_and_conf(None, server_conf(&process));
    let mut proxy = HttpProxy::new(Gateway::new(shared.clone()), conf);
    proxy.handle_init_modules();
    let proxy = Arc::new(proxy);

    for (listener, socket, acceptor) in sockets.listeners {
        let metrics = shared.metrics.listener(&listener.name);
        info!("listening on {} ({})", listener.address, listener.name);
        let runtime = Arc::new(Listener { name: listener.name.clone(), shared: shared.clone(), metrics });
        let service = ListenerService::new(runtime, socket, opening.entrance(), acceptor, &listener, proxy.clone());
        server.add_service(service.watched_by(pulse.as_ref()));
    }
    if let (Some((_, socket)), Some(settings)) = (sockets.admin, admin) {
        let door = settings.token.clone().map_or(Door::Open, Door::Token);
        let (metrics, readiness) = (shared.metrics.clone(), readiness.clone());
        let admin = Admin { metrics, readiness, control: control.clone(), door };
        server.add_service(AdminService::new(socket, opening.entrance(), followed.clone(), admin, &settings));
    }
    if let Some(socket) = control_socket {
        let (metrics, readiness) = (shared.metrics.clone(), readiness.clone());
        let admin = Admin { metrics, readiness, control: control.clone(), door: Door::Owner };
        server.add_service(ControlService::new(socket, admin));
    }
    let mut upkeep = background_service("upkeep", Upkeep { shared: shared.clone(), readiness: readiness.clone() });
    upkeep.threads = Some(1);
    server.add_service(upkeep);

    scrape(&shared);
    // Whoever reads that it is ready may send one, and an unwatched SIGHUP ends a process.
    readiness.block(SIGNALS);
    let (drain, ending) = (process.drain, lifecycle.clone());
    let watch = Signals { shared: shared.clone(), readiness, control, drain, followed, lifecycle };
    server.run(RunArgs { shutdown_signal: Box::new(watch) });
    end(&shared, &*ending)
}

/// Writes what is left to the log, and ends the process.
#[expect(clippy::exit, reason = "Pingora would sleep through the whole grace period instead")]
fn end(shared: &Shared, lifecycle: &dyn Lifecycle) -> ! {
    shared.access_log.flush(Instant::now() + FLUSH);
    info!("stopped with {} requests in progress", shared.in_flight());
    lifecycle.ends();
    std::process::exit(0)
}

/// Brings what is kept elsewhere into the metrics at each scrape.
fn scrape(shared: &Arc<Shared>) {
    let weak = Arc::downgrade(shared);
    shared.metrics.config_applied(shared.store.generation(), SystemTime::now());
    shared.metrics.on_scrape(move |metrics| {
        let Some(shared) = weak.upgrade() else { return };
        let serving = shared.store.current();
        let endpoints = serving.upstreams.iter().flat_map(|upstream| {
            let (name, members) = (upstream.state.name().clone(), upstream.state.endpoints());
            let describe =
                move |endpoint: &Arc<Endpoint>| (name.clone(), endpoint.address.to_string(), endpoint.healthy());
            members.endpoints.iter().map(describe).collect::<Vec<_>>()
        });
        let endpoints: Vec<_> = endpoints.collect();
        metrics.set_endpoints(
            endpoints.iter().map(|(upstream, address, healthy)| (&**upstream, address.clone(), *healthy)),
        );
        metrics.set_address_lists(
            serving.address_lists.iter().map(|list| (&**list.file(), list.entries(), list.is_stale())),
        );
        set_total(&metrics.limit_overflow, serving.limits.iter().map(|limit| limit.overflowed()).sum());
        set_total(&metrics.access_log_dropped, shared.access_log.dropped());
        set_total(&metrics.access_log_write_errors, shared.access_log.write_errors());
    });
}

fn server_conf(process: &Process) -> ServerConf {
    ServerConf {
        threads: process.threads,
        // No stealing: requests stay on the core that accepted them, which costs a tenth less CPU.
        work_stealing: false,
        // All attempts of one request, whatever the upstream allows.
        max_retries: 16,
        upstream_keepalive_pool_size: descriptors::IDLE_UPSTREAM,
        // Only the hard bound: the process ends as soon as the last request is done (`drain`).
        grace_period_seconds: Some(process.drain.as_secs().max(1)),
        graceful_shutdown_timeout_seconds: Some(1),
        ..ServerConf::default()
    }
}

/// The reason for not being ready until signals are watched.
const SIGNALS: &str = "signals are not watched yet";

/// For the last log lines.
const FLUSH: Duration = Duration::from_secs(2);

/// SIGTERM, SIGINT and SIGQUIT drain; a second one ends at once. SIGHUP reloads, SIGUSR1 reopens the log.
struct Signals {
    shared: Arc<Shared>,
    readiness: Arc<Readiness>,
    control: Arc<dyn Control>,
    drain: Duration,
    followed: watch::Receiver<bool>,
    lifecycle: Arc<dyn Lifecycle>,
}

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        let streams = (
            signal(SignalKind::terminate()),
            signal(SignalKind::interrupt()),
            signal(SignalKind::quit()),
            signal(SignalKind::hangup()),
            signal(SignalKind::user_defined1()),
        );
        let (Ok(mut terminate), Ok(mut interrupt), Ok(mut quit), Ok(mut hangup), Ok(mut reopen)) = streams else {
            warn!("signals cannot be watched; the process will only end by SIGKILL");
            self.readiness.clear(SIGNALS);
            return std::future::pending().await;
        };
        self.readiness.clear(SIGNALS);
        let mut followed = self.followed.clone();
        loop {
            tokio::select! {
                _ = reopen.recv() => self.shared.access_log.reopen(),
                _ = hangup.recv() => {
                    let control = self.control.clone();
                    // What came of it, the log says.
                    tokio::task::spawn_blocking(move || control.handle(Command::Reload));
                }
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = quit.recv() => break,
                _ = followed.wait_for(|followed| *followed) => break,
            }
        }
        if !*self.followed.borrow() {
            self.lifecycle.drains();
        }
        info!("draining {} requests", self.shared.in_flight());
        self.readiness.block("draining");
        let (shared, bound, lifecycle) = (self.shared.clone(), self.drain, self.lifecycle.clone());
        let was_followed = *self.followed.borrow();
        tokio::spawn(async move {
            let mut drained = pin!(drained(&shared, bound));
            if was_followed {
                // Whoever stops the service asks each of its processes to drain, and this one does so already.
                tokio::select! {
                    () = &mut drained => end(&shared, &*lifecycle),
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            }
            tokio::select! {
                () = drained => {}
                _ = terminate.recv() => warn!("second signal: ending at once"),
                _ = interrupt.recv() => warn!("second signal: ending at once"),
            }
            end(&shared, &*lifecycle)
        });
        ShutdownSignal::GracefulTerminate
    }
}

/// Waits until the last request is done, for `bound` at most, and a little longer for what its client has not taken yet.
async fn drained(shared: &Shared, bound: Duration) {
    let deadline = Instant::now() + bound;
    let mut quiet = 0;
    // Twice in a row: a connection that was accepted just before the listeners closed may still bring its request.
    while quiet < 2 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(50)).await;
        quiet = if shared.in_flight() == 0 { quiet + 1 } else { 0 };
    }
    // An HTTP/2 request is done when its last bytes wait for the client's window.
    let deadline = deadline.min(Instant::now() + LAST_BYTES);
    while shared.state.connections.open() > 0 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// For what clients have not taken when the last request is done.
const LAST_BYTES: Duration = Duration::from_secs(1);
