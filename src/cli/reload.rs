//! `portcullis reload`: a running gateway reads its configuration again, and serves it if it compiles; with `--canary` to a
//! share of the requests first.

use clap::Args;

use super::client::execute;
use super::output::{ExitStatus, Printer};
use super::rollout::CanaryArgs;
use super::runtime::RuntimeArgs;
use crate::admin::api::ReloadResult;
use crate::admin::command::AdminCommand;

#[derive(Debug, Args)]
pub struct ReloadArgs {
    #[command(flatten)]
    pub runtime: RuntimeArgs,
    /// Print the gateway's answer as JSON.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub canary: CanaryArgs,
}

/// Ends with the result of the reload: a configuration that is refused changes nothing, and all its errors are printed.
pub fn reload(args: &ReloadArgs, printer: &mut Printer) -> ExitStatus {
    let command = AdminCommand::Reload(args.canary.terms());
    let reply = match execute::<ReloadResult>(&args.runtime, &command, printer) {
        Ok(reply) => reply,
        Err(status) => return status,
    };
    if args.json {
        reply.print_json(printer);
        return reply.exit_status();
    }
    reply.print_error(printer);
    let Ok(result) = &reply.result else {
        printer.message("not reloaded: the configuration in force stays as it is");
        return reply.exit_status();
    };
    for diagnostic in &result.diagnostics {
        printer.message(diagnostic);
    }
    for change in &result.changes {
        printer.data(format_args!("{change}\n"));
    }
    if result.rollout.is_some() {
        return args.canary.follow(&args.runtime, result.generation, printer);
    }
    printer.message(format_args!("reloaded: generation {} serves", result.generation));
    reply.exit_status()
}
