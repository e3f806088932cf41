//! The program log: messages about the gateway rather than one request, on stderr. A panic is logged with its location and
//! without data of the request.
//!
//! Once the gateway serves, lines go through a bounded queue to a thread of their own: standard error may be a pipe whose reader
//! stands still, and no request may wait for it.

mod mask;
mod queue;

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt::Write as _;
use std::io::{self, Write};
use std::panic::{self, PanicHookInfo};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use env_logger::{Builder, Logger};
use log::{Level, Log, Metadata, Record, debug, error};

use self::queue::LineQueue;
use super::timestamp::Rfc3339;

/// The environment variable that replaces [`DEFAULT_FILTER`], in the form `level` or `target=level`, with commas between.
pub const VARIABLE: &str = "PORTCULLIS_LOG";

/// The gateway from `info`, libraries from `error`, Pingora off: it logs an error for every failed request and every aborted
/// handshake, which the access log and the metrics record already.
pub const DEFAULT_FILTER: &str = "error,portcullis=info,pingora=off";

/// Installs the logger. Later calls change nothing, so that tests may call it too.
pub fn init() {
    let filter = std::env::var(VARIABLE).unwrap_or_else(|_| DEFAULT_FILTER.to_owned());
    let filter = Builder::new().parse_filters(&filter).build();
    let level = filter.filter();
    if log::set_boxed_logger(Box::new(ProgramLog { filter })).is_ok() {
        log::set_max_level(level);
    }
}

/// Has lines written by a thread of their own from here on, so that nobody who logs waits for standard error.
///
/// # Errors
/// When the thread can't be started. Lines are then written by those who log, as before.
pub fn write_in_background() -> io::Result<()> {
    let (queue, writer) = LineQueue::new();
    writer.start(dropped, loss)?;
    let _ = QUEUE.set(queue);
    Ok(())
}

/// Lines that were dropped because what reads standard error stood still.
pub fn dropped() -> u64 {
    QUEUE.get().map_or(0, LineQueue::dropped)
}

/// How the log tells of `lost` messages.
fn loss(lost: u64) -> String {
    let (now, mut record) = (SystemTime::now(), Record::builder());
    let record = record.level(Level::Warn).target(module_path!());
    line(
        now,
        &record.args(format_args!("{lost} messages were dropped here, since what reads this log stood still")).build(),
    )
}

/// Waits until what was logged so far is written, for `time` at most. To be called before the process ends.
pub fn flush(time: Duration) {
    if let Some(queue) = QUEUE.get() {
        queue.flush(time);
    }
}

/// Of the process: there is one standard error.
static QUEUE: OnceLock<LineQueue> = OnceLock::new();

/// Writes what the filter lets through.
struct ProgramLog {
    filter: Logger,
}

impl Log for ProgramLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.filter.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.filter.matches(record) {
            return;
        }
        let line = line(SystemTime::now(), record);
        match QUEUE.get() {
            Some(queue) => queue.push(line),
            // There is nobody to tell that the log itself fails.
            None => drop(writeln!(io::stderr(), "{line}")),
        }
    }

    fn flush(&self) {}
}

/// Logs panics to this log, in its format, instead of the standard library's output.
pub fn report_panics() {
    panic::set_hook(Box::new(report_panic));
}

fn report_panic(info: &PanicHookInfo<'_>) {
    let place = info.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    let mut message = format!("panicked at {place}");
    if let Some(constant) = constant_message(info.payload()) {
        message.push_str(": ");
        message.push_str(constant);
    }
    // Captured only if RUST_BACKTRACE asks for it. It names functions, never values.
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        // Writing to a string can't fail.
        let _ = write!(message, "\n{backtrace}");
    }
    error!("{message}");
    if let Some(formatted) = info.payload().downcast_ref::<String>() {
        debug!("the panic at {place} said: {formatted}");
    }
}

/// The message of a panic if it is a constant of the source. A formatted one may quote data of a client, as the standard
/// library's does for a string that is cut within a character; it is logged at the level `debug` only.
fn constant_message(payload: &(dyn Any + Send)) -> Option<&'static str> {
    payload.downcast_ref::<&'static str>().copied()
}

/// `2026-11-22T03:00:00.123Z INFO portcullis: message`
fn line(now: SystemTime, record: &Record<'_>) -> String {
    let time = Rfc3339::new(now);
    let level = match record.level() {
        Level::Error => "ERROR",
        Level::Warn => "WARN",
        Level::Info => "INFO",
        Level::Debug => "DEBUG",
        Level::Trace => "TRACE",
    };
    let mut line = format!("{} {level} {}: ", time.as_str(), record.target());
    let message = record.args().to_string();
    push_message(&mut line, &if quotes(record) { mask::quoted_values(&message) } else { message.into() });
    line
}

/// Whether a message may quote a request or a response as it is: those of libraries, and all that is for debugging.
fn quotes(record: &Record<'_>) -> bool {
    let is_own = record.target() == OWN || record.target().starts_with(concat!(env!("CARGO_PKG_NAME"), "::"));
    !is_own || record.level() > Level::Info
}

/// The target of the gateway's own messages, and how theirs begin.
const OWN: &str = env!("CARGO_PKG_NAME");

/// Escapes control characters, because a message may quote a client: it must not forge a line or control a terminal.
fn push_message(line: &mut String, message: &str) {
    for character in message.trim_end().chars() {
        match character {
            '\n' => line.push_str("\n    "),
            '\t' => line.push('\t'),
            control if control.is_control() => {
                // Writing to a string can't fail.
                let _ = write!(line, "\\x{:02x}", u32::from(control));
            }
            plain => line.push(plain),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_line_has_time_level_target_and_message() {
        let now = UNIX_EPOCH + Duration::from_millis(1_795_316_400_123);
        let record = Record::builder().level(Level::Info).target("portcullis").args(format_args!("ready")).build();
        assert_eq!(line(now, &record), "2026-11-22T03:00:00.123Z INFO portcullis: ready");
    }

    #[test]
    fn a_message_can_not_forge_another_line() {
        let mut line = String::new();
        push_message(&mut line, "bad host `x\n2026-11-22T03:00:00.123Z INFO portcullis: fine\x1b[2J`\n");
        assert_eq!(line, "bad host `x\n    2026-11-22T03:00:00.123Z INFO portcullis: fine\\x1b[2J`");
    }

    #[test]
    fn a_panic_message_that_was_put_together_is_not_repeated() {
        let caught = |step: fn()| constant_message(&*panic::catch_unwind(step).unwrap_err());
        assert_eq!(caught(|| panic!("BUG: a constant")), Some("BUG: a constant"));
        assert_eq!(caught(|| panic!("{}", "what a client sent".to_owned())), None);
    }

    #[test]
    fn the_default_filter_silences_pingora_and_keeps_ours() {
        use log::{Log, Metadata};
        let logger = Builder::new().parse_filters(DEFAULT_FILTER).build();
        let enabled = |target, level| logger.enabled(&Metadata::builder().target(target).level(level).build());
        assert!(enabled("portcullis::app", Level::Info));
        assert!(!enabled("portcullis::app", Level::Debug));
        assert!(!enabled("pingora_proxy", Level::Error));
        assert!(enabled("h2::server", Level::Error));
        assert!(!enabled("h2::server", Level::Warn));
    }
}
