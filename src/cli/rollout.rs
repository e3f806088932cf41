//! `portcullis rollout` and `portcullis rollback`, and the roll-out that `portcullis reload --canary` begins.

use std::thread;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::de::DeserializeOwned;

use super::client::{ControlReply, execute};
use super::output::{ExitStatus, Printer};
use super::runtime::RuntimeArgs;
use crate::admin::api::{ConfigOrigin, GatewayStatus, RollbackResult, RolloutResult};
use crate::admin::command::{AdminCommand, parse_canary, parse_duration, parse_factor, parse_share};
use crate::decision::rollout::Terms;

/// The terms of a roll-out.
#[derive(Debug, Args)]
pub struct CanaryArgs {
    /// Serve it to this share of the requests first, such as 5%, and keep or revert it by their results.
    #[arg(long, value_name = "SHARE", value_parser = parse_canary)]
    pub canary: Option<f64>,
    /// How long the roll-out takes [default: 60s].
    #[arg(long = "for", value_name = "TIME", requires = "canary", value_parser = parse_duration)]
    pub time: Option<Duration>,
    /// How many requests it must have served by then [default: 100].
    #[arg(long, value_name = "COUNT", requires = "canary")]
    pub min_requests: Option<u64>,
    /// By how much its share of errors may exceed the old one's [default: 1%].
    #[arg(long, value_name = "SHARE", requires = "canary", value_parser = parse_share)]
    pub max_errors: Option<f64>,
    /// The same for requests that a rule refuses [default: 5%].
    #[arg(long, value_name = "SHARE", requires = "canary", value_parser = parse_share)]
    pub max_refusals: Option<f64>,
    /// How many times the old one's 95th percentile its own may be [default: 1.5].
    #[arg(long, value_name = "TIMES", requires = "canary", value_parser = parse_factor)]
    pub max_latency: Option<f64>,
    /// Wait until it is kept (exit code 0) or reverted (1).
    #[arg(long, requires = "canary")]
    pub wait: bool,
}

/// The time between two requests for the status.
const INTERVAL: Duration = Duration::from_millis(200);

impl CanaryArgs {
    /// The terms; `None` without `--canary`.
    pub fn terms(&self) -> Option<Terms> {
        let usual = Terms::default();
        Some(Terms {
            share: self.canary?,
            duration: self.time.unwrap_or(usual.duration),
            min_requests: self.min_requests.unwrap_or(usual.min_requests),
            max_errors: self.max_errors.unwrap_or(usual.max_errors),
            max_refusals: self.max_refusals.unwrap_or(usual.max_refusals),
            max_latency: self.max_latency.unwrap_or(usual.max_latency),
        })
    }

    /// Reports that the canary of `generation` serves; with `--wait`, also how its roll-out ends.
    pub fn follow(&self, runtime: &RuntimeArgs, generation: u64, printer: &mut Printer) -> ExitStatus {
        printer.message(format_args!("generation {generation} is the canary; `portcullis status` shows its results"));
        if !self.wait {
            return ExitStatus::Success;
        }
        printer.flush();
        loop {
            thread::park_timeout(INTERVAL);
            let status = match execute::<GatewayStatus>(runtime, &AdminCommand::Status, printer) {
                Ok(ControlReply { result: Ok(status), .. }) => status,
                Ok(reply) => {
                    reply.print_error(printer);
                    return reply.exit_status();
                }
                Err(status) => return status,
            };
            match end_of(generation, &status) {
                RolloutEnding::Running => {}
                RolloutEnding::Kept(generation) => {
                    printer.message(format_args!("kept: generation {generation} serves"));
                    return ExitStatus::Success;
                }
                RolloutEnding::Reverted(why) => {
                    let why = why.unwrap_or("the gateway does not know the reason any more");
                    printer.message(format_args!("generation {generation} is reverted: {why}"));
                    return ExitStatus::Failure;
                }
            }
        }
    }
}

/// How a roll-out ended.
#[derive(Debug, PartialEq, Eq)]
enum RolloutEnding<'a> {
    Running,
    /// As this generation.
    Kept(u64),
    /// And why, if the gateway says it.
    Reverted(Option<&'a str>),
}

/// How the roll-out of the canary `generation` ended, by the status of the gateway.
fn end_of(generation: u64, status: &GatewayStatus) -> RolloutEnding<'_> {
    let configuration = &status.configuration;
    if configuration.rollout.as_ref().is_some_and(|rollout| rollout.generation == generation) {
        return RolloutEnding::Running;
    }
    let mut history = configuration.history.iter();
    if let Some(kept) =
        history.clone().find(|entry| entry.origin == Some(ConfigOrigin::Canary) && entry.from == Some(generation))
    {
        return RolloutEnding::Kept(kept.generation);
    }
    let reverted = history.find(|entry| entry.generation == generation && entry.reverted.is_some());
    RolloutEnding::Reverted(reverted.and_then(|entry| entry.reverted.as_deref()))
}

