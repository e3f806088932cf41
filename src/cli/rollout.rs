//! `portcullis rollout` and `portcullis rollback`, and the trial that `portcullis reload --canary` begins.

use std::sync::mpsc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::client::{Client, Reply};
use super::output::{Printer, Status};
use super::runtime::RuntimeArgs;

/// On which terms a configuration is tried.
#[derive(Debug, Args)]
pub struct TrialArgs {
    /// Serve it to this share of the requests first, such as 5%, and keep it or take it back by what they show.
    #[arg(long, value_name = "SHARE")]
    pub canary: Option<String>,
    /// How long it is tried [default: 60s].
    #[arg(long = "for", value_name = "TIME", requires = "canary")]
    pub time: Option<String>,
    /// How many requests it must have served by then [default: 100].
    #[arg(long, value_name = "COUNT", requires = "canary")]
    pub min_requests: Option<u64>,
    /// By how much its share of errors may exceed the old one's [default: 1%].
    #[arg(long, value_name = "SHARE", requires = "canary")]
    pub max_errors: Option<String>,
    /// The same for requests that a rule refuses [default: 5%].
    #[arg(long, value_name = "SHARE", requires = "canary")]
    pub max_refusals: Option<String>,
    /// How many times the old one's 95th percentile its own may be [default: 1.5].
    #[arg(long, value_name = "TIMES", requires = "canary")]
    pub max_latency: Option<String>,
    /// Wait until it is kept (exit code 0) or taken back (1).
    #[arg(long, requires = "canary")]
    pub wait: bool,
}

/// Between two looks at a trial.
const LOOK: Duration = Duration::from_millis(200);

impl TrialArgs {
    /// The request that asks for it; a plain reload without `--canary`.
    pub fn path(&self) -> String {
        let min_requests = self.min_requests.map(|count| count.to_string());
        let terms = [
            ("canary", &self.canary),
            ("for", &self.time),
            ("min_requests", &min_requests),
            ("max_errors", &self.max_errors),
            ("max_refusals", &self.max_refusals),
            ("max_latency", &self.max_latency),
        ];
        let pair = |(name, value): (&str, &Option<String>)| {
            let value = utf8_percent_encode(value.as_deref()?, NON_ALPHANUMERIC).to_string();
            Some(format!("{name}={}", value.replace("%2E", ".")))
        };
        let query: Vec<String> = terms.into_iter().filter_map(pair).collect();
        if query.is_empty() { "/reload".to_owned() } else { format!("/reload?{}", query.join("&")) }
    }

    /// Says that the trial began, and what becomes of it if that is waited for.
    pub fn follow(&self, runtime: &RuntimeArgs, begun: &Reply, printer: &mut Printer) -> Status {
        let generation = begun.body["generation"].as_u64().unwrap_or_default();
        printer.words(format_args!("generation {generation} is tried; `portcullis status` shows how it does"));
        if !self.wait {
            return Status::Success;
        }
        printer.flush();
        // Nobody sends anything: this only waits.
        let (_held, never) = mpsc::channel::<()>();
        loop {
            let _ = never.recv_timeout(LOOK);
            let status = match Client::new(runtime).and_then(|client| client.ask(Method::GET, "/status")) {
                Ok(status) => status.body["configuration"].clone(),
                Err(error) => {
                    printer.words(format_args!("portcullis: {error}"));
                    return Status::Unavailable;
                }
            };
            if status["rollout"]["generation"] == generation {
                continue;
            }
            let history: Vec<_> = status["history"].as_array().into_iter().flatten().collect();
            if let Some(entry) =
                history.iter().find(|entry| entry["how"] == format!("tried as generation {generation}"))
            {
                printer.words(format_args!("kept: generation {} serves", entry["generation"]));
                return Status::Success;
            }
            let reverted =
                history.iter().find(|entry| entry["generation"] == generation && entry["reverted"].is_string());
            let why = reverted.and_then(|entry| entry["reverted"].as_str()).unwrap_or("nobody knows any more why");
            printer.words(format_args!("generation {generation} is taken back: {why}"));
            return Status::Failure;
        }
    }
}

#[derive(Debug, Args)]
pub struct RolloutArgs {
    #[arg(value_enum)]
    pub end: End,
    #[command(flatten)]
    pub runtime: RuntimeArgs,
}

/// How a trial ends before its time.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum End {
    /// Serve the configuration that is being tried to everyone.
    Keep,
    /// Serve it to nobody any more.
    Revert,
}

#[derive(Debug, Args)]
pub struct RollbackArgs {
    /// The generation to serve again, as `portcullis status` lists them. Default: the one before that in force.
    #[arg(long, value_name = "GENERATION")]
    pub to: Option<u64>,
    #[command(flatten)]
    pub runtime: RuntimeArgs,
}

/// Ends the trial of a configuration.
pub fn rollout(args: &RolloutArgs, printer: &mut Printer) -> Status {
    let path = match args.end {
        End::Keep => "/rollout/keep",
        End::Revert => "/rollout/revert",
    };
    order(&args.runtime, path, printer)
}

/// Serves a configuration again that was in force before.
pub fn rollback(args: &RollbackArgs, printer: &mut Printer) -> Status {
    let path = args.to.map_or("/rollback".to_owned(), |generation| format!("/rollback?to={generation}"));
    order(&args.runtime, &path, printer)
}

fn order(runtime: &RuntimeArgs, path: &str, printer: &mut Printer) -> Status {
    match Client::new(runtime).and_then(|client| client.ask(Method::POST, path)) {
        Ok(reply) => {
            reply.print_words(printer);
            if reply.status.is_success() {
                printer.words(format_args!("generation {} serves", reply.body["generation"]));
            }
            reply.ends()
        }
        Err(error) => {
            printer.words(format_args!("portcullis: {error}"));
            Status::Unavailable
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::control::Command;

    #[test]
    fn what_is_asked_for_is_what_the_gateway_reads() {
        let trial = TrialArgs {
            canary: Some("2.5%".to_owned()),
            time: Some("90s".to_owned()),
            min_requests: Some(7),
            max_errors: None,
            max_refusals: Some("0%".to_owned()),
            max_latency: Some("3".to_owned()),
            wait: false,
        };
        let (_, command) = Command::named(&trial.path().parse().unwrap()).unwrap();
        let Ok(Command::Reload(Some(terms))) = command else { panic!("{command:?}") };
        assert_eq!((terms.share, terms.min_requests, terms.max_refusals), (0.025, 7, 0.0));
        assert_eq!((terms.duration, terms.max_latency), (Duration::from_secs(90), 3.0));
    }
}
