//! A warning: the parent path of a guarded prefix is open.

use crate::config::compile::CompileContext;
use crate::config::doc_path::DocPath;
use crate::decision::access::AccessRules;
use crate::decision::access::address::{AddressRules, Addresses};
use crate::decision::access::allow::AllowRules;
use crate::decision::limit::Limit;
use crate::decision::policy::{Action, Route};
use crate::decision::route::{Arrival, Match, PathPattern, Table};

/// Warns of guarded paths such as `/admin/*` whose parent, `/admin`, another route forwards that lacks one of the guards: many
/// origins serve the same for both. A guard is an identity, an address rule or a limit. `places` are the routes' places by
/// [`crate::decision::ids::RouteId`], `arrivals` the ways by which requests come.
pub fn warn_of_open_parents(
    ctx: &mut CompileContext,
    table: &Table,
    routes: &[Route],
    limits: &[Limit],
    places: &[DocPath],
    arrivals: &[Arrival],
) {
    for matched in table.matches() {
        let index = matched.route.0 as usize;
        let (Some(route), Some(place)) = (routes.get(index), places.get(index)) else { continue };
        for prefix in matched.paths.iter().filter_map(|path| match path {
            PathPattern::Prefix(prefix) => Some(prefix.as_str()),
            PathPattern::Exact(_) | PathPattern::Parameters(_) | PathPattern::Regex(_) => None,
        }) {
            let Some(parent) = prefix.strip_suffix('/').filter(|parent| !parent.is_empty()) else { continue };
            let takers = takers(table, routes, matched, parent, arrivals);
            let open = takers.into_iter().find_map(|taker| Some((taker, lacking_guard(route, taker, limits)?)));
            if let Some((open, guard)) = open {
                let (name, message) = (&route.name, format!("`{parent}` is taken by the route `{}`", open.name));
                ctx.warning(
                    &place.key("match").key("path"),
                    "prefix_parent_open",
                    format!("{message}, which forwards it without the {guard} of `{name}`, and many origins serve the same for both"),
                    format!("give `{}` the same {guard}, or leave `{parent}` to `{parent}/*`, which takes it too", open.name),
                );
            }
        }
    }
}

/// The routes that forward `path` for requests that are otherwise as `matched` asks.
fn takers<'r>(table: &Table, routes: &'r [Route], matched: &Match, path: &str, arrivals: &[Arrival]) -> Vec<&'r Route> {
    let mut takers: Vec<&Route> = Vec::new();
    for arrival in arrivals.iter().filter(|arrival| matched.admits(arrival)) {
        for sample in matched.samples(path) {
            let taker = sample.find(table, arrival).and_then(|(id, ..)| routes.get(id.0 as usize));
            takers.extend(taker.filter(|taker| {
                matches!(taker.action, Action::Forward { .. }) && !takers.iter().any(|known| known.name == taker.name)
            }));
        }
    }
    takers
}

/// What guards `route` and does not guard `other`, in a word.
fn lacking_guard(route: &Route, other: &Route, limits: &[Limit]) -> Option<&'static str> {
    if asks_less(&route.access, &other.access) {
        return Some("`access`");
    }
    if let Some(rules) = route.addresses.as_deref().filter(|rules| !rules.report_only)
        && !other.addresses.as_deref().is_some_and(|other| !other.report_only && admits_no_more(other, rules))
    {
        return Some("`addresses`");
    }
    let enforced = |route: &Route| {
        let limits = route.limits.iter().map(|id| &limits[id.0 as usize]).filter(|limit| !limit.report_only);
        limits.map(|limit| limit.name.clone()).collect::<Vec<_>>()
    };
    let others = enforced(other);
    enforced(route).iter().any(|name| !others.contains(name)).then_some("`limits`")
}

/// Whether `other` lets somebody in whom `access` does not.
fn asks_less(access: &AccessRules, other: &AccessRules) -> bool {
    let Some(wanted) = access.allow() else { return false };
    let Some(allow) = other.allow() else { return true };
    let known = |name| access.providers().iter().any(|provider| provider.name == name);
    !other.providers().iter().all(|provider| known(provider.name.clone())) || !allows_no_more(allow, wanted)
}

fn allows_no_more(allow: &AllowRules, wanted: &AllowRules) -> bool {
    let AllowRules { scopes, roles, claims, place: _ } = wanted;
    let roles_hold =
        roles.is_empty() || (!allow.roles.is_empty() && allow.roles.iter().all(|role| roles.contains(role)));
    scopes.iter().all(|scope| allow.scopes.contains(scope))
        && roles_hold
        && claims.iter().all(|(name, accepted)| {
            let same = |(other, values): &(String, Vec<String>)| {
                other == name && values.iter().all(|value| accepted.contains(value))
            };
            allow.claims.iter().any(same)
        })
}

/// Whether every address that `rules` refuses is refused by `other` too, as far as that can be told without the lists.
fn admits_no_more(other: &AddressRules, rules: &AddressRules) -> bool {
    let within = |one: &Addresses, wide: &Addresses| {
        one.ranges.is_within(&wide.ranges) && one.lists.iter().all(|list| wide.lists.contains(list))
    };
    let allow = match (&other.allow, &rules.allow) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(other), Some(wanted)) => within(other, wanted),
    };
    allow && within(&rules.deny, &other.deny)
}
