//! The composition root: wires configuration, state, telemetry and proxy together, and runs until drained.

pub mod launch;
mod lifecycle;
mod operator;
mod reload;
mod watch;

use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use log::{info, warn};
use nix::unistd::{Uid, dup2_stdout, setsid};

use crate::admin::Readiness;
use crate::app::launch::{Launch, Origin};
use crate::app::lifecycle::{Following, Life};
use crate::app::operator::Operator;
use crate::config::ConfigSource;
use crate::config::snapshot::{LogOutput, Snapshot, User};
use crate::handover::give::Handle;
use crate::handover::take::Listeners;
use crate::handover::{self, take};
use crate::privileges;
use crate::proxy::runtime::Runtime;
use crate::proxy::runtime::active_config::AssembleError;
use crate::proxy::server::accept_gate::AcceptGate;
use crate::proxy::server::{self, BoundSockets, ServerEnvironment, StartError};
use crate::proxy::upkeep::health::STARTING;
use crate::proxy::upkeep::watchdog::Watchdog;
use crate::runtime_folder::{self, CONTROL, Choice, RuntimeFolder, UPGRADE};
use crate::service_manager::{ServiceManager, Terms};
use crate::telemetry::metrics::Metrics;

/// Why the gateway can't start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Privileges(#[from] privileges::Error),
    /// With the user that was to open the log, where the file names one.
    #[error("{}{source}", user.as_ref().map(|user| format!("as `{user}` (process.user): ")).unwrap_or_default())]
    Assemble { user: Option<User>, source: AssembleError },
    #[error(transparent)]
    RuntimeFolder(#[from] runtime_folder::Error),
    #[error("it cannot follow the gateway of `{}`: {source}", folder.display())]
    Handover { folder: std::path::PathBuf, source: handover::Error },
    #[error("the access log cannot go on where that of the old process went: {0}")]
    Stdout(nix::Error),
}

/// A gateway whose sockets are bound: what is left can't fail for the owner's reasons.
pub struct App {
    source: ConfigSource,
    sockets: BoundSockets,
    shared: Arc<Runtime>,
    watched: bool,
    origin: Origin,
    life: Arc<Life>,
    reached_at: Option<ReachedAt>,
    following: Option<Following>,
}

/// The sockets of this process in the runtime folder.
struct ReachedAt {
    control: UnixListener,
    upgrade: UnixListener,
}

impl App {
    /// Prepares to serve `snapshot`, which was compiled from `source`.
    ///
    /// # Errors
    /// A port that is taken, a certificate that TLS refuses, a user that the process can't become, a log file that can't be
    /// opened, a runtime folder that can't be used although it was named, a gateway that can't be followed.
    pub fn start(source: ConfigSource, snapshot: Snapshot, launch: Launch) -> Result<App, Error> {
        let owner = snapshot.process.user.as_ref().map(privileges::target).transpose()?;
        let folder = runtime_folder(&launch, owner)?;
        let terms = Terms::of_this_process();
        let origin = Origin::of_this_process(terms.socket.is_some());
        let mut following = match (&folder, launch.follow) {
            (Some(folder), Some(follow)) => Some(ask(folder, follow, owner)?),
            _ => None,
        };

        let inherited =
            |address| following.as_mut().and_then(|following| following.inheritance.listeners.take(address));
        let sockets = BoundSockets::bind(&snapshot, inherited)?;
        if let Some(following) = &mut following {
            // What this configuration does not have closes with the old process.
            following.inheritance.listeners = Listeners::default();
        }
        let reached_at = match &folder {
            Some(folder) => Some(ReachedAt { control: folder.bind(CONTROL)?, upgrade: folder.bind(UPGRADE)? }),
            None => None,
        };
        restrict(&snapshot)?;
        let user = snapshot.process.user.clone();
        if let Some(following) = &following {
            dup2_stdout(&following.inheritance.stdout).map_err(Error::Stdout)?;
        }
        // The first thread, that of the access log: from here on, no credential of the process may change.
        let shared = Runtime::new(Arc::new(snapshot), Arc::new(Metrics::new()))
            .map_err(|source| Error::Assemble { user, source })?;

        let terms = match &following {
            Some(following) => terms.or(following.inheritance.terms.clone()),
            None => terms,
        };
        let readiness = Arc::new(Readiness::default());
        readiness.block(STARTING);
        let life = Arc::new(Life {
            folder,
            service_manager: Arc::new(ServiceManager::new(terms, following.is_none())),
            readiness,
            shared: shared.clone(),
            accept_gate: AcceptGate::new(following.is_none()),
            followed: tokio::sync::watch::Sender::new(false),
            giver: Default::default(),
        });
        Ok(App { watched: false, source, sockets, shared, origin, life, reached_at, following })
    }

