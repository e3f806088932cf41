//! Active health checks.

use http::uri::{Authority, PathAndQuery};

use crate::config::compile::{CompileContext, numbers};
use crate::config::doc_path::DocPath;
use crate::config::raw;
use crate::config::raw::units::Count;
use crate::config::snapshot::{Health, Probe};
use crate::decision::defaults;

pub(super) fn health(ctx: &mut CompileContext, path: &DocPath, raw: &raw::upstream::Health) -> Health {
    match raw {
        raw::upstream::Health::Tcp(probe) => timed(ctx, &path.key("tcp"), Probe::Tcp, probe),
        raw::upstream::Health::Http(probe) => {
            let path = path.key("http");
            let http = Probe::Http {
                path: target(ctx, &path.key("path"), probe.path.as_deref()),
                host: probe.host.as_deref().and_then(|name| host(ctx, &path.key("host"), name)),
                expected: expected(ctx, &path.key("expected_status"), probe.expected_status.as_deref()),
            };
            let times = raw::upstream::Probe {
                interval: probe.interval,
                timeout: probe.timeout,
                healthy_after: probe.healthy_after,
                unhealthy_after: probe.unhealthy_after,
            };
            timed(ctx, &path, http, &times)
        }
    }
}

/// Adds the settings that every kind of probe has.
fn timed(ctx: &mut CompileContext, path: &DocPath, probe: Probe, raw: &raw::upstream::Probe) -> Health {
    let mut after = |name, written, default| numbers::count(ctx, &path.key(name), written, 1..=1000, default);
    let healthy_after = after("healthy_after", raw.healthy_after, defaults::HEALTHY_AFTER);
    let unhealthy_after = after("unhealthy_after", raw.unhealthy_after, defaults::UNHEALTHY_AFTER);
    let interval = numbers::span(ctx, &path.key("interval"), raw.interval, defaults::PROBE_INTERVAL);
    let timeout = match raw.timeout {
        // A short interval shortens the default, which nobody wrote.
        None => defaults::PROBE_TIMEOUT.min(interval),
        written => numbers::span(ctx, &path.key("timeout"), written, defaults::PROBE_TIMEOUT),
    };
    if timeout > interval {
        ctx.warning(
            &path.key("timeout"),
            "probe_timeout_exceeds_interval",
            "a probe may take longer than the interval, so that probes come later than written",
            "make `timeout` at most `interval`",
        );
    }
    Health { probe, interval, timeout, healthy_after, unhealthy_after }
}

fn target(ctx: &mut CompileContext, path: &DocPath, written: Option<&str>) -> String {
    let written = written.unwrap_or("/");
    let valid = written.starts_with('/') && !written.contains('#') && PathAndQuery::try_from(written).is_ok();
    if !valid {
        ctx.error_with_help(
            path,
            "invalid_path",
            format!("`{written}` is not a path that can be asked for"),
            "begin it with `/`, such as `/healthz`, and percent-encode what is not plain",
        );
    }
    written.to_owned()
}

fn host(ctx: &mut CompileContext, path: &DocPath, written: &str) -> Option<String> {
    match Authority::try_from(written) {
        Ok(authority) if !authority.host().is_empty() && !written.contains('@') => Some(written.to_owned()),
        _ => {
            ctx.error_with_help(
                path,
                "invalid_host",
                format!("`{written}` is not a value for `Host`"),
                "write a name such as `orders.example.com`, with a port if needed",
            );
            None
        }
    }
}

fn expected(ctx: &mut CompileContext, path: &DocPath, written: Option<&[Count]>) -> Vec<u16> {
    let Some(written) = written else { return vec![200] };
    if written.is_empty() {
        ctx.error_with_help(
            path,
            "statuses_empty",
            "no status is expected, so that every probe would fail",
            "write for example `[200, 204]`",
        );
    }
    let statuses = written.iter().enumerate();
    statuses
        .map(|(index, status)| numbers::count(ctx, &path.index(index), Some(*status), 100..=599, 200) as u16)
        .collect()
}
