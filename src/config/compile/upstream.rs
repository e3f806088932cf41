//! Compile: `upstream`.

mod address;
mod file;
mod health;
mod own_listener;
mod resilience;
mod retries;
mod sticky;
#[cfg(test)]
mod tests;
mod tls;

use std::collections::HashMap;
use std::sync::Arc;

use http::HeaderName;

use super::{CompileContext, names, numbers};
use crate::config::doc_path::DocPath;
use crate::config::raw;
use crate::config::raw::upstream::AllUnhealthy;
use crate::config::raw::upstream::EndpointSource;
use crate::config::snapshot::{EndpointConfig, EndpointFile, Timeouts, Upstream};
use crate::decision::defaults;
use crate::decision::proxy_protocol;
use crate::decision::upstream::{Balance, HashKey};
pub use file::endpoints_in_file;
pub use own_listener::warn_of_own_listeners;

pub(super) use retries::route as route_retries;

/// Compiles every upstream, in the order of the file: one for each entry even when parts of it are wrong, so that an
/// index found by name stands.
pub fn upstreams(ctx: &mut CompileContext, raw: &raw::Config) -> Vec<Upstream> {
    let section = DocPath::root().key("upstreams");
    let mut compiled: Vec<Upstream> = Vec::new();
    for (name, raw) in &raw.upstreams.0 {
        let path = section.key(name);
        names::token(ctx, &path, "an upstream", name);
        if compiled.iter().any(|other| *other.name == **name) {
            ctx.error_with_help(
                &path,
                "duplicate_upstream",
                format!("the upstream `{name}` stands in the file twice"),
                "give each upstream its own name, or join their endpoints",
            );
        }
        compiled.push(upstream(ctx, &path, name, raw));
    }
    compiled
}

fn upstream(ctx: &mut CompileContext, path: &DocPath, name: &str, raw: &raw::upstream::Upstream) -> Upstream {
    if raw.http2_streams.is_some() && !raw.http2 {
        ctx.warning(
            &path.key("http2_streams"),
            "setting_without_effect",
            "`http2_streams` does nothing, since `http2` is off",
            "write `http2: true`, or remove `http2_streams`",
        );
    }
    let sources = sources(ctx, &path.key("endpoints"), &raw.endpoints.0);
    let listed = sources.files.iter().flat_map(|file| file.loaded.iter());
    let zones = sources.endpoints.iter().chain(listed).filter_map(|endpoint| endpoint.zone.as_deref());
    let zone = resilience::zone(ctx, path, raw, &zones.collect::<Vec<_>>());
    let (retries, retry_budget) = retries::upstream(ctx, &path.key("retries"), raw.retries.as_ref());
    Upstream {
        name: name.into(),
        endpoints: sources.endpoints,
        services: sources.services,
        files: sources.files,
        balance: balance(ctx, &path.key("balance"), &raw.balance),
        health: raw.health.as_ref().map(|health| health::health(ctx, &path.key("health"), health)),
        refuse_when_unhealthy: raw.all_unhealthy == AllUnhealthy::Refuse,
        ejection: resilience::ejection(ctx, &path.key("ejection"), raw.ejection.as_ref()),
        slow_start: raw.slow_start.map(|span| numbers::span(ctx, &path.key("slow_start"), Some(span), span.0)),
        circuit_breaker: resilience::circuit_breaker(ctx, &path.key("circuit_breaker"), &raw.circuit_breaker),
        zone,
        sticky: raw.sticky.as_ref().and_then(|sticky| sticky::sticky(ctx, &path.key("sticky"), sticky)),
        timeouts: timeouts(ctx, &path.key("timeouts"), &raw.timeouts),
        retries,
        retry_budget,
        tls: raw.tls.as_ref().and_then(|tls| tls::tls(ctx, &path.key("tls"), tls)),
        http2: raw.http2,
        http2_streams: numbers::count(
            ctx,
            &path.key("http2_streams"),
            raw.http2_streams,
            1..=10_000,
            defaults::UPSTREAM_HTTP2_STREAMS,
        ),
        proxy_protocol: raw.proxy_protocol.map(|version| match version {
            raw::upstream::ProxyProtocolVersion::V1 => proxy_protocol::Version::V1,
            raw::upstream::ProxyProtocolVersion::V2 => proxy_protocol::Version::V2,
        }),
    }
}

/// What an upstream's endpoints are written as.
#[derive(Default)]
struct Sources {
    endpoints: Vec<EndpointConfig>,
    services: Vec<Arc<str>>,
    files: Vec<EndpointFile>,
}

fn sources(ctx: &mut CompileContext, path: &DocPath, raw: &[EndpointSource]) -> Sources {
    if raw.is_empty() {
        ctx.error_with_help(
            path,
            "endpoints_empty",
            "the upstream has no endpoint",
            "write at least one, such as `127.0.0.1:9001`",
        );
    }
    let written = raw.iter().enumerate().filter_map(|(index, source)| match source {
        EndpointSource::Written(endpoint) => Some((index, endpoint)),
        _ => None,
    });
    let mut sources = Sources { endpoints: endpoints(ctx, path, written), ..Sources::default() };
    let mut first_at = HashMap::new();
    for (index, source) in raw.iter().enumerate() {
        let path = path.index(index);
        let (key, name) = match source {
            EndpointSource::Written(_) => continue,
            EndpointSource::Services(services) => ("srv", services.srv.to_ascii_lowercase()),
            EndpointSource::File(file) => ("file", file.file.clone()),
        };
        let first = *first_at.entry((key, name.clone())).or_insert(index);
        if first != index {
            let message = format!("`{name}` is `endpoints[{first}]` again");
            ctx.error_with_help(&path, "duplicate_endpoint", message, "remove it");
            continue;
        }
        match key {
            "srv" => sources.services.extend(service(ctx, &path.key(key), &name)),
            _ => sources.files.extend(file(ctx, &path.key(key), &name)),
        }
    }
    sources
}

