//! The access log: one line for each request, formatted and written off the request's thread, bounded, drops counted.
//!
//! A request pays for one push into a bounded queue. A thread of the log's own ([`writer`]) turns records into lines
//! ([`mod@format`]) and hands many of them to the file at once. What does not fit is dropped and counted, because a slow disk
//! must never slow a request.
//!
//! What a client sent is cut ([`cut`]) and credentials in it are replaced ([`redact`]) before it is written.
//!
//! The memory bound is the queue's length times what a record holds. A record's header values may share the buffer of the
//! request's header, so with an output that stands still the bound is `queue` × `bounds.header_bytes`.

mod cut;
mod escape;
mod field;
mod format;
mod logs;
mod redact;
mod template;
mod writer;

#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::thread::{self, Thread};
use std::time::Instant;

pub use logs::AccessLogs;

use self::format::Format;
use self::writer::{Losses, Message, Shared, Sink, Writer};
use super::record::Record;
use crate::config::snapshot;

/// The running access log. Dropping it ends its thread once what is queued is written; [`AccessLog::flush`] waits for that.
#[derive(Debug)]
pub struct AccessLog {
    /// `None`: the log is off.
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    queue: SyncSender<Message>,
    shared: Arc<Shared>,
    writer: Thread,
}

impl AccessLog {
    /// Opens the output and starts the writing thread.
    ///
    /// # Errors
    ///
    /// When the file can't be opened, or the thread can't be started. The message names the file.
    pub fn start(config: &snapshot::AccessLogConfig) -> io::Result<AccessLog> {
        AccessLog::counting(config, Arc::default())
    }

    /// Like [`AccessLog::start`], going on with the counts of logs before it.
    fn counting(config: &snapshot::AccessLogConfig, losses: Arc<Losses>) -> io::Result<AccessLog> {
        let Some(sink) = Sink::open(&config.output)? else {
            return Ok(AccessLog { running: None });
        };
        AccessLog::write_to(sink, Format::new(&config.format), config.queue.max(1), losses)
    }

    fn write_to(sink: Sink, format: Format, capacity: usize, losses: Arc<Losses>) -> io::Result<AccessLog> {
        let (queue, receiver) = mpsc::sync_channel(capacity);
        let shared = Arc::new(Shared::new(losses));
        let writer = Writer::new(receiver, Arc::clone(&shared), sink, format, capacity);
        let thread = thread::Builder::new().name("access-log".to_owned()).spawn(move || writer.run())?;
        Ok(AccessLog { running: Some(Running { queue, shared, writer: thread.thread().clone() }) })
    }

    /// Queues the line of a finished request, or counts it as dropped. Never waits.
    pub fn record(&self, record: Record) {
        let Some(running) = &self.running else { return };
        match running.queue.try_send(Message::Line(record)) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => running.shared.losses().count_drop(),
        }
    }

    /// Asks the thread to open the file anew, after it was moved away (log rotation). Every line is in the old file or in
    /// the new one, whole. If the file can't be opened, the old one stays in use.
    pub fn reopen(&self) {
        if let Some(running) = &self.running {
            running.shared.request_reopen();
            running.wake();
        }
    }

    /// Waits until everything that was recorded before this call is written, at most until `deadline`. `true` if it is.
    pub fn flush(&self, deadline: Instant) -> bool {
        let Some(running) = &self.running else { return true };
        let ticket = running.shared.request_flush();
        running.wake();
        running.shared.wait_flushed(ticket, deadline)
    }

    /// Lines dropped since the start because the queue was full.
    pub fn dropped(&self) -> u64 {
        self.running.as_ref().map_or(0, |running| running.shared.losses().dropped())
    }

    /// Failed attempts to write or to reopen the file since the start. What failed to be written is tried again.
    pub fn write_errors(&self) -> u64 {
        self.running.as_ref().map_or(0, |running| running.shared.losses().write_errors())
    }
}

impl Running {
    /// Brings the thread to look at what it was asked for, wherever it waits: for a line, or for time to pass.
    fn wake(&self) {
        // A full queue needs no message: the thread is not waiting for one.
        let _ = self.queue.try_send(Message::Wake);
        self.writer.unpark();
    }
}
