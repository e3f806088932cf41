//! The composition root: wires configuration, state, telemetry and proxy together, and runs until drained.

mod commands;
mod confinement;
pub mod launch;
mod process;
mod reload;
mod runtime_sockets;
mod watch;

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use log::warn;
use nix::unistd::{Uid, dup2_stdout, setsid};

use crate::admin::api::{SandboxStatus, StartInfo};
use crate::admin::{Liveness, Readiness};
use crate::app::commands::CommandExecutor;
use crate::app::confinement::SandboxUnavailable;
use crate::app::launch::{Launch, TakeoverRequest, start_info};
use crate::app::process::{GatewayProcess, Takeover};
use crate::app::runtime_sockets::RuntimeSockets;
use crate::config::snapshot::{LogOutput, Snapshot, User};
use crate::config::{ConfigSource, InputLoss, LostInput};
use crate::handover::HandoverError;
use crate::handover::client::{self, InheritedListeners};
use crate::handover::server::ListenerHandle;
use crate::privileges::{self, PrivilegesError};
use crate::proxy::runtime::Runtime;
use crate::proxy::runtime::active_config::AssembleError;
use crate::proxy::server::accept_gate::AcceptGate;
use crate::proxy::server::{self, BoundSockets, ServerEnvironment, StartError};
use crate::proxy::upkeep::health::STARTING;
use crate::proxy::upkeep::watchdog::Watchdog;
use crate::runtime_folder::{RuntimeFolder, RuntimeFolderError, UPGRADE};
use crate::service_manager::{NotifySettings, ServiceManager};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::{access_log, program_log};

/// Why the gateway can't start.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Privileges(#[from] PrivilegesError),
    /// With the user that was to open the log, if the configuration names one.
    #[error("{}{source}", user.as_ref().map(|user| format!("as `{user}` (process.user): ")).unwrap_or_default())]
    Assemble { user: Option<User>, source: AssembleError },
    #[error(transparent)]
    RuntimeFolder(#[from] RuntimeFolderError),
    #[error("it cannot take over from the gateway of `{}`: {source}", folder.display())]
    Handover { folder: std::path::PathBuf, source: HandoverError },
    #[error(
        "the configuration names no `process.user`, so that the new process would run as root, as the running one does not; if that \
         is meant, name the configuration: `portcullis upgrade FILE`"
    )]
    StaysRoot,
    #[error(transparent)]
    Sandbox(#[from] SandboxUnavailable),
    #[error("the access log cannot be written to the standard output of the old process: {0}")]
    Stdout(nix::Error),
}

/// A gateway whose sockets are bound. Nothing that its owner could have got wrong is left to fail.
pub struct App {
    source: ConfigSource,
    sockets: BoundSockets,
    shared: Arc<Runtime>,
    watched: bool,
    start: StartInfo,
    sandbox: SandboxStatus,
    process: Arc<GatewayProcess>,
    runtime: Option<RuntimeSockets>,
    takeover: Option<Takeover>,
}

/// How often the threads that serve are watched where no service manager says it.
const PULSE: Duration = Duration::from_secs(5);

/// `/livez` fails when so many pulses were missed.
const MISSED_PULSES: u32 = 3;

impl App {
    /// Prepares to serve `snapshot`, which was compiled from `source`.
    ///
    /// # Errors
    /// A port that is taken, a certificate that TLS refuses, a user that the process can't become, a log file that can't be
    /// opened, a runtime folder that was named and can't be used, a gateway that it can't take over from. The runtime folder is
    /// as it was then.
    pub fn start(source: ConfigSource, snapshot: Snapshot, launch: Launch) -> Result<App, AppError> {
        let owner = snapshot.process.user.as_ref().map(privileges::ids_of).transpose()?;
        if launch.takeover.is_some_and(|request| !request.may_stay_root) && stays_root(owner) {
            return Err(AppError::StaysRoot);
        }
        confinement::check(&snapshot)?;
        let folder = runtime_sockets::open(&launch, owner)?;
        let undone = folder.clone();
        let started = App::start_in(folder, source, snapshot, &launch, owner);
        if let (Err(_), Some(folder)) = (&started, undone) {
            folder.undo();
        }
        started
    }

