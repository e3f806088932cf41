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
use crate::config::Source;
use crate::config::load::SystemEnvironment;
use crate::runtime_folder::Choice;
use crate::telemetry::program_log;

#[derive(Debug, Args)]
pub struct RunArgs {
    /// A YAML file, or a folder whose *.yaml and *.yml files are merged.
    pub path: String,
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
    let source = Source { path: args.path.clone(), environment: Arc::new(SystemEnvironment) };
    let (snapshot, diagnostics) = source.open();
    report(&diagnostics, printer);
    match snapshot {
        Some(snapshot) => match App::start(source, snapshot, launch) {
            Ok(app) => app.serve(),
            Err(error) => {
                printer.words(format_args!("portcullis cannot start: {error}"));
                match error {
                    // Trying again changes nothing: the file asks for what this machine or this start does not give.
                    Error::Privileges(_) => Status::Configuration,
                    Error::Start(_) | Error::AccessLog { .. } | Error::RuntimeFolder(_) | Error::Handover { .. } => {
                        Status::Unavailable
                    }
                }
            }
        },
        None => {
            printer.words(format_args!("{}: not served, because of the errors above", args.path));
            Status::Configuration
        }
    }
}
