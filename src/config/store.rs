//! Store: what is served now, swapped at once for what is served next.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

/// Holds the current `T`. Readers never wait, and what they hold stays whole while a new `T` is published.
#[derive(Debug)]
pub struct Store<T> {
    current: ArcSwap<T>,
}

impl<T> Store<T> {
    /// Publishes the first value.
    pub fn new(first: T) -> Self {
        Store { current: ArcSwap::from_pointee(first) }
    }

    /// The current value, for a short look: a guard that is kept long slows down publishing.
    pub fn load(&self) -> Guard<Arc<T>> {
        self.current.load()
    }

    /// The current value, to keep (for the length of a request).
    pub fn current(&self) -> Arc<T> {
        self.current.load_full()
    }

    /// Replaces the current value.
    pub fn publish(&self, next: Arc<T>) {
        self.current.store(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_keep_what_they_hold() {
        let store = Store::new("first");
        let held = store.current();
        store.publish(Arc::new("second"));
        assert_eq!((*held, **store.load()), ("first", "second"));
    }
}