    fn start_in(
        folder: Option<Arc<RuntimeFolder>>,
        source: ConfigSource,
        snapshot: Snapshot,
        launch: &Launch,
        owner: Option<(u32, u32)>,
    ) -> Result<App, AppError> {
        let settings = NotifySettings::of_this_process();
        let start = start_info(settings.socket.is_some());
        let listens = || snapshot.listeners.iter().map(|listener| listener.address).collect();
        let mut takeover = match (&folder, launch.takeover) {
            (Some(folder), Some(request)) => Some(request_takeover(folder, request, owner, listens())?),
            _ => None,
        };

        let inherited = |address| takeover.as_mut().and_then(|takeover| takeover.inheritance.listeners.take(address));
        let sockets = BoundSockets::bind(&snapshot, inherited)?;
        if let Some(takeover) = &mut takeover {
            // Listeners that this configuration does not have close with the old process.
            takeover.inheritance.listeners = InheritedListeners::default();
        }
        let runtime = folder.as_deref().map(RuntimeSockets::bind).transpose()?;
        // Held until the log itself is open: the reader of a pipe must not see it end.
        let _probe = probe_access_log(&snapshot)?;
        if let (Some(folder), None) = (&folder, &takeover) {
            // Last of all that root does. After a takeover, `portcullis upgrade` does it.
            folder.give()?;
        }
        restrict(&snapshot)?;
        let settings = match &takeover {
            Some(takeover) => settings.or(takeover.inheritance.settings.clone()),
            None => settings,
        };
        let sandbox = confinement::confine(&source, &snapshot, folder.as_deref(), settings.is_abstract())?;
        tell_lost_inputs(&source);
        let user = snapshot.process.user.clone();
        if let Some(takeover) = &takeover {
            dup2_stdout(&takeover.inheritance.stdout).map_err(AppError::Stdout)?;
        }
        // The first thread, that of the access log: from here on, no credential of the process may change.
        let shared = Runtime::new(Arc::new(snapshot), Arc::new(Metrics::new()))
            .map_err(|source| AppError::Assemble { user, source })?;

        let readiness = Arc::new(Readiness::default());
        readiness.block(STARTING);
        let process = Arc::new(GatewayProcess {
            folder: folder.map(ArcSwap::new),
            service_manager: Arc::new(ServiceManager::new(settings, takeover.is_none())),
            readiness,
            shared: shared.clone(),
            accept_gate: AcceptGate::new(takeover.is_none()),
            followed: tokio::sync::watch::Sender::new(false),
            handover: Default::default(),
            published: Default::default(),
        });
        Ok(App { watched: false, source, sockets, shared, start, sandbox, process, runtime, takeover })
    }

    /// With `watched`, the configuration is reloaded when it changes.
    pub fn watched(mut self, watched: bool) -> Self {
        self.watched = watched;
        self
    }

    /// Serves until a signal ends the process, or until another one has taken over.
    pub fn serve(self) -> ! {
        let App { watched, source, sockets, shared, start, sandbox, process, runtime, takeover } = self;
        if let Err(e) = program_log::write_in_background() {
            warn!("requests may wait for whoever reads these messages: {e}");
        }
        let commands = Arc::new(CommandExecutor::new(source.clone(), start, sandbox, process.clone()));
        if watched {
            watch::start(source, commands.clone());
        }
        let control = runtime.map(|RuntimeSockets { control, upgrade }| {
            let handles = sockets.all().map(|(name, address, socket)| ListenerHandle {
                name: name.to_owned(),
                address,
                socket: Arc::downgrade(socket),
            });
            if let Err(e) = process::offer(&process, handles.collect(), upgrade) {
                warn!("no process can take over from this one: {e}");
            }
            runtime_sockets::keep(process.clone(), control)
        });
        let takes_over = takeover.is_some();
        let begun = match takeover {
            Some(takeover) => process.clone().take_over(takeover),
            // Both are done: the service manager is notified even if the links cannot be replaced.
            None => process.publish_sockets().and(process.clone().announce()),
        };
        if let Err(e) = begun {
            warn!("commands cannot reach this process, or it cannot report that it is ready: {e}");
        }
        let manager = process.service_manager.clone();
        let notified = manager.settings().watchdog_interval();
        let interval = notified.unwrap_or(PULSE);
        let liveness = Arc::new(Liveness::new(interval * MISSED_PULSES));
        let pulse = liveness.clone();
        let watchdog = Watchdog::new(interval, move || {
            pulse.pulse();
            if notified.is_some() {
                manager.watchdog();
            }
        });
        let surroundings = ServerEnvironment {
            control,
            accept_gate: process.accept_gate.clone(),
            takes_over,
            followed: process.followed.subscribe(),
            watchdog,
            liveness,
            shutdown_hooks: process.clone(),
        };
        server::run(sockets, shared, process.readiness.clone(), commands, surroundings)
    }
}

