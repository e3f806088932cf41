//! The thread that writes: takes records from the queue, turns them into lines, and hands many to the output at once.

mod sink;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvError, TryRecvError};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use log::{error, warn};

pub use self::sink::Sink;
use super::format::Format;
use crate::telemetry::record::Record;

/// How long lines gather before they are written together. A thread that waits for the queue has to be woken by a system
/// call of the request's thread; one that gathers costs that call a hundred times a second at most.
const GATHER: Duration = Duration::from_millis(10);
/// A short queue must not fill while lines gather: this much for each of its places, up to [`GATHER`].
const GATHER_PER_PLACE: Duration = Duration::from_micros(10);
/// Lines are written when they fill this many bytes, gathered or not.
const WRITE_AT: usize = 64 << 10;
/// After a failed write, the time until the next attempt.
const RETRY: Duration = Duration::from_secs(1);
/// At most one message on the program log about losses in this time.
const REPORT: Duration = Duration::from_secs(10);

/// What the queue carries.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every message is a line; boxing it would cost an allocation each"
)]
pub enum Message {
    Line(Record),
    /// Look at what [`Shared`] asks for.
    Wake,
}

/// What the log's handle and its thread both see.
#[derive(Debug, Default)]
pub struct Shared {
    losses: Arc<Losses>,
    reopen: AtomicBool,
    flush_requested: AtomicU64,
    flushed: Mutex<u64>,
    flushed_changed: Condvar,
}

/// What went wrong since the process began. Logs that follow each other go on counting.
#[derive(Debug, Default)]
pub struct Losses {
    dropped: AtomicU64,
    write_errors: AtomicU64,
}

impl Losses {
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

impl Shared {
    pub fn new(losses: Arc<Losses>) -> Self {
        Shared { losses, ..Shared::default() }
    }

    pub fn losses(&self) -> &Losses {
        &self.losses
    }

    pub fn request_reopen(&self) {
        self.reopen.store(true, Ordering::Release);
    }

    /// A ticket to wait with.
    pub fn request_flush(&self) -> u64 {
        self.flush_requested.fetch_add(1, Ordering::AcqRel) + 1
    }

    pub fn wait_flushed(&self, ticket: u64, deadline: Instant) -> bool {
        let mut flushed = self.flushed.lock().unwrap_or_else(PoisonError::into_inner);
        while *flushed < ticket {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            flushed = self.flushed_changed.wait_timeout(flushed, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn asks_for_more_than(&self, ticket: u64) -> bool {
        self.reopen.load(Ordering::Acquire) || self.flush_requested.load(Ordering::Acquire) > ticket
    }

    fn set_flushed(&self, ticket: u64) {
        *self.flushed.lock().unwrap_or_else(PoisonError::into_inner) = ticket;
        self.flushed_changed.notify_all();
    }
}

/// The writing side, before it runs.
pub struct Writer {
    queue: Receiver<Message>,
    shared: Arc<Shared>,
    sink: Sink,
    format: Format,
    capacity: usize,
    gather: Duration,
    /// The last request for a flush that was looked at.
    ticket: u64,
    reports: Reports,
}

impl Writer {
    pub fn new(queue: Receiver<Message>, shared: Arc<Shared>, sink: Sink, format: Format, capacity: usize) -> Self {
        let gather = GATHER_PER_PLACE.saturating_mul(u32::try_from(capacity).unwrap_or(u32::MAX)).min(GATHER);
        Writer { queue, shared, sink, format, capacity, gather, ticket: 0, reports: Reports::default() }
    }

    /// Writes until every handle is gone and the queue is empty.
    pub fn run(mut self) {
        let mut connected = true;
        while connected {
            self.wait();
            // Read before the queue is drained: what was recorded before the request for a flush is then drained too.
            self.ticket = self.shared.flush_requested.load(Ordering::Acquire);
            if self.shared.reopen.swap(false, Ordering::AcqRel)
                && let Err(error) = self.sink.reopen()
            {
                self.failed("reopened", &error);
            }
            connected = self.drain();
            if self.sink.is_clean() {
                self.shared.set_flushed(self.ticket);
            }
            self.reports.drops(self.shared.losses.dropped());
        }
    }

    /// Waits for something to do, then for more of it to gather.
    fn wait(&mut self) {
        // The message that should wake us for it may have been drained with the lines before it.
        if self.shared.asks_for_more_than(self.ticket) {
            return;
        }
        if !self.sink.is_clean() {
            thread::park_timeout(RETRY);
            return;
        }
        match self.queue.recv() {
            Ok(Message::Line(record)) => self.format.write_line(&record, self.sink.lines()),
            // Somebody waits for what was asked for.
            Ok(Message::Wake) => return,
            Err(RecvError) => return,
        }
        thread::park_timeout(self.gather);
    }

    /// Writes what is queued now. `false` when nothing more can come, or nobody is left to write it for.
    fn drain(&mut self) -> bool {
        // What an earlier failure left comes first. While it can't be written, the queue keeps its lines and drops what
        // comes on top, so that memory stays bounded.
        if !self.write() {
            return Arc::strong_count(&self.shared) > 1;
        }
        for _ in 0..self.capacity {
            match self.queue.try_recv() {
                Ok(Message::Line(record)) => self.format.write_line(&record, self.sink.lines()),
                Ok(Message::Wake) => {}
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
                self.failed("written", &error);
                false
            }
        }
    }

    fn failed(&mut self, what: &str, error: &io::Error) {
        self.shared.losses.write_errors.fetch_add(1, Ordering::Relaxed);
        self.reports.error(&self.sink, what, error);
    }
}

/// Says on the program log that lines are lost or late, but not for each.
#[derive(Default)]
struct Reports {
    drops: u64,
    last_drops: Option<Instant>,
    last_error: Option<Instant>,
}

impl Reports {
    fn drops(&mut self, dropped: u64) {
        if dropped > self.drops && due(&mut self.last_drops) {
            warn!("access log: {} lines dropped because the queue was full", dropped - self.drops);
            self.drops = dropped;
        }
    }

    fn error(&mut self, sink: &Sink, what: &str, error: &io::Error) {
        if due(&mut self.last_error) {
            error!("access log: {sink} can't be {what}, trying again: {error}");
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
