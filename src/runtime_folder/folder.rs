//! The folder itself: whose it is, and who starts with it.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::unistd::Uid;
use rustix::fs::{Dir, FlockOperation, flock};

use super::error::RuntimeFolderError;
use super::names::{LONGEST_NAME, MAX_SOCKET_PATH, is_known};

/// An open runtime folder.
#[derive(Debug)]
pub struct RuntimeFolder {
    pub(super) path: PathBuf,
    pub(super) folder: File,
    pub(super) pid: u32,
    /// The user and the group whom its sockets belong to; `None`: those of this process.
    pub(super) owner: Option<(u32, u32)>,
    /// Whom it belonged to when it was opened.
    pub(super) found: (u32, u32),
    /// Whether this process made it.
    pub(super) made: bool,
}

/// How often a folder is opened that is replaced meanwhile, as by a gateway that fails to start and removes it.
const ATTEMPTS: u32 = 3;

impl RuntimeFolder {
    /// Opens the folder at `path` for a gateway that starts, makes it if it is missing, and locks it for as long as this process
    /// lives. Root is going to give it to `owner` (user, group), see [`RuntimeFolder::give`].
    ///
    /// # Errors
    /// When its path is too long for sockets, when it can't be made or is no folder, when others may enter it, when it belongs
    /// to another user or would have to be given away with other files in it, and when another gateway serves or starts with it.
    /// The folder may have been made then, and nothing else was changed.
    pub fn claim(path: &Path, owner: Option<(u32, u32)>) -> Result<RuntimeFolder, RuntimeFolderError> {
        let path = absolute(path)?;
        let unusable = |source| RuntimeFolderError::Unusable { path: path.clone(), source };
        for _ in 0..ATTEMPTS {
            let made = match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => true,
                Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
                Err(error) => return Err(unusable(error)),
            };
            let (folder, found) = open(&path)?;
            may_have(&path, &folder, &found, owner)?;
            let locked = flock(&folder, FlockOperation::NonBlockingLockExclusive);
            let opened = RuntimeFolder::new(path.clone(), folder, &found, owner, made);
            match locked {
                _ if opened.is_taken() => return Err(RuntimeFolderError::Taken { path }),
                Ok(()) if opened.is_in_place() => return Ok(opened),
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => return Err(RuntimeFolderError::Locked { path }),
                Err(error) => return Err(unusable(error.into())),
            }
        }
        Err(unusable(io::Error::other("it is replaced again and again")))
    }

    /// Opens the folder at `path` for a process that takes over from the gateway in it. Its sockets will belong to `owner`.
    ///
    /// # Errors
    /// When there is none, when others may enter it, or when it belongs to another user than this process's or `owner`; to root
    /// it may belong to any, since the configuration may name another user now.
    pub fn join(path: &Path, owner: Option<(u32, u32)>) -> Result<RuntimeFolder, RuntimeFolderError> {
        let path = absolute(path)?;
        let (folder, found) = open(&path)?;
        if !Uid::effective().is_root() {
            may_have(&path, &folder, &found, owner)?;
        }
        Ok(RuntimeFolder::new(path, folder, &found, owner, false))
    }

    fn new(path: PathBuf, folder: File, found: &Metadata, owner: Option<(u32, u32)>, made: bool) -> Self {
        RuntimeFolder { path, folder, pid: std::process::id(), owner, found: (found.uid(), found.gid()), made }
    }

    /// Its path, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it to its owner, if this process is root. To be called when nothing else can fail.
    ///
    /// # Errors
    /// What the system says.
    pub fn give(&self) -> Result<(), RuntimeFolderError> {
        if !Uid::effective().is_root() {
            return Ok(());
        }
        let (user, group) = self.owner.unwrap_or((0, 0));
        fchown(&self.folder, Some(user), Some(group))
            .map_err(|source| RuntimeFolderError::Unusable { path: self.path.clone(), source })
    }

    /// Gives it to the user whom the process `pid`, which serves with it, runs as. For root, after a takeover.
    ///
    /// # Errors
    /// When the process is not found, or what the system says.
    pub fn give_to_user_of(&self, pid: u32) -> io::Result<()> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let effective = |name: &str| -> Option<u32> {
            let ids = status.lines().find_map(|line| line.strip_prefix(name))?;
            ids.split_whitespace().nth(1)?.parse().ok()
        };
        let (Some(user), Some(group)) = (effective("Uid:"), effective("Gid:")) else {
            return Err(io::Error::other(format!("the system does not tell the user of process {pid}")));
        };
        if self.found.0 == user { Ok(()) } else { fchown(&self.folder, Some(user), Some(group)) }
    }

    /// Takes back what [`RuntimeFolder::claim`], [`RuntimeFolder::give`] and [`RuntimeFolder::bind`] did, for a gateway that does
    /// not start after all. As far as this process still may.
    pub fn undo(&self) {
        self.withdraw(true);
        if self.made {
            // Not empty: somebody else uses it by now.
            let _ = std::fs::remove_dir(&self.path);
        } else if Uid::effective().is_root() {
            let _ = fchown(&self.folder, Some(self.found.0), Some(self.found.1));
        }
    }

    /// Waits until no other process has it locked, and locks it for as long as this process lives. It blocks the thread.
    pub fn wait_for_lock(&self) {
        while let Err(rustix::io::Errno::INTR) = flock(&self.folder, FlockOperation::LockExclusive) {}
    }

    /// Whether its path still leads to it. What this process may not look at is taken to be as it was.
    pub fn is_in_place(&self) -> bool {
        let Ok(own) = self.folder.metadata() else { return false };
        match std::fs::symlink_metadata(&self.path) {
            Ok(found) => (found.dev(), found.ino()) == (own.dev(), own.ino()),
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            // A folder that was deleted has no link left.
            Err(_) => own.nlink() > 0,
        }
    }
}

