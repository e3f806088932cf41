//! The output, a file or standard output, and the lines that are not written yet.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::OFlag;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::config::snapshot::LogOutput;
use crate::sandbox;

/// How long a pipe may take nothing before that is an error.
const READER_TIMEOUT: Duration = Duration::from_secs(1);

/// An output and the complete lines that are not written yet.
pub struct LogSink {
    target: SinkTarget,
    file: File,
    /// After a failed write the file is reopened before the next attempt: it may be deleted, or its disk mounted again.
    broken: bool,
    lines: Vec<u8>,
    /// How many bytes of `lines` are written.
    written: usize,
}

enum SinkTarget {
    Stdout,
    File(PathBuf),
}

impl LogSink {
    /// Opens the output; `None` if the log is off.
    pub fn open(output: &LogOutput) -> io::Result<Option<LogSink>> {
        let Some(file) = open_output(output)? else { return Ok(None) };
        let target = match output {
            LogOutput::File(path) => SinkTarget::File(path.clone()),
            LogOutput::Off | LogOutput::Stdout => SinkTarget::Stdout,
        };
        let mut sink = LogSink::new(target, file);
        if let SinkTarget::File(path) = &sink.target
            && ends_within_a_line(path)
        {
            // A killed process left an incomplete line: the next line must not be appended to it.
            sink.lines.push(b'\n');
        }
        Ok(Some(sink))
    }

    fn new(target: SinkTarget, file: File) -> Self {
        LogSink { target, file, broken: false, lines: Vec::new(), written: 0 }
    }

    /// The buffer to which complete lines are appended.
    pub fn lines(&mut self) -> &mut Vec<u8> {
        &mut self.lines
    }

    /// Whether everything is written.
    pub fn is_clean(&self) -> bool {
        self.lines.is_empty()
    }

    /// Writes all lines. After a failure the rest stays in the buffer.
    pub fn write(&mut self) -> io::Result<()> {
        if self.is_clean() {
            return Ok(());
        }
        if self.broken {
            // If that fails, the file that is open may work again all the same.
            let _ = self.reopen();
        }
        let result = self.write_rest();
        self.broken = result.is_err();
        result
    }

    fn write_rest(&mut self) -> io::Result<()> {
        while self.written < self.lines.len() {
            match self.file.write(&self.lines[self.written..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(taken) => self.written += taken,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait_for_reader()?,
                Err(error) => return Err(error),
            }
        }
        self.lines.clear();
        self.written = 0;
        Ok(())
    }

    /// Waits until a full pipe takes more, for [`READER_TIMEOUT`] at most: the name may lead to another file by then.
    fn wait_for_reader(&self) -> io::Result<()> {
        let timeout = Timespec { tv_sec: READER_TIMEOUT.as_secs() as i64, tv_nsec: 0 };
        match poll(&mut [PollFd::new(&self.file, PollFlags::OUT)], Some(&timeout)) {
            Ok(0) => Err(io::Error::new(ErrorKind::TimedOut, "what reads this pipe stands still")),
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens the file by its name again. After a failure the old one stays in use.
    pub fn reopen(&mut self) -> io::Result<()> {
        let SinkTarget::File(path) = &self.target else { return Ok(()) };
        let file = open_file(path)?;
        if !is_same(&self.file, &file) {
            // A line that was partly written to the old file is written completely to the new one.
            self.written = self.lines[..self.written].iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        }
        self.file = file;
        Ok(())
    }
}

impl fmt::Display for LogSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            SinkTarget::Stdout => f.write_str("standard output"),
            SinkTarget::File(path) => write!(f, "`{}`", path.display()),
        }
    }
}

/// Opens `output`; `None` if the log is off. Never waits.
///
/// # Errors
/// The message names the file.
pub fn open_output(output: &LogOutput) -> io::Result<Option<File>> {
    match output {
        LogOutput::Off => Ok(None),
        // A `File` on a copy of the descriptor: the standard library's buffered handle hides how much was written.
        LogOutput::Stdout => Ok(Some(File::from(io::stdout().as_fd().try_clone_to_owned()?))),
        LogOutput::File(path) => open_file(path).map(Some),
    }
}

