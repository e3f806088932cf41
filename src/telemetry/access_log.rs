//! The access log: one line for each request, formatted and written on a thread of its own.
//!
//! A request costs one push into a bounded queue. The writing thread ([`writer`]) formats records ([`mod@format`]) and writes
//! many lines at once. A record that does not fit into the queue is dropped and counted, because a slow disk must never slow a
//! request.
//!
//! Values from a client are truncated ([`mod@truncate`]) and credentials in them are replaced ([`redact`]).
//!
//! Memory is bounded by the queue's length times the size of a record. The header values of a record may share the buffer of
//! the request's header, so with a blocked output the bound is `queue` × `bounds.header_bytes`.

mod escape;
mod field;
mod format;
mod loggers;
mod redact;
mod template;
mod truncate;
mod writer;

#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::thread::{self, Thread};
use std::time::Instant;

pub use loggers::AccessLoggers;
pub use writer::open_output;

use self::format::LineFormat;
use self::writer::{LogSink, LogWriter, LossCounters, QueueMessage, WriterControl};
use super::record::RequestRecord;
use crate::config::snapshot;

/// A running access log. Dropping it ends its thread once the queued lines are written; [`AccessLogger::flush`] waits for that.
#[derive(Debug)]
pub struct AccessLogger {
    /// `None`: the log is off.
    writer: Option<WriterHandle>,
}

#[derive(Debug)]
struct WriterHandle {
    queue: SyncSender<QueueMessage>,
    control: Arc<WriterControl>,
    thread: Thread,
}

impl AccessLogger {
    /// Opens the output and starts the writing thread.
    ///
    /// # Errors
    ///
    /// If the file can't be opened, or the thread can't be started. The message names the file.
    pub fn start(config: &snapshot::AccessLogConfig) -> io::Result<AccessLogger> {
        AccessLogger::counting(config, Arc::default())
    }

    /// Like [`AccessLogger::start`], adding to the counts of earlier logs.
    fn counting(config: &snapshot::AccessLogConfig, losses: Arc<LossCounters>) -> io::Result<AccessLogger> {
        let Some(sink) = LogSink::open(&config.output)? else {
            return Ok(AccessLogger { writer: None });
        };
        AccessLogger::write_to(sink, LineFormat::new(&config.format), config.queue.max(1), losses)
    }

    fn write_to(
        sink: LogSink,
        format: LineFormat,
        capacity: usize,
        losses: Arc<LossCounters>,
    ) -> io::Result<AccessLogger> {
        let (queue, receiver) = mpsc::sync_channel(capacity);
        let control = Arc::new(WriterControl::new(losses));
        let writer = LogWriter::new(receiver, Arc::clone(&control), sink, format, capacity);
        let thread = thread::Builder::new().name("access-log".to_owned()).spawn(move || writer.run())?;
        Ok(AccessLogger { writer: Some(WriterHandle { queue, control, thread: thread.thread().clone() }) })
    }

    /// Queues the record of a finished request, or counts it as dropped. Never blocks.
    pub fn record(&self, record: RequestRecord) {
        let Some(writer) = &self.writer else { return };
        match writer.queue.try_send(QueueMessage::Line(record)) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => writer.control.losses().count_drop(),
        }
    }

    /// Makes the thread reopen the file after it was moved (log rotation). Every line is completely in the old file or in the new
    /// one. While the file can't be opened, the old one stays in use, and opening is tried again.
    pub fn reopen(&self) {
        if let Some(writer) = &self.writer {
            writer.control.request_reopen();
            writer.wake();
        }
    }

    /// Waits until everything that was recorded before this call is written, at most until `deadline`. Returns whether it is.
    pub fn flush(&self, deadline: Instant) -> bool {
        let Some(writer) = &self.writer else { return true };
        let ticket = writer.control.request_flush();
        writer.wake();
        writer.control.wait_flushed(ticket, deadline)
    }

    /// Lines dropped since the start of the process because the queue was full.
    pub fn dropped(&self) -> u64 {
        self.writer.as_ref().map_or(0, |writer| writer.control.losses().dropped())
    }

    /// Failed attempts to write or reopen the file since the start of the process. A failed write is tried again.
    pub fn write_errors(&self) -> u64 {
        self.writer.as_ref().map_or(0, |writer| writer.control.losses().write_errors())
    }
}

impl WriterHandle {
    /// Wakes the thread, whether it waits for a line or for a time.
    fn wake(&self) {
        // With a full queue the thread does not wait for a message.
        let _ = self.queue.try_send(QueueMessage::Wake);
        self.thread.unpark();
    }
}
