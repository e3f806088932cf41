//! The sockets of this process in the runtime folder: bound at the start, and again after somebody has deleted them.
//!
//! Whoever tidies up `/run` or `/tmp` may delete the folder of a gateway that serves, and no order would reach it any more. So the
//! gateway looks after it, and makes it again. A gateway that gave up root may not make a folder where only root may: it says so,
//! and uses the folder as soon as somebody else has made it.

use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use log::{info, warn};
use nix::unistd::Uid;
use tokio::sync::mpsc;

use super::launch::Launch;
use super::process::GatewayProcess;
use crate::runtime_folder::{CONTROL, RuntimeFolder, RuntimeFolderChoice, RuntimeFolderError, UPGRADE};

/// How often the folder is looked after.
const INTERVAL: Duration = Duration::from_secs(1);

/// The subject of the note that no order reaches the process.
const NOTE: &str = "runtime_folder";

/// The sockets of this process in the runtime folder.
pub struct RuntimeSockets {
    pub control: UnixListener,
    pub upgrade: UnixListener,
}

impl RuntimeSockets {
    /// Binds them in `folder`. No link leads to them yet.
    ///
    /// # Errors
    /// What the system says.
    pub fn bind(folder: &RuntimeFolder) -> Result<RuntimeSockets, RuntimeFolderError> {
        Ok(RuntimeSockets { control: folder.bind(CONTROL)?, upgrade: folder.bind(UPGRADE)? })
    }
}

/// The runtime folder, which will belong to `owner`. The gateway also serves without the system's default folder, and not without
/// one that was named.
///
/// # Errors
/// Why a folder that was named can't be used, or that of the gateway that this process takes over from.
pub fn open(launch: &Launch, owner: Option<(u32, u32)>) -> Result<Option<Arc<RuntimeFolder>>, RuntimeFolderError> {
    let Some(RuntimeFolderChoice { path, named }) = &launch.runtime else {
        info!("no runtime folder: there is no control socket (`--runtime`, PORTCULLIS_RUNTIME)");
        return Ok(None);
    };
    let opened = match launch.takeover {
        Some(_) => RuntimeFolder::join(path, owner),
        None => RuntimeFolder::claim(path, owner),
    };
    match opened {
        Ok(folder) => Ok(Some(Arc::new(folder))),
        Err(error) if *named || launch.takeover.is_some() => Err(error),
        Err(error) => {
            warn!("there is no control socket: {error}");
            Ok(None)
        }
    }
}

/// Looks after the folder for as long as the process serves, on a thread of its own. Returns where the control sockets come from:
/// `control`, and each one that is bound later.
pub fn keep(process: Arc<GatewayProcess>, control: UnixListener) -> mpsc::UnboundedReceiver<UnixListener> {
    let (sockets, receiver) = mpsc::unbounded_channel();
    // The receiver is there.
    let _ = sockets.send(control);
    let mut keeper = FolderKeeper { process, sockets, told: false };
    let kept = thread::Builder::new().name("runtime-folder".to_owned()).spawn(move || {
        while !*keeper.process.followed.borrow() {
            keeper.step();
            thread::park_timeout(INTERVAL);
        }
    });
    if let Err(e) = kept {
        warn!("a runtime folder that is deleted cannot be made again: {e}");
    }
    receiver
}

struct FolderKeeper {
    process: Arc<GatewayProcess>,
    sockets: mpsc::UnboundedSender<UnixListener>,
    /// Whether it was said that no order reaches this process.
    told: bool,
}

impl FolderKeeper {
    fn step(&mut self) {
        let Some(folder) = self.process.folder.as_ref().map(|folder| folder.load_full()) else { return };
        // The links are another process's to replace now; before they lead to this one, it has not taken over.
        if self.process.is_handing_over() || !self.process.is_published() {
            return;
        }
        let what = match () {
            () if !folder.is_in_place() => "was deleted or replaced",
            () if !folder.has_sockets() => "has lost the sockets of this process",
            () if !folder.has_links() => "has lost the links to this process",
            () => {
                folder.tidy();
                return self.clear();
            }
        };
        let path = folder.path().display();
        match self.restore(&folder) {
            Ok(()) => {
                warn!("the runtime folder `{path}` {what}, and is made again");
                self.clear();
            }
            Err(error) if !self.told => {
                let user = Uid::effective();
                let advice = format!(
                    "the runtime folder `{path}` {what}, so that no order reaches this process: {error}; make it again for user \
                     {user}, with the mode 700"
                );
                warn!("{advice}");
                self.process.readiness.note(NOTE, advice);
                self.told = true;
            }
            Err(_) => {}
        }
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.told) {
            self.process.readiness.clear_note(NOTE);
        }
    }

    fn restore(&self, folder: &Arc<RuntimeFolder>) -> Result<(), RuntimeFolderError> {
        let failed = |source| RuntimeFolderError::Unusable { path: folder.path().to_owned(), source };
        if folder.is_in_place() && folder.has_sockets() {
            return folder.publish().map_err(failed);
        }
        let folder =
            if folder.is_in_place() { folder.clone() } else { Arc::new(RuntimeFolder::claim(folder.path(), None)?) };
        let bound = RuntimeSockets::bind(&folder).and_then(|sockets| {
            folder.give()?;
            folder.publish().map_err(failed)?;
            Ok(sockets)
        });
        let RuntimeSockets { control, upgrade } = bound.inspect_err(|_| folder.withdraw(false))?;
        if let Some(kept) = &self.process.folder {
            kept.store(folder.clone());
        }
        // Both are served for as long as the process lives.
        let _ = self.sockets.send(control);
        match self.process.handover.get() {
            Some(handover) => handover.clone().serve(upgrade).map_err(failed),
            None => Ok(()),
        }
    }
}
