//! Upstreams: their endpoints, and how they are reached.

mod resilience;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::change::{Apply, ConfigChange, Effect, Subject, Weight};
use super::facts::{self, ConfigFacts};
use super::guard::Protection;
use crate::config::raw::units::Span;
use crate::config::snapshot::{
    ClientCertificate, EndpointConfig, EndpointFile, Health, Probe, Timeouts, Upstream, UpstreamTls,
};

pub(super) fn changes(old: &[Upstream], new: &[Upstream]) -> Vec<ConfigChange> {
    let told = [Effect::Endpoint, Effect::Balance, Effect::Tls];
    let existence = |_: &&Upstream, _| (Weight::Changed, Apply::Live);
    facts::by_name(&by_name(old), &by_name(new), Subject::Upstream, |upstream| facts(upstream), &told, existence)
}

fn by_name(upstreams: &[Upstream]) -> BTreeMap<Arc<str>, &Upstream> {
    upstreams.iter().map(|upstream| (upstream.name.clone(), upstream)).collect()
}

fn facts(upstream: &Upstream) -> ConfigFacts {
    let mut facts = ConfigFacts::default();
    let Upstream {
        name: _,
        endpoints,
        services,
        files,
        balance,
        health,
        refuse_when_unhealthy,
        timeouts,
        retries,
        retry_budget,
        tls,
        http2,
        http2_streams,
        proxy_protocol,
        ejection,
        slow_start,
        circuit_breaker,
        zone,
        sticky,
    } = upstream;
    for endpoint in endpoints {
        self::endpoint(endpoint, &mut facts);
    }
    for service in services {
        facts.tell(Effect::Endpoint, format!("{service} (SRV)"), "as DNS says");
    }
    for EndpointFile { file, loaded: _ } in files {
        // What it holds takes effect by itself.
        facts.tell(Effect::Endpoint, format!("{file} (file)"), "as the file says");
    }
    facts.tell(Effect::Balance, "balance", balance);
    if let Some(health) = health {
        self::health(health, &mut facts);
    }
    let unhealthy = if *refuse_when_unhealthy { "refuse" } else { "use all" };
    facts.tell(Effect::Balance, "when all are unhealthy", unhealthy);
    self::timeouts(timeouts, &mut facts);
    resilience::retries(retries, retry_budget, &mut facts);
    match tls {
        Some(tls) => self::tls(tls, &mut facts),
        None => _ = facts.tell(Effect::Tls, "", "off").guard(Protection::Rank(0)),
    }
    facts.tell(Effect::Protocol, "http2", http2);
    facts.tell(Effect::Protocol, "http2_streams", http2_streams);
    if let Some(version) = proxy_protocol {
        facts.tell(Effect::Protocol, "proxy_protocol", format!("{version:?}").to_lowercase());
    }
    match ejection {
        Some(ejection) => resilience::ejection(ejection, &mut facts),
        None => _ = facts.tell(Effect::Balance, "ejection", "off"),
    }
    if let Some(time) = slow_start {
        facts.tell(Effect::Balance, "slow_start", Span(*time));
    }
    resilience::circuit_breaker(circuit_breaker, &mut facts);
    if let Some(zone) = zone {
        facts.tell(Effect::Balance, "zone", zone);
    }
    if let Some(sticky) = sticky {
        resilience::sticky(sticky, &mut facts);
    }
    facts
}

fn endpoint(endpoint: &EndpointConfig, facts: &mut ConfigFacts) {
    let EndpointConfig { host: _, port: _, weight, priority, zone } = endpoint;
    let mut words = format!("weight {weight}");
    if *priority > 0 {
        words += &format!(", priority {priority}");
    }
    if let Some(zone) = zone {
        words += &format!(", zone {zone}");
    }
    facts.tell(Effect::Endpoint, endpoint.to_string(), words);
}

fn health(health: &Health, facts: &mut ConfigFacts) {
    let Health { probe, interval, timeout, healthy_after, unhealthy_after } = health;
    let probe = match probe {
        Probe::Tcp => "TCP".to_owned(),
        Probe::Http { path, host, expected } => {
            let host = host.as_ref().map(|host| format!(" of {host}")).unwrap_or_default();
            let expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
            format!("GET {path}{host}, expecting {}", expected.join(" or "))
        }
    };
    let times = format!("every {} within {}", Span(*interval), Span(*timeout));
    let words = format!("{probe}, {times}, healthy after {healthy_after}, unhealthy after {unhealthy_after}");
    facts.tell(Effect::Balance, "health", words);
}

fn timeouts(timeouts: &Timeouts, facts: &mut ConfigFacts) {
    let Timeouts { connect, response, send, idle, idle_unsafe, request } = timeouts;
    let times = [("connect", connect), ("response", response), ("send", send), ("idle", idle)];
    for (name, time) in times.into_iter().chain([("idle_unsafe", idle_unsafe)]) {
        facts.tell(Effect::Timeout, name, Span(*time));
    }
    if let Some(request) = request {
        facts.tell(Effect::Timeout, "request", Span(*request));
    }
}

fn tls(tls: &UpstreamTls, facts: &mut ConfigFacts) {
    let UpstreamTls { sni, authorities, client_certificate } = tls;
    facts.tell(Effect::Tls, "", "on").guard(Protection::Rank(1));
    facts.tell(Effect::Tls, "name", sni);
    match authorities {
        Some(authorities) => {
            facts.tell(Effect::Tls, "authorities", format!("{} of its own", authorities.len())).seal(authorities)
        }
        None => facts.tell(Effect::Tls, "authorities", "the system's"),
    };
    if let Some(ClientCertificate { chain, key }) = client_certificate {
        facts
            .tell(Effect::Credential, "client certificate", format!("{} in its chain", chain.len()))
            .seal(chain.iter().chain([key.expose()]));
    }
}
