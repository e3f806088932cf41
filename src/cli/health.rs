//! `portcullis health`: asks a running gateway for its health, for programs that start other programs instead of speaking
//! HTTP: the health check of a container (an image without a shell has no curl either), keepalived, a script.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use clap::Args;
use http::{Method, StatusCode};
use tokio::net::TcpStream;

use super::http::{ExchangeBounds, HttpAnswer, exchange};
use super::output::{ExitStatus, Printer};
use crate::admin::api::ReadinessReport;
use crate::config::raw::units::Span;

/// The answer is a few lines; what sends more is not the gateway.
const MAX_ANSWER_BYTES: usize = 64 << 10;

#[derive(Debug, Args)]
pub struct HealthArgs {
    /// Where the admin listener is (`admin.address`).
    #[arg(long, value_name = "ADDRESS", default_value_t = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9900))]
    pub admin: SocketAddr,
    /// Ask only whether the process answers (`/livez`), instead of whether it should get traffic (`/readyz`).
    #[arg(long)]
    pub live: bool,
    /// How long connecting and the answer may take together.
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = Span::parse)]
    pub timeout: Span,
}

/// Ends with 0 if the gateway is ready (or alive), with 1 if it answers that it is not, with 69 if no gateway answers.
pub fn health(args: &HealthArgs, printer: &mut Printer) -> ExitStatus {
    let path = if args.live { "/livez" } else { "/readyz" };
    let bounds = ExchangeBounds { timeout: args.timeout.0, max_bytes: MAX_ANSWER_BYTES };
    let host = args.admin.to_string();
    let answer = exchange(TcpStream::connect(args.admin), (Method::GET, &host, path), bounds);
    let health = answer.and_then(|answer| {
        let health = if args.live { alive(&answer) } else { ready(&answer) };
        health.ok_or_else(|| io::Error::other("what answers there is no admin listener of Portcullis"))
    });
    match health {
        Ok(GatewayHealth::Good) => {
            printer.data(if args.live { "alive\n" } else { "ready\n" });
            ExitStatus::Success
        }
        Ok(GatewayHealth::NotReady(reasons)) => {
            let reasons = if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join(", ")) };
            printer.message(format_args!("{}{path}: not ready{reasons}", args.admin));
            ExitStatus::Failure
        }
        Err(error) => {
            printer.message(format_args!("{}{path}: {error}", args.admin));
            ExitStatus::Unavailable
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum GatewayHealth {
    Good,
    /// With the reasons, if the listener tells them to this client.
    NotReady(Vec<String>),
}

/// The answer of `/livez`. A public listener may answer any path with 200, so that the body counts too.
fn alive(answer: &HttpAnswer) -> Option<GatewayHealth> {
    (answer.status == StatusCode::OK && answer.body == b"ok\n"[..]).then_some(GatewayHealth::Good)
}

/// The answer of `/readyz`.
fn ready(answer: &HttpAnswer) -> Option<GatewayHealth> {
    let report: ReadinessReport = serde_json::from_slice(&answer.body).ok()?;
    match (answer.status, report.ready) {
        (StatusCode::OK, true) => Some(GatewayHealth::Good),
        (StatusCode::SERVICE_UNAVAILABLE, false) => {
            Some(GatewayHealth::NotReady(report.reasons.unwrap_or_else(|| report.code.into_iter().collect())))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &'static str) -> HttpAnswer {
        HttpAnswer { status: StatusCode::from_u16(status).unwrap(), body: body.into() }
    }

    #[test]
    fn an_answer_tells_why_the_gateway_is_not_ready() {
        let not_ready =
            |reasons: &[&str]| Some(GatewayHealth::NotReady(reasons.iter().map(|&r| r.to_owned()).collect()));
        let reasons = answer(503, "{\"ready\":false,\"reasons\":[\"draining\",\"starting\"]}\n");
        assert_eq!(ready(&reasons), not_ready(&["draining", "starting"]));
        assert_eq!(ready(&answer(503, "{\"ready\":false,\"code\":\"draining\"}\n")), not_ready(&["draining"]));
        assert_eq!(ready(&answer(503, "{\"ready\":false}\n")), not_ready(&[]));
        assert_eq!(ready(&answer(200, "{\"ready\":true,\"reasons\":[]}\n")), Some(GatewayHealth::Good));
    }

    #[test]
    fn the_answers_of_other_programs_tell_nothing() {
        for (status, body) in [(200, "<html>"), (200, "{}"), (404, ""), (200, "{\"ready\":false}"), (404, "ok\n")] {
            let answer = answer(status, body);
            assert_eq!((alive(&answer), ready(&answer)), (None, None), "{status} {body}");
        }
    }
}
