//! Lines on their way to standard error, which may be a pipe whose reader stands still: who logs must never wait for it.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::Duration;

/// Lines that may wait. What comes beyond them is dropped and counted.
const CAPACITY: usize = 4096;

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
        let (done, written) = mpsc::sync_channel(1);
        if self.sender.try_send(QueuedItem::Flush(done)).is_ok() {
            let _ = written.recv_timeout(time);
        }
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
