//! `portcullis demo`: two small origins and the gateway on `conf/quickstart.yaml`, with lines to paste.

mod credentials;
pub mod origin;
mod tour;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use clap::Args;

use super::output::{ExitStatus, Printer};
use crate::app::App;
use crate::app::launch::Launch;
use crate::config::ConfigSource;
use crate::config::compile::Environment;
use crate::config::load::SystemEnvironment;
use crate::telemetry::program_log;

/// The configuration of the demo.
const QUICKSTART: &str = include_str!("../../conf/quickstart.yaml");

#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Where the gateway listens.
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Where metrics and health are served.
    #[arg(long, default_value = "127.0.0.1:9900")]
    pub admin: SocketAddr,
}

/// Runs until interrupted. Returns only if it can't start.
pub fn demo(args: &DemoArgs, printer: &mut Printer) -> ExitStatus {
    match start(args, printer) {
        Ok(app) => app.serve(),
        Err(message) => {
            printer.message(message);
            ExitStatus::Unavailable
        }
    }
}

fn start(args: &DemoArgs, printer: &mut Printer) -> Result<App, String> {
    program_log::init();
    program_log::report_panics();
    let folder = tempfile::Builder::new()
        .prefix("portcullis-demo-")
        .tempdir()
        .map_err(|e| format!("cannot make a temporary folder: {e}"))?;
    let credentials = credentials::make(folder.path())?;
    let origins = [DemoOrigin::start("blue")?, DemoOrigin::start("green")?];

    let file = folder.path().join("quickstart.yaml");
    std::fs::write(&file, QUICKSTART).map_err(|e| format!("cannot write {}: {e}", file.display()))?;
    let environment = DemoEnvironment {
        system: SystemEnvironment,
        variables: vec![
            ("LISTEN", args.listen.to_string()),
            ("ADMIN", args.admin.to_string()),
            ("ORIGIN", origins[0].address.to_string()),
            ("ORIGIN_2", origins[1].address.to_string()),
            ("JWT_KEY_FILE", credentials.key_file.display().to_string()),
            ("API_KEYS_FILE", credentials.api_keys_file.display().to_string()),
        ],
    };
    let source = ConfigSource::new(file.display().to_string(), Arc::new(environment));
    let (snapshot, diagnostics) = source.open();
    let snapshot = snapshot.ok_or_else(|| {
        let problems: Vec<String> = diagnostics.iter().map(ToString::to_string).collect();
        format!("the demo's configuration does not compile:\n{}", problems.join("\n"))
    })?;

    let app = App::start(source, snapshot, Launch::default()).map_err(|e| e.to_string())?;
    printer.data(tour::text(args.listen, args.admin, &credentials, &origins));
    printer.flush();
    // A signal ends the process inside `serve`. The input of the origins closes then, and they end too. The folder stays,
    // since the printed lines use it, until the system clears its temporary files.
    let _ = folder.keep();
    // They live as long as this process does.
    std::mem::forget(origins);
    Ok(app)
}

/// One origin in a process of its own, so that it can be killed by its pid.
struct DemoOrigin {
    name: &'static str,
    address: SocketAddr,
    process: Child,
}

impl DemoOrigin {
    fn start(name: &'static str) -> Result<DemoOrigin, String> {
        let failed = |e: io::Error| format!("cannot start origin {name}: {e}");
        // Bound for a moment only to learn a free port.
        let address = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).map_err(failed)?;
        let program = std::env::current_exe().map_err(failed)?;
        let process = Command::new(program)
            .args(["demo-origin", name, &address.to_string()])
            // The origin ends when the pipe closes, however the demo ends.
            .stdin(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        Ok(DemoOrigin { name, address, process })
    }
}

/// The variables of the demo, and after them the environment of the process.
struct DemoEnvironment {
    system: SystemEnvironment,
    variables: Vec<(&'static str, String)>,
}

impl Environment for DemoEnvironment {
    fn variable(&self, name: &str) -> Option<String> {
        let own = self.variables.iter().find(|(own, _)| *own == name).map(|(_, value)| value.clone());
        own.or_else(|| self.system.variable(name))
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.system.read(path)
    }

    fn mode(&self, path: &str) -> Option<u32> {
        self.system.mode(path)
    }
}
