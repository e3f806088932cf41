//! [`Printer`] and [`Status`]: what a command says, and how it ends.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

/// How a command ended, in the codes of `sysexits.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Success,
    /// A question was answered with no.
    Failure,
    /// EX_UNAVAILABLE: something that is needed can't be had, such as a port.
    Unavailable,
    /// EX_IOERR: the answer could not be written.
    Output,
    /// EX_CONFIG: the configuration is wrong.
    Configuration,
}

impl Status {
    pub const fn code(self) -> u8 {
        match self {
            Status::Success => 0,
            Status::Failure => 1,
            Status::Unavailable => 69,
            Status::Output => 74,
            Status::Configuration => 78,
        }
    }
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        ExitCode::from(status.code())
    }
}

/// Where a command speaks: data to one stream, words to another.
pub struct Printer {
    data: Box<dyn Write>,
    words: Box<dyn Write>,
    failed: Option<io::Error>,
}

impl Printer {
    /// Standard output and standard error.
    pub fn standard() -> Self {
        Printer::new(io::stdout(), io::stderr())
    }

    pub fn new(data: impl Write + 'static, words: impl Write + 'static) -> Self {
        Printer { data: Box::new(data), words: Box::new(words), failed: None }
    }

    /// Prints `text`, as it is, for whatever reads the answer.
    pub fn data(&mut self, text: impl Display) {
        if self.failed.is_none() {
            self.failed = write!(self.data, "{text}").err();
        }
    }

    /// Prints a line for the person. Control characters of quoted input do not reach the terminal.
    pub fn words(&mut self, line: impl Display) {
        let mut line = line.to_string().replace(|c: char| c.is_control() && c != '\n', "\u{fffd}");
        line.push('\n');
        // With nowhere to speak, there is nothing to say about it either.
        let _ = self.words.write_all(line.as_bytes());
    }

    /// Sends what was printed, for a command that goes on.
    pub fn flush(&mut self) {
        if self.failed.is_none() {
            self.failed = self.data.flush().err();
        }
    }

    /// Ends the answer. A reader that has seen enough (`| head`) is no failure.
    pub fn finish(mut self, status: Status) -> Status {
        let failed = self.failed.take().or_else(|| self.data.flush().err());
        match failed {
            Some(error) if error.kind() != ErrorKind::BrokenPipe => {
                self.words(format_args!("portcullis: cannot write the answer: {error}"));
                Status::Output
            }
            _ => status,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_leaves_is_no_failure() {
        let end = |kind| {
            let mut printer = Printer::new(Broken(kind), io::sink());
            printer.data("x");
            printer.data("y");
            printer.finish(Status::Success)
        };
        assert_eq!(end(ErrorKind::BrokenPipe), Status::Success);
        assert_eq!(end(ErrorKind::StorageFull), Status::Output);
    }
}
