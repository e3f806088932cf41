//! An explanation as text for people, or as JSON for scripts.

use std::fmt::Write;

use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

use super::Connection;
use crate::config::snapshot::{Snapshot, Upstream};
use crate::decision::explain::{AddressVerdict, Explanation, Verdict};
use crate::decision::rewrite::Edit;
use crate::decision::rules::{Action, Route, RouteId, UpstreamId};
use crate::decision::upstream::mirror::Mirror;
use crate::decision::upstream::share::Share;
use crate::decision::upstream::split::{Destination, Outcome};

pub(super) fn text(explanation: &Explanation, snapshot: &Snapshot, connections: &[Connection<'_>]) -> String {
    let mut out = String::new();
    let mut line = |label: &str, text: &str| {
        let _ = writeln!(out, "{label:<10} {text}");
    };
    for Connection { listener, against, place } in connections {
        match against {
            Some(denial) => line("listener", &format!("{listener}: no connection: {} ({place})", denial.detail)),
            None => line("listener", &format!("{listener}: may connect ({place})")),
        }
    }
    if let Some(normal) = &explanation.normal {
        line("host", &normal.host);
        line("path", &normal.path);
        if let Some(query) = &normal.query {
            line("query", query);
        }
        line("client", &normal.client.to_string());
    }
    let rules = &snapshot.rules;
    match explanation.route {
        Some(id) => {
            let route = &rules.routes[id.0 as usize];
            line("route", &format!("{} ({})", route.name, route.place));
        }
        None => line("route", "none"),
    }
    for passed in &explanation.passed_over {
        let route = &rules.routes[passed.route.0 as usize];
        line("  not", &format!("{}: {} ({})", route.name, passed.why, route.place));
    }
    if let Some(AddressVerdict { against, report_only, place }) = &explanation.addresses {
        match (against, report_only) {
            (None, _) => line("addresses", &format!("may come in ({place})")),
            (Some(denial), false) => line("addresses", &format!("{} ({place})", denial.detail)),
            (Some(denial), true) => line("addresses", &format!("{}, reports only ({place})", denial.detail)),
        }
    }
    if let Some(principal) = &explanation.principal {
        line("principal", &format!("{} of {}", principal.id, principal.identity));
    }
    match &explanation.verdict {
        Verdict::Refuse { denial, place } => {
            let (status, code) = (denial.cause.status(), denial.cause.code());
            let place = place.as_ref().map(|place| format!(" ({place})")).unwrap_or_default();
            line("verdict", &format!("refuse: {} {code}: {}{place}", status.as_u16(), denial.detail));
            line("help", denial.cause.help());
        }
        Verdict::Forward { .. } | Verdict::Answer => line("verdict", "allow"),
    }
    for touched in &explanation.limits {
        let limit = &rules.limits[touched.limit.0 as usize];
        let mode = if limit.report_only { ", reports only" } else { "" };
        line("limit", &format!("{}: {}, by {}{mode}", limit.name, limit.quota, touched.counted_by));
    }
    if let Some(answer) = answer(explanation, snapshot) {
        line("answer", &answer);
    }
    if let Verdict::Forward { split: Some(outcome), .. } = &explanation.verdict {
        line("split", &sides(outcome, snapshot));
    }
    for upstream in upstreams(explanation, snapshot) {
        line("upstream", &format!("{}, {}", upstream.name, upstream.balance));
        for endpoint in &upstream.endpoints {
            line("  endpoint", &format!("{endpoint}, weight {}", endpoint.weight));
        }
        for name in &upstream.services {
            line("  endpoints", &format!("as DNS says for the SRV name {name}"));
        }
        for file in &upstream.files {
            line("  endpoints", &format!("{} of {}", file.loaded.len(), file.file));
        }
    }
    if let Some(mirror) = mirror(explanation, snapshot) {
        line("mirror", &format!("{} of such requests to {}", mirror.share, snapshot.upstream(mirror.upstream).name));
    }
    if let Verdict::Forward { target, host, edits, .. } = &explanation.verdict {
        line("  target", target);
        line("  host", host);
        for edit in edits {
            match edit {
                Edit::Remove(name) => line("  without", name.as_str()),
                Edit::Set(name, value) => line("  with", &format!("{name}: {}", shown(value))),
            }
        }
    }
    for (name, value) in &explanation.response_headers {
        line("header", &format!("{name}: {}", shown(value)));
    }
    out
}

pub(super) fn json(explanation: &Explanation, snapshot: &Snapshot, connections: &[Connection<'_>]) -> Value {
    let rules = &snapshot.rules;
    let route = |id: RouteId| {
        let route = &rules.routes[id.0 as usize];
        json!({"name": &*route.name, "place": route.place.to_string()})
    };
    let passed_over = explanation.passed_over.iter().map(|passed| {
        let mut entry = route(passed.route);
        entry["why"] = passed.why.as_str().into();
        entry
    });
    let connections = connections.iter().map(|Connection { listener, against, place }| {
        json!({
            "name": listener,
            "may_connect": against.is_none(),
            "detail": against.as_ref().map(|denial| &denial.detail),
            "place": place.to_string(),
        })
    });
    let addresses = explanation.addresses.as_ref().map(|verdict| {
        json!({
            "may_come_in": verdict.against.is_none(),
            "detail": verdict.against.as_ref().map(|denial| &denial.detail),
            "report_only": verdict.report_only,
            "place": verdict.place.to_string(),
        })
    });
    let limits = explanation.limits.iter().map(|touched| {
        let limit = &rules.limits[touched.limit.0 as usize];
        json!({
            "name": &*limit.name,
            "quota": limit.quota.to_string(),
            "counted_by": touched.counted_by,
            "report_only": limit.report_only,
        })
    });
    let verdict = match &explanation.verdict {
        Verdict::Refuse { denial, place } => json!({
            "decision": "deny",
            "status": denial.cause.status().as_u16(),
            "cause": denial.cause.code(),
            "detail": denial.detail,
            "help": denial.cause.help(),
            "place": place.as_ref().map(ToString::to_string),
        }),
        Verdict::Forward { .. } | Verdict::Answer => json!({"decision": "allow"}),
    };
    let upstream = |upstream: &Upstream| {
        json!({
            "name": &*upstream.name,
            "balance": upstream.balance.to_string(),
            "endpoints": upstream.endpoints.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "services": upstream.services.iter().map(|name| &**name).collect::<Vec<_>>(),
            "files": upstream.files.iter().map(|file| &*file.file).collect::<Vec<_>>(),
        })
    };
    let action = match &explanation.verdict {
        Verdict::Refuse { .. } => Value::Null,
        Verdict::Answer => json!({"answer": answer(explanation, snapshot)}),
        Verdict::Forward { split: Some(Outcome::Settled { upstream: id, why }), .. } => {
            json!({"upstream": upstream(snapshot.upstream(*id)), "split": why})
        }
        Verdict::Forward { split: Some(Outcome::ByChance(shares)), .. } => {
            let side = |(id, share): &(UpstreamId, Share)| json!({"share": share.to_string(), "upstream": upstream(snapshot.upstream(*id))});
            json!({"by_chance": shares.iter().map(side).collect::<Vec<_>>()})
        }
        Verdict::Forward { split: None, .. } => {
            json!({"upstream": upstreams(explanation, snapshot).first().map(|one| upstream(one))})
        }
    };
    let mirror = mirror(explanation, snapshot).map(
        |mirror| json!({"upstream": &*snapshot.upstream(mirror.upstream).name, "share": mirror.share.to_string()}),
    );
    let origin = match &explanation.verdict {
        Verdict::Forward { target, host, edits, .. } => {
            let edits = edits.iter().map(|edit| match edit {
                Edit::Remove(name) => json!({"remove": name.as_str()}),
                Edit::Set(name, value) => json!({"set": [name.as_str(), shown(value)]}),
            });
            json!({"target": target, "host": host, "headers": edits.collect::<Vec<_>>()})
        }
        Verdict::Answer | Verdict::Refuse { .. } => Value::Null,
    };
    json!({
        "request": explanation.normal.as_ref().map(|normal| json!({
            "host": normal.host,
            "path": normal.path,
            "query": normal.query,
            "client": normal.client.to_string(),
            "scheme": normal.scheme.as_str(),
        })),
        "route": explanation.route.map(route),
        "passed_over": passed_over.collect::<Vec<_>>(),
        "listeners": connections.collect::<Vec<_>>(),
        "addresses": addresses,
        "principal": explanation.principal.as_ref().map(|principal| json!({
            "id": principal.id,
            "identity": &*principal.identity,
            "scopes": principal.scopes,
            "roles": principal.roles,
        })),
        "verdict": verdict,
        "limits": limits.collect::<Vec<_>>(),
        "action": action,
        "mirror": mirror,
        "origin": origin,
        "response_headers": headers(&explanation.response_headers),
    })
}

/// The route of an explanation.
fn route<'s>(explanation: &Explanation, snapshot: &'s Snapshot) -> Option<&'s Route> {
    Some(&snapshot.rules.routes[explanation.route?.0 as usize])
}

