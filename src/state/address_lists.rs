//! The address list files in force, read again when they change.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::decision::access::address::list::{self, Mistakes};
use crate::decision::access::address::{AddressSet, List, ListId, Lists};
use crate::decision::defaults::NAMED_FILE_BYTES;
use crate::files;
use crate::state::file_watch::FileWatch;

/// Every list file in force, by its name.
#[derive(Debug, Default)]
pub struct AddressLists {
    lists: Mutex<HashMap<Arc<str>, Arc<AddressList>>>,
}

/// One list file: its last valid content.
#[derive(Debug)]
pub struct AddressList {
    file: Arc<str>,
    set: ArcSwap<AddressSet>,
    watched: Mutex<WatchedListFile>,
    stale: AtomicBool,
}

#[derive(Debug, Default)]
struct WatchedListFile {
    watch: FileWatch,
    /// The last reported error, if the file can't be used.
    error: Option<AddressListError>,
}

/// A change of a list file that is to be logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressListChange {
    /// New content with this many entries is in force.
    Replaced { entries: usize },
    /// It can't be used: its previous content stays in force.
    Kept(AddressListError),
}

/// Why a list file can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressListError {
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// The first wrong line.
    #[error("line {line}: {what}{}", further(*more))]
    Wrong { line: u32, what: String, more: usize },
}

impl AddressLists {
    /// The state of each of `lists`, in their order. Called when a configuration is published. `fresh`: the configuration has
    /// read the files just now, and their content is in force at once. Otherwise a known file keeps what was read of it later.
    pub fn handles(&self, lists: &[List], fresh: bool) -> Vec<Arc<AddressList>> {
        let mut states = self.lists.lock();
        let handles: Vec<_> = lists
            .iter()
            .map(|list| match states.get(&list.file) {
                Some(state) => {
                    if fresh {
                        state.replace(Arc::clone(&list.loaded));
                    }
                    Arc::clone(state)
                }
                None => Arc::new(AddressList::new(list)),
            })
            .collect();
        *states = handles.iter().map(|state| (Arc::clone(&state.file), Arc::clone(state))).collect();
        handles
    }

    /// The state of each of `lists`, in their order, for a configuration that is tried beside the one in force. Files that both
    /// name are shared; the others are not kept here.
    pub fn trial(&self, lists: &[List]) -> Vec<Arc<AddressList>> {
        let states = self.lists.lock();
        lists
            .iter()
            .map(|list| states.get(&list.file).cloned().unwrap_or_else(|| Arc::new(AddressList::new(list))))
            .collect()
    }
}

impl AddressList {
    fn new(list: &List) -> Self {
        AddressList {
            file: Arc::clone(&list.file),
            set: ArcSwap::new(Arc::clone(&list.loaded)),
            watched: Mutex::default(),
            stale: AtomicBool::new(false),
        }
    }

    /// The file's name in the configuration.
    pub fn file(&self) -> &Arc<str> {
        &self.file
    }

    /// How many addresses and ranges are in force.
    pub fn entries(&self) -> usize {
        self.set.load().entries()
    }

    /// Whether the file can't be used, so that its older content is in force.
    pub fn is_stale(&self) -> bool {
        self.stale.load(Ordering::Relaxed)
    }

    /// Reads the file if it has changed and is no longer being written. Blocks on the file system, for a while at most; to be
    /// called about every second. `None` if there is nothing to log.
    pub fn refresh(&self) -> Option<AddressListChange> {
        let found = match files::stamp(&self.file) {
            Ok(seen) if !self.watched.lock().watch.poll(seen) => return None,
            Ok(_) => read(&self.file),
            Err(error) => Err(AddressListError::Unreadable(error.to_string())),
        };
        let mut watched = self.watched.lock();
        match found {
            Ok(set) => {
                let recovered = watched.error.take().is_some();
                if !recovered && **self.set.load() == set {
                    return None;
                }
                let entries = set.entries();
                self.replace(Arc::new(set));
                Some(AddressListChange::Replaced { entries })
            }
            Err(error) => {
                let unreadable = matches!(error, AddressListError::Unreadable(_));
                if unreadable {
                    // The reason, such as a permission of a folder, may end without a change of the file.
                    watched.watch.forget();
                }
                let reported = unreadable && watched.error.as_ref() == Some(&error);
                self.stale.store(true, Ordering::Relaxed);
                watched.error = Some(error.clone());
                (!reported).then_some(AddressListChange::Kept(error))
            }
        }
    }

    fn replace(&self, set: Arc<AddressSet>) {
        self.set.store(set);
        self.stale.store(false, Ordering::Relaxed);
    }
}

impl Lists for [Arc<AddressList>] {
    fn contains(&self, id: ListId, address: IpAddr) -> bool {
        self[id.0 as usize].set.load().contains(address)
    }
}

fn read(file: &str) -> Result<AddressSet, AddressListError> {
    let content =
        files::read(file, NAMED_FILE_BYTES).map_err(|error| AddressListError::Unreadable(error.to_string()))?;
    match list::parse(&content) {
        Ok(parsed) => Ok(parsed.set),
        Err(Mistakes { told, untold }) => Err(AddressListError::Wrong {
            line: told.first().map_or(0, |mistake| mistake.line),
            what: told.first().map_or(String::new(), ToString::to_string),
            more: told.len().saturating_sub(1) + untold,
        }),
    }
}

