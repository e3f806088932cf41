//! Why a folder can't be used.

use std::io;
use std::path::PathBuf;

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
    #[error(
        "the runtime folder `{}` holds other files than the sockets of a gateway, and would become user {user}'s: name an empty \
         folder, or one that is missing (`--runtime`)",
        path.display()
    )]
    Occupied { path: PathBuf, user: u32 },
    #[error("a gateway serves with the runtime folder `{}`: replace it with `portcullis upgrade`, or name another folder (`--runtime`)", path.display())]
    Taken { path: PathBuf },
    #[error("another gateway starts with the runtime folder `{}`", path.display())]
    Locked { path: PathBuf },
}
