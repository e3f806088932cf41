//! `portcullis run`: serve.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;

use super::check::report;
use super::output::{Printer, Status};
use super::runtime::RuntimeArgs;
use crate::app::launch::{Follow, Launch};
use crate::app::{App, Error};
use crate::config::ConfigSource;
use crate::config::load::SystemEnvironment;
use crate::runtime_folder::Choice;
use crate::telemetry::program_log;

/// How the process is ended, and what its exit codes say.
const ENDING: &str = "\
Signals:
  SIGTERM, SIGINT, SIGQUIT  drain: fail /readyz, close the listeners after `process.drain_notice`, finish what is under
                            way, end as soon as the last request is done. A second one cuts what is left.
  SIGHUP                    read the configuration again
  SIGUSR1                   open the access log again, after it was rotated

Exit codes:
  0   drained, and no request was cut
  69  a port, a certificate or the access log can't be had
  75  requests were cut: `process.drain` was over, or a second signal came
  78  the configuration is wrong";

#[derive(Debug, Args)]
#[command(after_help = ENDING)]
pub struct RunArgs {
    /// A YAML file, or a folder whose *.yaml and *.yml files are merged.
    pub path: String,
    /// Reload when the configuration, or a file that it names, changes.
    #[arg(long)]
    pub watch: bool,
    #[command(flatten)]
    pub runtime: RuntimeArgs,
    /// Follow the gateway of this runtime folder. `portcullis upgrade` asks for it.
    #[arg(long, hide = true)]
    pub take_over: Option<PathBuf>,
    /// The milliseconds within which to be ready for that.
    #[arg(long, hide = true, default_value_t = 60_000)]
    pub take_over_within: u64,
}

impl RunArgs {
    fn launch(&self) -> Launch {
        match &self.take_over {
            Some(folder) => Launch {
                runtime: Some(Choice { path: folder.clone(), named: true }),
                follow: Some(Follow { deadline: Instant::now() + Duration::from_millis(self.take_over_within) }),
            },
            None => Launch { runtime: self.runtime.choice(), follow: None },
        }
    }
}

/// Serves until a signal ends the process. Returns only if it can't start.
pub fn run(args: &RunArgs, printer: &mut Printer) -> Status {
    program_log::init();
    program_log::report_panics();
    let launch = args.launch();
    let source = ConfigSource::new(&args.path, Arc::new(SystemEnvironment));
    let (snapshot, diagnostics) = source.open();
    report(&diagnostics, printer);
    match snapshot {
        Some(snapshot) => match App::start(source, snapshot, launch) {
            Ok(app) => app.watched(args.watch).serve(),
            Err(error) => {
                printer.words(format_args!("portcullis cannot start: {error}"));
                match error {
                    // Trying again changes nothing: the file asks for what this machine or this start does not give.
                    Error::Privileges(_) => Status::Configuration,
                    Error::Start(_)
                    | Error::Assemble { .. }
                    | Error::Stdout(_)
                    | Error::RuntimeFolder(_)
                    | Error::Handover { .. } => Status::Unavailable,
                }
            }
        },
        None => {
            printer.words(format_args!("{}: not served, because of the errors above", args.path));
            Status::Configuration
        }
    }
}
