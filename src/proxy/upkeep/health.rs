//! Background work, off the request path: active health checks of upstreams, [`DiscoveryUpkeep`] and [`ListUpkeep`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use log::{info, warn};
use pingora::connectors::L4Connect;
use pingora::http::RequestHeader;
use pingora::lb::Backend;
use pingora::lb::health_check::{HealthCheck, HttpHealthCheck, TcpHealthCheck};
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;

use super::discovery::{DiscoveryUpkeep, Generations, generations};
use super::lists::ListUpkeep;
use crate::admin::Readiness;
use crate::config::snapshot::{Health, Probe, Upstream};
use crate::proxy::runtime::Runtime;
use crate::proxy::runtime::active_config::ActiveConfig;
use crate::proxy::upstream::peer::PeerTemplate;
use crate::proxy::upstream::proxy_header::ProxyHeaderConnector;
use crate::state::upstreams::{EndpointState, HealthChange, UpstreamState};

/// Probes endpoints, finds those that are not written and keeps address lists current for as long as the process runs.
pub struct UpkeepService {
    pub runtime: Arc<Runtime>,
    pub readiness: Arc<Readiness>,
    /// Called once every upstream has had its first answer, or the time for it is over.
    pub on_settled: Box<dyn Fn() + Send + Sync>,
}

/// How often the schedule is looked at.
const TICK: Duration = Duration::from_millis(100);
/// The same until the listeners accept.
const FIRST_TICKS: Duration = Duration::from_millis(10);

#[async_trait]
impl BackgroundService for UpkeepService {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut schedule = ProbeSchedule::default();
        let mut lists = ListUpkeep::default();
        let mut discovery = DiscoveryUpkeep::default();
        let began = Instant::now();
        let mut starting = true;
        loop {
            discovery.run(&self.runtime);
            schedule.run(&self.runtime);
            lists.run(&self.runtime);
            if starting {
                let settled = discovery.is_settled(&self.runtime) && schedule.is_settled();
                // An upstream without an answer costs its own requests (503), not the others their gateway.
                if settled || began.elapsed() >= self.runtime.store.load().snapshot.dns.startup {
                    (self.on_settled)();
                    self.readiness.clear(STARTING);
                    starting = false;
                }
            }
            tokio::select! {
                () = tokio::time::sleep(if starting { FIRST_TICKS } else { TICK }) => {}
                changed = shutdown.changed() => {
                    if changed.is_err() || *shutdown.borrow() {
                        return;
                    }
                }
            }
        }
    }
}

/// Why a process that has just begun is not ready.
pub const STARTING: &str = "starting";

/// When each upstream with probes is due. Made again when other configurations are in use than before.
#[derive(Default)]
struct ProbeSchedule {
    /// The configurations that it was made for.
    of: Generations,
    upstreams: Vec<ProbedUpstream>,
}

/// An upstream with probes.
struct ProbedUpstream {
    state: Arc<UpstreamState>,
    /// The upstream of this name in the configuration in force, if this one is of a canary: what both have is probed as the one
    /// in force says.
    in_force: Option<Arc<UpstreamState>>,
    /// Keeps connections and a template.
    checker: Arc<EndpointChecker>,
    interval: Duration,
    timeout: Duration,
    due: Instant,
}

impl ProbeSchedule {
    fn run(&mut self, runtime: &Runtime) {
        let servings = runtime.active_configs();
        let (of, now) = (generations(&servings), Instant::now());
        if self.of != of {
            let before = std::mem::take(&mut self.upstreams);
            self.upstreams = schedule(&servings, &before, now);
            self.of = of;
        }
        for upstream in &mut self.upstreams {
            upstream.run(now);
        }
    }

    /// Whether the first probe of every endpoint has a result.
    fn is_settled(&self) -> bool {
        let of = |upstream: &ProbedUpstream| {
            upstream.state.endpoints().endpoints.iter().all(|endpoint| endpoint.was_probed())
        };
        self.upstreams.iter().all(of)
    }
}

/// The upstreams of `servings`, the configuration in force first. Those that were there `before` keep their rhythm.
fn schedule(servings: &[Arc<ActiveConfig>], before: &[ProbedUpstream], now: Instant) -> Vec<ProbedUpstream> {
    let mut scheduled = Vec::new();
    for (index, serving) in servings.iter().enumerate() {
        for (upstream, active) in serving.snapshot.upstreams.iter().zip(&serving.upstreams) {
            let Some(health) = &upstream.health else { continue };
            let same = |other: &&ProbedUpstream| {
                other.state.name() == active.state.name() && other.in_force.is_some() == (index > 0)
            };
            let in_force = servings[..index].iter().flat_map(|serving| &serving.upstreams);
            let in_force = in_force.map(|active| &active.state).find(|state| state.name() == active.state.name());
            scheduled.push(ProbedUpstream {
                state: active.state.clone(),
                in_force: in_force.cloned(),
                checker: Arc::new(checker(upstream, health)),
                interval: health.interval,
                timeout: health.timeout,
                due: before.iter().find(same).map_or(now, |before| before.due),
            });
        }
    }
    scheduled
}

