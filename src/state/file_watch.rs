//! Detects changes of a file by polling.

use crate::files::FileStamp;

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

impl FileWatch {
    /// Returns whether the file, which is as `seen` now, is to be read.
    pub fn poll(&mut self, seen: FileStamp) -> bool {
        if self.read == Some(seen) {
            self.changed = None;
            return false;
        }
        let polls = match self.changed {
            Some((before, _)) if before == seen => MAX_POLLS,
            Some((_, polls)) => polls + 1,
            None => 1,
        };
        if polls < MAX_POLLS {
            self.changed = Some((seen, polls));
            return false;
        }
        self.changed = None;
        self.read = Some(seen);
        true
    }

    /// Takes the present state as read: only a state that differs from it is a change.
    pub fn accept(&mut self, seen: Option<FileStamp>) {
        self.read = seen;
        self.changed = None;
    }

    /// Makes a poll report a change, whatever the file is like.
    pub fn forget(&mut self) {
        self.read = None;
    }
}
