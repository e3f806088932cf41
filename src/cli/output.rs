//! What the commands share: [`Printer`], [`ExitStatus`] and [`OutputFormat`].

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use clap::ValueEnum;

/// How a command ended, in the codes of `sysexits.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    Success,
    /// The answer is no, or the arguments make no sense.
    Failure,
    /// EX_UNAVAILABLE: something that is needed can't be had, such as a port.
    Unavailable,
    /// EX_IOERR: the answer could not be written.
    Output,
    /// EX_CONFIG: the configuration is wrong.
    Configuration,
}

impl ExitStatus {
    pub const fn code(self) -> u8 {
        match self {
            ExitStatus::Success => 0,
            ExitStatus::Failure => 1,
            ExitStatus::Unavailable => 69,
            ExitStatus::Output => 74,
            ExitStatus::Configuration => 78,
        }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        ExitCode::from(status.code())
    }
}

/// How a command prints its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people.
    Text,
    /// For programs, on standard output.
    Json,
}

/// The output of a command: data to one stream, words to another.
pub struct Printer {
    data: Box<dyn Write>,
    messages: Box<dyn Write>,
    failed: Option<io::Error>,
}

impl Printer {
    /// Standard output and standard error.
    pub fn standard() -> Self {
        Printer::new(io::stdout(), io::stderr())
    }

    pub fn new(data: impl Write + 'static, messages: impl Write + 'static) -> Self {
        Printer { data: Box::new(data), messages: Box::new(messages), failed: None }
    }

    /// Prints `text`, as it is, for the program that reads the answer.
    pub fn data(&mut self, text: impl Display) {
        if self.failed.is_none() {
            self.failed = write!(self.data, "{text}").err();
        }
    }

    /// Prints a line for the person. Control characters of quoted input do not reach the terminal.
    pub fn message(&mut self, line: impl Display) {
        let mut line = line.to_string().replace(|c: char| c.is_control() && c != '\n', "\u{fffd}");
        line.push('\n');
        // A failure could not be reported anywhere.
        let _ = self.messages.write_all(line.as_bytes());
    }

    /// Flushes the data, for a command that continues.
    pub fn flush(&mut self) {
        if self.failed.is_none() {
            self.failed = self.data.flush().err();
        }
    }

    /// Ends the output. A reader that closes it early (`| head`) is no failure.
    pub fn finish(mut self, status: ExitStatus) -> ExitStatus {
        let failed = self.failed.take().or_else(|| self.data.flush().err());
        match failed {
            Some(error) if error.kind() != ErrorKind::BrokenPipe => {
                self.message(format_args!("portcullis: cannot write the answer: {error}"));
                ExitStatus::Output
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
            printer.finish(ExitStatus::Success)
        };
        assert_eq!(end(ErrorKind::BrokenPipe), ExitStatus::Success);
        assert_eq!(end(ErrorKind::StorageFull), ExitStatus::Output);
    }
}