/// The words for a route's own answer to an admitted request.
fn answer(explanation: &Explanation, snapshot: &Snapshot) -> Option<String> {
    if explanation.verdict != Verdict::Answer {
        return None;
    }
    match &route(explanation, snapshot)?.action {
        Action::Respond(fixed) => Some(format!("{}, {} bytes", fixed.status.as_u16(), fixed.body.len())),
        Action::Redirect(redirect) => Some(format!("{}, a redirect", redirect.status.as_u16())),
        Action::Forward { .. } => None,
    }
}

/// The upstreams that an admitted request may go to.
fn upstreams<'s>(explanation: &Explanation, snapshot: &'s Snapshot) -> Vec<&'s Upstream> {
    let Verdict::Forward { split, .. } = &explanation.verdict else { return Vec::new() };
    let ids = match split {
        Some(Outcome::Settled { upstream, .. }) => vec![*upstream],
        Some(Outcome::ByChance(shares)) => shares.iter().map(|(upstream, _)| *upstream).collect(),
        None => match route(explanation, snapshot).map(|route| &route.action) {
            Some(Action::Forward { to: Destination::One(upstream), .. }) => vec![*upstream],
            _ => Vec::new(),
        },
    };
    ids.into_iter().map(|id| snapshot.upstream(id)).collect()
}

fn sides(outcome: &Outcome, snapshot: &Snapshot) -> String {
    let name = |upstream: &UpstreamId| &*snapshot.upstream(*upstream).name;
    match outcome {
        Outcome::Settled { upstream, why } => format!("{}: {why}", name(upstream)),
        Outcome::ByChance(shares) => {
            let shares: Vec<_> = shares.iter().map(|(upstream, share)| format!("{share} {}", name(upstream))).collect();
            format!("by chance: {}", shares.join(", "))
        }
    }
}

/// The mirror of the route, if it copies such requests.
fn mirror<'s>(explanation: &Explanation, snapshot: &'s Snapshot) -> Option<&'s Mirror> {
    let Verdict::Forward { mirrored: true, .. } = &explanation.verdict else { return None };
    match &route(explanation, snapshot)?.action {
        Action::Forward { mirror, .. } => mirror.as_deref(),
        Action::Respond(_) | Action::Redirect(_) => None,
    }
}

/// As pairs, for a name may come more than once.
fn headers(headers: &HeaderMap) -> Vec<[String; 2]> {
    headers.iter().map(|(name, value)| [name.to_string(), shown(value)]).collect()
}

fn shown(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}
