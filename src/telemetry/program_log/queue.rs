//! Lines on their way to standard error, which may be a pipe whose reader stands still: who logs must never wait for it.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::thread;
use std::time::{Duration, Instant};

/// Lines that may wait. What comes beyond them is dropped and counted.
const CAPACITY: usize = 4096;

/// How long a flush waits for room in a full queue before it looks again.
const FULL_PAUSE: Duration = Duration::from_millis(5);

/// The queue, for those who log.
pub(super) struct LineQueue {
    sender: SyncSender<QueuedItem>,
    dropped: AtomicU64,
}

enum QueuedItem {
    Line(String),
    /// Every line before it is written.
    Flush(SyncSender<()>),
}

impl LineQueue {
    /// The queue, and what its lines are written by.
    pub fn new() -> (LineQueue, LineWriter) {
        let (sender, queue) = mpsc::sync_channel(CAPACITY);
        (LineQueue { sender, dropped: AtomicU64::new(0) }, LineWriter { queue, reported: 0 })
    }

    /// Adds `line`, or drops it if the queue is full.
    pub fn push(&self, line: String) {
        if self.sender.try_send(QueuedItem::Line(line)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lines dropped so far.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Waits until what was logged so far is written, for `time` at most.
    pub fn flush(&self, time: Duration) {
        let end = Instant::now() + time;
        let (done, written) = mpsc::sync_channel(1);
        let mut item = QueuedItem::Flush(done);
        loop {
            match self.sender.try_send(item) {
                Ok(()) => break,
                // There is room as soon as a line is written.
                Err(TrySendError::Full(back)) if Instant::now() < end => item = back,
                Err(_) => return,
            }
            thread::park_timeout(FULL_PAUSE);
        }
        let _ = written.recv_timeout(end.saturating_duration_since(Instant::now()));
    }
}

/// Writes the lines of a queue.
pub(super) struct LineWriter {
    queue: Receiver<QueuedItem>,
    /// How many of the dropped lines the log tells of.
    reported: u64,
}

impl LineWriter {
    /// Writes to standard error on a thread of its own, until the process ends. `dropped` says how many lines were dropped, and
    /// `told` how the log tells of so many.
    ///
    /// # Errors
    /// When the thread can't be started.
    pub fn start(mut self, dropped: impl Fn() -> u64 + Send + 'static, told: fn(u64) -> String) -> io::Result<()> {
        thread::Builder::new().name("program-log".to_owned()).spawn(move || {
            while let Ok(item) = self.queue.recv() {
                self.write(item, dropped(), told, &mut io::stderr());
            }
        })?;
        Ok(())
    }

    fn write(&mut self, item: QueuedItem, dropped: u64, told: fn(u64) -> String, out: &mut impl Write) {
        match item {
            // There is nobody to tell that the log itself fails.
            QueuedItem::Line(line) => drop(writeln!(out, "{line}")),
            QueuedItem::Flush(done) => drop(done.try_send(())),
        }
        if dropped > self.reported {
            drop(writeln!(out, "{}", told(dropped - self.reported)));
            self.reported = dropped;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_dropped_and_told_once() {
        let (queue, mut writer) = LineQueue::new();
        for number in 0..CAPACITY + 3 {
            queue.push(number.to_string());
        }
        assert_eq!(queue.dropped(), 3);
        let mut out = Vec::new();
        while let Ok(item) = writer.queue.try_recv() {
            writer.write(item, queue.dropped(), |lost| format!("{lost} dropped"), &mut out);
        }
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.matches("3 dropped").count(), 1, "{text}");
        assert_eq!(text.lines().count(), CAPACITY + 1);
    }
}
