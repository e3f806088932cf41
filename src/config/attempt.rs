//! [`LoadAttempt`]: one attempt to read and compile a configuration, as the environment that it is made in.

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind};
use std::time::SystemTime;

use super::environment::Environment;
use super::held::{HeldContent, HeldFiles};
use super::inputs::ConfigInputs;
use crate::diagnostics::{Diagnostic, Place, Severity};
use crate::files::FileStamp;

/// Files that may give no answer until the others are not asked for: a mount that hangs has many, and each costs a while.
const MAX_UNANSWERED: u32 = 2;

/// Passes every question to another environment, records what it read, gives up when files give no answer, and falls back
/// to what is held of a file that can't be read any more.
pub(super) struct LoadAttempt<'a> {
    environment: &'a dyn Environment,
    held: &'a HeldFiles,
    purpose: LoadPurpose,
    inputs: RefCell<ConfigInputs>,
    unanswered: Cell<u32>,
    /// Files that can't be read any more, and of which it is not known whether they have changed.
    doubtful: RefCell<Vec<String>>,
}

/// What an attempt is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoadPurpose {
    /// For a command that ends with it.
    Once,
    /// To start with, as the user that starts the process.
    First,
    /// To reload, as the user that the process has become.
    Again,
}

impl<'a> LoadAttempt<'a> {
    pub fn new(environment: &'a dyn Environment, held: &'a HeldFiles, purpose: LoadPurpose) -> Self {
        let (inputs, doubtful) = (RefCell::default(), RefCell::default());
        LoadAttempt { environment, held, purpose, inputs, unanswered: Cell::new(0), doubtful }
    }

    /// What was read, and what is to be told about the reading.
    pub fn finish(self) -> (ConfigInputs, Vec<Diagnostic>) {
        let told = self.doubtful.into_inner().iter().map(|file| doubt(file)).collect();
        (self.inputs.into_inner(), told)
    }

    /// Reads by `read`, unless too many files gave no answer.
    fn patiently<T>(&self, read: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        if self.unanswered.get() >= MAX_UNANSWERED {
            let message = format!("it was not tried, since {MAX_UNANSWERED} other files gave no answer");
            return Err(io::Error::new(ErrorKind::TimedOut, message));
        }
        let found = read();
        if found.as_ref().is_err_and(|error| error.kind() == ErrorKind::TimedOut) {
            self.unanswered.set(self.unanswered.get() + 1);
        }
        found
    }

    /// Reads a file that the configuration names.
    fn named(&self, path: &str, read: impl FnOnce() -> io::Result<Vec<u8>>) -> io::Result<Vec<u8>> {
        let found = self.patiently(|| match self.purpose {
            LoadPurpose::First => self.held.keep(self.environment, path, read),
            LoadPurpose::Once | LoadPurpose::Again => read(),
        });
        let error = match found {
            Ok(content) => return Ok(content),
            Err(error) => error,
        };
        let HeldContent { bytes, is_current } = self.held.instead(self.environment, path, error)?;
        let mut doubtful = self.doubtful.borrow_mut();
        if !is_current && !doubtful.iter().any(|known| known == path) {
            doubtful.push(path.to_owned());
        }
        Ok(bytes)
    }

    /// Whether a second reading gives the same: a pipe, which has no mode, is empty the second time.
    fn lasts(&self, path: &str, content: &io::Result<Vec<u8>>) -> bool {
        content.is_err() || self.environment.mode(path).is_some()
    }
}

/// Warns of a file that is used as it was when the process started.
fn doubt(file: &str) -> Diagnostic {
    Diagnostic {
        code: "file_held",
        severity: Severity::Warning,
        place: Place { file: file.into(), line: 0, column: 0 },
        path: String::new(),
        message: "this process may not read it any more, nor see whether it has changed: what it held at the start stays in use"
            .to_owned(),
        help: Some("let the group of `process.user` read it and search its folder, or run `portcullis upgrade`".to_owned()),
    }
}

impl Environment for LoadAttempt<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        self.environment.variable(name)
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let content = self.named(path, || self.environment.read(path));
        if self.lasts(path, &content) {
            self.inputs.borrow_mut().add(path, &content);
        }
        content
    }

    fn read_at_start(&self, path: &str) -> io::Result<Vec<u8>> {
        let content = self.patiently(|| match self.purpose {
            LoadPurpose::Once | LoadPurpose::First => self.environment.read_at_start(path),
            LoadPurpose::Again => self.environment.read(path),
        });
        if self.lasts(path, &content) {
            self.inputs.borrow_mut().add(path, &content);
        }
        content
    }

    fn read_watched(&self, path: &str) -> io::Result<Vec<u8>> {
        let content = self.named(path, || self.environment.read_watched(path));
        if self.lasts(path, &content) {
            self.inputs.borrow_mut().add_watched(path, &content);
        }
        content
    }

    fn list_dir(&self, path: &str) -> io::Result<Vec<String>> {
        let names = self.patiently(|| self.environment.list_dir(path));
        self.inputs.borrow_mut().add_folder(path, &names);
        names
    }

    fn mode(&self, path: &str) -> Option<u32> {
        self.environment.mode(path)
    }

    fn stamp(&self, path: &str) -> io::Result<FileStamp> {
        self.environment.stamp(path)
    }

    fn is_privileged(&self) -> bool {
        self.environment.is_privileged()
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
    use super::*;

    /// Files that give no answer, and count how often they are asked for.
    #[derive(Default)]
    struct Hung(Cell<u32>);

    impl Environment for Hung {
        fn variable(&self, _: &str) -> Option<String> {
            None
        }
        fn read(&self, _: &str) -> io::Result<Vec<u8>> {
            self.0.set(self.0.get() + 1);
            Err(ErrorKind::TimedOut.into())
        }
    }

    #[test]
    fn a_mount_that_hangs_costs_the_time_of_two_files() {
        let (hung, held) = (Hung::default(), HeldFiles::default());
        let attempt = LoadAttempt::new(&hung, &held, LoadPurpose::Once);
        for file in ["a", "b", "c", "d"] {
            assert_eq!(attempt.read(file).unwrap_err().kind(), ErrorKind::TimedOut);
        }
        assert_eq!(hung.0.get(), 2);
    }
}
