//! [`Environment`]: what loading and compiling a configuration ask of the system.

use std::io;
use std::time::SystemTime;

use crate::files::FileStamp;

/// Variables, files, users and the time, so that tests and fuzzers can answer instead of the system.
pub trait Environment {
    /// The value of an environment variable, if it is set and valid text.
    fn variable(&self, name: &str) -> Option<String>;
    /// The content of a file, by the path as written.
    fn read(&self, path: &str) -> io::Result<Vec<u8>>;
    /// Like [`Environment::read`], for the file that the configuration is named by on the command line, when the process starts:
    /// it may be a pipe.
    fn read_at_start(&self, path: &str) -> io::Result<Vec<u8>> {
        self.read(path)
    }
    /// Like [`Environment::read`], for a file that is watched while its configuration is served, so that a change needs no
    /// reload.
    fn read_watched(&self, path: &str) -> io::Result<Vec<u8>> {
        self.read(path)
    }
    /// The permission bits of a file or a folder (`0o600`), those of what a symbolic link points to; `None` where they mean
    /// nothing, as for a pipe.
    fn mode(&self, path: &str) -> Option<u32> {
        let _ = path;
        None
    }
    /// The state of a file, by which a change is noticed without reading it.
    fn stamp(&self, path: &str) -> io::Result<FileStamp> {
        let _ = path;
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Whether the process may read now what it may not once it has become `process.user`.
    fn is_privileged(&self) -> bool {
        false
    }
    /// Whether this machine has the user, given by name or number.
    fn knows_user(&self, name: &str) -> bool {
        let _ = name;
        true
    }
    /// Whether this machine has the group, given by name or number.
    fn knows_group(&self, name: &str) -> bool {
        let _ = name;
        true
    }
    /// The names in a folder, in any order; `NotADirectory` for a file.
    fn list_dir(&self, path: &str) -> io::Result<Vec<String>> {
        let _ = path;
        Err(io::ErrorKind::NotADirectory.into())
    }
    /// The time, for what has expired.
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}
