//! Waiting until the system says that a file may have changed.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use log::warn;
use notify::event::{AccessKind, AccessMode};
use notify::{ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::places::Places;
use crate::config::inputs::ConfigInputs;

/// Files are at rest when nothing was noticed for so long.
const QUIET: Duration = Duration::from_millis(250);
/// Files that never come to rest are read after so long all the same.
const RESTLESS: Duration = Duration::from_secs(2);
/// Between two looks without a notice: not every change gives one, as on network file systems.
const LOOK: Duration = Duration::from_secs(30);
/// The same where the system gives no notices at all.
const POLL: Duration = Duration::from_secs(2);

/// Notices of changes in the folders that lead to the files of a configuration.
///
/// Folders are watched, not files: editors and deployments put a new file in the place of the old one.
pub(super) struct Notices {
    /// `None` where the system gives no notices.
    watcher: Option<RecommendedWatcher>,
    /// By path, each with what stood there when it was watched: another folder of its name has to be watched anew.
    folders: BTreeMap<PathBuf, Option<(u64, u64)>>,
    places: Arc<Mutex<Places>>,
    /// Holds one ring: how often it rang does not matter.
    bell: Receiver<()>,
}

impl Notices {
    pub fn new() -> Notices {
        let places = Arc::new(Mutex::new(Places::default()));
        let (ring, bell) = sync_channel(1);
        let watcher = notify::recommended_watcher(listener(places.clone(), ring));
        let watcher = watcher.map_err(|error| refused(&error)).ok();
        Notices { watcher, folders: BTreeMap::new(), places, bell }
    }

    #[cfg(test)]
    pub fn without_system() -> Notices {
        Notices { watcher: None, ..Notices::new() }
    }

    /// From now on, gives notice of changes of what `reading` was made of.
    pub fn follow(&mut self, reading: &ConfigInputs) {
        let Some(watcher) = &mut self.watcher else { return };
        let places = Places::of(reading);
        let wanted: BTreeMap<PathBuf, _> =
            places.folders().map(|folder| (folder.to_owned(), identity(folder))).collect();
        *self.places.lock().unwrap_or_else(PoisonError::into_inner) = places;
        for (folder, _) in self.folders.iter().filter(|(folder, known)| wanted.get(*folder) != Some(known)) {
            // It may be gone, and its watch with it.
            let _ = watcher.unwatch(folder);
        }
        let new = wanted.iter().filter(|(folder, identity)| self.folders.get(*folder) != Some(identity));
        let failed = new.filter_map(|(folder, _)| watcher.watch(folder, RecursiveMode::NonRecursive).err());
        // What is gone by now is found by the next look.
        let failed = failed.filter(|error| !is_gone(error)).last();
        self.folders = wanted;
        if let Some(error) = failed {
            refused(&error);
            self.watcher = None;
        }
    }

    /// Waits for a notice, or until it is time to look without one. Gives whether there was one.
    pub fn wait(&self) -> bool {
        self.bell.recv_timeout(if self.watcher.is_some() { LOOK } else { POLL }).is_ok()
    }

    /// Waits until the files have come to rest.
    pub fn settle(&self) {
        let end = Instant::now() + RESTLESS;
        while let Some(left) = end.checked_duration_since(Instant::now())
            && self.bell.recv_timeout(QUIET.min(left)).is_ok()
        {}
    }
}

/// Rings for what happens at `places`. Called on a thread of the watcher's own.
fn listener(places: Arc<Mutex<Places>>, ring: SyncSender<()>) -> impl FnMut(notify::Result<Event>) {
    move |event| {
        let matters = match event {
            // What the gateway itself reads gives notices too.
            Ok(Event { kind: EventKind::Access(kind), .. }) if kind != AccessKind::Close(AccessMode::Write) => false,
            Ok(event) => {
                let places = places.lock().unwrap_or_else(PoisonError::into_inner);
                event.need_rescan() || event.paths.iter().any(|path| places.contain(path))
            }
            Err(_) => true,
        };
        if matters {
            // If it is full, it has rung already.
            let _ = ring.try_send(());
        }
    }
}

fn refused(error: &notify::Error) {
    warn!("the system gives no notice of changes ({error}): looking every {} seconds", POLL.as_secs());
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
