//! Background work for endpoints that are found rather than written: asks DNS when answers end, looks at files, and tells
//! the upstreams. Off the request path; what is known, and when to ask, is in [`crate::state::discovery`].

use std::sync::Arc;
use std::time::Instant;

use log::{error, info, warn};
use smallvec::SmallVec;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::file_looks::{FileLooks, LOOK};
use crate::config::endpoints_in_file;
use crate::config::snapshot::{Dns, EndpointConfig};
use crate::proxy::runtime::Runtime;
use crate::proxy::runtime::active_config::ActiveConfig;
use crate::state::discovery::dns::{AddressAnswer, DnsFailure, DnsResolver, ReloadingResolver, SrvAnswer};
use crate::state::discovery::{Discovery, DnsQuestion, EndpointFileChange, LookupOutcome, QUESTION_LEASE};
use crate::state::upstreams::UpstreamState;
use crate::telemetry::metrics::Bound;

/// Questions at a time. Each is a few packets to the name servers, and two sockets.
const QUESTIONS: usize = 32;
/// Targets of one SRV name that are looked up at a time.
const TARGETS: usize = 16;
/// AddressAnswer of an upstream that the log names.
const NAMED: usize = 20;

/// What discovery has under way.
pub struct DiscoveryUpkeep {
    resolving: Arc<ReloadingResolver>,
    /// The settings that the resolver was last made for.
    settings: Option<Dns>,
    next_renewal: Option<Instant>,
    renewing: Option<JoinHandle<()>>,
    looks: FileLooks,
    room: Arc<Semaphore>,
    /// The generations of the configurations and the version of what is known that the upstreams were told last.
    told: Option<(Generations, u64)>,
}

impl Default for DiscoveryUpkeep {
    fn default() -> Self {
        DiscoveryUpkeep {
            resolving: Arc::default(),
            settings: None,
            next_renewal: None,
            renewing: None,
            looks: FileLooks::default(),
            room: Arc::new(Semaphore::new(QUESTIONS)),
            told: None,
        }
    }
}

impl DiscoveryUpkeep {
    /// Does what is due. Never waits.
    pub fn run(&mut self, runtime: &Arc<Runtime>) {
        let servings = runtime.active_configs();
        let now = Instant::now();
        self.tell(runtime, &servings, now);
        // How to ask, the configuration in force says.
        self.look(runtime, &servings[0], now);
        self.ask(runtime, &servings[0], now);
    }

    /// Whether every question that the configurations in use ask was answered, well or not, and the upstreams know.
    pub fn is_settled(&self, runtime: &Runtime) -> bool {
        let servings = runtime.active_configs();
        let upstreams = servings.iter().flat_map(|serving| &serving.snapshot.upstreams);
        self.told == Some((generations(&servings), runtime.state.discovery.version()))
            && runtime.state.discovery.has_answered(upstreams)
    }

    /// Brings the upstreams up to date with what is known, and what is to be known with the upstreams.
    fn tell(&mut self, runtime: &Runtime, servings: &[Arc<ActiveConfig>], now: Instant) {
        let discovery = &runtime.state.discovery;
        // Read before the work: what changes meanwhile is told next time.
        let seen = (generations(servings), discovery.version());
        if self.told.as_ref() == Some(&seen) {
            return;
        }
        discovery.track(servings.iter().flat_map(|serving| &serving.snapshot.upstreams), now);
        for upstream in servings.iter().flat_map(|serving| &serving.upstreams) {
            if upstream.state.discover(discovery) {
                announce(&upstream.state);
            }
        }
        self.told = Some(seen);
    }

    /// Looks at the files that list endpoints, and at those of the resolver, as far as they are due.
    fn look(&mut self, runtime: &Arc<Runtime>, serving: &ActiveConfig, now: Instant) {
        let discovery = &runtime.state.discovery;
        let reader = runtime.clone();
        self.looks.run(discovery.files(), move |file| {
            if let Some(change) = reader.state.discovery.poll_file(file, parse) {
                report(&reader, file, &change);
            }
        });
        let busy = self.renewing.as_ref().is_some_and(|renewing| !renewing.is_finished());
        let dns = &serving.snapshot.dns;
        let waits = self.next_renewal.is_some_and(|next| now < next) && self.settings.as_ref() == Some(dns);
        if busy || waits || !discovery.tracks_names() {
            return;
        }
        self.next_renewal = Some(now + LOOK);
        self.settings = Some(dns.clone());
        let (runtime, resolving, dns) = (runtime.clone(), self.resolving.clone(), dns.clone());
        self.renewing = Some(tokio::task::spawn_blocking(move || renew(&resolving, &dns, &runtime.state.discovery)));
    }

