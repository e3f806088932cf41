//! [`HeldFiles`]: what was read while the process was root and can't be read any more, so that a reload works as the start did.

use std::collections::HashMap;
use std::io::{self, ErrorKind};

use parking_lot::Mutex;

use super::environment::Environment;
use crate::files::FileStamp;
use crate::secret::Secret;

/// Files that the configuration names, as they were when the process started. Any of them may hold a key.
#[derive(Default)]
pub(super) struct HeldFiles {
    by_path: Mutex<HashMap<String, HeldFile>>,
}

struct HeldFile {
    stamp: FileStamp,
    content: Secret<Vec<u8>>,
}

/// The content of a file that can't be read any more.
pub(super) struct HeldContent {
    pub bytes: Vec<u8>,
    /// Whether it is known that the file has not changed. Otherwise not even its folder can be searched.
    pub is_current: bool,
}

impl HeldFiles {
    /// Reads `path` by `read` and keeps the content, if `environment` is one that may lose the right to.
    pub fn keep(
        &self,
        environment: &dyn Environment,
        path: &str,
        read: impl FnOnce() -> io::Result<Vec<u8>>,
    ) -> io::Result<Vec<u8>> {
        if !environment.is_privileged() {
            return read();
        }
        let before = environment.stamp(path);
        let content = read()?;
        if let (Ok(before), Ok(after)) = (before, environment.stamp(path))
            && before == after
        {
            let held = HeldFile { stamp: after, content: Secret::new(content.clone()) };
            self.by_path.lock().insert(path.to_owned(), held);
        }
        Ok(content)
    }

    /// Forgets every file that `is_readable`. Gives the others.
    pub fn forget(&self, is_readable: impl Fn(&str) -> bool) -> Vec<String> {
        // The file system is asked without the lock.
        let paths: Vec<String> = self.by_path.lock().keys().cloned().collect();
        let (readable, others): (Vec<String>, Vec<String>) = paths.into_iter().partition(|path| is_readable(path));
        let mut held = self.by_path.lock();
        readable.iter().for_each(|path| _ = held.remove(path));
        others
    }

    /// What is held of `path`, which can't be read because of `error`.
    ///
    /// # Errors
    /// `error` if nothing is held, or that the file has changed since.
    pub fn instead(&self, environment: &dyn Environment, path: &str, error: io::Error) -> io::Result<HeldContent> {
        if error.kind() != ErrorKind::PermissionDenied || !self.by_path.lock().contains_key(path) {
            return Err(error);
        }
        let now = environment.stamp(path);
        let held = self.by_path.lock();
        let Some(file) = held.get(path) else { return Err(error) };
        let is_current = match now {
            Ok(now) if now == file.stamp => true,
            Ok(_) => {
                let message = "it has changed, and this process may not read it any more: let its group read it, or run \
                               `portcullis upgrade`";
                return Err(io::Error::new(ErrorKind::PermissionDenied, message));
            }
            Err(error) if error.kind() == ErrorKind::PermissionDenied => false,
            Err(error) => return Err(error),
        };
        Ok(HeldContent { bytes: file.content.expose().clone(), is_current })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// One file, whose content root alone may read.
    struct RootOnly {
        is_root: Cell<bool>,
        /// Another file has another stamp.
        stamped: Cell<Option<&'static str>>,
    }

    impl Environment for RootOnly {
        fn variable(&self, _: &str) -> Option<String> {
            None
        }
        fn read(&self, _: &str) -> io::Result<Vec<u8>> {
            if self.is_root.get() { Ok(b"key".to_vec()) } else { Err(ErrorKind::PermissionDenied.into()) }
        }
        fn stamp(&self, _: &str) -> io::Result<FileStamp> {
            crate::files::stamp(self.stamped.get().ok_or(ErrorKind::PermissionDenied)?)
        }
        fn is_privileged(&self) -> bool {
            self.is_root.get()
        }
    }

    #[test]
    fn what_root_has_read_is_kept_until_it_changes() {
        let root = RootOnly { is_root: Cell::new(true), stamped: Cell::new(Some("/etc/passwd")) };
        let held = HeldFiles::default();
        assert_eq!(held.keep(&root, "k", || root.read("k")).unwrap(), b"key");
        root.is_root.set(false);
        assert_eq!(held.forget(|path| root.read(path).is_ok()), ["k"]);
        let denied = || ErrorKind::PermissionDenied.into();
        let instead = || held.instead(&root, "k", denied()).map(|held| (held.bytes, held.is_current));
        assert_eq!(instead().unwrap(), (b"key".to_vec(), true));
        root.stamped.set(None);
        assert_eq!(instead().unwrap(), (b"key".to_vec(), false));
        root.stamped.set(Some("/"));
        assert!(instead().unwrap_err().to_string().contains("it has changed"));
        assert!(held.instead(&root, "other", denied()).is_err());
        assert!(held.instead(&root, "k", ErrorKind::NotFound.into()).is_err());
    }

    #[test]
    fn nothing_is_kept_that_can_be_read_again() {
        let user = RootOnly { is_root: Cell::new(false), stamped: Cell::new(Some("/etc/passwd")) };
        let held = HeldFiles::default();
        assert!(held.keep(&user, "k", || Ok(b"key".to_vec())).is_ok());
        assert!(held.by_path.lock().is_empty());
        let root = RootOnly { is_root: Cell::new(true), ..user };
        assert!(held.keep(&root, "k", || root.read("k")).is_ok());
        assert!(held.forget(|path| root.read(path).is_ok()).is_empty());
        assert!(held.by_path.lock().is_empty());
    }
}
