//! Asks the file system on a thread of its own, which is given up if the answer takes too long.

use std::collections::HashSet;
use std::io::{self, ErrorKind};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;

/// Threads that may hang at a time.
const MAX_UNANSWERED: usize = 64;
/// Of a thread that opens and reads a file.
const STACK_BYTES: usize = 128 << 10;

/// The paths that a thread was given up on, as long as it hangs. Of the process, like its threads.
static UNANSWERED: Mutex<Option<HashSet<String>>> = Mutex::new(None);

/// The answer of `question` about `path`, for which it is waited for `time` at most.
///
/// # Errors
/// Those of `question`, and [`ErrorKind::TimedOut`] at once if an earlier question about `path` still has no answer.
pub(super) fn ask<T: Send + 'static>(
    path: &str,
    time: Duration,
    question: impl FnOnce(&str) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let hang = UNANSWERED.lock().as_ref().map_or((false, 0), |paths| (paths.contains(path), paths.len()));
    match hang {
        (true, _) => return Err(no_answer()),
        (false, MAX_UNANSWERED..) => {
            let message = format!("it is not asked for, since {MAX_UNANSWERED} other files do not answer");
            return Err(io::Error::new(ErrorKind::TimedOut, message));
        }
        (false, _) => {}
    }
    let (answer, answered) = sync_channel(1);
    let asked = path.to_owned();
    let thread = thread::Builder::new().name("file".to_owned()).stack_size(STACK_BYTES).spawn(move || {
        let found = question(&asked);
        // Under the lock, so that it is either received or taken from the paths that hang.
        let mut unanswered = UNANSWERED.lock();
        let _ = answer.send(found);
        if let Some(paths) = unanswered.as_mut() {
            paths.remove(&asked);
        }
    })?;
    let found = match answered.recv_timeout(time) {
        Ok(found) => found,
        Err(RecvTimeoutError::Timeout) => {
            let mut unanswered = UNANSWERED.lock();
            let Ok(found) = answered.try_recv() else {
                unanswered.get_or_insert_default().insert(path.to_owned());
                return Err(no_answer());
            };
            found
        }
        Err(RecvTimeoutError::Disconnected) => Err(io::Error::other("the thread that reads it has failed")),
    };
    // Whoever changes the rights of the process next must find no other thread. It ends at once, and panics are reported by their hook.
    let _ = thread.join();
    found
}

fn no_answer() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, "the file system gives no answer")
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Instant;

    use super::*;

    #[test]
    fn what_hangs_is_asked_for_once_until_it_answers() {
        let (release, wait) = mpsc::channel::<()>();
        let hangs = ask("a", Duration::from_millis(10), move |_| Ok(_ = wait.recv()));
        assert_eq!(hangs.unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(ask("b", Duration::from_secs(60), |path| Ok(path.to_owned())).unwrap(), "b");
        let began = Instant::now();
        let again = || ask("a", Duration::from_secs(60), |_| Ok(()));
        assert_eq!(again().unwrap_err().kind(), ErrorKind::TimedOut);
        assert!(began.elapsed() < Duration::from_secs(60));
        drop(release);
        while again().is_err() {
            assert!(began.elapsed() < Duration::from_secs(60));
            thread::yield_now();
        }
    }
}
