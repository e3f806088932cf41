//! Builds Pingora's server from a snapshot and runs it until it has drained.

use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use log::{info, warn};
use pingora::proxy::HttpProxy;
use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, Server, ShutdownSignal, ShutdownSignalWatch};
use pingora::services::background::background_service;
use tokio::signal::unix::{SignalKind, signal};

use super::admin::AdminService;
use super::descriptors;
use super::gateway::Gateway;
use super::health::Upkeep;
use super::listener::{Listener, ListenerService, bind};
use super::mirror;
use super::serving::Shared;
use super::tls;
use crate::admin::control::{Command, Control};
use crate::admin::{Admin, Door, Readiness};
use crate::config::snapshot::{Process, Snapshot};
use crate::state::upstreams::Endpoint;
use crate::telemetry::metrics::set_total;

/// Sockets that are bound, and certificates that are loaded: nothing that can still fail for the owner's reasons.
pub struct Sockets {
    listeners: Vec<(crate::config::snapshot::Listener, StdListener, Option<pingora::listeners::tls::Acceptor>)>,
    admin: Option<StdListener>,
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
    /// Binds every socket of `snapshot`, or says which one failed.
    pub fn bind(snapshot: &Snapshot) -> Result<Sockets, StartError> {
        tls::install_provider();
        descriptors::provide(
            snapshot.bounds.connections,
            mirror::connections(&snapshot.rules),
            snapshot.process.threads,
        );
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
                Some(bind(address).map_err(|source| StartError::Bind { name: "admin".into(), address, source })?)
            }
            None => None,
        };
        Ok(Sockets { listeners, admin })
    }
}

/// Serves until a signal ends it, then drains and ends the process.
pub fn run(sockets: Sockets, shared: Arc<Shared>, readiness: Arc<Readiness>, control: Arc<dyn Control>) -> ! {
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
        server.add_service(ListenerService::new(runtime, socket, acceptor, &listener, proxy.clone()));
    }
    if let (Some(socket), Some(settings)) = (sockets.admin, admin) {
        let door = settings.token.clone().map_or(Door::Open, Door::Token);
        let (metrics, readiness) = (shared.metrics.clone(), readiness.clone());
        let admin = Admin { metrics, readiness, control: control.clone(), door };
        server.add_service(AdminService::new(socket, admin, &settings));
    }
    let mut upkeep = background_service("upkeep", Upkeep { shared: shared.clone(), readiness: readiness.clone() });
    upkeep.threads = Some(1);
    server.add_service(upkeep);

    scrape(&shared);
    let watch = Signals { shared: shared.clone(), readiness, control, drain: process.drain };
    server.run(RunArgs { shutdown_signal: Box::new(watch) });
    end(&shared)
}

/// Writes what is left to the log, and ends the process.
#[expect(clippy::exit, reason = "Pingora would sleep through the whole grace period instead")]
fn end(shared: &Shared) -> ! {
    shared.access_log.flush(Instant::now() + FLUSH);
    info!("stopped with {} requests in progress", shared.in_flight());
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

/// For the last log lines.
const FLUSH: Duration = Duration::from_secs(2);

/// SIGTERM, SIGINT and SIGQUIT drain; a second one ends at once. SIGHUP reloads, SIGUSR1 reopens the log.
struct Signals {
    shared: Arc<Shared>,
    readiness: Arc<Readiness>,
    control: Arc<dyn Control>,
    drain: Duration,
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
            return std::future::pending().await;
        };
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
            }
        }
        info!("draining {} requests", self.shared.in_flight());
        self.readiness.block("draining");
        let (shared, bound) = (self.shared.clone(), self.drain);
        tokio::spawn(async move {
            tokio::select! {
                () = drained(&shared, bound) => {}
                _ = terminate.recv() => warn!("second signal: ending at once"),
                _ = interrupt.recv() => warn!("second signal: ending at once"),
            }
            end(&shared)
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
