//! The process's turning points: it serves, it is followed, it drains, it ends.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use std::{io, thread};

use log::{error, info, warn};
use nix::unistd::dup2_stderr;
use tokio::sync::watch;

use crate::admin::Readiness;
use crate::handover;
use crate::handover::give::{Giver, Handle, Old};
use crate::handover::take::{Inheritance, Pending};
use crate::proxy::runtime::Runtime;
use crate::proxy::server;
use crate::proxy::server::accept_gate::AcceptGate;
use crate::runtime_folder::RuntimeFolder;
use crate::service_manager::ServiceManager;

/// For listeners to begin to accept, once they may.
const OPENING: Duration = Duration::from_secs(5);

/// What of the process outlives neither requests nor reloads: it is there from the start to the end.
pub struct Life {
    pub folder: Option<RuntimeFolder>,
    pub service_manager: Arc<ServiceManager>,
    pub readiness: Arc<Readiness>,
    pub shared: Arc<Runtime>,
    pub accept_gate: Arc<AcceptGate>,
    pub followed: watch::Sender<bool>,
    pub giver: OnceLock<Arc<Giver>>,
}

/// What a process that follows another one still has to do.
pub struct Following {
    pub inheritance: Inheritance,
    pub pending: Pending,
    pub deadline: Instant,
}

/// Why a process did not take over.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("it was not ready in time{}", if .0.is_empty() { String::new() } else { format!(": {}", .0.join(", ")) })]
    Late(Vec<String>),
    #[error("process {0} did not let it: {1}")]
    NotLet(u32, handover::Error),
}

impl Life {
    /// Whether another process takes over just now, or has done so.
    pub fn is_giving(&self) -> bool {
        self.giver.get().is_some_and(|giver| giver.is_giving())
    }

    /// Says that the process is ready as soon as it is.
    ///
    /// # Errors
    /// When a thread can't be started.
    pub fn announce(self: Arc<Self>) -> io::Result<()> {
        if self.service_manager.terms().socket.is_none() {
            return Ok(());
        }
        thread::Builder::new().name("announce".to_owned()).spawn(move || {
            while self.readiness.wait(Instant::now() + Duration::from_secs(3600)).is_err() {}
            self.service_manager.ready("serving");
        })?;
        Ok(())
    }

    /// Makes this process the one that is found, and lets another one follow it.
    ///
    /// # Errors
    /// What the system says.
    pub fn be_found(&self) -> io::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        folder.publish()?;
        folder.tidy();
        Ok(())
    }

    /// Takes over as soon as the process is ready, on a thread of its own. If that fails, the process ends: nobody has
    /// reached it yet.
    ///
    /// # Errors
    /// When the thread can't be started.
    pub fn take_over(self: Arc<Self>, following: Following) -> io::Result<()> {
        thread::Builder::new().name("take-over".to_owned()).spawn(move || {
            if let Err(failure) = self.follow(following) {
                self.fail(&failure);
            }
        })?;
        Ok(())
    }

    fn follow(&self, following: Following) -> Result<(), Failure> {
        let Following { inheritance: old, pending, deadline } = following;
        self.readiness.wait(deadline).map_err(Failure::Late)?;
        let granted = pending.ready().map_err(|error| Failure::NotLet(old.pid, error))?;
        // From here on this process has connections, and serves them come what may.
        if !self.accept_gate.open(OPENING) {
            warn!("a listener is slow to accept");
        }
        self.service_manager.speak();
        if !self.service_manager.followed("serving") {
            // It would end this process with the old one.
            warn!("the service manager does not know of this process, which drains");
            self.service_manager.be_silent();
            self.followed.send_replace(true);
            return Ok(());
        }
        if let Err(e) = self.be_found() {
            // Nobody could give it an order, and whoever asked for the upgrade would take it for dead. The old process hears
            // no word from this one, and goes on.
            error!("the control socket cannot be put in its place, so that this process drains: {e}");
            self.service_manager.be_silent();
            self.followed.send_replace(true);
            return Ok(());
        }
        // Until now they went to whoever asked for the upgrade.
        if let Err(e) = dup2_stderr(&old.stderr) {
            warn!("messages cannot go where those of process {} went: {e}", old.pid);
        }
        match granted.serving() {
            Ok(()) => info!("follows process {} (version {}), which drains", old.pid, old.version),
            Err(error) => {
                warn!("process {} does not hear that it is followed ({error}); this process drains", old.pid);
                self.service_manager.be_silent();
                if let Some(Err(e)) = self.folder.as_ref().map(|folder| folder.publish_for(old.pid)) {
                    error!("the control socket of process {} cannot be put back: {e}", old.pid);
                }
                self.followed.send_replace(true);
                return Ok(());
            }
        }
        Ok(())
    }

    /// Ends the process. No request and no log line is lost: listeners have accepted nothing yet.
    fn fail(&self, failure: &Failure) {
        error!("did not take over: {failure}");
        server::signals::ShutdownHooks::exiting(self);
        std::process::exit(UNAVAILABLE)
    }
}

/// EX_UNAVAILABLE of `sysexits.h`, as the command line's `Status::Unavailable`.
const UNAVAILABLE: i32 = 69;

impl server::signals::ShutdownHooks for Life {
    fn drain_began(&self) {
        self.service_manager.stopping("draining");
    }

    fn exiting(&self) {
        if let Some(folder) = &self.folder {
            folder.withdraw(self.is_giving() || *self.followed.borrow());
        }
    }
}

impl Old for Life {
    fn refuses(&self) -> Option<&'static str> {
        if self.shared.drain.reason().is_some() {
            return Some("it is draining");
        }
        (self.shared.active_configs().len() > 1).then_some("it tries another configuration: keep or revert it first")
    }

    fn goes_on(&self, granted: bool) {
        self.shared.metrics.handover_failures.inc();
        if !granted {
            return;
        }
        if let Err(e) = self.be_found() {
            error!("the control socket cannot be put back in its place: {e}");
        }
        if !self.service_manager.followed("serving") {
            error!("the service manager does not know that this process goes on");
        }
    }

    fn is_followed(&self, pid: u32) {
        info!("process {pid} has taken over");
        self.service_manager.be_silent();
        self.followed.send_replace(true);
    }
}

/// Lets a process that asks on the upgrade socket follow this one.
///
/// # Errors
/// When a thread can't be started.
pub fn offer(life: &Arc<Life>, handles: Vec<Handle>, socket: std::os::unix::net::UnixListener) -> io::Result<()> {
    let giver = Giver::new(handles, life.service_manager.terms().clone(), life.clone());
    let giver = life.giver.get_or_init(|| giver);
    giver.clone().serve(socket)
}
