//! The command line: one command a file, each a function of its arguments and a [`Printer`]. Data goes to standard
//! output, messages go to standard error.

pub mod args;
pub mod check;
pub mod client;
pub mod demo;
pub mod diff;
pub mod endpoints;
pub mod explain;
pub mod health;
pub mod http;
pub mod keys;
pub mod output;
pub mod reference;
pub mod reload;
pub mod rollout;
pub mod run;
pub mod runtime;
pub mod schema;
pub mod status;
pub mod upgrade;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, CliCommand};
use output::{ExitStatus, Printer};

use crate::signal_mask;

/// Runs the command that the process was called with.
pub fn run() -> ExitCode {
    // First of all: what a supervisor sends to a gateway that is about to start must not end it.
    signal_mask::block();
    let args = Args::parse();
    if !matches!(args.command, CliCommand::Run(_) | CliCommand::Demo(_)) {
        signal_mask::unblock();
    }
    let mut printer = Printer::standard();
    let status = dispatch(args.command, &mut printer);
    printer.finish(status).into()
}

fn dispatch(command: CliCommand, printer: &mut Printer) -> ExitStatus {
    match command {
        CliCommand::Check(args) => check::check(&args, printer),
        CliCommand::Demo(args) => demo::demo(&args, printer),
        CliCommand::DemoOrigin(args) => demo::origin::serve(args, printer),
        CliCommand::Diff(args) => diff::diff(&args, printer),
        CliCommand::Endpoints(args) => endpoints::endpoints(&args, printer),
        CliCommand::Explain(args) => explain::explain(&args, printer),
        CliCommand::Health(args) => health::health(&args, printer),
        CliCommand::Keys(args) => keys::keys(args, printer),
        CliCommand::Reference => reference::reference(printer),
        CliCommand::Reload(args) => reload::reload(&args, printer),
        CliCommand::Rollback(args) => rollout::rollback(&args, printer),
        CliCommand::Rollout(args) => rollout::rollout(&args, printer),
        CliCommand::Run(args) => run::run(&args, printer),
        CliCommand::Schema => schema::schema(printer),
        CliCommand::Status(args) => status::status(&args, printer),
        CliCommand::Upgrade(args) => upgrade::upgrade(&args, printer),
    }
}
