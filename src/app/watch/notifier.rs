//! Waits until the system notifies that a file may have changed.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use log::warn;
use notify::event::{AccessKind, AccessMode};
use notify::{ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use parking_lot::Mutex;

use super::paths::WatchedPaths;
use crate::config::inputs::ConfigInputs;

/// Files are taken for complete after so long without a notification.
const QUIET: Duration = Duration::from_millis(250);
/// Files that change all the time are read after so long.
const MAX_SETTLE: Duration = Duration::from_secs(2);
/// The interval of comparisons without a notification: network file systems send none.
const INTERVAL: Duration = Duration::from_secs(30);
/// The same where the system sends no notifications at all.
const POLL: Duration = Duration::from_secs(2);

/// Notifications of changes in the folders that lead to the files of a configuration.
///
/// Folders are watched, not files: editors and deployments put a new file in the place of the old one.
pub(super) struct ChangeNotifier {
    /// `None` where the system sends no notifications.
    watcher: Option<RecommendedWatcher>,
    /// By path, with the device and inode when it was watched: another folder of that name has to be watched anew.
    folders: BTreeMap<PathBuf, Option<(u64, u64)>>,
    paths: Arc<Mutex<WatchedPaths>>,
    /// Holds one notification: their number does not matter.
    notified: Receiver<()>,
}

impl ChangeNotifier {
    pub fn new() -> ChangeNotifier {
        let paths = Arc::new(Mutex::new(WatchedPaths::default()));
        let (notify, notified) = sync_channel(1);
        let watcher = notify::recommended_watcher(listener(paths.clone(), notify));
        let watcher = watcher.map_err(|error| refused(&error)).ok();
        ChangeNotifier { watcher, folders: BTreeMap::new(), paths, notified }
    }

    #[cfg(test)]
    pub fn without_system() -> ChangeNotifier {
        ChangeNotifier { watcher: None, ..ChangeNotifier::new() }
    }

    /// From now on, notifies of changes of the files and folders of `inputs`.
    pub fn watch(&mut self, inputs: &ConfigInputs) {
        let Some(watcher) = &mut self.watcher else { return };
        let paths = WatchedPaths::of(inputs);
        let wanted: BTreeMap<PathBuf, _> =
            paths.folders().map(|folder| (folder.to_owned(), identity(folder))).collect();
        *self.paths.lock() = paths;
        for (folder, _) in self.folders.iter().filter(|(folder, known)| wanted.get(*folder) != Some(known)) {
            // It may be gone, and its watch with it.
            let _ = watcher.unwatch(folder);
        }
        let new = wanted.iter().filter(|(folder, identity)| self.folders.get(*folder) != Some(identity));
        let failed = new.filter_map(|(folder, _)| watcher.watch(folder, RecursiveMode::NonRecursive).err());
        // The next comparison finds that it is gone.
        let failed = failed.filter(|error| !is_gone(error)).last();
        self.folders = wanted;
        if let Some(error) = failed {
            refused(&error);
            self.watcher = None;
        }
    }

    /// Waits for a notification, or until it is time to compare without one. Returns whether there was one.
    pub fn wait(&self) -> bool {
        self.notified.recv_timeout(if self.watcher.is_some() { INTERVAL } else { POLL }).is_ok()
    }

    /// Waits until the files do not change any more.
    pub fn settle(&self) {
        let end = Instant::now() + MAX_SETTLE;
        while let Some(left) = end.checked_duration_since(Instant::now())
            && self.notified.recv_timeout(QUIET.min(left)).is_ok()
        {}
    }
}

/// Notifies of events at `paths`. Called on a thread of the watcher's own.
fn listener(paths: Arc<Mutex<WatchedPaths>>, notify: SyncSender<()>) -> impl FnMut(notify::Result<Event>) {
    move |event| {
        let matters = match event {
            // ConfigInputs gives events too.
            Ok(Event { kind: EventKind::Access(kind), .. }) if kind != AccessKind::Close(AccessMode::Write) => false,
            Ok(event) => {
                let paths = paths.lock();
                event.need_rescan() || event.paths.iter().any(|path| paths.contain(path))
            }
            Err(_) => true,
        };
        if matters {
            // If it is full, there is a notification already.
            let _ = notify.try_send(());
        }
    }
}

fn refused(error: &notify::Error) {
    warn!("the system sends no notifications of changes ({error}): comparing every {} seconds", POLL.as_secs());
}

fn is_gone(error: &notify::Error) -> bool {
    match &error.kind {
        ErrorKind::PathNotFound => true,
        ErrorKind::Io(error) => error.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}

fn identity(folder: &Path) -> Option<(u64, u64)> {
    fs::metadata(folder).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}