    /// With `watched`, changes of the configuration are served as they come.
    pub fn watched(mut self, watched: bool) -> Self {
        self.watched = watched;
        self
    }

    /// Serves until a signal ends the process, or until another one has followed it.
    pub fn serve(self) -> ! {
        let App { watched, source, sockets, shared, origin, life, reached_at, following } = self;
        let operator = Arc::new(Operator::new(source.clone(), origin, life.clone()));
        if watched {
            watch::start(source, operator.clone());
        }
        let control = reached_at.map(|ReachedAt { control, upgrade }| {
            let handles = sockets.all().map(|(name, address, socket)| Handle {
                name: name.to_owned(),
                address,
                socket: Arc::downgrade(socket),
            });
            if let Err(e) = lifecycle::offer(&life, handles.collect(), upgrade) {
                warn!("no process can follow this one: {e}");
            }
            control
        });
        let begun = match following {
            Some(following) => life.clone().take_over(following),
            // Each of its own: a service manager is told even where nobody finds the folder.
            None => life.be_found().and(life.clone().announce()),
        };
        if let Err(e) = begun {
            warn!("this process is not found, or cannot say that it is ready: {e}");
        }
        let manager = life.service_manager.clone();
        let watchdog = manager.terms().beat().map(|every| Watchdog::new(every, move || manager.beat()));
        let surroundings = ServerEnvironment {
            control,
            accept_gate: life.accept_gate.clone(),
            followed: life.followed.subscribe(),
            watchdog,
            shutdown_hooks: life.clone(),
        };
        server::run(sockets, shared, life.readiness.clone(), operator, surroundings)
    }
}

/// The runtime folder. One that nobody named is no reason not to serve.
fn runtime_folder(launch: &Launch, owner: Option<(u32, u32)>) -> Result<Option<RuntimeFolder>, Error> {
    let Some(Choice { path, named }) = &launch.runtime else {
        info!("no runtime folder: there is no control socket (`--runtime`, PORTCULLIS_RUNTIME)");
        return Ok(None);
    };
    let opened = RuntimeFolder::open(path, owner).and_then(|folder| {
        let path = || folder.path().to_owned();
        if launch.follow.is_none() && folder.is_taken() {
            Err(runtime_folder::Error::Taken { path: path() })
        } else {
            Ok(folder)
        }
    });
    match opened {
        Ok(folder) => Ok(Some(folder)),
        Err(error) if *named || launch.follow.is_some() => Err(error.into()),
        Err(error) => {
            warn!("there is no control socket: {error}");
            Ok(None)
        }
    }
}

/// Asks the gateway of `folder` for its sockets.
fn ask(folder: &RuntimeFolder, follow: launch::Follow, owner: Option<(u32, u32)>) -> Result<Following, Error> {
    // What ends the command's session must not end the gateway.
    let _ = setsid();
    let path = folder.path().join(format!("{UPGRADE}.sock"));
    let patience = follow.deadline.saturating_duration_since(Instant::now());
    let trusted: Vec<u32> =
        [Some(0), Some(Uid::effective().as_raw()), owner.map(|(user, _)| user)].into_iter().flatten().collect();
    let (inheritance, pending) = take::ask(&path, &trusted, patience)
        .map_err(|source| Error::Handover { folder: folder.path().to_owned(), source })?;
    Ok(Following { inheritance, pending, deadline: follow.deadline })
}

/// Gives up what is not needed any more, and says what is kept all the same.
fn restrict(snapshot: &Snapshot) -> Result<(), privileges::Error> {
    let user = snapshot.process.user.as_ref();
    privileges::restrict(user)?;
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
