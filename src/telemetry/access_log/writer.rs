//! The writing thread: takes records from the queue, formats them, and writes many lines at once.

mod sink;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvError, RecvTimeoutError, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use log::{error, info, warn};
use parking_lot::{Condvar, Mutex};

pub use self::sink::{LogSink, open_output};
use super::format::LineFormat;
use crate::telemetry::record::RequestRecord;

/// How long lines are batched before they are written. Waking a thread that waits for the queue costs the request's thread a
/// system call; with batching that happens a hundred times a second at most.
const BATCH_TIME: Duration = Duration::from_millis(10);
/// Batch time for each record of the queue's capacity, up to [`BATCH_TIME`], so that a short queue does not fill meanwhile.
const BATCH_TIME_PER_RECORD: Duration = Duration::from_micros(10);
/// Lines are written when they fill this many bytes, before the batch time is over.
const WRITE_AT: usize = 64 << 10;
/// After a failed write, or a file that could not be opened again, the time until the next attempt.
const RETRY: Duration = Duration::from_secs(1);
/// Between two messages of the program log about losses.
const REPORT: Duration = Duration::from_secs(10);

/// An item of the queue.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every message is a line; boxing it would cost an allocation each"
)]
pub enum QueueMessage {
    Line(RequestRecord),
    /// The thread checks the requests in [`WriterControl`].
    Wake,
}

/// Requests of the log's handle to its thread, and the thread's answers.
#[derive(Debug, Default)]
pub struct WriterControl {
    losses: Arc<LossCounters>,
    reopen: AtomicBool,
    flush_requested: AtomicU64,
    flushed: Mutex<u64>,
    flushed_changed: Condvar,
}

/// Losses since the start of the process. Successive logs share the counts.
#[derive(Debug, Default)]
pub struct LossCounters {
    dropped: AtomicU64,
    write_errors: AtomicU64,
}

impl LossCounters {
    pub fn count_drop(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub fn write_errors(&self) -> u64 {
        self.write_errors.load(Ordering::Relaxed)
    }
}

impl WriterControl {
    pub fn new(losses: Arc<LossCounters>) -> Self {
        WriterControl { losses, ..WriterControl::default() }
    }

    pub fn losses(&self) -> &LossCounters {
        &self.losses
    }

    pub fn request_reopen(&self) {
        self.reopen.store(true, Ordering::Release);
    }

    /// Requests a flush. Returns a ticket for [`WriterControl::wait_flushed`].
    pub fn request_flush(&self) -> u64 {
        self.flush_requested.fetch_add(1, Ordering::AcqRel) + 1
    }

    pub fn wait_flushed(&self, ticket: u64, deadline: Instant) -> bool {
        let mut flushed = self.flushed.lock();
        self.flushed_changed.wait_while_until(&mut flushed, |flushed| *flushed < ticket, deadline);
        *flushed >= ticket
    }

    fn has_request_after(&self, ticket: u64) -> bool {
        self.reopen.load(Ordering::Acquire) || self.flush_requested.load(Ordering::Acquire) > ticket
    }

    fn set_flushed(&self, ticket: u64) {
        *self.flushed.lock() = ticket;
        self.flushed_changed.notify_all();
    }
}

/// The state of the writing thread.
pub struct LogWriter {
    queue: Receiver<QueueMessage>,
    control: Arc<WriterControl>,
    sink: LogSink,
    format: LineFormat,
    capacity: usize,
    batch_time: Duration,
    /// The last flush request that was seen.
    ticket: u64,
    /// When the file is to be opened again.
    reopen_at: Option<Instant>,
    reports: LossReports,
}

impl LogWriter {
    pub fn new(
        queue: Receiver<QueueMessage>,
        control: Arc<WriterControl>,
        sink: LogSink,
        format: LineFormat,
        capacity: usize,
    ) -> Self {
        let batch_time =
            BATCH_TIME_PER_RECORD.saturating_mul(u32::try_from(capacity).unwrap_or(u32::MAX)).min(BATCH_TIME);
        LogWriter {
            queue,
            control,
            sink,
            format,
            capacity,
            batch_time,
            ticket: 0,
            reopen_at: None,
            reports: LossReports::default(),
        }
    }

