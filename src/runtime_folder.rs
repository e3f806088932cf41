//! The private folder with the sockets of a running gateway: for commands, and for the process that takes over.
//!
//! | name | what |
//! |---|---|
//! | `control.PID.sock`, `upgrade.PID.sock` | the sockets of one process, for as long as it lives |
//! | `control.sock`, `upgrade.sock` | links to those of the process that serves |
//!
//! A link is replaced in one step (`rename`), so that there is always one while a new process takes over, and an old process
//! that has to continue only restores its links. The leftovers of a killed process do no harm: links are replaced, and the
//! next start removes sockets at which no process answers.
//!
//! Only its owner may enter the folder. It is opened once and used by its descriptor from then on: a process that is not root
//! any more still reaches it, wherever it is, and no other folder can be put in its place.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::unistd::Uid;
use rustix::fs::{AtFlags, Mode, readlinkat, renameat, symlinkat, unlinkat};
use socket2::{Domain, SockAddr, Socket, Type};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 128;

/// The socket for commands.
pub const CONTROL: &str = "control";
/// The socket for handovers.
pub const UPGRADE: &str = "upgrade";

/// The longest path that a Unix socket can have (unix(7), `sun_path` without its NUL).
const MAX_SOCKET_PATH: usize = 107;
/// `/control.PID.sock`, with the largest pid that Linux gives (2^22).
const LONGEST_NAME: usize = "/control.4194304.sock".len();

/// Where a gateway keeps its sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeFolderChoice {
    pub path: PathBuf,
    /// Whether it was named, and is not the system's default. The gateway also serves without the default folder.
    pub named: bool,
}

impl RuntimeFolderChoice {
    /// The folder that was named, or else the one that the system has for this process: `$RUNTIME_DIRECTORY` (the first, as
    /// systemd.exec(5) gives it), `/run/portcullis` for root, `$XDG_RUNTIME_DIR/portcullis`. `None`: there is none.
    pub fn new(
        named: Option<PathBuf>,
        root: bool,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Option<RuntimeFolderChoice> {
        if let Some(path) = named {
            return Some(RuntimeFolderChoice { path, named: true });
        }
        let given = |name: &str| variable(name).filter(|value| !value.is_empty());
        let path = if let Some(folders) = given("RUNTIME_DIRECTORY") {
            let first = folders.as_bytes().split(|&byte| byte == b':').next().unwrap_or_default();
            PathBuf::from(std::ffi::OsStr::from_bytes(first))
        } else if root {
            PathBuf::from("/run/portcullis")
        } else {
            PathBuf::from(given("XDG_RUNTIME_DIR")?).join("portcullis")
        };
        Some(RuntimeFolderChoice { path, named: false })
    }

    /// The same, from the environment of this process.
    pub fn of_this_process(named: Option<PathBuf>) -> Option<RuntimeFolderChoice> {
        RuntimeFolderChoice::new(named, Uid::effective().is_root(), |name| std::env::var_os(name))
    }

    /// The path of a socket of the gateway that serves.
    pub fn socket(&self, name: &str) -> PathBuf {
        self.path.join(format!("{name}.sock"))
    }
}

/// Why a folder can't be used.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeFolderError {
    #[error("the runtime folder `{}` has a path of {length} bytes; a socket in it can have {most} at most", path.display())]
    TooLong { path: PathBuf, length: usize, most: usize },
    #[error("the runtime folder `{}` cannot be used: {source}", path.display())]
    Unusable { path: PathBuf, source: io::Error },
    #[error("the runtime folder `{}` belongs to user {owner}, who could put other sockets there", path.display())]
    Foreign { path: PathBuf, owner: u32 },
    #[error("the runtime folder `{path}` is open to others (mode {mode:03o}): `chmod 700 {path}`", path = path.display())]
    Open { path: PathBuf, mode: u32 },
    #[error("a gateway serves with the runtime folder `{}`: replace it with `portcullis upgrade`, or name another folder (`--runtime`)", path.display())]
    Taken { path: PathBuf },
}

/// An open runtime folder.
#[derive(Debug)]
pub struct RuntimeFolder {
    path: PathBuf,
    folder: File,
    pid: u32,
    owner: Option<(u32, u32)>,
}

