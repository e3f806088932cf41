//! [`ConfigInputs`]: the files and folders that a configuration was read from, with a digest of each, so that a change is
//! noticed.

use std::collections::BTreeMap;
use std::io;

use aws_lc_rs::digest::{SHA256, digest};

use super::environment::Environment;
use super::load;

/// Every file and folder that one attempt to load a configuration read, with what it contained.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigInputs {
    found: BTreeMap<InputPath, InputDigest>,
    /// Files that are watched on their own once a configuration with them is served. Until then a change of them needs a new
    /// attempt.
    watched: BTreeMap<InputPath, InputDigest>,
}

/// A path that was read, as written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum InputPath {
    /// The content of a file.
    File(String),
    /// The names of a folder's configuration files.
    Folder(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum InputDigest {
    /// SHA-256 of the content, or of the names.
    Content([u8; 32]),
    /// Why it could not be read.
    Unreadable(io::ErrorKind),
}

impl ConfigInputs {
    /// The paths that were read.
    pub fn paths(&self) -> impl Iterator<Item = &InputPath> {
        self.found.keys().chain(self.watched.keys())
    }

    /// Whether the file or folder at `path` was read, and can be read again.
    pub(super) fn contain(&self, path: &str) -> bool {
        let is_folder = |found: &InputDigest| matches!(found, InputDigest::Content(_));
        self.found.contains_key(&InputPath::File(path.to_owned()))
            || self.found.get(&InputPath::Folder(path.to_owned())).is_some_and(is_folder)
    }

    /// Reads the same paths again.
    pub fn read_again(&self, environment: &dyn Environment) -> ConfigInputs {
        let again = |inputs: &BTreeMap<InputPath, InputDigest>| {
            let digest = |path: &InputPath| match path {
                InputPath::File(path) => InputDigest::content(&environment.read(path)),
                InputPath::Folder(path) => InputDigest::names(&environment.list_dir(path)),
            };
            inputs.keys().map(|path| (path.clone(), digest(path))).collect()
        };
        ConfigInputs { found: again(&self.found), watched: again(&self.watched) }
    }

    /// The configuration read `path`, which has this content.
    pub(super) fn add(&mut self, path: &str, content: &io::Result<Vec<u8>>) {
        self.found.insert(InputPath::File(path.to_owned()), InputDigest::content(content));
    }

    /// The same for a file that is watched on its own.
    pub(super) fn add_watched(&mut self, path: &str, content: &io::Result<Vec<u8>>) {
        self.watched.insert(InputPath::File(path.to_owned()), InputDigest::content(content));
    }

    /// The configuration read the folder at `path`, which has these names in it.
    pub(super) fn add_folder(&mut self, path: &str, names: &io::Result<Vec<String>>) {
        self.found.insert(InputPath::Folder(path.to_owned()), InputDigest::names(names));
    }

    /// The inputs of a configuration that is served: without the files that are watched on their own.
    pub(super) fn served(mut self) -> ConfigInputs {
        self.watched.clear();
        self
    }
}

impl InputDigest {
    fn content(content: &io::Result<Vec<u8>>) -> InputDigest {
        match content {
            Ok(content) => InputDigest::Content(sha256(content)),
            Err(error) => InputDigest::Unreadable(error.kind()),
        }
    }

    fn names(names: &io::Result<Vec<String>>) -> InputDigest {
        match names {
            Ok(names) => {
                // Temporary files of editors do not count.
                let mut parts: Vec<&str> =
                    names.iter().map(String::as_str).filter(|name| load::is_part(name)).collect();
                parts.sort_unstable();
                InputDigest::Content(sha256(parts.join("\n").as_bytes()))
            }
            Err(error) => InputDigest::Unreadable(error.kind()),
        }
    }
}

fn sha256(content: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, content).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::config::ConfigSource;

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

    fn opened() -> (Disk, ConfigSource) {
        let disk = Disk::default();
        disk.write("f", FILE);
        let source = ConfigSource::new("f", Arc::new(disk.clone()));
        (disk, source)
    }

    fn is_current(disk: &Disk, source: &ConfigSource) -> bool {
        *source.inputs() == source.inputs().read_again(disk)
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
        let source = ConfigSource::new("pipe", Arc::new(disk.clone()));
        source.open();
        assert!(!source.inputs().paths().any(|path| *path == InputPath::File("pipe".to_owned())));
    }
}
