//! A warning: an upstream leads back to the gateway.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::address;
use crate::config::compile::CompileContext;
use crate::config::doc_path::DocPath;
use crate::config::raw;
use crate::config::raw::upstream::EndpointSource;
use crate::config::snapshot::ListenerConfig;

/// Warns of endpoints that are one of the gateway's own `listeners`, as far as addresses tell.
pub fn warn_of_own_listeners(ctx: &mut CompileContext, raw: &raw::Config, listeners: &[ListenerConfig]) {
    for (name, upstream) in &raw.upstreams.0 {
        let list = DocPath::root().key("upstreams").key(name).key("endpoints");
        let sources = &upstream.endpoints.0;
        for (index, source) in sources.iter().enumerate() {
            let EndpointSource::Written(endpoint) = source else { continue };
            let Ok((host, port)) = address::parse(&endpoint.address) else { continue };
            let Some(listener) = listeners.iter().find(|listener| leads_to(&host, port, listener)) else { continue };
            ctx.warning(
                &if sources.len() == 1 { list.clone() } else { list.index(index) },
                "upstream_is_listener",
                format!(
                    "`{}` is the listener `{}` of this gateway, to which its requests come again",
                    endpoint.address, listener.name
                ),
                "name the address of the service itself; a loop ends with 508 after `bounds.passes`",
            );
        }
    }
}

fn leads_to(host: &str, port: u16, listener: &ListenerConfig) -> bool {
    let here = match host {
        "localhost" | "localhost." => [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)].to_vec(),
        host => host.parse().into_iter().collect(),
    };
    let bound = listener.address.ip().to_canonical();
    port == listener.address.port()
        && here.iter().map(IpAddr::to_canonical).any(|address| {
            // Of the addresses of this machine only these are known.
            address == bound || (bound.is_unspecified() && (address.is_loopback() || address.is_unspecified()))
        })
}
