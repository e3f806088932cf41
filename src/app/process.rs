//! The life cycle of the process: it takes over or starts, serves, hands over, drains and ends.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use std::{io, thread};

use arc_swap::ArcSwap;
use log::{error, info, warn};
use nix::unistd::dup2_stderr;
use tokio::sync::watch;

use crate::admin::Readiness;
use crate::handover::HandoverError;
use crate::handover::client::{Inheritance, PendingHandover};
use crate::handover::server::{HandoverHost, HandoverServer, ListenerHandle};
use crate::handover::state::{OrderGuard, OrderRefused};
use crate::proxy::runtime::Runtime;
use crate::proxy::server;
use crate::proxy::server::accept_gate::AcceptGate;
use crate::runtime_folder::RuntimeFolder;
use crate::service_manager::ServiceManager;
use crate::telemetry::program_log;

/// For listeners to begin to accept, once they may.
const OPENING: Duration = Duration::from_secs(5);

/// What exists once for the process, from its start to its end.
pub struct GatewayProcess {
    /// Another one in its place if it was deleted.
    pub folder: Option<ArcSwap<RuntimeFolder>>,
    pub service_manager: Arc<ServiceManager>,
    pub readiness: Arc<Readiness>,
    pub shared: Arc<Runtime>,
    pub accept_gate: Arc<AcceptGate>,
    /// Becomes true when another process has taken over.
    pub followed: watch::Sender<bool>,
    pub handover: OnceLock<Arc<HandoverServer>>,
    /// Whether `control.sock` and `upgrade.sock` have led to this process.
    pub published: AtomicBool,
}

/// A takeover from another process that is not complete yet.
pub struct Takeover {
    pub inheritance: Inheritance,
    pub pending: PendingHandover,
    pub deadline: Instant,
}

/// Why this process did not take over.
#[derive(Debug, thiserror::Error)]
enum TakeoverError {
    #[error("it was not ready in time{}", if .0.is_empty() { String::new() } else { format!(": {}", .0.join(", ")) })]
    Late(Vec<String>),
    #[error("process {0} did not allow it: {1}")]
    NotGranted(u32, HandoverError),
}

impl GatewayProcess {
    /// Whether another process may serve already, or has taken over.
    pub fn is_handing_over(&self) -> bool {
        self.handover.get().is_some_and(|handover| handover.is_granted())
    }

    /// Begins an order. `None`: no process can take over meanwhile in any case.
    ///
    /// # Errors
    /// When another process may serve already.
    pub fn order(&self) -> Result<Option<OrderGuard>, OrderRefused> {
        self.handover.get().map(|handover| handover.order()).transpose()
    }

    /// Tells the service manager that the process is ready, as soon as it is.
    ///
    /// # Errors
    /// When a thread can't be started.
    pub fn announce(self: Arc<Self>) -> io::Result<()> {
        if self.service_manager.settings().socket.is_none() {
            return Ok(());
        }
        thread::Builder::new().name("announce".to_owned()).spawn(move || {
            while self.readiness.wait(Instant::now() + Duration::from_secs(3600)).is_err() {}
            self.service_manager.ready("serving");
        })?;
        Ok(())
    }

    /// Makes this process the one that `control.sock` and `upgrade.sock` lead to.
    ///
    /// # Errors
    /// When the links can't be replaced.
    pub fn publish_sockets(&self) -> io::Result<()> {
        let Some(folder) = self.folder.as_ref().map(ArcSwap::load) else { return Ok(()) };
        folder.publish()?;
        self.published.store(true, Ordering::Release);
        folder.tidy();
        Ok(())
    }

    /// Whether that was done.
    pub fn is_published(&self) -> bool {
        self.published.load(Ordering::Acquire)
    }

    /// Takes over as soon as the process is ready, on a thread of its own. If that fails, the process ends: nobody has
    /// reached it yet.
    ///
    /// # Errors
    /// When the thread can't be started.
    pub fn take_over(self: Arc<Self>, takeover: Takeover) -> io::Result<()> {
        thread::Builder::new().name("take-over".to_owned()).spawn(move || {
            if let Err(error) = self.complete(takeover) {
                self.fail(&error);
            }
        })?;
        Ok(())
    }

