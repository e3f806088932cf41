//! The header section of an answer, as response rules edit it.

use http::{HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;

/// The fields of an answer's head, whatever holds them. Names are compared without regard to case.
pub trait HeaderSection {
    /// All values of `name`, in order.
    fn values<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a [u8]>;
    /// Whether there is any value of `name`.
    fn contains(&self, name: &HeaderName) -> bool;
    /// Removes every value of `name`.
    fn remove(&mut self, name: &HeaderName);
    /// Gives every value of `old` to `new`, in order, behind those that it has.
    fn rename(&mut self, old: &HeaderName, new: &HeaderName);
    /// Replaces every value of `name` by `value`.
    fn set(&mut self, name: &HeaderName, value: &HeaderValue);
    /// Adds a further value of `name`, behind those that it has.
    fn append(&mut self, name: &HeaderName, value: &HeaderValue);
}

impl HeaderSection for HeaderMap {
    fn values<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a [u8]> {
        self.get_all(name).into_iter().map(HeaderValue::as_bytes)
    }

    fn contains(&self, name: &HeaderName) -> bool {
        self.contains_key(name)
    }

    fn remove(&mut self, name: &HeaderName) {
        self.remove(name);
    }

    fn rename(&mut self, old: &HeaderName, new: &HeaderName) {
        if !self.contains_key(old) {
            return;
        }
        let values: SmallVec<[HeaderValue; 4]> = self.get_all(old).into_iter().cloned().collect();
        self.remove(old);
        for value in values {
            self.append(new.clone(), value);
        }
    }

    fn set(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.insert(name.clone(), value.clone());
    }

    fn append(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.append(name.clone(), value.clone());
    }
}
