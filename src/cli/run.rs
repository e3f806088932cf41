//! `portcullis run`: serve.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;

use super::check::report;
use super::output::{ExitStatus, Printer};
use super::runtime::RuntimeArgs;
use crate::app::launch::{Launch, TakeoverRequest};
use crate::app::{App, AppError};
use crate::config::ConfigSource;
use crate::config::load::SystemEnvironment;
use crate::runtime_folder::RuntimeFolderChoice;
use crate::telemetry::program_log;

/// How the process is ended, and what its exit codes mean.
const ENDING: &str = "\
Signals:
  SIGTERM, SIGINT, SIGQUIT  drain: fail /readyz, close the listeners after `process.drain_notice`, finish the requests in
                            progress, end as soon as the last one is done. A second signal cuts what is left.
  SIGHUP                    read the configuration again
  SIGUSR1                   open the access log again, after it was rotated; while that fails, it is tried again

Exit codes:
  0   drained, and no request was cut
  69  a port, a certificate or the access log can't be used
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
    /// Take over from the gateway of this runtime folder. `portcullis upgrade` passes it.
    #[arg(long, hide = true)]
    pub take_over: Option<PathBuf>,
    /// How long it may take to become ready for that, in milliseconds.
    #[arg(long, hide = true, default_value_t = 60_000)]
    pub take_over_within: u64,
    /// Serve for that as no root.
    #[arg(long, hide = true)]
    pub take_over_as_no_root: bool,
}

impl RunArgs {
    fn launch(&self) -> Launch {
        match &self.take_over {
            Some(folder) => Launch {
                runtime: Some(RuntimeFolderChoice { path: folder.clone(), named: true }),
                takeover: Some(TakeoverRequest {
                    deadline: Instant::now() + Duration::from_millis(self.take_over_within),
                    may_stay_root: !self.take_over_as_no_root,
                }),
            },
            None => Launch { runtime: self.runtime.choice(), takeover: None },
        }
    }
}

/// Serves until a signal ends the process. Returns only if it can't start.
pub fn run(args: &RunArgs, printer: &mut Printer) -> ExitStatus {
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
                printer.message(format_args!("portcullis cannot start: {error}"));
                match error {
                    // A retry changes nothing: this machine does not have the user or the sandbox, or the process is not root.
                    AppError::Privileges(_) | AppError::Sandbox(_) => ExitStatus::Configuration,
                    AppError::Start(_)
                    | AppError::StaysRoot
                    | AppError::Assemble { .. }
                    | AppError::Stdout(_)
                    | AppError::RuntimeFolder(_)
                    | AppError::Handover { .. } => ExitStatus::Unavailable,
                }
            }
        },
        None => {
            printer.message(format_args!("{}: not served, because of the errors above", args.path));
            ExitStatus::Configuration
        }
    }
}
