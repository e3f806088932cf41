//! What the process is given when it enters the sandbox: what it needs after its start.
//!
//! A file that a reload reads may have been replaced by then, as editors, ACME clients and Kubernetes do it: a new file, or a link that
//! leads elsewhere. So the process is given the folder of each file that its configuration was read from, and the folder of each link on the
//! way to it.

use std::fs;
use std::path::{Path, PathBuf};

use log::{info, warn};

use super::watch::WatchedPaths;
use crate::admin::api::SandboxStatus;
use crate::config::ConfigSource;
use crate::config::snapshot::{LogOutput, SandboxMode, Snapshot};
use crate::runtime_folder::RuntimeFolder;
use crate::sandbox::{self, SandboxGrants, SandboxState};

/// What the resolver reads again when it changes, and what tells whether a user exists that a new configuration names.
const SYSTEM_FILES: [&str; 5] = ["/etc/hosts", "/etc/resolv.conf", "/etc/passwd", "/etc/group", "/etc/nsswitch.conf"];

/// The sandbox is required, and can't be had: why.
#[derive(Debug, thiserror::Error)]
#[error("process.sandbox is `required`, and can't be had: {0}")]
pub struct SandboxUnavailable(String);

/// Enters the sandbox that `snapshot` asks for. To be called before the first thread is started, with everything open that needs
/// more. `abstract_sockets`: the service manager listens at one.
///
/// # Errors
/// When it is required, and the kernel does not have it.
pub(super) fn confine(
    source: &ConfigSource,
    snapshot: &Snapshot,
    runtime: Option<&RuntimeFolder>,
    abstract_sockets: bool,
) -> Result<SandboxStatus, SandboxUnavailable> {
    let mode = snapshot.process.sandbox.mode;
    if mode == SandboxMode::Off {
        warn!("the sandbox is off (`process.sandbox`): the process may open whatever its user may");
        return Ok(SandboxStatus::off());
    }
    let mut grants = grants(source, snapshot, runtime);
    if abstract_sockets {
        grants.allow_abstract_sockets();
    }
    let state = sandbox::enter(grants);
    let lacking = || [state.landlock.as_ref().err(), state.seccomp.as_ref().err()].into_iter().flatten();
    if mode == SandboxMode::Required
        && let Some(why) = lacking().next()
    {
        return Err(SandboxUnavailable(why.clone()));
    }
    lacking().for_each(|why| warn!("the sandbox is not whole: {why}"));
    let status = status(mode, state);
    info!("sandbox: Landlock: {}; seccomp: {}", status.landlock, status.seccomp);
    Ok(status)
}

/// Whether the sandbox that `snapshot` requires can be had, before anything is changed.
///
/// # Errors
/// When it can't.
pub(super) fn check(snapshot: &Snapshot) -> Result<(), SandboxUnavailable> {
    match snapshot.process.sandbox.mode {
        SandboxMode::Required => sandbox::is_available().map_err(SandboxUnavailable),
        SandboxMode::BestEffort | SandboxMode::Off => Ok(()),
    }
}

fn grants(source: &ConfigSource, snapshot: &Snapshot, runtime: Option<&RuntimeFolder>) -> SandboxGrants {
    let mut grants = SandboxGrants::default();
    let named = WatchedPaths::of(&source.first_inputs());
    for (folder, names) in named.entries() {
        for file in grants.read_in(folder, names) {
            warn!(
                "of `{}` the sandbox gives the process `{}` alone: once another file takes its place, no reload can read it. Keep it in \
                 a folder of its own",
                folder.display(),
                file.display()
            );
        }
    }
    let mut read = |paths: &[PathBuf]| {
        for (folder, names) in WatchedPaths::to(paths).entries() {
            grants.read_in(folder, names);
        }
    };
    read(&SYSTEM_FILES.map(PathBuf::from));
    read(&authorities());
    // For the places in the report of a panic.
    if let Ok(program) = std::env::current_exe() {
        grants.read(&program);
    }
    for path in &snapshot.process.sandbox.readable {
        grants.read(path);
        if !path.exists() {
            warn!(
                "`{}` (`process.sandbox.readable`) does not exist, so that the process is not given it",
                path.display()
            );
        }
    }
    if let LogOutput::File(log) = &snapshot.access_log.output {
        for (folder, names) in WatchedPaths::to(std::slice::from_ref(log)).entries() {
            grants.write_in(folder, names);
        }
    }
    if let Some(runtime) = runtime {
        grants.make_sockets_in(runtime.path());
    }
    grants
}

/// Where the certificates of public authorities are, which connections to upstreams are verified by.
fn authorities() -> Vec<PathBuf> {
    let found = openssl_probe::probe();
    let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let folder = found.cert_dir.iter().flat_map(|folder| entries(folder).chain([folder.clone()]));
    found.cert_file.iter().cloned().chain(folder).collect()
}

fn status(mode: SandboxMode, state: &SandboxState) -> SandboxStatus {
    let lines = |paths: &mut dyn Iterator<Item = &Path>| paths.map(|path| path.display().to_string()).collect();
    SandboxStatus {
        mode: mode.to_string(),
        landlock: state.landlock.as_ref().map_or_else(Clone::clone, |version| format!("on (version {version})")),
        seccomp: state.seccomp.as_ref().map_or_else(Clone::clone, |()| "on".to_owned()),
        readable: lines(&mut state.readable()),
        writable: lines(&mut state.writable()),
    }
}
