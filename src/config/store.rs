//! Store: what is served now, swapped at once for what is served next.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::{ArcSwap, Guard};

/// Holds the current `T`. Readers never wait, and what they hold stays whole while a new `T` is published.
#[derive(Debug)]
pub struct Store<T> {
    current: ArcSwap<T>,
    generation: AtomicU64,
}

impl<T> Store<T> {
    /// Publishes the first value, generation 1.
    pub fn new(first: T) -> Self {
        Store { current: ArcSwap::from_pointee(first), generation: AtomicU64::new(1) }
    }

    /// The current value, for a short look: a guard that is kept long slows down publishing.
    pub fn load(&self) -> Guard<Arc<T>> {
        self.current.load()
    }

    /// The current value, to keep (for the length of a request).
    pub fn current(&self) -> Arc<T> {
        self.current.load_full()
    }

    /// Replaces the current value. Returns the new generation.
    pub fn publish(&self, next: Arc<T>) -> u64 {
        self.current.store(next);
        self.generation.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// How many values were published, the first included.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_keep_what_they_hold() {
        let store = Store::new("first");
        let held = store.current();
        assert_eq!(store.publish(Arc::new("second")), 2);
        assert_eq!((*held, **store.load(), store.generation()), ("first", "second", 2));
    }
}
