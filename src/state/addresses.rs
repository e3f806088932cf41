//! What the list files of addresses hold now, kept current while the gateway runs.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

use crate::decision::access::address::list::{self, Mistakes};
use crate::decision::access::address::{AddressSet, List, ListId, Lists};
use crate::decision::rules::defaults::NAMED_FILE_BYTES;
use crate::state::watch::{Watch, read_bounded};

/// Every list file in force, by its name.
#[derive(Debug, Default)]
pub struct AddressLists {
    lists: Mutex<HashMap<Arc<str>, Arc<AddressList>>>,
}

/// One list file: what it held when it was last right.
#[derive(Debug)]
pub struct AddressList {
    file: Arc<str>,
    set: ArcSwap<AddressSet>,
    watched: Mutex<Watched>,
    stale: AtomicBool,
}

#[derive(Debug, Default)]
struct Watched {
    watch: Watch,
    /// Why the file can't be used, as far as that was said.
    trouble: Option<Trouble>,
}

/// What looking at a list file found. Displayed without the file's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It holds something else, with so many entries, which is in force from now on.
    Replaced { entries: usize },
    /// It can't be used, so that what it held before stays in force.
    Kept(Trouble),
}

/// Why a list file can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// The first wrong line.
    #[error("line {line}: {what}{}", further(*more))]
    Wrong { line: u32, what: String, more: usize },
}

impl AddressLists {
    /// The state of each of `lists`, in their order. Called when a configuration is published: what was loaded with it is
    /// in force at once if that is `fresh`; otherwise a file that is known keeps what was read of it since.
    pub fn handles(&self, lists: &[List], fresh: bool) -> Vec<Arc<AddressList>> {
        let mut states = lock(&self.lists);
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

    /// The state of each of `lists`, in their order, for a configuration that is tried beside the one in force. Files that
    /// both name are the same to both; nobody keeps the others.
    pub fn trial(&self, lists: &[List]) -> Vec<Arc<AddressList>> {
        let states = lock(&self.lists);
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

    /// As the configuration names it.
    pub fn file(&self) -> &Arc<str> {
        &self.file
    }

    /// How many addresses and ranges are in force.
    pub fn entries(&self) -> usize {
        self.set.load().entries()
    }

    /// Whether the file can't be used, so that something older is in force.
    pub fn is_stale(&self) -> bool {
        self.stale.load(Ordering::Relaxed)
    }

    /// Looks at the file, and reads it if it has changed and come to rest. Blocks on the file system; to be called about
    /// every second. `None` if there is nothing new to say.
    pub fn refresh(&self) -> Option<Change> {
        let mut watched = lock(&self.watched);
        let found = match watched.watch.look(&self.file) {
            Ok(false) => return None,
            Ok(true) => read(&self.file),
            Err(error) => Err(Trouble::Unreadable(error.to_string())),
        };
        match found {
            Ok(set) => {
                let recovered = watched.trouble.take().is_some();
                if !recovered && **self.set.load() == set {
                    return None;
                }
                let entries = set.entries();
                self.replace(Arc::new(set));
                Some(Change::Replaced { entries })
            }
            Err(trouble) => {
                let unreadable = matches!(trouble, Trouble::Unreadable(_));
                if unreadable {
                    // What keeps a file from being read may end without a change of the file.
                    watched.watch.forget();
                }
                let said = unreadable && watched.trouble.as_ref() == Some(&trouble);
                self.stale.store(true, Ordering::Relaxed);
                watched.trouble = Some(trouble.clone());
                (!said).then_some(Change::Kept(trouble))
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

fn read(file: &str) -> Result<AddressSet, Trouble> {
    let content = read_bounded(file, NAMED_FILE_BYTES).map_err(|error| Trouble::Unreadable(error.to_string()))?;
    match list::parse(&content) {
        Ok(parsed) => Ok(parsed.set),
        Err(Mistakes { told, untold }) => Err(Trouble::Wrong {
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

/// What the locks guard stays usable if a thread panicked while it held one: every change is complete or not begun.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    struct World {
        dir: TempDir,
        lists: AddressLists,
        state: Arc<AddressList>,
    }

    /// A list file that holds `content`, loaded.
    fn world(content: &str) -> World {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("list.txt");
        fs::write(&file, content).unwrap();
        let lists = AddressLists::default();
        let state = lists.handles(&[loaded(&file.display().to_string(), content)], true).remove(0);
        World { dir, lists, state }
    }

    fn loaded(file: &str, content: &str) -> List {
        List { file: file.into(), loaded: Arc::new(list::parse(content.as_bytes()).unwrap().set) }
    }

    impl World {
        fn write(&self, content: &str) {
            fs::write(&*self.state.file, content).unwrap();
        }

        /// What is said until a look after a change has nothing to say any more.
        fn said(&self) -> Vec<Change> {
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
        assert_eq!(world.state.refresh(), Some(Change::Replaced { entries: 2 }));
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
        assert_eq!(world.said(), [Change::Replaced { entries: 1 }]);
        assert!(world.holds("192.0.3.1") && !world.holds("192.0.2.1"));
    }

    #[test]
    fn a_wrong_file_keeps_the_last_good_one_and_is_told_once_a_change() {
        let world = world("192.0.2.0/24\n");
        world.said();
        world.write("# mine\nten\n\neleven\n");
        let said = world.said();
        let [Change::Kept(trouble)] = &said[..] else { panic!("{said:?}") };
        assert_eq!(trouble.to_string(), "line 2: `ten` is not an IP address or range, and one more line is wrong");
        assert!(world.holds("192.0.2.1") && world.state.is_stale());
        world.write("ten\n");
        assert_eq!(world.said().len(), 1);
        // Back to what is in force: that it is mended is worth saying.
        world.write("192.0.2.0/24\n");
        assert_eq!(world.said(), [Change::Replaced { entries: 1 }]);
        assert!(!world.state.is_stale());
    }

    #[test]
    fn a_file_that_is_gone_keeps_what_it_held_until_it_is_back() {
        let world = world("192.0.2.0/24\n");
        world.said();
        fs::remove_file(&*world.state.file).unwrap();
        let said = world.said();
        assert!(matches!(&said[..], [Change::Kept(Trouble::Unreadable(_))]), "{said:?}");
        assert!(world.holds("192.0.2.1") && world.state.is_stale());
        world.write("10.0.0.0/8\n");
        assert_eq!(world.said(), [Change::Replaced { entries: 1 }]);
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
