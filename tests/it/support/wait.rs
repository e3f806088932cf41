//! Waits for a condition in another process by polling until a deadline.

use std::time::{Duration, Instant};

/// Longer than anything that works ever takes, even on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// Asks `question` until it answers, and panics with `what` when it never does.
#[track_caller]
pub fn until<T>(what: &str, mut question: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = question() {
            return answer;
        }
        assert!(start.elapsed() < DEADLINE, "waited {DEADLINE:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(4));
    }
}

/// Like [`until`] for a condition.
#[track_caller]
pub fn until_true(what: &str, mut condition: impl FnMut() -> bool) {
    until(what, || condition().then_some(()));
}
