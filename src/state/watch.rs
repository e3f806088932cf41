//! When a file that may change at any time is worth reading, and reading it within a bound.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;

/// Most looks that a file which changes all the time is waited for.
const MAX_LOOKS: u32 = 5;

/// What is known about a file on disk.
///
/// A file is read one look after its change was seen, so that one in the middle of being written is not taken for the
/// whole, and a second change within the resolution of its timestamps is not missed.
#[derive(Debug, Default)]
pub struct Watch {
    /// What was seen of the file when it was last read.
    read: Option<Stamp>,
    /// What was last seen of it since, and for how many looks it has not been as it was read.
    changed: Option<(Stamp, u32)>,
}

/// What differs between two states of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    /// Set by the kernel at each change of content, owner or mode: what a tool writes into `modified` does not matter.
    changed: (i64, i64),
}

impl Watch {
    /// Looks at the file. `true`: it is to be read now.
    pub fn look(&mut self, file: &str) -> io::Result<bool> {
        let seen = Stamp::of(&fs::metadata(file)?);
        if self.read == Some(seen) {
            self.changed = None;
            return Ok(false);
        }
        let looks = match self.changed {
            Some((before, _)) if before == seen => MAX_LOOKS,
            Some((_, looks)) => looks + 1,
            None => 1,
        };
        if looks < MAX_LOOKS {
            self.changed = Some((seen, looks));
            return Ok(false);
        }
        self.changed = None;
        self.read = Some(seen);
        Ok(true)
    }

    /// What is there now is about to be read, or was not worth it: only what differs from it is new.
    pub fn accept(&mut self, file: &str) {
        self.read = fs::metadata(file).ok().map(|metadata| Stamp::of(&metadata));
        self.changed = None;
    }

    /// Whatever is there at the next look is new.
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
    // One byte more than allowed tells a file that is too large from one that just fits.
    File::open(file)?.take(most.saturating_add(1)).read_to_end(&mut content)?;
    if content.len() as u64 > most {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {most} bytes")));
    }
    Ok(content)
}

impl Stamp {
    fn of(metadata: &fs::Metadata) -> Self {
        Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}
