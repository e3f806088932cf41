//! The configuration: load, compile, publish.
//!
//! [`load`] reads files into [`raw`] (as written) with the place of every value; [`compile`] turns that into a
//! [`snapshot::Snapshot`] or into everything that is wrong with it; [`store`] publishes snapshots, one atomic load per
//! request. [`diff`] tells what differs between two snapshots, [`inputs`] what one was read from. This folder does not know sockets or Pingora.

mod attempt;
pub mod compile;
pub mod diff;
pub mod doc_path;
pub mod environment;
mod held;
pub mod inputs;
pub mod load;
pub mod log_template;
pub mod raw;
pub mod reference;
pub mod schema;
mod shown;
pub mod snapshot;
pub mod store;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;

use crate::diagnostics::Diagnostic;
use attempt::{LoadAttempt, LoadPurpose};
pub use compile::upstream::endpoints_in_file;
use environment::Environment;
use held::HeldFiles;
use inputs::{ConfigInputs, InputPath};

/// Where a configuration comes from, so that it can be read again.
#[derive(Clone)]
pub struct ConfigSource {
    /// A file or a folder, as the owner named it.
    pub path: String,
    /// What variables and files are read from.
    environment: Arc<dyn Environment + Send + Sync>,
    /// Shared by all clones.
    shared: Arc<SourceState>,
}

#[derive(Default)]
struct SourceState {
    inputs: ArcSwap<ConfigInputs>,
    held: HeldFiles,
    was_opened: AtomicBool,
    /// What the first attempt read, files that are watched on their own included.
    first: OnceLock<ConfigInputs>,
}

/// A path that the start could read, and a reload can't.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostInput {
    pub path: String,
    pub loss: InputLoss,
}

/// What becomes of a path that can't be read any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputLoss {
    /// What was read at the start stays in use for as long as the file does not change.
    Held,
    /// It is part of the configuration itself, which can't be reloaded.
    Denied,
    /// It is a pipe, which is read once.
    Pipe,
}

impl ConfigSource {
    /// The file or folder at `path`.
    pub fn new(path: impl Into<String>, environment: Arc<dyn Environment + Send + Sync>) -> Self {
        ConfigSource { path: path.into(), environment, shared: Arc::default() }
    }

    /// Reads and compiles it as it is now, see [`open`]. From the second time on, it can't be read from a pipe, and files that
    /// can't be read any more are as they were the first time.
    pub fn open(&self) -> (Option<snapshot::Snapshot>, Vec<Diagnostic>) {
        let SourceState { inputs, held, was_opened, first } = &*self.shared;
        let purpose = if was_opened.swap(true, Ordering::Relaxed) { LoadPurpose::Again } else { LoadPurpose::First };
        let attempt = LoadAttempt::new(&*self.environment, held, purpose);
        let (snapshot, mut diagnostics) = compiled(&self.path, &attempt);
        let (found, told) = attempt.finish();
        first.get_or_init(|| found.clone());
        diagnostics.extend(told);
        inputs.store(Arc::new(if snapshot.is_some() { found.served() } else { found }));
        (snapshot, diagnostics)
    }

    /// What the latest attempt to open it was made of, whether it failed or not.
    pub fn inputs(&self) -> Arc<ConfigInputs> {
        self.shared.inputs.load_full()
    }

    /// What the first attempt to open it was made of.
    pub fn first_inputs(&self) -> ConfigInputs {
        self.shared.first.get().cloned().unwrap_or_default()
    }

    /// What it would be made of now.
    pub fn inputs_now(&self) -> ConfigInputs {
        self.inputs().read_again(&LoadAttempt::new(&*self.environment, &self.shared.held, LoadPurpose::Again))
    }

    /// What a reload can't read, to be called once the process has become the user that it stays. What can be read is not
    /// held any more.
    pub fn lost_inputs(&self) -> Vec<LostInput> {
        let is_readable = |input: &InputPath| {
            let error = match input {
                InputPath::File(path) => self.environment.read(path).err(),
                InputPath::Folder(path) => self.environment.list_dir(path).err(),
            };
            error.is_none_or(|error| error.kind() != io::ErrorKind::PermissionDenied)
        };
        let held = self.shared.held.forget(|path| is_readable(&InputPath::File(path.to_owned())));
        let inputs = self.inputs();
        let pipe = (!inputs.contain(&self.path)).then(|| LostInput { path: self.path.clone(), loss: InputLoss::Pipe });
        let others = inputs.paths().filter(|input| !is_readable(input));
        let others = others.map(|(InputPath::File(path) | InputPath::Folder(path))| path);
        let denied = others.filter(|path| !held.contains(path)).cloned();
        let denied: Vec<_> = denied.map(|path| LostInput { path, loss: InputLoss::Denied }).collect();
        let held = held.into_iter().map(|path| LostInput { path, loss: InputLoss::Held });
        let mut lost: Vec<LostInput> = pipe.into_iter().chain(denied).chain(held).collect();
        lost.sort_by(|one, other| one.path.cmp(&other.path));
        lost
    }
}

/// Loads and compiles the configuration at `path`: a snapshot if nothing is wrong, and every diagnostic in the order of
/// the files. Warnings may come with a snapshot.
pub fn open(path: &str, environment: &dyn Environment) -> (Option<snapshot::Snapshot>, Vec<Diagnostic>) {
    let held = HeldFiles::default();
    compiled(path, &LoadAttempt::new(environment, &held, LoadPurpose::Once))
}

fn compiled(path: &str, attempt: &LoadAttempt<'_>) -> (Option<snapshot::Snapshot>, Vec<Diagnostic>) {
    match load::load(path, attempt) {
        Ok(document) => compile::compile(&document, attempt),
        Err(diagnostics) => (None, compile::in_order(diagnostics)),
    }
}
