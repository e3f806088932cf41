//! Compile: `upstream`.

mod address;
mod health;
mod numbers;
mod retries;
#[cfg(test)]
mod tests;
mod tls;

use std::collections::HashMap;

use http::HeaderName;

use super::{Context, DocPath, names};
use crate::config::raw;
use crate::config::raw::upstream::AllUnhealthy;
use crate::config::snapshot::{Endpoint, Timeouts, Upstream};
use crate::decision::proxy_protocol;
use crate::decision::rules::defaults;
use crate::decision::upstream::{Balance, HashKey};

pub(super) use retries::route as route_retries;

/// Compiles every upstream, in the order of the file: one for each entry even when parts of it are wrong, so that an
/// index found by name stands.
pub fn upstreams(ctx: &mut Context, raw: &raw::Config) -> Vec<Upstream> {
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

fn upstream(ctx: &mut Context, path: &DocPath, name: &str, raw: &raw::upstream::Upstream) -> Upstream {
    if raw.http2_streams.is_some() && !raw.http2 {
        ctx.warning(
            &path.key("http2_streams"),
            "setting_without_effect",
            "`http2_streams` does nothing, since `http2` is off",
            "write `http2: true`, or remove `http2_streams`",
        );
    }
    let (retries, retry_budget) = retries::upstream(ctx, &path.key("retries"), raw.retries.as_ref());
    Upstream {
        name: name.into(),
        endpoints: endpoints(ctx, &path.key("endpoints"), &raw.endpoints),
        balance: balance(ctx, &path.key("balance"), &raw.balance),
        health: raw.health.as_ref().map(|health| health::health(ctx, &path.key("health"), health)),
        refuse_when_unhealthy: raw.all_unhealthy == AllUnhealthy::Refuse,
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
            defaults::HTTP2_STREAMS,
        ),
        resolve: numbers::span(ctx, &path.key("resolve"), raw.resolve, defaults::RESOLVE),
        proxy_protocol: raw.proxy_protocol.map(|version| match version {
            raw::upstream::ProxyProtocol::V1 => proxy_protocol::Version::V1,
            raw::upstream::ProxyProtocol::V2 => proxy_protocol::Version::V2,
        }),
    }
}

fn endpoints(ctx: &mut Context, path: &DocPath, raw: &[raw::upstream::Endpoint]) -> Vec<Endpoint> {
    if raw.is_empty() {
        ctx.error_with_help(
            path,
            "endpoints_empty",
            "the upstream has no endpoint",
            "write at least one, such as `127.0.0.1:9001`",
        );
    }
    let mut endpoints = Vec::new();
    let mut first_at = HashMap::new();
    for (index, raw) in raw.iter().enumerate() {
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
        endpoints.push(Endpoint { host, port, weight });
    }
    endpoints
}

fn balance(ctx: &mut Context, path: &DocPath, raw: &raw::upstream::Balance) -> Balance {
    match raw {
        raw::upstream::Balance::RoundRobin => Balance::RoundRobin,
        raw::upstream::Balance::Random => Balance::Random,
        raw::upstream::Balance::LeastRequests => Balance::LeastRequests,
        raw::upstream::Balance::ConsistentHash(key) => {
            Balance::ConsistentHash(hash_key(ctx, &path.key("consistent_hash"), key))
        }
    }
}

fn hash_key(ctx: &mut Context, path: &DocPath, raw: &raw::upstream::HashKey) -> HashKey {
    match raw {
        raw::upstream::HashKey::Header(name) => match HeaderName::from_bytes(name.as_bytes()) {
            Ok(name) => return HashKey::Header(name),
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

fn timeouts(ctx: &mut Context, path: &DocPath, raw: &raw::upstream::Timeouts) -> Timeouts {
    Timeouts {
        connect: numbers::span(ctx, &path.key("connect"), raw.connect, defaults::CONNECT),
        response: numbers::span(ctx, &path.key("response"), raw.response, defaults::RESPONSE),
        send: numbers::span(ctx, &path.key("send"), raw.send, defaults::SEND),
        idle: numbers::span(ctx, &path.key("idle"), raw.idle, defaults::UPSTREAM_IDLE),
        idle_unsafe: raw.idle_unsafe.map_or(defaults::UPSTREAM_IDLE_UNSAFE, |span| span.0),
        request: raw.request.map(|_| numbers::span(ctx, &path.key("request"), raw.request, defaults::RESPONSE)),
    }
}
