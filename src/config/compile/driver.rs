//! Calls the stages, checks what no single stage sees, and puts the snapshot together.

use std::collections::HashSet;
use std::sync::Arc;

use super::{
    CompileContext, access, address, bounds, dns, limit, listener, names, response, route, telemetry, upstream,
};
use crate::config::doc_path::DocPath;
use crate::config::environment::Environment;
use crate::config::load::Document;
use crate::config::raw;
use crate::config::raw::access::Access;
use crate::config::snapshot::Snapshot;
use crate::decision::access::address::AddressRules;
use crate::decision::bounds::Bounds;
use crate::decision::ids::RouteId;
use crate::decision::limit::Limit;
use crate::decision::policy::{Action, Policy, Route};
use crate::decision::route::{Arrival, Match, Table};
use crate::decision::upstream::retry::RouteRetryRules;
use crate::diagnostics::{Diagnostic, has_errors};

/// Compiles `document`: a snapshot if nothing is wrong, and every diagnostic (those of loading too) in the order of the
/// files. Warnings may come with a snapshot.
pub fn compile(document: &Document, environment: &dyn Environment) -> (Option<Snapshot>, Vec<Diagnostic>) {
    let mut ctx = CompileContext::new(&document.places, environment).without(&document.lacking);
    let snapshot = stages(&mut ctx, document);
    let mut found = ctx.into_diagnostics();
    found.retain(|diagnostic| !follows(diagnostic, &document.lacking));
    let mut diagnostics = document.diagnostics.clone();
    diagnostics.append(&mut found);
    let snapshot = snapshot.filter(|_| !has_errors(&diagnostics));
    (snapshot, in_order(diagnostics))
}

/// Sorts by place and says nothing twice.
pub fn in_order(mut diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    diagnostics.sort_by(|a, b| a.place.cmp(&b.place));
    diagnostics.dedup();
    diagnostics
}

/// `None` only if something was reported.
fn stages(ctx: &mut CompileContext, document: &Document) -> Option<Snapshot> {
    let raw = &document.config;
    let mut lists = address::ListFiles::default();
    let listeners = listener::listeners(ctx, &mut lists, raw);
    let bounds = bounds::bounds(ctx, raw);
    let mut read = listener::read_rules(ctx, raw, &bounds);
    let process = listener::process(ctx, raw);
    let upstreams = upstream::upstreams(ctx, raw);
    let dns = dns::dns(ctx, raw);
    let access_log = telemetry::access_log(ctx, raw);
    let admin = telemetry::admin(ctx, raw);
    let response = response::of_file(ctx, raw);
    let arrivals = route::arrivals(&listeners, !read.trusted_proxies.is_empty());
    let (routes, table, limits) = routes(ctx, &mut lists, raw, &bounds, &response, &arrivals);
    upstream::warn_of_own_listeners(ctx, raw, &listeners);
    if !has_errors(&document.diagnostics) {
        warn_of_unused(ctx, raw);
    }
    let address_lists = lists.finish();
    read.names = ctx.field_names();
    let rules = Policy { read, table: table?, routes: routes?, limits, address_lists, response: response.rules };
    Some(Snapshot { rules, listeners, bounds, upstreams, dns, access_log, admin, process })
}

fn routes(
    ctx: &mut CompileContext,
    lists: &mut address::ListFiles,
    raw: &raw::Config,
    bounds: &Bounds,
    file_rules: &response::FileRules,
    arrivals: &[Arrival],
) -> (Option<Vec<Route>>, Option<Table>, Vec<Limit>) {
    let list = DocPath::root().key("routes");
    if raw.routes.is_empty() {
        let help = "add a route, such as `- {name: all, access: public, upstream: app}`";
        ctx.error_with_help(&list, "routes_missing", "there is no route, so every request would get a 404", help);
    }
    names::titles(ctx, &list, raw.routes.iter().map(|route| route.name.as_str()));

    let identities = access::identities(ctx, raw, bounds);
    let mut limits = limit::LimitCompiler::new(ctx, raw);
    let mut matches = Vec::with_capacity(raw.routes.len());
    let mut places: Vec<(DocPath, Arc<str>)> = Vec::with_capacity(raw.routes.len());
    let mut routes = Some(Vec::with_capacity(raw.routes.len()));
    for (index, written) in raw.routes.iter().enumerate() {
        let path = list.index(index);
        let id = RouteId(u32::try_from(index).unwrap_or(u32::MAX));
        let name: Arc<str> = written.name.as_str().into();
        let matched = route::matches(ctx, &path, id, written, raw);
        let action = action(ctx, &path, id, written, matched.as_ref(), raw);
        let addresses = addresses(ctx, lists, &path, written);
        let access = access::access(ctx, &path, written.access.as_ref(), &identities);
        let limits = limits.route(ctx, &path, written);
        let response = file_rules.of_route(ctx, &path, written);
        let bounds = bounds::of_route(ctx, &path, written, bounds);
        let retries = retries(ctx, &path, written);
        places.push((path.clone(), name.clone()));
        matches.extend(matched);
        // One route that lacks something leaves no routes at all: the snapshot is complete or there is none.
        routes = match (routes, action, addresses, access) {
            (Some(mut routes), Some(action), Some(addresses), Some(access)) => {
                let place = ctx.place(&path);
                let answers_half_closed = written.half_close == raw::route::HalfClose::Answer;
                routes.push(Route {
                    name,
                    place,
                    addresses,
                    access,
                    limits,
                    action,
                    response,
                    bounds,
                    retries,
                    answers_half_closed,
                });
                Some(routes)
            }
            _ => None,
        };
    }
    let table = route::table(ctx, matches, &places);
    let limits = limits.finish();
    if let (Some(routes), Some(table)) = (&routes, &table) {
        let places: Vec<DocPath> = places.into_iter().map(|(place, _)| place).collect();
        route::warn_of_open_parents(ctx, table, routes, &limits, &places, arrivals);
        route::check_redirects(ctx, table, routes, &places, arrivals);
    }
    (routes, table, limits)
}

