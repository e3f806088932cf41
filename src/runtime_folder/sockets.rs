//! The sockets in the folder, and the links to those of the process that serves.

use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::{Pid, Uid};
use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, chownat, fstat, openat, readlinkat, renameat, statat, symlinkat,
    unlinkat,
};
use socket2::{Domain, SockAddr, Socket, Type};

use super::error::RuntimeFolderError;
use super::folder::RuntimeFolder;
use super::names::{CONTROL, UPGRADE, link_name, own_name, pid_of};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 128;

impl RuntimeFolder {
    /// Whether a gateway answers at its control socket.
    pub fn is_taken(&self) -> bool {
        answers(&self.at(&link_name(CONTROL))).unwrap_or(true)
    }

    /// Makes the socket of this process called `name`. No link leads to it before [`RuntimeFolder::publish`].
    ///
    /// # Errors
    /// What the system says.
    pub fn bind(&self, name: &str) -> Result<UnixListener, RuntimeFolderError> {
        let own = own_name(name, self.pid);
        self.remove(&own);
        let bind = || -> io::Result<UnixListener> {
            // The mode is set before the socket has a name: in a folder of another user, the name could lead elsewhere by then.
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
            rustix::fs::fchmod(&socket, Mode::from_raw_mode(0o600))?;
            socket.bind(&SockAddr::unix(self.at(&own))?)?;
            socket.listen(BACKLOG)?;
            self.give_socket(&own)?;
            Ok(UnixListener::from(OwnedFd::from(socket)))
        };
        bind().map_err(|source| RuntimeFolderError::Unusable { path: self.path.clone(), source })
    }

    /// Gives the socket `name`, which this process has just made as root, to the owner. By its descriptor: in a folder of another
    /// user, another file may have been put in its place.
    fn give_socket(&self, name: &str) -> io::Result<()> {
        let Some((user, group)) = self.owner.filter(|_| Uid::effective().is_root()) else { return Ok(()) };
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let socket = openat(&self.folder, name, flags, Mode::empty())?;
        let found = fstat(&socket)?;
        let is_new = FileType::from_raw_mode(found.st_mode) == FileType::Socket && found.st_uid == 0;
        if !is_new || found.st_nlink != 1 {
            return Err(io::Error::other(format!("another file was put in the place of `{name}`")));
        }
        let (user, group) = (rustix::fs::Uid::from_raw(user), Gid::from_raw(group));
        Ok(chownat(&socket, "", Some(user), Some(group), AtFlags::EMPTY_PATH)?)
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
            renameat(&self.folder, &new, &self.folder, link_name(name))?;
        }
        Ok(())
    }

    /// Whether the sockets of this process have their names. What it may not look at is taken to be as it was.
    pub fn has_sockets(&self) -> bool {
        let is_missing = |name: &str| {
            let found = statat(&self.folder, own_name(name, self.pid), AtFlags::SYMLINK_NOFOLLOW);
            found.err() == Some(rustix::io::Errno::NOENT)
        };
        !is_missing(CONTROL) && !is_missing(UPGRADE)
    }

    /// Whether the links lead to this process, or to another one that answers.
    pub fn has_links(&self) -> bool {
        let leads = |name: &str| self.leads_here(name) || answers(&self.at(&link_name(name))).unwrap_or(true);
        leads(CONTROL) && leads(UPGRADE)
    }

    /// Removes the sockets that processes have left behind which were killed.
    pub fn tidy(&self) {
        let Ok(entries) = Dir::read_from(&self.folder) else { return };
        for entry in entries.flatten() {
            let Some(pid) = entry.file_name().to_str().ok().and_then(pid_of) else { continue };
            if pid != self.pid && !self.lives(pid) {
                self.remove(&own_name(CONTROL, pid));
                self.remove(&own_name(UPGRADE, pid));
            }
        }
    }

    /// Whether the process `pid` answers at its socket.
    fn lives(&self, pid: u32) -> bool {
        answers(&self.at(&own_name(CONTROL, pid))).unwrap_or_else(|_| {
            // The socket of another user, as after a change of `process.user`, can't be asked.
            i32::try_from(pid).is_ok_and(|pid| kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH))
        })
    }

    /// Removes the sockets of this process, and the links unless they lead to another one. `followed`: another process has
    /// taken over the links, or may be about to.
    pub fn withdraw(&self, followed: bool) {
        for name in [CONTROL, UPGRADE] {
            if !followed && self.leads_here(name) {
                self.remove(&link_name(name));
            }
            self.remove(&own_name(name, self.pid));
        }
    }

    fn leads_here(&self, name: &str) -> bool {
        let own = own_name(name, self.pid);
        readlinkat(&self.folder, link_name(name), Vec::new()).is_ok_and(|to| to.as_bytes() == own.as_bytes())
    }

    fn remove(&self, name: &str) {
        // A file that is missing need not be removed. One that can't be removed fails whatever needs its name.
        let _ = unlinkat(&self.folder, name, AtFlags::empty());
    }

    /// What is called `name` in this folder, for calls that take no descriptor of a folder: by way of proc(5), or by the path where
    /// that is not mounted.
    fn at(&self, name: &str) -> PathBuf {
        let own = PathBuf::from(format!("/proc/self/fd/{}", self.folder.as_raw_fd()));
        if own.exists() { own.join(name) } else { self.path.join(name) }
    }
}

/// Whether a process listens at the socket `path`. Never waits: a full queue has a listener.
///
/// # Errors
/// What the system says where that can't be told.
fn answers(path: &Path) -> io::Result<bool> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Ok(()) => Ok(true),
        Err(error) => match error.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => Ok(false),
            ErrorKind::WouldBlock => Ok(true),
            _ => Err(error),
        },
    }
}
