//! Buffers that belong to a worker thread, which lends them for one message: an idle connection holds none, and a message allocates
//! none.

use std::cell::RefCell;
use std::mem;
use std::ops::Deref;

/// Bytes that are gathered. Their room is borrowed with the first use, and given back when it is dropped.
#[derive(Default)]
pub struct WorkerBuffer(Vec<u8>);

/// What a buffer has room for in the beginning: a head with a short body.
const ROOM: usize = 4 << 10;

/// A buffer that has grown beyond this is freed.
const MAX_ROOM: usize = 32 << 10;

/// Most buffers that a thread keeps.
const MAX_SPARE: usize = 64;

thread_local! {
    /// Empty buffers that nobody uses.
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

impl WorkerBuffer {
    /// The bytes, to add to.
    pub fn bytes_mut(&mut self) -> &mut Vec<u8> {
        if self.0.capacity() == 0 {
            let spare = SPARE.with_borrow_mut(Vec::pop);
            self.0 = spare.unwrap_or_else(|| Vec::with_capacity(ROOM));
        }
        &mut self.0
    }

    /// Forgets the bytes, and gives their room back.
    pub fn give_back(&mut self) {
        let mut bytes = mem::take(&mut self.0);
        if (1..=MAX_ROOM).contains(&bytes.capacity()) {
            bytes.clear();
            // A thread that ends has no spare buffers any more.
            let _ = SPARE.try_with(|spare| {
                let mut spare = spare.borrow_mut();
                if spare.len() < MAX_SPARE {
                    spare.push(bytes);
                }
            });
        }
    }
}

impl Deref for WorkerBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for WorkerBuffer {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lent_again_is_empty_and_has_the_same_room() {
        let mut first = WorkerBuffer::default();
        first.bytes_mut().extend_from_slice(b"secret");
        let room = first.as_ptr();
        drop(first);
        let mut second = WorkerBuffer::default();
        assert!(second.is_empty());
        assert!(second.bytes_mut().is_empty() && second.as_ptr() == room);
    }

    #[test]
    fn a_buffer_that_has_grown_is_freed() {
        let mut large = WorkerBuffer::default();
        large.bytes_mut().resize(MAX_ROOM + 1, 0);
        large.give_back();
        assert_eq!(large.bytes_mut().capacity(), ROOM);
    }
}