#[derive(Debug, Args)]
pub struct RolloutArgs {
    #[arg(value_enum)]
    pub action: RolloutAction,
    #[command(flatten)]
    pub runtime: RuntimeArgs,
}

/// How to end a roll-out before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RolloutAction {
    /// Serve the canary to all requests.
    Keep,
    /// Serve the canary to no request any more.
    Revert,
}

#[derive(Debug, Args)]
pub struct RollbackArgs {
    /// The generation to serve again, as `portcullis status` lists them. Default: the one before the one in force.
    #[arg(long, value_name = "GENERATION")]
    pub to: Option<u64>,
    #[command(flatten)]
    pub runtime: RuntimeArgs,
}

/// Ends the roll-out of a configuration.
pub fn rollout(args: &RolloutArgs, printer: &mut Printer) -> ExitStatus {
    let command = AdminCommand::EndRollout { keep: args.action == RolloutAction::Keep };
    change(&args.runtime, &command, printer, |result: &RolloutResult| result.generation)
}

/// Serves a configuration again that was in force before.
pub fn rollback(args: &RollbackArgs, printer: &mut Printer) -> ExitStatus {
    let command = AdminCommand::RollBack(args.to);
    change(&args.runtime, &command, printer, |result: &RollbackResult| result.generation)
}

/// Sends a command that changes the configuration in force, and prints which one it is then.
fn change<T: DeserializeOwned>(
    runtime: &RuntimeArgs,
    command: &AdminCommand,
    printer: &mut Printer,
    generation: impl Fn(&T) -> u64,
) -> ExitStatus {
    let reply = match execute::<T>(runtime, command, printer) {
        Ok(reply) => reply,
        Err(status) => return status,
    };
    reply.print_error(printer);
    if let Ok(result) = &reply.result {
        printer.message(format_args!("generation {} serves", generation(result)));
    }
    reply.exit_status()
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Parser)]
    struct ParsedArgs {
        #[command(flatten)]
        canary: CanaryArgs,
    }

    #[test]
    fn the_terms_are_those_of_the_arguments_and_else_the_usual_ones() {
        let terms = |args: &[&str]| ParsedArgs::try_parse_from(args).map(|parsed| parsed.canary.terms());
        let given =
            terms(&["reload", "--canary", "2.5%", "--for", "90s", "--max-refusals", "0%", "--max-latency", "3"]);
        let usual = Terms::default();
        let expected = Terms {
            share: 0.025,
            duration: Duration::from_secs(90),
            max_refusals: 0.0,
            max_latency: 3.0,
            ..usual.clone()
        };
        assert_eq!(given.unwrap(), Some(expected));
        assert_eq!(terms(&["reload", "--canary", "5%"]).unwrap(), Some(Terms { share: 0.05, ..usual }));
        assert_eq!(terms(&["reload"]).unwrap(), None);
        for wrong in [&["reload", "--canary", "0%"][..], &["reload", "--for", "5s"], &["reload", "--canary", "5"]] {
            assert!(terms(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn how_a_rollout_ended_is_in_the_status() {
        let status = |rollout: serde_json::Value, history: serde_json::Value| -> GatewayStatus {
            serde_json::from_value(json!({
                "version": "1", "pid": 7, "ready": true, "not_ready": [], "notes": {}, "in_flight": 0, "drain": null,
                "configuration": { "path": "f", "generation": 1, "history": history, "rollout": rollout },
                "start": { "arguments": [], "folder": null, "user": 0, "supervised": false },
            }))
            .unwrap()
        };
        let sample = json!({ "requests": 1, "errors": 0, "refusals": 0, "p95_ms": 1.5 });
        let running = json!({ "generation": 2, "share": 0.1, "seconds_left": 9, "old": sample, "new": sample });
        assert_eq!(end_of(2, &status(running, json!([]))), RolloutEnding::Running);
        let kept = json!([{ "generation": 1, "origin": "start" }, { "generation": 3, "origin": "canary", "from": 2 }]);
        assert_eq!(end_of(2, &status(json!(null), kept)), RolloutEnding::Kept(3));
        let reverted = json!([{ "generation": 1, "origin": "start" }, { "generation": 2, "reverted": "slow" }]);
        assert_eq!(end_of(2, &status(json!(null), reverted.clone())), RolloutEnding::Reverted(Some("slow")));
        assert_eq!(end_of(4, &status(json!(null), reverted)), RolloutEnding::Reverted(None));
    }
}