    /// Writes until every handle is dropped and the queue is empty.
    pub fn run(mut self) {
        let mut connected = true;
        while connected {
            self.wait();
            // Read before the queue is drained, so that everything recorded before the flush request is drained too.
            self.ticket = self.control.flush_requested.load(Ordering::Acquire);
            if self.control.reopen.swap(false, Ordering::AcqRel) {
                self.reopen_at = Some(Instant::now());
            }
            if self.reopen_at.is_some_and(|at| at <= Instant::now()) {
                self.reopen();
            }
            connected = self.drain();
            if self.sink.is_clean() {
                self.control.set_flushed(self.ticket);
            }
            self.reports.drops(self.control.losses.dropped());
        }
    }

    /// Opens the file by its name again. Until that succeeds, lines go on to the one that is open.
    fn reopen(&mut self) {
        match self.sink.reopen() {
            Ok(()) => {
                self.reopen_at = None;
                self.reports.reopened(&self.sink);
            }
            Err(error) => {
                self.reopen_at = Some(Instant::now() + RETRY);
                self.control.losses.write_errors.fetch_add(1, Ordering::Relaxed);
                self.reports.not_reopened(&self.sink, &error);
            }
        }
    }

    /// Waits for a line or a request, then for the batch time.
    fn wait(&mut self) {
        // The wake message of a request may have been drained with earlier lines.
        if self.control.has_request_after(self.ticket) {
            return;
        }
        if !self.sink.is_clean() {
            thread::park_timeout(RETRY);
            return;
        }
        let received = match self.reopen_at {
            None => self.queue.recv().map_err(|RecvError| RecvTimeoutError::Disconnected),
            Some(at) => self.queue.recv_timeout(at.saturating_duration_since(Instant::now())),
        };
        match received {
            Ok(QueueMessage::Line(record)) => self.format.write_line(&record, self.sink.lines()),
            Ok(QueueMessage::Wake) | Err(_) => return,
        }
        thread::park_timeout(self.batch_time);
    }

    /// Writes the queued lines. `false` if every handle is dropped.
    fn drain(&mut self) -> bool {
        // Lines of a failed write come first. While they can't be written, the queue is not drained and new records are
        // dropped, so that memory stays bounded.
        if !self.write() {
            return Arc::strong_count(&self.control) > 1;
        }
        for _ in 0..self.capacity {
            match self.queue.try_recv() {
                Ok(QueueMessage::Line(record)) => self.format.write_line(&record, self.sink.lines()),
                Ok(QueueMessage::Wake) => {}
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    self.write();
                    return false;
                }
            }
            if self.sink.lines().len() >= WRITE_AT && !self.write() {
                return true;
            }
        }
        self.write();
        true
    }

    fn write(&mut self) -> bool {
        match self.sink.write() {
            Ok(()) => true,
            Err(error) => {
                self.control.losses.write_errors.fetch_add(1, Ordering::Relaxed);
                self.reports.error(&self.sink, &error);
                false
            }
        }
    }
}

/// Reports losses on the program log, at most once in [`REPORT`].
#[derive(Default)]
struct LossReports {
    drops: u64,
    last_drops: Option<Instant>,
    last_error: Option<Instant>,
    /// Whether it was told that the file can't be opened again, and when.
    not_reopened: bool,
    last_not_reopened: Option<Instant>,
}

impl LossReports {
    fn drops(&mut self, dropped: u64) {
        if dropped > self.drops && due(&mut self.last_drops) {
            warn!("access log: {} lines dropped because the queue was full", dropped - self.drops);
            self.drops = dropped;
        }
    }

    fn error(&mut self, sink: &LogSink, error: &io::Error) {
        if due(&mut self.last_error) {
            error!("access log: {sink} can't be written, trying again: {error}");
        }
    }

    fn not_reopened(&mut self, sink: &LogSink, error: &io::Error) {
        self.not_reopened = true;
        if due(&mut self.last_not_reopened) {
            error!(
                "access log: {sink} can't be opened again, and lines go on to the file that is open; trying again: {error}"
            );
        }
    }

    fn reopened(&mut self, sink: &LogSink) {
        self.last_not_reopened = None;
        if std::mem::take(&mut self.not_reopened) {
            info!("access log: {sink} is open again");
        }
    }
}

fn due(last: &mut Option<Instant>) -> bool {
    let due = last.is_none_or(|last| last.elapsed() >= REPORT);
    if due {
        *last = Some(Instant::now());
    }
    due
}
