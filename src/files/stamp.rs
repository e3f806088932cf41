//! [`FileStamp`]: what differs between two states of a file.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use nix::sys::stat::SFlag;

/// Metadata that differs between two states of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    /// Set by the kernel at each change of content, owner or mode, so that a tool that sets `modified` hides nothing.
    changed: (i64, i64),
    /// Type and permission bits.
    mode: u32,
}

impl FileStamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        FileStamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            mode: metadata.mode(),
        }
    }

    /// The permission bits (`0o600`) of a regular file or a folder. `None` for anything else.
    pub fn permissions(&self) -> Option<u32> {
        let kind = SFlag::from_bits_truncate(self.mode) & SFlag::S_IFMT;
        (kind == SFlag::S_IFREG || kind == SFlag::S_IFDIR).then_some(self.mode & 0o7777)
    }
}
