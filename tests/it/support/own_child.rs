//! A process that a test started by itself.

use std::process::Child;

/// It ends with the test.
pub struct OwnChild(pub Child);

impl Drop for OwnChild {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
