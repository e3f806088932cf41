//! The command line: one command a file, each a function of its arguments and a [`Printer`]. Data goes to standard
//! output, words go to standard error.

pub mod args;
pub mod check;
pub mod client;
pub mod demo;
pub mod diff;
pub mod endpoints;
pub mod explain;
pub mod health;
pub mod keys;
pub mod output;
pub mod reload;
pub mod rollout;
pub mod run;
pub mod runtime;
pub mod schema;
pub mod status;
pub mod upgrade;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};
use output::{Printer, Status};

/// Runs the command that the process was called with.
pub fn run() -> ExitCode {
    let args = Args::parse();
    let mut printer = Printer::standard();
    let status = dispatch(args.command, &mut printer);
    printer.finish(status).into()
}

fn dispatch(command: Command, printer: &mut Printer) -> Status {
    match command {
        Command::Check(args) => check::check(&args, printer),
        Command::Demo(args) => demo::demo(&args, printer),
        Command::DemoOrigin(args) => demo::origin::serve(args, printer),
        Command::Diff(args) => diff::diff(&args, printer),
        Command::Endpoints(args) => endpoints::endpoints(&args, printer),
        Command::Explain(args) => explain::explain(&args, printer),
        Command::Health(args) => health::health(&args, printer),
        Command::Keys(args) => keys::keys(args, printer),
        Command::Reload(args) => reload::reload(&args, printer),
        Command::Rollback(args) => rollout::rollback(&args, printer),
        Command::Rollout(args) => rollout::rollout(&args, printer),
        Command::Run(args) => run::run(&args, printer),
        Command::Schema => schema::schema(printer),
        Command::Status(args) => status::status(&args, printer),
        Command::Upgrade(args) => upgrade::upgrade(&args, printer),
    }
}
