//! Looks at endpoints, and drains them.

use std::time::Instant;

use http::StatusCode;
use log::info;
use serde_json::{Value, json};

use crate::admin::control::Outcome;
use crate::proxy::runtime::Runtime;
use crate::state::upstreams::{EndpointView, UnknownEndpoint};

/// Every endpoint of the configuration in force.
pub(super) fn list(shared: &Runtime) -> Outcome {
    let (serving, now) = (shared.store.current(), Instant::now());
    let upstreams = serving.upstreams.iter().map(|upstream| {
        let endpoints: Vec<Value> = upstream.state.view(now).iter().map(describe).collect();
        json!({ "name": &**upstream.state.name(), "endpoints": endpoints })
    });
    Outcome { status: StatusCode::OK, body: json!({ "upstreams": upstreams.collect::<Vec<_>>() }) }
}

/// Takes an endpoint out of service, or back. What is drained stays so until it is restored, or until no configuration has it.
pub(super) fn drain(shared: &Runtime, upstream: &str, endpoint: &str, draining: bool) -> Outcome {
    match shared.state.upstreams.drain(upstream, endpoint, draining, Instant::now()) {
        Ok(endpoints) => {
            let done = if draining { "draining" } else { "restored" };
            info!("upstream {upstream}: {done} {endpoint} ({endpoints} endpoints)");
            Outcome { status: StatusCode::OK, body: json!({ "endpoints": endpoints, "draining": draining }) }
        }
        Err(unknown) => {
            let what = match unknown {
                UnknownEndpoint::Upstream => format!("there is no upstream `{upstream}`"),
                UnknownEndpoint::Endpoint => format!("the upstream `{upstream}` has no endpoint `{endpoint}`"),
            };
            Outcome { status: StatusCode::NOT_FOUND, body: json!({ "error": what }) }
        }
    }
}

fn describe(endpoint: &EndpointView) -> Value {
    json!({
        "endpoint": &*endpoint.name,
        "address": endpoint.address.to_string(),
        "zone": endpoint.zone.as_deref(),
        "priority": endpoint.priority,
        "weight": endpoint.weight,
        "state": endpoint.condition.as_str(),
        "healthy": endpoint.healthy,
        "draining": endpoint.draining,
        "ejected_for": endpoint.ejected.map(|time| time.as_secs_f64()),
        "share": (endpoint.share * 100.0).round() / 100.0,
        "requests": endpoint.active,
    })
}