/// Opens for appending, so that an old and a new process can share the file during a handover. Only the owner and its group may
/// read it, because it contains data of clients. Without O_NONBLOCK, a pipe that nobody reads would hold this thread for as long as
/// that lasts (fifo(7)), and so would writing to a full one.
fn open_file(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    OpenOptions::new().create(true).append(true).mode(0o640).custom_flags(flags.bits()).open(path).map_err(|error| {
        let why = match error.raw_os_error() {
            Some(code) if code == nix::Error::ENXIO as i32 => {
                "no process reads this pipe, or it is a socket".to_owned()
            }
            _ if error.kind() == ErrorKind::PermissionDenied => {
                sandbox::denies_writing(path).map_or_else(|| error.to_string(), str::to_owned)
            }
            _ => error.to_string(),
        };
        io::Error::new(error.kind(), format!("cannot open the access log `{}`: {why}", path.display()))
    })
}

/// Whether the last line of the file has no line feed. A file that can't be read counts as complete.
fn ends_within_a_line(path: &Path) -> bool {
    let last = || -> io::Result<u8> {
        let mut file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(ErrorKind::Unsupported.into());
        }
        file.seek(SeekFrom::End(-1))?;
        let mut byte = [0];
        file.read_exact(&mut byte)?;
        Ok(byte[0])
    };
    last().is_ok_and(|byte| byte != b'\n')
}

fn is_same(a: &File, b: &File) -> bool {
    match (a.metadata(), b.metadata()) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_full_disk_keeps_the_lines_for_the_next_attempt() {
        let mut sink = LogSink::open(&LogOutput::File("/dev/full".into())).unwrap().unwrap();
        sink.lines().extend_from_slice(b"one\n");
        assert_eq!(sink.write().unwrap_err().kind(), ErrorKind::StorageFull);
        assert!(!sink.is_clean());

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        sink.target = SinkTarget::File(path.clone());
        sink.write().unwrap();
        assert_eq!(fs::read_to_string(path).unwrap(), "one\n");
    }

    #[test]
    fn a_line_that_a_killed_process_left_unfinished_takes_no_other_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        for (left, expected) in [("one\ntw", "one\ntw\nthree\n"), ("one\n", "one\nthree\n"), ("", "three\n")] {
            fs::write(&path, left).unwrap();
            let mut sink = LogSink::open(&LogOutput::File(path.clone())).unwrap().unwrap();
            sink.lines().extend_from_slice(b"three\n");
            sink.write().unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), expected);
        }
    }

    #[test]
    fn a_half_written_line_is_continued_in_the_same_file_and_repeated_in_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let halfway = |sink: &mut LogSink| {
            sink.lines().extend_from_slice(b"first\nsecond\n");
            sink.file.write_all(b"first\nsec").unwrap();
            sink.written = 9;
            sink.broken = true;
        };

        let mut sink = LogSink::open(&LogOutput::File(path.clone())).unwrap().unwrap();
        halfway(&mut sink);
        sink.write().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "first\nsecond\n");

        fs::write(&path, "").unwrap();
        halfway(&mut sink);
        fs::rename(&path, folder.path().join("access.log.1")).unwrap();
        sink.write().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "second\n");
    }

    #[test]
    fn a_pipe_is_opened_when_it_is_read_and_its_reader_may_stand_still() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let output = LogOutput::File(path.clone());
        let said = LogSink::open(&output).err().unwrap().to_string();
        assert!(said.contains("no process reads this pipe"), "{said}");

        let mut reader = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(&path).unwrap();
        let mut sink = LogSink::open(&output).unwrap().unwrap();
        sink.lines().extend_from_slice(&[b'a'; 1 << 17]);
        sink.lines().push(b'\n');
        assert_eq!(sink.write().unwrap_err().kind(), ErrorKind::TimedOut);
        let mut read = Vec::new();
        while sink.write().is_err() {
            let mut piece = [0; 1 << 16];
            let length = reader.read(&mut piece).unwrap();
            read.extend_from_slice(&piece[..length]);
        }
        let mut rest = vec![0; (1 << 17) + 1 - read.len()];
        reader.read_exact(&mut rest).unwrap();
        assert_eq!(rest.last(), Some(&b'\n'));
    }

    #[test]
    fn lines_go_on_to_the_file_that_is_open_while_its_name_leads_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
        let mut sink = LogSink::open(&LogOutput::File(path.clone())).unwrap().unwrap();
        fs::rename(&path, &moved).unwrap();
        fs::create_dir(&path).unwrap();
        sink.reopen().unwrap_err();
        // As after a write that failed.
        sink.broken = true;
        sink.lines().extend_from_slice(b"one\n");
        sink.write().unwrap();
        assert_eq!(fs::read_to_string(moved).unwrap(), "one\n");
    }
}
