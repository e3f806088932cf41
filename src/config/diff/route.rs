//! Routes: who may come in, how much, to where, and what the answers carry.

mod destination;
mod takeover;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::change::{Apply, ConfigChange, Effect, Subject, Weight};
use super::facts::{self, ConfigFacts, any_or, list};
use super::guard::Protection;
use super::{access, bounds, response};
use crate::config::raw::units::{Size, Span};
use crate::config::snapshot::{Snapshot, Upstream};
use crate::decision::limit::{Limit, Quota};
use crate::decision::policy::{Action, Policy, Route};
use crate::decision::response::FixedAnswer;
use crate::decision::rewrite::{self, PathRewrite, Piece, Redirect, RedirectTarget, Template};
use crate::decision::route::{ConnectionMatch, Match, PathPattern, Segment};
use crate::decision::upstream::retry::RouteRetryRules;

/// A route with what belongs to it elsewhere.
struct Whole<'s> {
    rules: &'s Policy,
    upstreams: &'s [Upstream],
    route: &'s Route,
    matched: Option<&'s Match>,
}

/// What differs between the routes, and about answers that no route makes. What changes in the same way on several
/// routes, as an inherited header does, is told once.
pub(super) fn changes(old: &Snapshot, new: &Snapshot) -> Vec<ConfigChange> {
    let (before, after) = (by_name(old), by_name(new));
    let both = after.keys().filter(|name| before.contains_key(*name)).count();
    let subject = |name| Subject::Routes { names: vec![name], every: false };
    let told = [Effect::Match, Effect::Access, Effect::Addresses, Effect::Limit, Effect::Destination];
    let existence = |whole: &Whole<'_>, added| {
        let opens = added && whole.route.access.allow().is_none();
        (if opens { Weight::Weaker } else { Weight::Changed }, Apply::Live)
    };
    let changes = facts::by_name(&before, &after, subject, facts, &told, existence);

    let mut unrouted = unrouted(&old.rules, &new.rules);
    let mut folded = fold(changes);
    for change in &mut folded {
        let Subject::Routes { names, every } = &mut change.subject else { continue };
        let all = change.effect != Effect::Existence && names.len() == both;
        *every = all && both > 1;
        let same = |other: &ConfigChange| ConfigChange { subject: other.subject.clone(), ..change.clone() } == *other;
        if all && let Some(index) = unrouted.iter().position(same) {
            unrouted.remove(index);
            change.subject = Subject::Answers;
        }
    }
    folded.extend(unrouted);
    folded.extend(takeover::changes(&old.rules, &new.rules));
    folded.extend(order(&old.rules, &new.rules));
    folded
}

/// A change of one route becomes one of every route that it is the same for.
fn fold(changes: Vec<ConfigChange>) -> Vec<ConfigChange> {
    let mut folded: Vec<ConfigChange> = Vec::new();
    let mut known: BTreeMap<ConfigChange, usize> = BTreeMap::new();
    for change in changes {
        // Added routes are worth a line each.
        let nobody = Subject::Routes { names: Vec::new(), every: false };
        let key = ConfigChange { subject: nobody, ..change.clone() };
        let same = known.get(&key).filter(|_| change.effect != Effect::Existence).map(|index| &mut folded[*index]);
        match (same.map(|same| &mut same.subject), &change.subject) {
            (Some(Subject::Routes { names, .. }), Subject::Routes { names: more, .. }) => names.extend_from_slice(more),
            _ => {
                known.insert(key, folded.len());
                folded.push(change);
            }
        }
    }
    folded
}

fn by_name(snapshot: &Snapshot) -> BTreeMap<Arc<str>, Whole<'_>> {
    let (rules, upstreams) = (&snapshot.rules, snapshot.upstreams.as_slice());
    let matches: BTreeMap<_, _> = rules.table.matches().iter().map(|matched| (matched.route.0, matched)).collect();
    let whole = |(index, route): (u32, _)| Whole { rules, upstreams, route, matched: matches.get(&index).copied() };
    (0..).zip(&rules.routes).map(|(index, route)| (route.name.clone(), whole((index, route)))).collect()
}