/// Asks the gateway of `folder` for its sockets, in order to listen on the addresses `listens`.
fn request_takeover(
    folder: &RuntimeFolder,
    request: TakeoverRequest,
    owner: Option<(u32, u32)>,
    listens: Vec<SocketAddr>,
) -> Result<Takeover, AppError> {
    // What ends the command's session must not end the gateway.
    let _ = setsid();
    let path = folder.path().join(format!("{UPGRADE}.sock"));
    let timeout = request.deadline.saturating_duration_since(Instant::now());
    let trusted: Vec<u32> =
        [Some(0), Some(Uid::effective().as_raw()), owner.map(|(user, _)| user)].into_iter().flatten().collect();
    let (inheritance, pending) = client::request(&path, &trusted, timeout, listens)
        .map_err(|source| AppError::Handover { folder: folder.path().to_owned(), source })?;
    Ok(Takeover { inheritance, pending, deadline: request.deadline })
}

/// Whether a process that becomes `owner`, if that is given, is root after it.
fn stays_root(owner: Option<(u32, u32)>) -> bool {
    privileges::is_root() && owner.is_none_or(|(user, _)| user == 0)
}

/// Opens the file of the access log with the rights of the user that this process becomes, so that one that can't be opened ends
/// the start before anything is changed, and is there when the sandbox is given it.
fn probe_access_log(snapshot: &Snapshot) -> Result<Option<File>, AppError> {
    let open = || access_log::open_output(&snapshot.access_log.output);
    let user = snapshot.process.user.as_ref();
    let opened = user.map_or_else(|| Ok(open()), |user| privileges::attempt_as(user, open))?;
    opened.map_err(|source| AppError::Assemble { user: user.cloned(), source: AssembleError::AccessLog(source) })
}

/// Warns of what a reload can't read, now that the process is the user that it stays.
fn tell_lost_inputs(source: &ConfigSource) {
    for LostInput { path, loss } in source.lost_inputs() {
        match loss {
            InputLoss::Held => warn!(
                "a reload can't read `{path}` as this user: what it holds now stays in use until it changes. Let the group of \
                 `process.user` read it (`chmod 640`), or keep it as a systemd credential (`{{credential: NAME}}`)"
            ),
            InputLoss::Denied => warn!("a reload can't read `{path}` as this user, and will be refused"),
            InputLoss::Pipe => {
                warn!("the configuration was read from a pipe, `{path}`: no reload and no upgrade can read it again");
            }
        }
    }
}

/// Drops the privileges that are not needed any more, and warns about those that stay.
fn restrict(snapshot: &Snapshot) -> Result<(), PrivilegesError> {
    let user = snapshot.process.user.as_ref();
    privileges::restrict(user, snapshot.process.core_dumps)?;
    let Some(user) = user else {
        if privileges::is_root() {
            warn!("running as root: name a user in `process.user`, or start as one that may bind the ports");
        }
        return Ok(());
    };
    if let LogOutput::File(file) = &snapshot.access_log.output {
        let folder = file.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
        if !privileges::can_write_to(folder) {
            let folder = folder.display();
            warn!("`{user}` can't write to `{folder}`: whoever rotates the access log must make the new file for it");
        }
    }
    Ok(())
}