/// What the route says about retries, which only an upstream can be asked.
fn retries(ctx: &mut CompileContext, path: &DocPath, written: &raw::route::Route) -> Option<Box<RouteRetryRules>> {
    let path = path.key("retries");
    let retries = written.retries.as_ref()?;
    if written.upstream.is_none() {
        ctx.warning(
            &path,
            "setting_without_effect",
            "`retries` does nothing, since the route has no upstream",
            "remove it, or add `upstream`",
        );
    }
    Some(Box::new(upstream::route_retries(ctx, &path, retries)))
}

/// The route's address rules, if it has any; `None` if they are wrong.
fn addresses(
    ctx: &mut CompileContext,
    lists: &mut address::ListFiles,
    path: &DocPath,
    written: &raw::route::Route,
) -> Option<Option<Box<AddressRules>>> {
    match &written.addresses {
        None => Some(None),
        Some(addresses) => address::rules(ctx, lists, &path.key("addresses"), address::Scope::Route, addresses)
            .map(|rules| Some(Box::new(rules))),
    }
}

/// The route's action; checked, as far as that makes sense, even if what the route matches is wrong.
fn action(
    ctx: &mut CompileContext,
    path: &DocPath,
    id: RouteId,
    written: &raw::route::Route,
    matched: Option<&Match>,
    raw: &raw::Config,
) -> Option<Action> {
    if let Some(matched) = matched {
        return route::action(ctx, path, written, matched, raw);
    }
    // A template names parameters of the match, which are not known.
    let rewrite = written.rewrite.as_ref().and_then(|rewrite| rewrite.path.as_ref());
    let redirect = written.redirect.as_ref().and_then(|redirect| redirect.path.as_ref());
    if ![rewrite, redirect].into_iter().flatten().any(|template| template.contains('{')) {
        route::action(ctx, path, written, &Match::any(id), raw);
    }
    None
}

fn warn_of_unused(ctx: &mut CompileContext, raw: &raw::Config) {
    let help = "remove it, or use it in a route";
    let to = raw.routes.iter().filter_map(|route| route.upstream.as_ref()).flat_map(|to| to.upstreams());
    let mirrors = raw.routes.iter().filter_map(|route| route.mirror.as_ref()).map(|mirror| mirror.upstream.as_str());
    let upstreams: HashSet<&str> = to.chain(mirrors).collect();
    for (name, _) in raw.upstreams.0.iter().filter(|(name, _)| !upstreams.contains(name.as_str())) {
        let path = DocPath::root().key("upstreams").key(name);
        ctx.warning(&path, "unused", format!("no route uses the upstream `{name}`"), help);
    }
    let identities: HashSet<&str> = raw
        .routes
        .iter()
        .filter_map(|route| match &route.access {
            Some(Access::Identified(identified)) => Some(identified.identity.0.iter().map(String::as_str)),
            Some(Access::Public | Access::Deny(_)) | None => None,
        })
        .flatten()
        .collect();
    for (name, _) in raw.identities.0.iter().filter(|(name, _)| !identities.contains(name.as_str())) {
        let path = DocPath::root().key("identities").key(name);
        ctx.warning(&path, "unused", format!("no route uses the identity `{name}`"), help);
    }
}

/// Whether `diagnostic` may only exist because the document lacks something that is reported already: it speaks of that
/// place, or of something around or in it.
fn follows(diagnostic: &Diagnostic, lacking: &[String]) -> bool {
    let below = |path: &str, parent: &str| {
        path.strip_prefix(parent).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    lacking.iter().any(|lacking| {
        let around = !diagnostic.path.is_empty() && below(lacking, &diagnostic.path);
        around || below(&diagnostic.path, lacking)
    })
}