impl RuntimeFolder {
    /// Opens the folder at `path`, and makes it if it is missing. Root gives it to `owner` (user, group), whom the process is
    /// about to become.
    ///
    /// # Errors
    /// When its path is too long for sockets, when it can't be made or is no folder, when it belongs to another user, or when
    /// others may enter it. The folder may have been made then, and nothing else was changed.
    pub fn open(path: &Path, owner: Option<(u32, u32)>) -> Result<RuntimeFolder, RuntimeFolderError> {
        let unusable = |source| RuntimeFolderError::Unusable { path: path.to_owned(), source };
        let path = std::path::absolute(path).map_err(unusable)?;
        let (length, most) = (path.as_os_str().len(), MAX_SOCKET_PATH - LONGEST_NAME);
        if length > most {
            return Err(RuntimeFolderError::TooLong { path, length, most });
        }
        let unusable = |source| RuntimeFolderError::Unusable { path: path.clone(), source };
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(unusable(error)),
            _ => {}
        }
        // No link: a user who may write to its folder could change where it leads.
        let flags = (OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW).bits();
        let folder = OpenOptions::new().read(true).custom_flags(flags).open(&path).map_err(unusable)?;
        let found = folder.metadata().map_err(unusable)?;
        let own = Uid::effective().as_raw();
        if ![Some(own), Some(0), owner.map(|(user, _)| user)].contains(&Some(found.uid())) {
            return Err(RuntimeFolderError::Foreign { path, owner: found.uid() });
        }
        if found.mode() & 0o077 != 0 {
            return Err(RuntimeFolderError::Open { path, mode: found.mode() & 0o777 });
        }
        if let Some((user, group)) = owner.filter(|_| own == 0) {
            std::os::unix::fs::fchown(&folder, Some(user), Some(group)).map_err(unusable)?;
        }
        Ok(RuntimeFolder { path, folder, pid: std::process::id(), owner })
    }

    /// Its path, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a gateway answers at its control socket.
    pub fn is_taken(&self) -> bool {
        answers(&self.path.join(format!("{CONTROL}.sock")))
    }

    /// Makes the socket of this process called `name`. No link leads to it before [`RuntimeFolder::publish`].
    ///
    /// # Errors
    /// What the system says.
    pub fn bind(&self, name: &str) -> Result<UnixListener, RuntimeFolderError> {
        let own = own_name(name, self.pid);
        let path = self.path.join(&own);
        self.remove(&own);
        let bind = || -> io::Result<UnixListener> {
            // The mode is set before the socket has a name: in a folder of another user, the name could lead elsewhere by then.
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
            rustix::fs::fchmod(&socket, Mode::from_raw_mode(0o600))?;
            socket.bind(&SockAddr::unix(&path)?)?;
            socket.listen(BACKLOG)?;
            let socket = UnixListener::from(OwnedFd::from(socket));
            if let Some((user, group)) = self.owner.filter(|_| Uid::effective().is_root()) {
                std::os::unix::fs::lchown(&path, Some(user), Some(group))?;
            }
            Ok(socket)
        };
        bind().map_err(|source| RuntimeFolderError::Unusable { path: self.path.clone(), source })
    }

    /// Makes the links lead to the sockets of this process.
    ///
    /// # Errors
    /// What the system says.
    pub fn publish(&self) -> io::Result<()> {
        self.publish_for(self.pid)
    }

    /// Makes the links lead to the sockets of the process `pid`.
    ///
    /// # Errors
    /// What the system says.
    pub fn publish_for(&self, pid: u32) -> io::Result<()> {
        // A client that asks `control` for the process may take over from it at once.
        for name in [UPGRADE, CONTROL] {
            let new = format!("{name}.{}.new", self.pid);
            self.remove(&new);
            symlinkat(own_name(name, pid), &self.folder, &new)?;
            renameat(&self.folder, &new, &self.folder, format!("{name}.sock"))?;
        }
        Ok(())
    }

    /// Removes the sockets that processes have left behind which were killed.
    pub fn tidy(&self) {
        let Ok(entries) = std::fs::read_dir(&self.path) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some(pid) = name.to_str().and_then(pid_of) else { continue };
            if pid != self.pid && !answers(&self.path.join(own_name(CONTROL, pid))) {
                self.remove(&own_name(CONTROL, pid));
                self.remove(&own_name(UPGRADE, pid));
            }
        }
    }

    /// Removes the sockets of this process, and the links unless they lead to another one. `followed`: another process has
    /// taken over the links, or may be about to.
    pub fn withdraw(&self, followed: bool) {
        for name in [CONTROL, UPGRADE] {
            let (link, own) = (format!("{name}.sock"), own_name(name, self.pid));
            let leads_here =
                || readlinkat(&self.folder, &link, Vec::new()).is_ok_and(|to| to.as_bytes() == own.as_bytes());
            if !followed && leads_here() {
                self.remove(&link);
            }
            self.remove(&own);
        }
    }

    fn remove(&self, name: &str) {
        // A file that is missing need not be removed. One that can't be removed fails whatever needs its name.
        let _ = unlinkat(&self.folder, name, AtFlags::empty());
    }
}

fn own_name(name: &str, pid: u32) -> String {
    format!("{name}.{pid}.sock")
}

/// The process whose socket has the name `name`.
fn pid_of(name: &str) -> Option<u32> {
    name.strip_prefix(CONTROL)?.strip_prefix('.')?.strip_suffix(".sock")?.parse().ok()
}