    fn complete(&self, takeover: Takeover) -> Result<(), TakeoverError> {
        let Takeover { inheritance: old, pending, deadline } = takeover;
        self.readiness.wait(deadline).map_err(TakeoverError::Late)?;
        let granted = pending.ready().map_err(|error| TakeoverError::NotGranted(old.pid, error))?;
        // From here on this process has connections, and serves them come what may.
        self.accept_gate.open();
        if !self.accept_gate.all_accept_within(OPENING) {
            warn!("a listener is slow to accept");
        }
        self.service_manager.enable();
        if !self.service_manager.took_over("serving") {
            // It would take the end of the old process for the end of the service, and end this one.
            warn!("the service manager does not know of this process, which drains");
            self.service_manager.disable();
            self.followed.send_replace(true);
            return Ok(());
        }
        let published = match self.publish_sockets() {
            // The folder belongs to the user of the old process, who is another one.
            Err(e) if e.kind() == ErrorKind::PermissionDenied => granted.publish().map_err(io::Error::other),
            published => published,
        };
        if let Err(e) = published {
            // No command could reach this process, and `portcullis upgrade` would wait for it in vain. The old process gets no
            // message from this one, and continues.
            error!("the links to the control socket cannot be replaced, so that this process drains: {e}");
            self.service_manager.disable();
            self.followed.send_replace(true);
            return Ok(());
        }
        // Until now they went to `portcullis upgrade`.
        program_log::flush(FLUSH);
        if let Err(e) = dup2_stderr(&old.stderr) {
            warn!("messages cannot go where those of process {} went: {e}", old.pid);
        }
        self.published.store(true, Ordering::Release);
        match granted.serving() {
            Ok(()) => info!("took over from process {} (version {}), which drains", old.pid, old.version),
            Err(error) => {
                warn!("process {} cannot be told that this one serves ({error}); this process drains", old.pid);
                self.service_manager.disable();
                if let Some(Err(e)) = self.folder.as_ref().map(|folder| folder.load().publish_for(old.pid)) {
                    error!("the links to the control socket of process {} cannot be restored: {e}", old.pid);
                }
                self.followed.send_replace(true);
                return Ok(());
            }
        }
        if let Some(folder) = &self.folder {
            // The old process has it for as long as it drains.
            folder.load().wait_for_lock();
        }
        Ok(())
    }

    /// Ends the process. No request and no log line is lost: listeners have accepted nothing yet.
    fn fail(&self, error: &TakeoverError) {
        error!("did not take over: {error}");
        server::signals::ShutdownHooks::exiting(self);
        program_log::flush(FLUSH);
        std::process::exit(UNAVAILABLE)
    }
}

/// For the last messages.
const FLUSH: Duration = Duration::from_secs(1);

/// EX_UNAVAILABLE of `sysexits.h`, as the command line's `ExitStatus::Unavailable`.
const UNAVAILABLE: i32 = 69;

impl server::signals::ShutdownHooks for GatewayProcess {
    fn drain_began(&self) {
        self.service_manager.stopping("draining");
    }

    fn exiting(&self) {
        if let Some(folder) = &self.folder {
            folder.load().withdraw(self.is_handing_over() || *self.followed.borrow());
        }
    }
}

impl HandoverHost for GatewayProcess {
    fn refuses(&self) -> Option<&'static str> {
        if self.shared.drain.reason().is_some() {
            return Some("it is draining");
        }
        (self.shared.active_configs().len() > 1)
            .then_some("a configuration is being rolled out: keep or revert it first")
    }

    fn handover_failed(&self, granted: bool) {
        self.shared.metrics.handover_failures.inc();
        if !granted {
            return;
        }
        if let Err(e) = self.publish_sockets() {
            error!("the links to the control socket cannot be restored: {e}");
        }
        if !self.service_manager.took_over("serving") {
            error!("the service manager does not know that this process continues");
        }
    }

    fn publish_for(&self, pid: u32) -> io::Result<()> {
        self.folder.as_ref().map_or(Ok(()), |folder| folder.load().publish_for(pid))
    }

    fn handed_over(&self, pid: u32, listens: Option<Vec<SocketAddr>>) {
        info!("process {pid} has taken over");
        if let Some(listens) = listens {
            self.shared.drain.handed_over(listens);
        }
        self.service_manager.disable();
        self.followed.send_replace(true);
    }
}

/// Serves handovers on the upgrade socket `socket`.
///
/// # Errors
/// When a thread can't be started.
pub fn offer(
    process: &Arc<GatewayProcess>,
    handles: Vec<ListenerHandle>,
    socket: std::os::unix::net::UnixListener,
) -> io::Result<()> {
    let server = HandoverServer::new(handles, process.service_manager.settings().clone(), process.clone());
    let server = process.handover.get_or_init(|| server);
    server.clone().serve(socket)
}
