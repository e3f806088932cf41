//! `portcullis endpoints`: lists the endpoints of a running gateway, and takes one out of service or back into it.

use std::fmt::Write;

use clap::{Args, ValueEnum};

use super::client::{ControlReply, execute};
use super::output::{ExitStatus, Printer};
use super::runtime::RuntimeArgs;
use super::status::lines;
use crate::admin::api::{EndpointResult, EndpointStatus, UpstreamList};
use crate::admin::command::AdminCommand;

#[derive(Debug, Args)]
pub struct EndpointsArgs {
    /// Only those of this upstream.
    pub upstream: Option<String>,
    /// The name or address of one endpoint, as in the list.
    #[arg(requires = "action")]
    pub endpoint: Option<String>,
    /// What to do with it.
    #[arg(value_enum)]
    pub action: Option<EndpointAction>,
    #[command(flatten)]
    pub runtime: RuntimeArgs,
    /// Print the gateway's answer as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EndpointAction {
    /// It gets no new requests.
    Drain,
    /// It gets requests again.
    Restore,
}

pub fn endpoints(args: &EndpointsArgs, printer: &mut Printer) -> ExitStatus {
    match (&args.upstream, &args.endpoint, args.action) {
        (Some(upstream), Some(endpoint), Some(action)) => {
            let (upstream, endpoint) = (upstream.clone(), endpoint.clone());
            let draining = action == EndpointAction::Drain;
            change(args, &AdminCommand::Endpoint { upstream, endpoint, draining }, printer)
        }
        _ => list(args, printer),
    }
}

fn change(args: &EndpointsArgs, command: &AdminCommand, printer: &mut Printer) -> ExitStatus {
    let reply = match execute::<EndpointResult>(&args.runtime, command, printer) {
        Ok(reply) => reply,
        Err(status) => return status,
    };
    if args.json {
        reply.print_json(printer);
    } else {
        reply.print_error(printer);
        if reply.result.is_ok() {
            printer.data(lines(&reply.body, 0));
        }
    }
    reply.exit_status()
}

fn list(args: &EndpointsArgs, printer: &mut Printer) -> ExitStatus {
    let mut reply = match execute::<UpstreamList>(&args.runtime, &AdminCommand::Upstreams, printer) {
        Ok(reply) => reply,
        Err(status) => return status,
    };
    if let Some(upstream) = &args.upstream
        && reply.result.is_ok()
        && !keep_only(&mut reply, upstream)
    {
        printer.message(format_args!("portcullis: there is no upstream `{upstream}`"));
        return ExitStatus::Failure;
    }
    if args.json {
        reply.print_json(printer);
        return reply.exit_status();
    }
    reply.print_error(printer);
    if let Ok(list) = &reply.result {
        printer.data(table(list));
    }
    reply.exit_status()
}

/// Removes all upstreams but `upstream` from the list. `false`: it is not there.
fn keep_only(reply: &mut ControlReply<UpstreamList>, upstream: &str) -> bool {
    if let Some(upstreams) = reply.body["upstreams"].as_array_mut() {
        upstreams.retain(|each| each["name"] == upstream);
    }
    let Ok(list) = &mut reply.result else { return false };
    list.upstreams.retain(|each| each.name == upstream);
    !list.upstreams.is_empty()
}

/// A line for each endpoint, with its upstream.
fn table(list: &UpstreamList) -> String {
    let mut text = String::new();
    for upstream in &list.upstreams {
        for endpoint in &upstream.endpoints {
            let _ = writeln!(text, "{} {}", upstream.name, row(endpoint));
        }
    }
    // The text may be from elsewhere: control characters must not reach the terminal.
    text.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}")
}

fn row(endpoint: &EndpointStatus) -> String {
    let EndpointStatus {
        endpoint,
        address,
        zone,
        priority,
        weight,
        state,
        healthy,
        draining,
        ejected_for,
        share,
        requests,
    } = endpoint;
    let zone = zone.as_deref().unwrap_or("-");
    let ejected_for = ejected_for.map_or("-".to_owned(), |seconds| format!("{seconds:?}"));
    format!(
        "{endpoint} address={address} zone={zone} priority={priority} weight={weight} state={state} healthy={healthy} \
         draining={draining} ejected_for={ejected_for} share={share:?} requests={requests}"
    )
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use serde_json::json;

    use super::*;
    use crate::admin::api::UpstreamStatus;

    fn endpoint(name: &str) -> EndpointStatus {
        EndpointStatus {
            endpoint: name.to_owned(),
            address: "192.0.2.1:80".to_owned(),
            zone: None,
            priority: 0,
            weight: 1,
            state: "healthy".to_owned(),
            healthy: true,
            draining: false,
            ejected_for: None,
            share: 1.0,
            requests: 3,
        }
    }

    #[test]
    fn each_endpoint_has_a_line_with_its_upstream() {
        let upstream = |name: &str, endpoints| UpstreamStatus { name: name.to_owned(), endpoints };
        let list = UpstreamList {
            upstreams: vec![
                upstream(
                    "a",
                    vec![endpoint("h:1"), EndpointStatus { ejected_for: Some(2.5), ..endpoint("h:2\u{1b}") }],
                ),
                upstream("b", vec![endpoint("h:3")]),
            ],
        };
        let rest = "address=192.0.2.1:80 zone=- priority=0 weight=1 state=healthy healthy=true draining=false";
        assert_eq!(
            table(&list),
            format!(
                "a h:1 {rest} ejected_for=- share=1.0 requests=3\n\
                 a h:2\u{fffd} {rest} ejected_for=2.5 share=1.0 requests=3\n\
                 b h:3 {rest} ejected_for=- share=1.0 requests=3\n"
            )
        );
        let body = json!({ "upstreams": [{ "name": "a" }, { "name": "b", "later": 1 }] });
        let mut reply = ControlReply { status: StatusCode::OK, body, result: Ok(list) };
        assert!(keep_only(&mut reply, "b"));
        assert_eq!(reply.body, json!({ "upstreams": [{ "name": "b", "later": 1 }] }));
        assert_eq!(reply.result.as_ref().unwrap().upstreams.len(), 1);
        assert!(!keep_only(&mut reply, "a"));
    }
}
