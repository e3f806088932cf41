//! A warning: what stands above a protected prefix is open.

use std::net::Ipv4Addr;

use http::{HeaderMap, Method, Version};

use crate::config::compile::CompileContext;
use crate::config::doc_path::DocPath;
use crate::decision::access::AccessRules;
use crate::decision::policy::{Action, Route};
use crate::decision::request::connection::ConnectionFacts;
use crate::decision::request::{NormalizedRequest, RawRequest, Scheme};
use crate::decision::route::{HostPattern, Match, PathPattern, RouteMatch, Table};

/// Warns of protected prefixes such as `/admin/*` whose own path, `/admin`, is forwarded by a public route: many origins
/// serve the same for both. `places` are the routes' places by [`crate::decision::ids::RouteId`].
pub fn warn_of_open_parents(ctx: &mut CompileContext, table: &Table, routes: &[Route], places: &[DocPath]) {
    for matched in table.matches() {
        let index = matched.route.0 as usize;
        let (Some(route), Some(place)) = (routes.get(index), places.get(index)) else { continue };
        if matches!(route.access, AccessRules::Public) {
            continue;
        }
        for prefix in matched.paths.iter().filter_map(|path| match path {
            PathPattern::Prefix(prefix) => Some(prefix.as_str()),
            PathPattern::Exact(_) | PathPattern::Parameters(_) | PathPattern::Regex(_) => None,
        }) {
            let Some(parent) = prefix.strip_suffix('/').filter(|parent| !parent.is_empty()) else { continue };
            if let Some(open) = open_route(table, routes, matched, parent) {
                ctx.warning(
                    &place.key("match").key("path"),
                    "prefix_parent_open",
                    format!(
                        "`{parent}/*` does not take `{parent}` itself, which the public route `{}` forwards",
                        open.name
                    ),
                    format!("write `path: [{parent}, \"{parent}/*\"]`, or give `{parent}` a route of its own"),
                );
            }
        }
    }
}

/// The public route that forwards a request for `path` to one of the hosts and by one of the methods of `matched`.
fn open_route<'r>(table: &Table, routes: &'r [Route], matched: &Match, path: &str) -> Option<&'r Route> {
    let hosts = matched.hosts.iter().map(|host| match host {
        HostPattern::Exact(name) => name.clone(),
        HostPattern::Wildcard(suffix) => format!("any.{suffix}"),
    });
    // Where the route takes any host, one that no route names.
    let any_host = matched.hosts.is_empty().then(String::new);
    let methods = if matched.methods.is_empty() { &[Method::GET][..] } else { &matched.methods };
    let (no_fields, connection) =
        (HeaderMap::new(), ConnectionFacts::supposed(Ipv4Addr::LOCALHOST.into(), Scheme::Https));
    hosts.chain(any_host).find_map(|host| {
        methods.iter().find_map(|method| {
            let mut normal = NormalizedRequest {
                host: host.clone(),
                port: None,
                path: path.to_owned(),
                query: None,
                path_changed: false,
                spelling: Default::default(),
                client: Ipv4Addr::LOCALHOST.into(),
                scheme: Scheme::Https,
                trusted_peer: false,
                request_id: None,
            };
            let raw = RawRequest {
                method,
                target: path.as_bytes(),
                authority: None,
                fields: (&no_fields).into(),
                version: Version::HTTP_11,
                connection: &connection,
            };
            let RouteMatch::Route { id, .. } = table.find(&raw, &mut normal) else { return None };
            let taken = routes.get(id.0 as usize)?;
            let open = matches!(taken.access, AccessRules::Public) && matches!(taken.action, Action::Forward { .. });
            open.then_some(taken)
        })
    })
}