fn facts(whole: &Whole<'_>) -> ConfigFacts {
    let mut facts = ConfigFacts::default();
    // What other routes or the file may say too stands elsewhere, and where it is written has no effect.
    let Route { name: _, place: _, addresses, access, limits, action, response, bounds, retries, answers_half_closed } =
        whole.route;
    if let Some(matched) = whole.matched {
        matches(matched, &mut facts);
    }
    access::access(access, &mut facts);
    if let Some(rules) = addresses {
        access::addresses(rules, &mut facts);
    }
    for id in limits.iter() {
        limit(&whole.rules.limits[id.0 as usize], &mut facts);
    }
    destination(action, whole, &mut facts);
    response::facts(response, &mut facts);
    bounds::of_route(bounds, &mut facts);
    if let Some(retries) = retries {
        self::retries(retries, &mut facts);
    }
    if *answers_half_closed {
        facts.tell(Effect::Setting, "half_close", "answer");
    }
    facts
}

fn retries(rules: &RouteRetryRules, facts: &mut ConfigFacts) {
    let RouteRetryRules { attempts, on, backoff, try_timeout, methods, vouched } = rules;
    if let Some(attempts) = attempts {
        facts.tell(Effect::Setting, "retries: attempts", attempts);
    }
    if let Some(on) = on {
        facts.tell(Effect::Setting, "retries: on", on);
    }
    if let Some(backoff) = backoff {
        facts.tell(Effect::Setting, "retries: backoff", backoff);
    }
    if let Some(limit) = try_timeout {
        facts.tell(Effect::Setting, "retries: try_timeout", Span(*limit));
    }
    if let Some(methods) = methods {
        facts.tell(Effect::Setting, "retries: methods", any_or(methods));
    }
    facts.tell(Effect::Setting, "retries: unsafe", vouched);
}

fn matches(matched: &Match, facts: &mut ConfigFacts) {
    let Match { route: _, connection, hosts, paths, methods, headers, query, encoded_separators, merge_slashes } =
        matched;
    let ConnectionMatch { listeners, scheme, tls } = connection;
    if !listeners.is_empty() {
        facts.tell(Effect::Match, "listener", list(listeners));
    }
    if let Some(scheme) = scheme {
        facts.tell(Effect::Match, "scheme", scheme.as_str());
    }
    if let Some(tls) = tls {
        facts.tell(Effect::Match, "tls", tls);
    }
    facts.tell(Effect::Match, "host", any_or(hosts));
    facts.tell(Effect::Match, "path", any_or(paths));
    facts.tell(Effect::Match, "method", any_or(methods));
    for (name, condition) in headers {
        facts.tell(Effect::Match, format!("header {name}"), condition);
    }
    for (name, condition) in query {
        facts.tell(Effect::Match, format!("query {name}"), condition);
    }
    facts.tell(Effect::Match, "encoded_separators", encoded_separators);
    if !merge_slashes {
        facts.tell(Effect::Match, "merge_slashes", false);
    }
}

fn limit(limit: &Limit, facts: &mut ConfigFacts) {
    let Limit { name, scope, key: _, phase: _, quota, report_only, policy: _ } = limit;
    let own = if scope == name { "" } else { ", counted for this route alone" };
    let guard = match quota {
        _ if *report_only => Protection::Off,
        Quota::Rate(rate) => Protection::All(vec![
            Protection::AtLeast(rate.interval_nanos.into()),
            Protection::AtMost(rate.burst.into()),
        ]),
        Quota::Concurrent(max) => Protection::AtMost((*max).into()),
    };
    facts.tell(Effect::Limit, &**name, format!("{limit}{own}")).guard(guard);
}

