//! An [`ExplainReport`] as text: a line for each fact, with a label.

use std::fmt::{self, Display, Formatter};

use super::report::{ActionReport, ExplainReport, HeaderEditReport, UpstreamReport, VerdictReport};

impl Display for ExplainReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut line = |label: &str, text: &dyn Display| writeln!(f, "{label:<10} {text}");
        for listener in &self.listeners {
            let (name, place) = (&listener.name, &listener.place);
            match &listener.detail {
                Some(detail) => line("listener", &format_args!("{name}: no connection: {detail} ({place})"))?,
                None => line("listener", &format_args!("{name}: may connect ({place})"))?,
            }
        }
        if let Some(request) = &self.request {
            line("host", &request.host)?;
            line("path", &request.path)?;
            if let Some(query) = &request.query {
                line("query", query)?;
            }
            line("client", &request.client)?;
            match &request.listener {
                Some(listener) => line("scheme", &format_args!("{}, by listener {listener}", request.scheme))?,
                None => line("scheme", &request.scheme)?,
            }
            if let Some(conflict) = &request.conflict {
                line("conflict", conflict)?;
            }
        }
        match &self.route {
            Some(route) => {
                line("route", &format_args!("{} ({})", route.name, route.place))?;
                line("  lane", &route.lane)?;
            }
            None => line("route", &"none")?,
        }
        for passed in &self.passed_over {
            line("  not", &format_args!("{}: {} ({})", passed.name, passed.why, passed.place))?;
        }
        if let Some(addresses) = &self.addresses {
            let report_only = if addresses.report_only { ", reports only" } else { "" };
            match &addresses.detail {
                None => line("addresses", &format_args!("may come in ({})", addresses.place))?,
                Some(detail) => line("addresses", &format_args!("{detail}{report_only} ({})", addresses.place))?,
            }
        }
        if let Some(principal) = &self.principal {
            line("principal", &format_args!("{} of {}", principal.id, principal.identity))?;
        }
        match &self.verdict {
            VerdictReport::Deny { status, cause, detail, help, place } => {
                let place = place.as_ref().map(|place| format!(" ({place})")).unwrap_or_default();
                line("verdict", &format_args!("refuse: {status} {cause}: {detail}{place}"))?;
                line("help", help)?;
            }
            VerdictReport::Allow => line("verdict", &"allow")?,
        }
        for limit in &self.limits {
            let mode = if limit.report_only { ", reports only" } else { "" };
            line("limit", &format_args!("{}: {}, by {}{mode}", limit.name, limit.quota, limit.counted_by))?;
        }
        if let Some(action) = &self.action {
            action_lines(action, &mut line)?;
        }
        if let Some(mirror) = &self.mirror {
            line("mirror", &format_args!("{} of such requests to {}", mirror.share, mirror.upstream))?;
        }
        if let Some(origin) = &self.origin {
            line("  target", &origin.target)?;
            line("  host", &origin.host)?;
            for edit in &origin.headers {
                match edit {
                    HeaderEditReport::Remove(name) => line("  without", name)?,
                    HeaderEditReport::Set(name, value) | HeaderEditReport::Append(name, value) => {
                        line("  with", &format_args!("{name}: {value}"))?;
                    }
                }
            }
        }
        for (name, value) in &self.response_headers {
            line("header", &format_args!("{name}: {value}"))?;
        }
        Ok(())
    }
}

type ReportLine<'a> = dyn FnMut(&str, &dyn Display) -> fmt::Result + 'a;

fn action_lines(action: &ActionReport, line: &mut ReportLine<'_>) -> fmt::Result {
    match action {
        ActionReport::Respond { answer, .. } => line("answer", answer),
        ActionReport::Settled { upstream, split } => {
            line("split", &format_args!("{}: {split}", upstream.name))?;
            upstream_lines(upstream, line)
        }
        ActionReport::ByChance { by_chance } => {
            let shares: Vec<_> =
                by_chance.iter().map(|side| format!("{} {}", side.share, side.upstream.name)).collect();
            line("split", &format_args!("by chance: {}", shares.join(", ")))?;
            by_chance.iter().try_for_each(|side| upstream_lines(&side.upstream, line))
        }
        ActionReport::Forward { upstream } => upstream_lines(upstream, line),
    }
}

fn upstream_lines(upstream: &UpstreamReport, line: &mut ReportLine<'_>) -> fmt::Result {
    line("upstream", &format_args!("{}, {}", upstream.name, upstream.balance))?;
    for endpoint in &upstream.endpoints {
        line("  endpoint", &format_args!("{}, weight {}", endpoint.endpoint, endpoint.weight))?;
    }
    for name in &upstream.services {
        line("  endpoints", &format_args!("as DNS says for the SRV name {name}"))?;
    }
    for file in &upstream.files {
        line("  endpoints", &format_args!("{} of {}", file.endpoints, file.file))?;
    }
    Ok(())
}