/// Whether a process listens at the socket `path`. Never waits: a full queue has a listener.
fn answers(path: &Path) -> bool {
    let connect = || -> io::Result<()> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.connect(&SockAddr::unix(path)?)
    };
    match connect() {
        Ok(()) => true,
        // Any other error does not mean that there is no listener.
        Err(error) => !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let above = tempfile::tempdir().unwrap();
        let path = above.path().join("run");
        (above, path)
    }

    fn names(path: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_folder_is_the_one_that_was_named_or_the_systems() {
        let choose = |named: Option<&str>, root, variables: &[(&str, &str)]| {
            let variable =
                |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
            RuntimeFolderChoice::new(named.map(PathBuf::from), root, variable)
                .map(|choice| choice.path.display().to_string())
        };
        let systemd = ("RUNTIME_DIRECTORY", "/run/a:/run/b");
        let session = ("XDG_RUNTIME_DIR", "/run/user/7");
        assert_eq!(choose(Some("/x"), true, &[systemd]).as_deref(), Some("/x"));
        assert_eq!(choose(None, true, &[systemd, session]).as_deref(), Some("/run/a"));
        assert_eq!(choose(None, true, &[session]).as_deref(), Some("/run/portcullis"));
        assert_eq!(choose(None, false, &[session]).as_deref(), Some("/run/user/7/portcullis"));
        assert_eq!(choose(None, false, &[("XDG_RUNTIME_DIR", "")]), None);
    }

    #[test]
    fn it_is_for_its_owner_alone() {
        let (_above, path) = folder();
        drop(RuntimeFolder::open(&path, None).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        fs::set_permissions(&path, Permissions::from_mode(0o750)).unwrap();
        let said = RuntimeFolder::open(&path, None).unwrap_err().to_string();
        assert!(said.contains("mode 750") && said.contains("chmod 700"), "{said}");
    }

    #[test]
    fn a_link_or_a_file_is_no_folder_and_a_long_path_is_refused_before_anything_is_made() {
        let (above, path) = folder();
        std::os::unix::fs::symlink(above.path(), &path).unwrap();
        assert!(matches!(RuntimeFolder::open(&path, None), Err(RuntimeFolderError::Unusable { .. })));
        let long = above.path().join("a".repeat(90));
        let said = RuntimeFolder::open(&long, None).unwrap_err().to_string();
        assert!(said.contains("86 at most"), "{said}");
        assert!(!long.exists());
    }

    #[test]
    fn the_longest_path_that_is_taken_holds_a_socket() {
        let above = tempfile::tempdir().unwrap();
        let rest = MAX_SOCKET_PATH - LONGEST_NAME - above.path().as_os_str().len() - 1;
        let folder = RuntimeFolder::open(&above.path().join("a".repeat(rest)), None).unwrap();
        folder.bind(CONTROL).unwrap();
    }

    #[test]
    fn sockets_are_found_once_they_are_published_and_are_gone_in_the_end() {
        let (_above, path) = folder();
        let folder = RuntimeFolder::open(&path, None).unwrap();
        let sockets = [folder.bind(CONTROL).unwrap(), folder.bind(UPGRADE).unwrap()];
        assert!(!folder.is_taken());
        folder.publish().unwrap();
        folder.publish().unwrap();
        assert!(folder.is_taken());
        assert_eq!(names(&path).len(), 4);
        drop(sockets);
        assert!(!folder.is_taken());
        folder.withdraw(false);
        assert_eq!(names(&path), [""; 0]);
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_what_lives_is_not() {
        let (_above, path) = folder();
        let folder = RuntimeFolder::open(&path, None).unwrap();
        let dead = RuntimeFolder { pid: 1 << 22, ..RuntimeFolder::open(&path, None).unwrap() };
        let living = RuntimeFolder { pid: (1 << 22) - 1, ..RuntimeFolder::open(&path, None).unwrap() };
        drop((dead.bind(CONTROL).unwrap(), dead.bind(UPGRADE).unwrap()));
        let _control = living.bind(CONTROL).unwrap();
        folder.tidy();
        assert_eq!(names(&path), [own_name(CONTROL, living.pid)]);
    }

    #[test]
    fn whoever_was_followed_leaves_the_links_alone() {
        let (_above, path) = folder();
        let old = RuntimeFolder { pid: 1 << 22, ..RuntimeFolder::open(&path, None).unwrap() };
        let new = RuntimeFolder::open(&path, None).unwrap();
        let _sockets = [old.bind(CONTROL).unwrap(), old.bind(UPGRADE).unwrap()];
        old.publish().unwrap();
        let _next = [new.bind(CONTROL).unwrap(), new.bind(UPGRADE).unwrap()];
        new.publish().unwrap();
        old.withdraw(false);
        assert!(new.is_taken());
        assert_eq!(names(&path).len(), 4);
    }
}