fn destination(action: &Action, whole: &Whole<'_>, facts: &mut ConfigFacts) {
    let parameters = whole.matched.map(parameters).unwrap_or_default();
    match action {
        Action::Forward { to, rewrite, mirror } => {
            self::destination::forward(to, mirror.as_deref(), whole.upstreams, facts);
            let rewrite::RewriteRules { path, host } = rewrite;
            if let Some(path) = path {
                facts.tell(Effect::Destination, "path for the origin", path_rewrite(path, &parameters));
            }
            if let Some(host) = host {
                facts.tell(Effect::Destination, "host for the origin", host);
            }
        }
        Action::Respond(FixedAnswer { status, content_type, body }) => {
            let content_type = String::from_utf8_lossy(content_type.as_bytes());
            let words = format!("answer {}, {} of {content_type}", status.as_u16(), Size(body.len() as u64));
            facts.tell(Effect::Destination, "destination", words).seal([body]);
        }
        Action::Redirect(Redirect { status, target }) => {
            let words = format!("redirect {} to {}", status.as_u16(), redirect(target, &parameters));
            facts.tell(Effect::Destination, "destination", words);
        }
        Action::Nothing => {}
    }
}

/// The names of the path's parameters, by which templates show them.
fn parameters(matched: &Match) -> Vec<&str> {
    let segments = matched.paths.iter().find_map(|path| match path {
        PathPattern::Parameters(segments) => Some(segments),
        _ => None,
    });
    let names = segments.into_iter().flatten().filter_map(|segment| match segment {
        Segment::Parameter(name) => Some(name.as_str()),
        Segment::Literal(_) => None,
    });
    names.collect()
}

fn path_rewrite(rewrite: &PathRewrite, parameters: &[&str]) -> String {
    match rewrite {
        PathRewrite::Prefix { strip, add } => format!("{add}/* instead of {strip}/*"),
        PathRewrite::Template(text) => template(text, parameters),
    }
}

fn template(Template(pieces): &Template, parameters: &[&str]) -> String {
    let piece = |piece: &Piece| match piece {
        Piece::Literal(text) => text.clone(),
        Piece::Parameter(index) => match parameters.get(*index) {
            Some(name) => format!("{{{name}}}"),
            None => format!("{{{index}}}"),
        },
    };
    pieces.iter().map(piece).collect()
}

fn redirect(target: &RedirectTarget, parameters: &[&str]) -> String {
    let (scheme, host, path, keep_query) = match target {
        RedirectTarget::Fixed(location) => return String::from_utf8_lossy(location.as_bytes()).into_owned(),
        RedirectTarget::Parts { scheme, host, path, keep_query } => (scheme, host, path, keep_query),
    };
    let parts = [
        scheme.map(|scheme| format!("scheme {}", scheme.as_str())),
        host.as_ref().map(|host| format!("host {host}")),
        path.as_ref().map(|path| format!("path {}", template(path, parameters))),
        (!keep_query).then(|| "no query".to_owned()),
    ];
    list(&parts.into_iter().flatten().collect::<Vec<_>>())
}

fn unrouted(old: &Policy, new: &Policy) -> Vec<ConfigChange> {
    let facts = |rules: &Policy| {
        let mut facts = ConfigFacts::default();
        response::facts(&rules.response, &mut facts);
        facts
    };
    facts::compare(&Subject::Unrouted, facts(old), facts(new))
}

/// Among routes whose paths are regular expressions the earlier goes first; the order of others does not matter.
fn order(old: &Policy, new: &Policy) -> Option<ConfigChange> {
    let in_order = |rules: &Policy| -> Vec<Arc<str>> {
        let by_regex = |matched: &&Match| matched.paths.iter().any(|path| matches!(path, PathPattern::Regex(_)));
        let name = |matched: &Match| rules.routes.get(matched.route.0 as usize).map(|route| route.name.clone());
        rules.table.matches().iter().filter(by_regex).filter_map(name).collect()
    };
    let (mut before, mut after) = (in_order(old), in_order(new));
    before.retain(|name| after.contains(name));
    after.retain(|name| before.contains(name));
    if before == after {
        return None;
    }
    let (subject, effect, name) =
        (Subject::Routes { names: after.clone(), every: false }, Effect::Match, "order".into());
    let (before, after) = (Some(list(&before)), Some(list(&after)));
    Some(ConfigChange { weight: Weight::Changed, effect, subject, name, before, after, apply: Apply::Live })
}