fn service(ctx: &mut CompileContext, path: &DocPath, name: &str) -> Option<Arc<str>> {
    let Err(why) = address::check_name(name) else { return Some(name.into()) };
    let message = format!("`{name}` is not the name of SRV records: {why}");
    let help = "write a DNS name without a port, such as `_http._tcp.orders.internal`";
    ctx.error_with_help(path, "invalid_service", message, help);
    None
}

fn file(ctx: &mut CompileContext, path: &DocPath, name: &str) -> Option<EndpointFile> {
    let content = ctx.read_watched_file(path, name)?;
    match endpoints_in_file(name, &content) {
        Ok(loaded) => Some(EndpointFile { file: name.into(), loaded: loaded.into() }),
        Err(found) => {
            ctx.report_found(path, found);
            None
        }
    }
}

/// Compiles those of a list that `raw` gives with their places in it.
fn endpoints<'a>(
    ctx: &mut CompileContext,
    path: &DocPath,
    raw: impl IntoIterator<Item = (usize, &'a raw::upstream::Endpoint)>,
) -> Vec<EndpointConfig> {
    let mut endpoints = Vec::new();
    let mut first_at = HashMap::new();
    for (index, raw) in raw {
        let path = path.index(index);
        let weight = numbers::count(ctx, &path.key("weight"), raw.weight, 1..=1000, 1);
        let (host, port) = match address::parse(&raw.address) {
            Ok(address) => address,
            Err(wrong) => {
                ctx.error_with_help(&path, "invalid_address", wrong.message, wrong.help);
                continue;
            }
        };
        let first = *first_at.entry((host.clone(), port)).or_insert(index);
        if first != index {
            ctx.error_with_help(
                &path,
                "duplicate_endpoint",
                format!("`{}` is `endpoints[{first}]` again", raw.address),
                "remove it; for a larger share write `{address: …, weight: 2}`",
            );
            continue;
        }
        let priority = numbers::count(ctx, &path.key("priority"), raw.priority, 0..=100, 0);
        endpoints.push(EndpointConfig { host, port, weight, priority, zone: raw.zone.clone() });
    }
    endpoints
}

fn balance(ctx: &mut CompileContext, path: &DocPath, raw: &raw::upstream::Balance) -> Balance {
    match raw {
        raw::upstream::Balance::RoundRobin => Balance::RoundRobin,
        raw::upstream::Balance::Random => Balance::Random,
        raw::upstream::Balance::LeastRequests => Balance::LeastRequests,
        raw::upstream::Balance::ConsistentHash(key) => {
            Balance::ConsistentHash(hash_key(ctx, &path.key("consistent_hash"), key))
        }
    }
}

fn hash_key(ctx: &mut CompileContext, path: &DocPath, raw: &raw::upstream::HashKey) -> HashKey {
    match raw {
        raw::upstream::HashKey::Header(name) => match HeaderName::from_bytes(name.as_bytes()) {
            Ok(name) => return HashKey::Header(ctx.field(name)),
            Err(_) => ctx.error_with_help(
                &path.key("header"),
                "invalid_header_name",
                format!("`{name}` is not a header name"),
                "write a name such as `X-User`",
            ),
        },
        // A cookie's name is a token (RFC 6265 §4.1.1), as a header's is; but it keeps its case.
        raw::upstream::HashKey::Cookie(name) => match HeaderName::from_bytes(name.as_bytes()) {
            Ok(_) => return HashKey::Cookie(name.clone()),
            Err(_) => ctx.error_with_help(
                &path.key("cookie"),
                "invalid_cookie_name",
                format!("`{name}` is not the name of a cookie"),
                "write a name such as `sid`",
            ),
        },
        raw::upstream::HashKey::ClientAddress => {}
        raw::upstream::HashKey::Path => return HashKey::Path,
    }
    HashKey::ClientAddress
}

fn timeouts(ctx: &mut CompileContext, path: &DocPath, raw: &raw::upstream::Timeouts) -> Timeouts {
    Timeouts {
        connect: numbers::span(ctx, &path.key("connect"), raw.connect, defaults::CONNECT),
        response: numbers::span(ctx, &path.key("response"), raw.response, defaults::RESPONSE),
        send: numbers::span(ctx, &path.key("send"), raw.send, defaults::SEND),
        idle: numbers::span(ctx, &path.key("idle"), raw.idle, defaults::UPSTREAM_IDLE),
        idle_unsafe: raw.idle_unsafe.map_or(defaults::UPSTREAM_IDLE_UNSAFE, |span| span.0),
        request: raw.request.map(|_| numbers::span(ctx, &path.key("request"), raw.request, defaults::RESPONSE)),
    }
}