impl ProbedUpstream {
    fn run(&mut self, now: Instant) {
        let is_due = self.due <= now;
        if is_due {
            self.due = now + self.interval;
        }
        let endpoints = self.state.endpoints();
        let in_force = is_due.then(|| self.in_force.as_ref().map(|state| state.endpoints())).flatten();
        for endpoint in &endpoints.endpoints {
            let elsewhere = || {
                let others = in_force.iter().flat_map(|set| &set.endpoints);
                others.into_iter().any(|other| Arc::ptr_eq(other, endpoint))
            };
            // One that was found meanwhile is not left to be presumed healthy until the next round.
            if endpoint.begins_first_probe() || is_due && !elsewhere() {
                let (checker, state) = (self.checker.clone(), self.state.clone());
                tokio::spawn(probe(checker, state, endpoint.clone(), self.timeout));
            }
        }
    }
}

async fn probe(
    checker: Arc<EndpointChecker>,
    state: Arc<UpstreamState>,
    endpoint: Arc<EndpointState>,
    timeout: Duration,
) {
    let Ok(backend) = Backend::new(&endpoint.address.to_string()) else { return };
    let result = tokio::time::timeout(timeout, checker.check(&backend)).await;
    let ok = matches!(result, Ok(Ok(())));
    match state.record_probe(&endpoint, ok) {
        Some(HealthChange::BecameHealthy) => {
            info!("upstream {}: endpoint {} is healthy", state.name(), endpoint.name);
        }
        Some(HealthChange::BecameUnhealthy) => {
            let why = match result {
                Ok(Err(e)) => e.to_string(),
                _ => "no answer in time".to_owned(),
            };
            warn!("upstream {}: endpoint {} is unhealthy: {why}", state.name(), endpoint.name);
        }
        None => {}
    }
}

/// Pingora's check, for one upstream. It keeps connections and a template of the peer.
type EndpointChecker = Box<dyn HealthCheck + Send + Sync>;

fn checker(upstream: &Upstream, health: &Health) -> EndpointChecker {
    match &health.probe {
        Probe::Tcp => {
            let mut check = TcpHealthCheck::default();
            check.peer_template.options.connection_timeout = Some(health.timeout);
            check.peer_template.sni = upstream.tls.as_ref().map_or(String::new(), |tls| tls.sni.clone());
            check.peer_template.options.custom_l4 = upstream
                .proxy_protocol
                .map(|version| -> Arc<dyn L4Connect + Send + Sync> { ProxyHeaderConnector::local(version) });
            Box::new(check)
        }
        Probe::Http { path, host, expected } => {
            let host = host.clone().unwrap_or_else(|| first_host(upstream));
            let mut check: HttpHealthCheck = HttpHealthCheck::new(&host, upstream.tls.is_some());
            check.peer_template = PeerTemplate::new(upstream).probing();
            check.peer_template.options.connection_timeout = Some(health.timeout);
            check.peer_template.options.read_timeout = Some(health.timeout);
            if let Ok(mut request) = RequestHeader::build("GET", path.as_bytes(), None) {
                let _ = request.insert_header(http::header::HOST, &host);
                check.req = request;
            }
            let expected = expected.clone();
            check.validator = Some(Box::new(move |header| {
                if expected.contains(&header.status.as_u16()) {
                    return Ok(());
                }
                pingora::Error::e_explain(
                    pingora::ErrorType::CustomCode("unexpected status", header.status.as_u16()),
                    "the health check was answered",
                )
            }));
            Box::new(check)
        }
    }
}

fn first_host(upstream: &Upstream) -> String {
    let listed = upstream.files.iter().flat_map(|file| file.loaded.iter());
    match (upstream.endpoints.iter().chain(listed).next(), upstream.services.first()) {
        (Some(endpoint), _) => format!("{}:{}", endpoint.host, endpoint.port),
        // The service's domain (RFC 2782): what stands behind the labels of service and protocol.
        (None, Some(name)) => name.split('.').skip_while(|label| label.starts_with('_')).collect::<Vec<_>>().join("."),
        (None, None) => String::new(),
    }
}