    fn ask(&self, runtime: &Arc<Runtime>, serving: &ActiveConfig, now: Instant) {
        let Some(resolver) = self.resolving.current() else { return };
        for question in runtime.state.discovery.due(now, self.room.available_permits()) {
            // This is the only place that takes any.
            let Ok(permit) = self.room.clone().try_acquire_owned() else { return };
            let (runtime, resolver, dns) = (runtime.clone(), resolver.clone(), serving.snapshot.dns.clone());
            tokio::spawn(async move {
                answer(&runtime, &resolver, &dns, question).await;
                drop(permit);
            });
        }
    }
}

/// Which configurations are in use: the one in force, and one that is tried.
pub(super) type Generations = SmallVec<[u64; 2]>;

pub(super) fn generations(servings: &[Arc<ActiveConfig>]) -> Generations {
    servings.iter().map(|serving| serving.generation).collect()
}

/// Asks `question` and learns the answer.
async fn answer(runtime: &Runtime, resolver: &Arc<DnsResolver>, dns: &Dns, question: DnsQuestion) {
    let discovery = &runtime.state.discovery;
    let (kind, name, outcome) = match question {
        DnsQuestion::Addresses(name) => {
            let answer = timeout(QUESTION_LEASE, resolver.addresses(&name)).await.unwrap_or(Err(DnsFailure::Timeout));
            let outcome = discovery.learn_addresses(&name, answer, dns, Instant::now(), fastrand::u64(..));
            ("addresses", name, outcome)
        }
        DnsQuestion::Services(name) => {
            let asked = timeout(QUESTION_LEASE, services(resolver, discovery, &name)).await;
            let (answer, targets) = asked.unwrap_or((Err(DnsFailure::Timeout), Vec::new()));
            let outcome = discovery.learn_services(&name, answer, targets, dns, Instant::now(), fastrand::u64(..));
            ("services", name, outcome)
        }
    };
    record(runtime, kind, &name, &outcome);
}

/// The records of an SRV name, and the addresses of their targets as far as they are not known yet.
async fn services(
    resolver: &Arc<DnsResolver>,
    discovery: &Discovery,
    name: &str,
) -> (Result<SrvAnswer, DnsFailure>, Vec<(Arc<str>, Result<AddressAnswer, DnsFailure>)>) {
    let answer = resolver.services(name).await;
    let mut unknown: Vec<Arc<str>> = answer
        .iter()
        .flat_map(|services| &services.records)
        .filter(|record| !discovery.knows_addresses(&record.target))
        .map(|record| record.target.clone())
        .collect();
    unknown.sort_unstable();
    unknown.dedup();
    let mut targets = Vec::with_capacity(unknown.len());
    for some in unknown.chunks(TARGETS) {
        let mut lookups = JoinSet::new();
        for target in some {
            let (resolver, target) = (resolver.clone(), target.clone());
            lookups.spawn(async move {
                let answer = resolver.addresses(&target).await;
                (target, answer)
            });
        }
        targets.extend(lookups.join_all().await);
    }
    (answer, targets)
}

fn record(runtime: &Runtime, kind: &str, name: &str, outcome: &LookupOutcome) {
    if outcome.cut {
        runtime.metrics.bound_hit(Bound::DnsAddresses);
    }
    if outcome.recovered {
        info!("`{name}` ({kind}) is answered again");
    }
    if let Some(failure) = &outcome.failure {
        runtime.metrics.discovery_failed(kind);
        if outcome.report {
            warn!("`{name}` ({kind}) cannot be resolved: {failure}; what was known of it stays in use");
        }
    }
}

fn renew(resolving: &ReloadingResolver, dns: &Dns, discovery: &Discovery) {
    match resolving.refresh(dns) {
        Ok(false) => {}
        Ok(true) => discovery.refresh_names(Instant::now()),
        Err(trouble) => {
            error!("dns: {trouble}");
            discovery.refresh_names(Instant::now());
        }
    }
}

fn parse(file: &str, content: &[u8]) -> Result<Vec<EndpointConfig>, Vec<String>> {
    endpoints_in_file(file, content).map_err(|found| found.iter().map(ToString::to_string).collect())
}

fn report(runtime: &Runtime, file: &str, change: &EndpointFileChange) {
    match change {
        EndpointFileChange::Replaced { endpoints } => info!("endpoints file {file}: {endpoints} endpoints are listed"),
        EndpointFileChange::Kept(troubles) => {
            runtime.metrics.discovery_failed("file");
            for trouble in troubles {
                warn!("endpoints file {file}: {trouble}");
            }
            warn!("endpoints file {file}: its last good content stays in use");
        }
    }
}

fn announce(upstream: &UpstreamState) {
    let endpoints = &upstream.endpoints().endpoints;
    let named: Vec<String> = endpoints.iter().take(NAMED).map(|endpoint| endpoint.address.to_string()).collect();
    let more = match endpoints.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    info!("upstream {}: endpoints are now {}{more}", upstream.name(), named.join(", "));
}
