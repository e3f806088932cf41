//! Background work, off the request path: active health checks of upstreams, [`DiscoveryUpkeep`] and [`ListUpkeep`].

use std::collections::{HashMap, HashSet};
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

use super::discovery::{DiscoveryUpkeep, FIRST_ANSWERS};
use super::lists::ListUpkeep;
use crate::admin::Readiness;
use crate::config::snapshot::{Health, Probe, Upstream};
use crate::proxy::runtime::Runtime;
use crate::proxy::upstream::peer::PeerTemplate;
use crate::proxy::upstream::proxy_header::ProxyHeaderConnector;
use crate::state::upstreams::{EndpointState, HealthChange, UpstreamState};

/// Probes endpoints, finds those that are not written and keeps address lists current for as long as the process runs.
pub struct UpkeepService {
    pub runtime: Arc<Runtime>,
    pub readiness: Arc<Readiness>,
}

/// How often the schedule is looked at.
const TICK: Duration = Duration::from_millis(100);

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
            // A name without an answer costs its own upstream (503), not the others their readiness.
            if starting && (discovery.is_settled(&self.runtime) || began.elapsed() > FIRST_ANSWERS) {
                self.readiness.clear(STARTING);
                starting = false;
            }
            tokio::select! {
                () = tokio::time::sleep(TICK) => {}
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

/// When each upstream is due, by name, so that a reload keeps the rhythm.
#[derive(Default)]
struct ProbeSchedule {
    probe: HashMap<ProbeKey, Instant>,
    /// Checks keep connections and templates; made again for each configuration.
    checks: HashMap<ProbeKey, (u64, Arc<EndpointChecker>)>,
}

/// An upstream's name, and whether it is that of a canary configuration.
type ProbeKey = (Arc<str>, bool);

impl ProbeSchedule {
    fn run(&mut self, runtime: &Arc<Runtime>) {
        let servings = runtime.active_configs();
        let now = Instant::now();
        let mut probed = HashSet::new();
        for (canary, serving) in [false, true].into_iter().zip(&servings) {
            for (upstream, serving_upstream) in serving.snapshot.upstreams.iter().zip(&serving.upstreams) {
                let Some(health) = &upstream.health else { continue };
                let (key, state) = ((upstream.name.clone(), canary), &serving_upstream.state);
                let is_due = due(&mut self.probe, &key, health.interval, now);
                let checker = is_due.then(|| self.checker(key, serving.generation, upstream, health));
                for endpoint in &state.endpoints().endpoints {
                    // Whatever both configurations have is probed as the one in force says.
                    if probed.insert(Arc::as_ptr(endpoint))
                        && let Some(checker) = &checker
                    {
                        tokio::spawn(probe(checker.clone(), state.clone(), endpoint.clone(), health.timeout));
                    }
                }
            }
        }
    }

    fn checker(
        &mut self,
        key: ProbeKey,
        generation: u64,
        upstream: &Upstream,
        health: &Health,
    ) -> Arc<EndpointChecker> {
        match self.checks.get(&key) {
            Some((known, checker)) if *known == generation => checker.clone(),
            _ => {
                let checker = Arc::new(checker(upstream, health));
                self.checks.insert(key, (generation, checker.clone()));
                checker
            }
        }
    }
}

fn due(schedule: &mut HashMap<ProbeKey, Instant>, name: &ProbeKey, interval: Duration, now: Instant) -> bool {
    match schedule.get_mut(name) {
        Some(next) if *next > now => false,
        Some(next) => {
            *next = now + interval;
            true
        }
        None => {
            schedule.insert(name.clone(), now + interval);
            true
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