fn further(mistakes: usize) -> String {
    match mistakes {
        0 => String::new(),
        1 => ", and one more line is wrong".to_owned(),
        more => format!(", and {more} more lines are wrong"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    struct ListFixture {
        dir: TempDir,
        lists: AddressLists,
        state: Arc<AddressList>,
    }

    /// A list file that holds `content`, loaded.
    fn world(content: &str) -> ListFixture {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("list.txt");
        fs::write(&file, content).unwrap();
        let lists = AddressLists::default();
        let state = lists.handles(&[loaded(&file.display().to_string(), content)], true).remove(0);
        ListFixture { dir, lists, state }
    }

    fn loaded(file: &str, content: &str) -> List {
        List { file: file.into(), loaded: Arc::new(list::parse(content.as_bytes()).unwrap().set) }
    }

    impl ListFixture {
        fn write(&self, content: &str) {
            fs::write(&*self.state.file, content).unwrap();
        }

        /// The changes in as many polls as a changed file needs to be read.
        fn said(&self) -> Vec<AddressListChange> {
            (0..4).filter_map(|_| self.state.refresh()).collect()
        }

        fn holds(&self, address: &str) -> bool {
            Lists::contains([Arc::clone(&self.state)].as_slice(), ListId(0), address.parse().unwrap())
        }
    }

    #[test]
    fn what_was_loaded_is_in_force_and_nothing_is_said() {
        let world = world("192.0.2.0/24\n");
        assert!(world.holds("192.0.2.1"));
        assert_eq!(world.said(), []);
        assert_eq!((world.state.entries(), world.state.is_stale()), (1, false));
    }

    #[test]
    fn a_changed_file_is_in_force_once_it_has_come_to_rest() {
        let world = world("192.0.2.0/24\n");
        world.said();
        world.write("10.0.0.0/8\n198.51.100.1\n");
        assert_eq!(world.state.refresh(), None, "it may still be written");
        assert_eq!(world.state.refresh(), Some(AddressListChange::Replaced { entries: 2 }));
        assert!(world.holds("10.0.0.1") && !world.holds("192.0.2.1"));
        assert_eq!(world.said(), []);
    }

    #[test]
    fn a_file_that_never_rests_is_read_all_the_same() {
        let world = world("");
        world.said();
        let mut content = String::new();
        let replaced = (0..20).filter_map(|number| {
            content.push_str(&format!("10.0.0.{number}\n"));
            world.write(&content);
            world.state.refresh()
        });
        assert!(replaced.count() >= 3);
        assert!(world.holds("10.0.0.1"));
    }

    #[test]
    fn a_file_that_is_put_in_the_place_of_another_is_noticed() {
        let world = world("192.0.2.0/24\n");
        world.said();
        let other = world.dir.path().join("other");
        // As long as the one before.
        fs::write(&other, "192.0.3.0/24\n").unwrap();
        fs::rename(&other, &*world.state.file).unwrap();
        assert_eq!(world.said(), [AddressListChange::Replaced { entries: 1 }]);
        assert!(world.holds("192.0.3.1") && !world.holds("192.0.2.1"));
    }

    #[test]
    fn a_wrong_file_keeps_the_last_good_one_and_is_told_once_a_change() {
        let world = world("192.0.2.0/24\n");
        world.said();
        world.write("# mine\nten\n\neleven\n");
        let said = world.said();
        let [AddressListChange::Kept(trouble)] = &said[..] else { panic!("{said:?}") };
        assert_eq!(trouble.to_string(), "line 2: `ten` is not an IP address or range, and one more line is wrong");
        assert!(world.holds("192.0.2.1") && world.state.is_stale());
        world.write("ten\n");
        assert_eq!(world.said().len(), 1);
        // Back to the content in force: the recovery is reported.
        world.write("192.0.2.0/24\n");
        assert_eq!(world.said(), [AddressListChange::Replaced { entries: 1 }]);
        assert!(!world.state.is_stale());
    }

    #[test]
    fn a_file_that_is_gone_keeps_what_it_held_until_it_is_back() {
        let world = world("192.0.2.0/24\n");
        world.said();
        fs::remove_file(&*world.state.file).unwrap();
        let said = world.said();
        assert!(matches!(&said[..], [AddressListChange::Kept(AddressListError::Unreadable(_))]), "{said:?}");
        assert!(world.holds("192.0.2.1") && world.state.is_stale());
        world.write("10.0.0.0/8\n");
        assert_eq!(world.said(), [AddressListChange::Replaced { entries: 1 }]);
        assert!(world.holds("10.0.0.1") && !world.state.is_stale());
    }

    #[test]
    fn a_new_configuration_brings_what_it_loaded_and_keeps_the_watch() {
        let world = world("192.0.2.0/24\n");
        let lists = [loaded("elsewhere.txt", ""), loaded(&world.state.file, "10.0.0.0/8\n")];
        let handles = world.lists.handles(&lists, true);
        assert!(Arc::ptr_eq(&handles[1], &world.state));
        assert!(world.holds("10.0.0.1"));
    }
}
