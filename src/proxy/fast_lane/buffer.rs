//! Bytes that have come and were not used yet. Their room belongs to the worker thread, which lends it for one exchange.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pingora::protocols::Stream;
use tokio::io::{AsyncRead, ReadBuf};

/// Room for bytes that are read and used in turn.
pub(super) struct ReadBuffer {
    room: Box<[u8]>,
    start: usize,
    end: usize,
}

/// What is read at once.
const ROOM: usize = 32 << 10;

/// Most rooms that a thread keeps.
const MAX_SPARE: usize = 64;

thread_local! {
    /// Rooms that nobody uses, zeroed once and for all.
    static SPARE: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

impl ReadBuffer {
    pub fn new() -> Self {
        let spare = SPARE.with_borrow_mut(Vec::pop);
        ReadBuffer { room: spare.unwrap_or_else(|| vec![0; ROOM].into_boxed_slice()), start: 0, end: 0 }
    }

    /// What has come and was not used.
    pub fn unused(&self) -> &[u8] {
        &self.room[self.start..self.end]
    }

    pub fn unused_mut(&mut self) -> &mut [u8] {
        &mut self.room[self.start..self.end]
    }

    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The first `count` bytes were used.
    pub fn consume(&mut self, count: usize) {
        self.start += count;
        debug_assert!(self.start <= self.end);
    }

    /// Reads what is there. Says how much that was; 0 at the end of the stream.
    pub fn poll_fill(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.room.len() {
            self.make_room();
        }
        let mut free = ReadBuf::new(&mut self.room[self.end..]);
        ready!(Pin::new(stream).poll_read(cx, &mut free))?;
        let count = free.filled().len();
        self.end += count;
        Poll::Ready(Ok(count))
    }

    fn make_room(&mut self) {
        if self.start > 0 {
            self.room.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        } else {
            let mut larger = std::mem::take(&mut self.room).into_vec();
            larger.resize(2 * larger.len(), 0);
            self.room = larger.into_boxed_slice();
        }
    }
}

impl Drop for ReadBuffer {
    fn drop(&mut self) {
        let room = std::mem::take(&mut self.room);
        if room.len() == ROOM {
            // A thread that ends has no spare rooms any more.
            let _ = SPARE.try_with(|spare| {
                let mut spare = spare.borrow_mut();
                if spare.len() < MAX_SPARE {
                    spare.push(room);
                }
            });
        }
    }
}