fn absolute(path: &Path) -> Result<PathBuf, RuntimeFolderError> {
    let path =
        std::path::absolute(path).map_err(|source| RuntimeFolderError::Unusable { path: path.to_owned(), source })?;
    let (length, most) = (path.as_os_str().len(), MAX_SOCKET_PATH - LONGEST_NAME);
    if length > most { Err(RuntimeFolderError::TooLong { path, length, most }) } else { Ok(path) }
}

fn open(path: &Path) -> Result<(File, Metadata), RuntimeFolderError> {
    let unusable = |source| RuntimeFolderError::Unusable { path: path.to_owned(), source };
    // No link: a user who may write to its folder could change where it leads.
    let flags = (OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW).bits();
    let folder = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(unusable)?;
    let found = folder.metadata().map_err(unusable)?;
    if found.mode() & 0o077 != 0 {
        return Err(RuntimeFolderError::Open { path: path.to_owned(), mode: found.mode() & 0o777 });
    }
    Ok((folder, found))
}

/// Whether this process may use the folder, which root gives to `owner`.
fn may_have(path: &Path, folder: &File, found: &Metadata, owner: Option<(u32, u32)>) -> Result<(), RuntimeFolderError> {
    let own = Uid::effective().as_raw();
    let foreign = || RuntimeFolderError::Foreign { path: path.to_owned(), owner: found.uid() };
    if own != 0 {
        let known = [Some(own), Some(0), owner.map(|(user, _)| user)];
        return if known.contains(&Some(found.uid())) { Ok(()) } else { Err(foreign()) };
    }
    let user = owner.map_or(0, |(user, _)| user);
    let unusable = |source: io::Error| RuntimeFolderError::Unusable { path: path.to_owned(), source };
    if found.uid() == user || has_only_sockets(folder).map_err(unusable)? {
        return Ok(());
    }
    Err(if found.uid() == 0 { RuntimeFolderError::Occupied { path: path.to_owned(), user } } else { foreign() })
}

/// Whether nothing is in `folder` but what a gateway leaves there.
fn has_only_sockets(folder: &File) -> io::Result<bool> {
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") && !is_known(name) {
            return Ok(false);
        }
    }
    Ok(true)
}
