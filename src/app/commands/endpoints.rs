//! Lists the endpoints of the configuration in force, and drains them.

use std::time::Instant;

use log::info;

use crate::admin::api::{AdminError, EndpointResult, EndpointStatus, ErrorCode, UpstreamList, UpstreamStatus};
use crate::proxy::runtime::Runtime;
use crate::state::upstreams::{EndpointView, UnknownEndpoint};

/// Every endpoint of the configuration in force.
pub(super) fn list(shared: &Runtime) -> UpstreamList {
    let (serving, now) = (shared.store.current(), Instant::now());
    let upstreams = serving.upstreams.iter().map(|upstream| UpstreamStatus {
        name: upstream.state.name().to_string(),
        endpoints: upstream.state.view(now).iter().map(describe).collect(),
    });
    UpstreamList { upstreams: upstreams.collect() }
}

/// Takes an endpoint out of service, or back into it. A drained endpoint stays so until it is restored, or until it is in no
/// configuration any more.
pub(super) fn drain(
    shared: &Runtime,
    upstream: &str,
    endpoint: &str,
    draining: bool,
) -> Result<EndpointResult, AdminError> {
    match shared.state.upstreams.drain(upstream, endpoint, draining, Instant::now()) {
        Ok(endpoints) => {
            let done = if draining { "draining" } else { "restored" };
            info!("upstream {upstream}: {done} {endpoint} ({endpoints} endpoints)");
            Ok(EndpointResult { endpoints: endpoints as u64, draining })
        }
        Err(UnknownEndpoint::Upstream) => {
            Err(AdminError::new(ErrorCode::UpstreamUnknown, format!("there is no upstream `{upstream}`")))
        }
        Err(UnknownEndpoint::Endpoint) => {
            let error = format!("the upstream `{upstream}` has no endpoint `{endpoint}`");
            Err(AdminError::new(ErrorCode::EndpointUnknown, error))
        }
    }
}

fn describe(endpoint: &EndpointView) -> EndpointStatus {
    EndpointStatus {
        endpoint: endpoint.name.to_string(),
        address: endpoint.address.to_string(),
        zone: endpoint.zone.as_deref().map(str::to_owned),
        priority: endpoint.priority,
        weight: endpoint.weight,
        state: endpoint.condition.as_str().to_owned(),
        healthy: endpoint.healthy,
        draining: endpoint.draining,
        ejected_for: endpoint.ejected.map(|time| time.as_secs_f64()),
        share: (endpoint.share * 100.0).round() / 100.0,
        requests: endpoint.active as u64,
    }
}
