//! An explanation as text for people, or as JSON for scripts.

use std::fmt::Write;

use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

use super::Connection;
use crate::config::snapshot::{Snapshot, Upstream};
use crate::decision::explain::{AddressVerdict, Explanation, Verdict};
use crate::decision::rewrite::Edit;
use crate::decision::rules::{Action, RouteId};

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
        }
        Verdict::Forward { .. } | Verdict::Answer => line("verdict", "allow"),
    }
    for touched in &explanation.limits {
        let limit = &rules.limits[touched.limit.0 as usize];
        let mode = if limit.report_only { ", reports only" } else { "" };
        line("limit", &format!("{}: {}, by {}{mode}", limit.name, limit.quota, touched.counted_by));
    }
    if let Some((action, upstream)) = action(explanation, snapshot) {
        match upstream {
            None => line("answer", &action),
            Some(upstream) => {
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
        }
    }
    if let Verdict::Forward { target, host, edits } = &explanation.verdict {
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
            "place": place.as_ref().map(ToString::to_string),
        }),
        Verdict::Forward { .. } | Verdict::Answer => json!({"decision": "allow"}),
    };
    let action = action(explanation, snapshot).map(|(action, upstream)| match upstream {
        None => json!({"answer": action}),
        Some(upstream) => json!({"upstream": {
            "name": &*upstream.name,
            "balance": upstream.balance.to_string(),
            "endpoints": upstream.endpoints.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "services": upstream.services.iter().map(|name| &**name).collect::<Vec<_>>(),
            "files": upstream.files.iter().map(|file| &*file.file).collect::<Vec<_>>(),
        }}),
    });
    let origin = match &explanation.verdict {
        Verdict::Forward { target, host, edits } => {
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
        "origin": origin,
        "response_headers": headers(&explanation.response_headers),
    })
}

/// What an admitted request leads to: an upstream, or the words for an answer of the route's own.
fn action<'s>(explanation: &Explanation, snapshot: &'s Snapshot) -> Option<(String, Option<&'s Upstream>)> {
    if matches!(explanation.verdict, Verdict::Refuse { .. }) {
        return None;
    }
    let route = &snapshot.rules.routes[explanation.route?.0 as usize];
    Some(match &route.action {
        Action::Forward { upstream, upstream_name, .. } => {
            (upstream_name.to_string(), Some(snapshot.upstream(*upstream)))
        }
        Action::Respond(fixed) => (format!("{}, {} bytes", fixed.status.as_u16(), fixed.body.len()), None),
        Action::Redirect(redirect) => (format!("{}, a redirect", redirect.status.as_u16()), None),
    })
}

/// As pairs, for a name may come more than once.
fn headers(headers: &HeaderMap) -> Vec<[String; 2]> {
    headers.iter().map(|(name, value)| [name.to_string(), shown(value)]).collect()
}

fn shown(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}
