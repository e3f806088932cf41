//! Detects changes of a file by polling, and reads files within a bound.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;

/// Polls after which a file that keeps changing is read.
const MAX_POLLS: u32 = 5;

/// The state of a watched file.
///
/// A file is read one poll after its change was seen, so that a file in the middle of being written is not taken for the
/// whole, and a second change within the resolution of its timestamps is not missed.
#[derive(Debug, Default)]
pub struct FileWatch {
    /// The file's stamp when it was last read.
    read: Option<FileStamp>,
    /// The last stamp that differs from `read`, and for how many polls the file has differed.
    changed: Option<(FileStamp, u32)>,
}

/// Metadata that differs between two states of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileStamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    /// Set by the kernel at each change of content, owner or mode, so that a tool that sets `modified` hides nothing.
    changed: (i64, i64),
}

impl FileWatch {
    /// Returns whether the file is to be read now.
    pub fn poll(&mut self, file: &str) -> io::Result<bool> {
        let seen = FileStamp::of(&fs::metadata(file)?);
        if self.read == Some(seen) {
            self.changed = None;
            return Ok(false);
        }
        let polls = match self.changed {
            Some((before, _)) if before == seen => MAX_POLLS,
            Some((_, polls)) => polls + 1,
            None => 1,
        };
        if polls < MAX_POLLS {
            self.changed = Some((seen, polls));
            return Ok(false);
        }
        self.changed = None;
        self.read = Some(seen);
        Ok(true)
    }

    /// Takes the present state as read: only a state that differs from it is a change.
    pub fn accept(&mut self, file: &str) {
        self.read = fs::metadata(file).ok().map(|metadata| FileStamp::of(&metadata));
        self.changed = None;
    }

    /// Makes the next poll report a change.
    pub fn forget(&mut self) {
        self.read = None;
    }
}

/// The content of `file`, which may have at most `most` bytes.
///
/// # Errors
/// The file system's, and [`io::ErrorKind::FileTooLarge`].
pub fn read_bounded(file: &str, most: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    // One byte more than allowed shows that the file is too large.
    File::open(file)?.take(most.saturating_add(1)).read_to_end(&mut content)?;
    if content.len() as u64 > most {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {most} bytes")));
    }
    Ok(content)
}

impl FileStamp {
    fn of(metadata: &fs::Metadata) -> Self {
        FileStamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}
