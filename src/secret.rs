//! [`Secret`]: a value that never prints and never serialises, and is overwritten when it is dropped.

use std::fmt;

use zeroize::Zeroize;

/// Wraps credentials so that no log line, `Debug` dump or serialiser can show them, and no memory that is freed holds them.
///
/// It can't be cloned, so that each copy is an `expose` that can be found: who shares one holds an `Arc<Secret<_>>`.
/// Libraries that take a key (TLS, JSON Web Tokens) keep a copy of their own.
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Hides `value`.
    pub fn new(value: T) -> Self {
        Secret(value)
    }

    /// The value itself. Each call is a place where a secret may leak: keep them few.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl<T: Zeroize + AsRef<[u8]>> Secret<T> {
    /// Compares in time that does not depend on where the first difference is.
    pub fn equals(&self, other: &[u8]) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(self.0.as_ref(), other).is_ok()
    }
}

impl Secret<Vec<u8>> {
    /// Removes the line feeds at the end of a file.
    pub fn without_line_feeds(mut self) -> Self {
        let end = self.0.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |last| last + 1);
        self.0[end..].zeroize();
        self.0.truncate(end);
        self
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    struct Watched(Rc<Cell<bool>>);

    impl Zeroize for Watched {
        fn zeroize(&mut self) {
            self.0.set(true);
        }
    }

    #[test]
    fn a_secret_is_overwritten_when_it_is_dropped_and_never_prints() {
        let overwritten = Rc::new(Cell::new(false));
        let secret = Secret::new(Watched(overwritten.clone()));
        assert_eq!(format!("{secret:?}"), "[secret]");
        assert!(!overwritten.get());
        drop(secret);
        assert!(overwritten.get());
    }

    #[test]
    fn line_feeds_at_the_end_are_not_part_of_a_secret() {
        for (file, secret) in [("a\nb\r\n\n", "a\nb"), ("\n\n", ""), ("", ""), ("a", "a")] {
            assert_eq!(Secret::new(file.as_bytes().to_vec()).without_line_feeds().expose(), secret.as_bytes());
        }
    }
}
