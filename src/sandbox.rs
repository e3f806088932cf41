//! The sandbox of the process: after the start it can open only what it was given, and asks the kernel for nothing that a gateway has
//! no need of.
//!
//! Whoever takes control of a process gets what that process may do. A gateway reads untrusted bytes all the time, and after its
//! start needs little: the files that it may have to read again, the log, its sockets. The kernel can be told so, by the process
//! itself and for good:
//!
//! * **Landlock** ([`file_access`]) refuses to open what is not in the [`grants`], to execute any file, to bind a TCP port, to signal
//!   other processes, and to connect to abstract Unix sockets. Linux 5.13 has it, later versions more of it (signals and sockets since
//!   6.12).
//! * **seccomp** ([`system_calls`]) refuses system calls by their number and arguments.
//!
//! Both apply to the calling thread and to those that it starts later, so that [`enter`] comes after everything that needs more, and
//! before the first thread. A process that takes over is started by `portcullis upgrade`, not by the running gateway, and is given
//! what its own configuration names.
//!
//! What they leave: files can be looked at (stat(2)) and their modes changed everywhere, as far as their permissions allow; Unix
//! sockets with a path can be connected to; TCP and UDP go anywhere.
//!
//! # What it costs
//!
//! At the start, half a millisecond: the rules, and two filters to compile. To open a file, some 100 ns for each folder above it; files that
//! are open cost nothing. A system call that is never refused costs some nanoseconds, since the kernel keeps in a bitmap which numbers
//! a filter lets through whatever their arguments are (Linux 5.11). Those that are looked at (`socket`, `mmap`, `mprotect`,
//! `clone`) cost some 100 ns, and none of them is made for each request. Before Linux 5.16, a filter also switches on the
//! mitigation of speculative store bypass, which costs every computation a few percent.
//! `cargo bench --bench sandbox` measures it.

mod file_access;
mod grants;
mod system_calls;

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

pub use self::file_access::GrantKeeper;
pub use self::grants::SandboxGrants;

/// What of the sandbox is in force, or why it is not.
#[derive(Debug)]
pub struct SandboxState {
    /// The version of Landlock's interface.
    pub landlock: Result<u32, String>,
    pub seccomp: Result<(), String>,
    /// What stays open for as long as the process lives.
    _kept: Option<GrantKeeper>,
    grants: SandboxGrants,
}

/// Of the process, like its rights.
static ENTERED: OnceLock<SandboxState> = OnceLock::new();

/// Why what the sandbox keeps from being read or written can't be.
const OUTSIDE: &str = "the sandbox keeps this process from opening it, since it is in no folder that the process was given at its start: \
                       `portcullis upgrade` starts one that is given the folders of the new configuration, or name the folder in \
                       `process.sandbox.readable`";
const REPLACED: &str = "the sandbox keeps this process from opening it, since it was given the file that stood here before, and of this \
                        folder nothing else: run `portcullis upgrade`, or keep the file in a folder of its own";
const NO_LOG: &str = "the sandbox keeps this process from opening it, since it was given the folder of another log at its start: \
                      `portcullis upgrade` starts one that is given this folder";

/// Leaves this thread, and those that it starts from here on, what `grants` say, as far as the kernel can. To be called before the
/// first thread is started.
pub fn enter(grants: SandboxGrants) -> &'static SandboxState {
    ENTERED.get_or_init(|| {
        let others = fs::read_dir("/proc/self/task").map_or(0, |threads| threads.count().saturating_sub(1));
        let (landlock, kept) = match file_access::restrict(&grants) {
            Ok((version, kept)) => (Ok(version), Some(kept)),
            Err(error) => (Err(error), None),
        };
        let seccomp = system_calls::restrict();
        let whole = |others| match others {
            0 => Ok(()),
            _ => Err(format!("{others} threads that wait for a file since the start are outside of it")),
        };
        SandboxState {
            landlock: landlock.and_then(|version| whole(others).map(|()| version)),
            seccomp: seccomp.and_then(|()| whole(others)),
            _kept: kept,
            grants,
        }
    })
}

/// Whether the kernel has what [`enter`] needs.
///
/// # Errors
/// Why not.
pub fn is_available() -> Result<(), String> {
    file_access::is_available()
}

impl SandboxState {
    /// Folders and files that can be read.
    pub fn readable(&self) -> impl Iterator<Item = &Path> {
        self.grants.readable()
    }

    /// Folders and files that can be written.
    pub fn writable(&self) -> impl Iterator<Item = &Path> {
        self.grants.writable()
    }
}

/// Why the file at `path`, which exists and could not be opened for lack of rights, is not to be read; `None` if that is not the
/// sandbox's doing. Without the path, which may be a secret that stands in the wrong place.
pub fn denies_reading(path: &Path) -> Option<&'static str> {
    let state = ENTERED.get().filter(|state| state.landlock.is_ok())?;
    let found = fs::canonicalize(path).ok()?;
    match () {
        () if state.grants.may_read(&found) => None,
        () if state.grants.had(&found) => Some(REPLACED),
        () => Some(OUTSIDE),
    }
}

/// The same of a log at `path`, which need not exist.
pub fn denies_writing(path: &Path) -> Option<&'static str> {
    let state = ENTERED.get().filter(|state| state.landlock.is_ok())?;
    let found = fs::canonicalize(path).or_else(|_| {
        let (folder, name) = path.parent().zip(path.file_name()).ok_or(std::io::ErrorKind::NotFound)?;
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        fs::canonicalize(folder).map(|folder| folder.join(name))
    });
    (!state.grants.may_write(&found.ok()?)).then_some(NO_LOG)
}
