//! What a configuration was read from, so that a change of it can be noticed.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::time::SystemTime;

use aws_lc_rs::digest::{SHA256, digest};

use super::environment::Environment;
use super::load;

/// Every file and folder that one attempt to load a configuration asked for, and what was found there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    found: BTreeMap<Asked, Found>,
    /// What takes effect by itself once a configuration with it is served. Until then only a new attempt helps.
    living: BTreeMap<Asked, Found>,
}

/// What was asked for, by the path as written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asked {
    /// The content of a file.
    File(String),
    /// The parts of a configuration in a folder.
    Folder(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Found {
    /// SHA-256 of the content, or of the names.
    Content([u8; 32]),
    /// Why there was none.
    Nothing(io::ErrorKind),
}

impl Reading {
    /// Everything that was asked for.
    pub fn asked(&self) -> impl Iterator<Item = &Asked> {
        self.found.keys().chain(self.living.keys())
    }

    /// Asks for the same once more.
    pub fn again(&self, environment: &dyn Environment) -> Reading {
        let again = |asked: &BTreeMap<Asked, Found>| {
            let find = |asked: &Asked| match asked {
                Asked::File(path) => Found::content(&environment.read(path)),
                Asked::Folder(path) => Found::names(&environment.list_dir(path)),
            };
            asked.keys().map(|asked| (asked.clone(), find(asked))).collect()
        };
        Reading { found: again(&self.found), living: again(&self.living) }
    }

    /// The configuration is served: what takes effect by itself needs no attention any more.
    pub(super) fn served(mut self) -> Reading {
        self.living.clear();
        self
    }
}

impl Found {
    fn content(content: &io::Result<Vec<u8>>) -> Found {
        match content {
            Ok(content) => Found::Content(sha256(content)),
            Err(error) => Found::Nothing(error.kind()),
        }
    }

    fn names(names: &io::Result<Vec<String>>) -> Found {
        match names {
            Ok(names) => {
                // What an editor puts beside its file is not part of the configuration.
                let mut parts: Vec<&str> =
                    names.iter().map(String::as_str).filter(|name| load::is_part(name)).collect();
                parts.sort_unstable();
                Found::Content(sha256(parts.join("\n").as_bytes()))
            }
            Err(error) => Found::Nothing(error.kind()),
        }
    }
}

fn sha256(content: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, content).as_ref());
    hash
}

/// An environment that answers as another one, and remembers what it was asked.
pub(super) struct Recording<'a> {
    environment: &'a dyn Environment,
    reading: RefCell<Reading>,
}

impl<'a> Recording<'a> {
    pub fn new(environment: &'a dyn Environment) -> Self {
        Recording { environment, reading: RefCell::default() }
    }

    pub fn finish(self) -> Reading {
        self.reading.into_inner()
    }

    /// Whether asking twice gives the same: a pipe, which has no mode, is empty the second time.
    fn lasts(&self, path: &str, content: &io::Result<Vec<u8>>) -> bool {
        content.is_err() || self.environment.mode(path).is_some()
    }
}

impl Environment for Recording<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        self.environment.variable(name)
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let content = self.environment.read(path);
        if self.lasts(path, &content) {
            let mut reading = self.reading.borrow_mut();
            reading.found.insert(Asked::File(path.to_owned()), Found::content(&content));
        }
        content
    }

    fn read_living(&self, path: &str) -> io::Result<Vec<u8>> {
        let content = self.environment.read_living(path);
        if self.lasts(path, &content) {
            let mut reading = self.reading.borrow_mut();
            reading.living.insert(Asked::File(path.to_owned()), Found::content(&content));
        }
        content
    }

    fn list_dir(&self, path: &str) -> io::Result<Vec<String>> {
        let names = self.environment.list_dir(path);
        self.reading.borrow_mut().found.insert(Asked::Folder(path.to_owned()), Found::names(&names));
        names
    }

    fn mode(&self, path: &str) -> Option<u32> {
        self.environment.mode(path)
    }

    fn knows_user(&self, name: &str) -> bool {
        self.environment.knows_user(name)
    }

    fn knows_group(&self, name: &str) -> bool {
        self.environment.knows_group(name)
    }

    fn now(&self) -> SystemTime {
        self.environment.now()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::config::Source;

    /// Files that a test may change.
    #[derive(Clone, Default)]
    struct Disk(Arc<Mutex<HashMap<String, Vec<u8>>>>);

    impl Disk {
        fn write(&self, path: &str, content: &str) {
            self.0.lock().unwrap().insert(path.to_owned(), content.into());
        }
    }

    impl Environment for Disk {
        fn variable(&self, _: &str) -> Option<String> {
            None
        }
        fn read(&self, path: &str) -> io::Result<Vec<u8>> {
            self.0.lock().unwrap().get(path).cloned().ok_or(io::ErrorKind::NotFound.into())
        }
        fn mode(&self, path: &str) -> Option<u32> {
            (path != "pipe").then_some(0o600)
        }
    }

    const FILE: &str = "version: 1
listeners: [{ name: l, address: 127.0.0.1:8080 }]
routes: [{ name: r, access: public, addresses: { deny: [{ file: list }] }, respond: {} }]
error_pages: { default: { file: page } }";

    fn opened() -> (Disk, Source) {
        let disk = Disk::default();
        disk.write("f", FILE);
        let source = Source::new("f", Arc::new(disk.clone()));
        (disk, source)
    }

    fn is_current(disk: &Disk, source: &Source) -> bool {
        *source.reading() == source.reading().again(disk)
    }

    #[test]
    fn every_file_that_the_configuration_names_counts() {
        let (disk, source) = opened();
        disk.write("list", "10.0.0.1");
        disk.write("page", "sorry");
        assert!(source.open().0.is_some());
        assert!(is_current(&disk, &source));
        disk.write("page", "so sorry");
        assert!(!is_current(&disk, &source));
        assert!(source.open().0.is_some() && is_current(&disk, &source));
        disk.write("f", "version: 1");
        assert!(!is_current(&disk, &source));
    }

    #[test]
    fn a_list_that_is_served_takes_effect_by_itself() {
        let (disk, source) = opened();
        disk.write("list", "10.0.0.1");
        disk.write("page", "sorry");
        source.open();
        disk.write("list", "10.0.0.2");
        assert!(is_current(&disk, &source));
    }

    #[test]
    fn what_keeps_a_configuration_from_being_served_counts_until_it_is_mended() {
        let (disk, source) = opened();
        disk.write("list", "not an address");
        assert!(source.open().0.is_none() && is_current(&disk, &source));
        disk.write("list", "10.0.0.1");
        assert!(!is_current(&disk, &source));
        // The page is still missing.
        assert!(source.open().0.is_none() && is_current(&disk, &source));
        disk.write("page", "sorry");
        assert!(!is_current(&disk, &source));
        assert!(source.open().0.is_some() && is_current(&disk, &source));
    }

    #[test]
    fn a_pipe_is_read_once() {
        let disk = Disk::default();
        disk.write("pipe", FILE);
        let source = Source::new("pipe", Arc::new(disk.clone()));
        source.open();
        assert!(!source.reading().asked().any(|asked| *asked == Asked::File("pipe".to_owned())));
    }
}
