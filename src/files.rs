//! The one reader of files: whatever stands at the path of a file that the configuration names, asking for it ends soon.
//!
//! A path may lead to a pipe without a writer, to a device, to a file that another process holds a lease on, or to a mount whose
//! server is gone. What is no regular file is refused before it is opened; a regular file is opened without blocking and read within
//! a bound on its size. Linux can't bound the time of that (a read of a network mount can't be interrupted), so that a thread of its own asks
//! each time, and is given up after [`NAMED_FILE_TIME`]. As long as it hangs, nobody else asks for that path: one file costs one thread.
//!
//! Callers hold no lock meanwhile.

mod stamp;
mod unanswered;

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;

use crate::decision::defaults::{NAMED_FILE_TIME, PIPE_TIME};
use crate::faults;
use crate::sandbox;
pub use stamp::FileStamp;
use unanswered::ask;

/// Between two attempts to open a file that another process holds a lease on (fcntl(2), `F_SETLEASE`).
const LEASE_PAUSE: Duration = Duration::from_millis(20);

/// The content of the regular file at `path`, which may have at most `most` bytes.
///
/// # Errors
/// The file system's; [`ErrorKind::InvalidInput`] for a pipe, a device or a socket, [`ErrorKind::IsADirectory`] for a folder,
/// [`ErrorKind::FileTooLarge`], and [`ErrorKind::TimedOut`].
pub fn read(path: &str, most: u64) -> io::Result<Vec<u8>> {
    ask(path, NAMED_FILE_TIME, move |path| bounded(open(path)?, most)).map_err(|error| with_reason(path, error))
}

/// The same; a pipe is waited for until its writer has closed it, for [`PIPE_TIME`] at most.
///
/// # Errors
/// As [`read`], but for pipes.
pub fn read_even_pipe(path: &str, most: u64) -> io::Result<Vec<u8>> {
    let is_pipe = ask(path, NAMED_FILE_TIME, |path| Ok(fs::metadata(path)?.file_type().is_fifo()))?;
    if !is_pipe {
        return read(path, most);
    }
    ask(path, PIPE_TIME, move |path| {
        let file = File::open(path)?;
        if !file.metadata()?.file_type().is_fifo() {
            return Err(io::Error::other("it was replaced while it was opened"));
        }
        bounded(file, most)
    })
}

/// What stands at `path`, be it a pipe or a device, which may have at most `most` bytes and is waited for for `time`: for a path
/// that an operator names to a command, which ends with it.
///
/// # Errors
/// The file system's, [`ErrorKind::FileTooLarge`] and [`ErrorKind::TimedOut`].
pub fn read_anything(path: &str, most: u64, time: Duration) -> io::Result<Vec<u8>> {
    ask(path, time, move |path| bounded(File::open(path)?, most))
}

/// The state of the file at `path`, or of what a symbolic link there leads to.
///
/// # Errors
/// The file system's, and [`ErrorKind::TimedOut`].
pub fn stamp(path: &str) -> io::Result<FileStamp> {
    ask(path, NAMED_FILE_TIME, |path| {
        faults::hang(path);
        Ok(FileStamp::of(&fs::metadata(path)?))
    })
}

/// The names in the folder at `path`, in any order.
///
/// # Errors
/// The file system's, and [`ErrorKind::TimedOut`].
pub fn names(path: &str) -> io::Result<Vec<String>> {
    ask(path, NAMED_FILE_TIME, |path| {
        let mut names = Vec::new();
        for entry in fs::read_dir(path)? {
            // A name that is not text names no file that is read.
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    })
    .map_err(|error| with_reason(path, error))
}

/// `error`, with the reason if it is the sandbox that keeps what stands at `path` from being read.
fn with_reason(path: &str, error: io::Error) -> io::Error {
    if error.kind() != ErrorKind::PermissionDenied {
        return error;
    }
    sandbox::denies_reading(Path::new(path)).map_or(error, |why| io::Error::new(ErrorKind::PermissionDenied, why))
}

/// Opens a regular file. A file under a lease is tried again, since its holder is told to give it up (fcntl(2)).
fn open(path: &str) -> io::Result<File> {
    let end = Instant::now() + NAMED_FILE_TIME;
    faults::hang(path);
    loop {
        // To open a device or a pipe may already do something: it is looked at before, and again once it is open.
        check_regular(&fs::metadata(path)?)?;
        let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        match OpenOptions::new().read(true).custom_flags(flags.bits()).open(path) {
            Ok(file) => {
                check_regular(&file.metadata()?)?;
                return Ok(file);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < end => {
                thread::park_timeout(LEASE_PAUSE);
            }
            Err(error) => return Err(error),
        }
    }
}

fn check_regular(metadata: &Metadata) -> io::Result<()> {
    let kind = metadata.file_type();
    let other = |what| Err(io::Error::new(ErrorKind::InvalidInput, format!("it is {what}, not a file")));
    match () {
        () if kind.is_file() => Ok(()),
        () if kind.is_dir() => Err(io::Error::new(ErrorKind::IsADirectory, "it is a folder, not a file")),
        () if kind.is_fifo() => other("a pipe"),
        () if kind.is_socket() => other("a socket"),
        () => other("a device"),
    }
}

fn bounded(file: File, most: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    // One byte more than allowed tells a file that is too large from one that just fits.
    file.take(most.saturating_add(1)).read_to_end(&mut content)?;
    if content.len() as u64 > most {
        return Err(io::Error::new(ErrorKind::FileTooLarge, format!("it has more than {most} bytes")));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    fn path(folder: &tempfile::TempDir, name: &str) -> String {
        folder.path().join(name).display().to_string()
    }

    #[test]
    fn a_file_is_read_within_its_bound() {
        let folder = tempfile::tempdir().unwrap();
        let file = path(&folder, "file");
        fs::write(&file, "12345").unwrap();
        assert_eq!(read(&file, 5).unwrap(), b"12345");
        assert_eq!(read_even_pipe(&file, 5).unwrap(), b"12345");
        assert_eq!(read(&file, 4).unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert_eq!(read(&path(&folder, "none"), 5).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn what_is_no_regular_file_is_told_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let (pipe, socket) = (path(&folder, "pipe"), path(&folder, "socket"));
        mkfifo(pipe.as_str(), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        let _listener = UnixListener::bind(&socket).unwrap();
        let began = Instant::now();
        let told = |path: &str| read(path, 5).unwrap_err().to_string();
        assert_eq!(told(&pipe), "it is a pipe, not a file");
        assert_eq!(told(&socket), "it is a socket, not a file");
        assert_eq!(told("/dev/zero"), "it is a device, not a file");
        assert_eq!(told(folder.path().to_str().unwrap()), "it is a folder, not a file");
        assert!(began.elapsed() < NAMED_FILE_TIME);
    }

    #[test]
    fn a_pipe_is_read_until_its_writer_closes_it() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = path(&folder, "pipe");
        mkfifo(pipe.as_str(), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| fs::write(&pipe, "version: 1").unwrap());
            assert_eq!(read_even_pipe(&pipe, 100).unwrap(), b"version: 1");
        });
    }
}
