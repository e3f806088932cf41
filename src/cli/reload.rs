//! `portcullis reload`: a running gateway reads its configuration again, and serves it if nothing is wrong with it; with
//! `--canary` to a share of the requests first.

use clap::Args;
use http::Method;

use super::client::{Client, strings};
use super::output::{Printer, Status};
use super::rollout::TrialArgs;
use super::runtime::RuntimeArgs;

#[derive(Debug, Args)]
pub struct ReloadArgs {
    #[command(flatten)]
    pub runtime: RuntimeArgs,
    /// Print the gateway's answer as JSON.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub trial: TrialArgs,
}

/// Ends with what became of the reload: a configuration that is refused changes nothing and is told completely.
pub fn reload(args: &ReloadArgs, printer: &mut Printer) -> Status {
    let reply = match Client::new(&args.runtime).and_then(|client| client.ask(Method::POST, &args.trial.path())) {
        Ok(reply) => reply,
        Err(error) => {
            printer.words(format_args!("portcullis: {error}"));
            return Status::Unavailable;
        }
    };
    if args.json {
        reply.print_json(printer);
        return reply.ends();
    }
    reply.print_words(printer);
    let status = reply.ends();
    if status != Status::Success {
        printer.words("not reloaded: the gateway goes on with what it had");
        return status;
    }
    for change in strings(&reply.body["changes"]) {
        printer.data(format_args!("{change}\n"));
    }
    if args.trial.canary.is_some() {
        return args.trial.follow(&args.runtime, &reply, printer);
    }
    match reply.body["generation"].as_u64() {
        Some(generation) => printer.words(format_args!("reloaded: generation {generation} serves")),
        None => printer.words("reloaded"),
    }
    status
}
