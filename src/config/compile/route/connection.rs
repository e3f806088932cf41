//! Compile: what `match` asks of the connection, and how requests may arrive at all.

use std::net::{IpAddr, Ipv4Addr};

use crate::config::compile::CompileContext;
use crate::config::doc_path::DocPath;
use crate::config::raw;
use crate::config::raw::matching::Match;
use crate::config::snapshot::ListenerConfig;
use crate::decision::request::Scheme;
use crate::decision::request::connection::ConnectionFacts;
use crate::decision::route::{Arrival, ConnectionMatch};
use crate::diagnostics::nearest;

/// Compiles `listener`, `scheme` and `tls` of the `match` at `path`.
pub(super) fn conditions(
    ctx: &mut CompileContext,
    path: &DocPath,
    written: &Match,
    raw: &raw::Config,
) -> Option<ConnectionMatch> {
    let scheme = written.scheme.map(|scheme| match scheme {
        raw::matching::Scheme::Http => Scheme::Http,
        raw::matching::Scheme::Https => Scheme::Https,
    });
    let names = &written.listener.0;
    for (index, name) in names.iter().enumerate() {
        if !raw.listeners.iter().any(|listener| listener.name == *name) {
            let path = path.key("listener");
            unknown_listener(ctx, &if names.len() == 1 { path } else { path.index(index) }, name, raw);
            return None;
        }
    }
    let listeners = raw.listeners.iter().filter(|listener| names.is_empty() || names.contains(&listener.name));
    let with = |wanted: bool| listeners.clone().any(|listener| listener.tls.is_some() == wanted);
    if let Some(tls) = written.tls
        && !with(tls)
        && !raw.listeners.is_empty()
    {
        let (which, has) = (
            if names.is_empty() { "no listener" } else { "none of these listeners" },
            if tls { "TLS" } else { "no TLS" },
        );
        ctx.error_with_help(
            &path.key("tls"),
            "condition_never_holds",
            format!("{which} has {has}, so that the route takes no request").replace("has no TLS", "is without TLS"),
            "remove the condition, or name a listener that fulfils it",
        );
        return None;
    }
    if let Some(scheme) = scheme
        && raw.trusted_proxies.is_empty()
        && !raw.listeners.is_empty()
        && !with(scheme == Scheme::Https)
    {
        let name = scheme.as_str();
        ctx.warning(
            &path.key("scheme"),
            "route_unreachable",
            format!(
                "no listener that the route takes is for {name}, and no proxy is trusted that could bring such requests"
            ),
            "remove the condition, give a listener `tls`, or list the proxy that ends TLS in `trusted_proxies`",
        );
    }
    let listeners = names.iter().map(|name| name.as_str().into()).collect();
    Some(ConnectionMatch { listeners, scheme, tls: written.tls })
}

fn unknown_listener(ctx: &mut CompileContext, path: &DocPath, name: &str, raw: &raw::Config) {
    let known: Vec<&str> = raw.listeners.iter().map(|listener| listener.name.as_str()).collect();
    let help = match nearest(name, known.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("the listeners are `{}`", known.join("`, `")),
    };
    ctx.error_with_help(path, "unknown_listener", format!("there is no listener `{name}`"), help);
}

/// Every way by which a request may arrive: by each listener, with its own scheme, and with the other one where a trusted proxy
/// may say so.
pub fn arrivals(listeners: &[ListenerConfig], trusts_proxies: bool) -> Vec<Arrival> {
    let arrival = |listener: &ListenerConfig| {
        let own = if listener.tls.is_some() { Scheme::Https } else { Scheme::Http };
        let facts = ConnectionFacts::supposed(IpAddr::V4(Ipv4Addr::LOCALHOST), own);
        let connection = ConnectionFacts { listener: listener.name.clone(), ..facts };
        let schemes = [Scheme::Http, Scheme::Https].into_iter().filter(move |scheme| trusts_proxies || *scheme == own);
        schemes.map(move |scheme| Arrival { connection: connection.clone(), scheme })
    };
    listeners.iter().flat_map(arrival).collect()
}
