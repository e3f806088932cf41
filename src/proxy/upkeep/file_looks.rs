//! Looks at watched files, each on its own: one that does not answer delays no other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Between two looks at a file.
pub const LOOK: Duration = Duration::from_secs(1);
/// Looks at a time. Each is a thread, for as long as the file system takes.
const LOOKS: usize = 32;
/// After so long without a look, a file is none that is watched.
const FORGET: Duration = Duration::from_secs(60);

/// When each file is looked at next.
pub struct FileLooks {
    looks: HashMap<Arc<str>, FileLook>,
    room: Arc<Semaphore>,
}

struct FileLook {
    next: Instant,
    running: JoinHandle<()>,
}

impl Default for FileLooks {
    fn default() -> Self {
        FileLooks { looks: HashMap::new(), room: Arc::new(Semaphore::new(LOOKS)) }
    }
}

impl FileLooks {
    /// Does `look` off the event loop for each of `files` that is due and not being looked at.
    pub fn run(&mut self, files: impl IntoIterator<Item = Arc<str>>, look: impl Fn(&str) + Clone + Send + 'static) {
        let now = Instant::now();
        for file in files {
            let waits = |look: &FileLook| now < look.next || !look.running.is_finished();
            if self.looks.get(&file).is_some_and(waits) {
                continue;
            }
            let Ok(room) = self.room.clone().try_acquire_owned() else { break };
            let (look, looked_at) = (look.clone(), file.clone());
            let running = tokio::task::spawn_blocking(move || {
                look(&looked_at);
                drop(room);
            });
            self.looks.insert(file, FileLook { next: now + LOOK, running });
        }
        self.looks.retain(|_, look| now < look.next + FORGET);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_file_that_hangs_is_looked_at_once_and_delays_no_other() {
        let mut looks = FileLooks::default();
        let (seen, all) = mpsc::channel();
        let (release, hang) = mpsc::channel::<()>();
        let hang = Arc::new(parking_lot::Mutex::new(hang));
        let look = move |file: &str| {
            let _ = seen.send(file.to_owned());
            if file == "hangs" {
                let _ = hang.lock().recv();
            }
        };
        let mut found = Vec::new();
        while found.iter().filter(|file| *file == "answers").count() < 3 {
            looks.run(["hangs".into(), "answers".into()], look.clone());
            looks.looks.values_mut().for_each(|look| look.next = Instant::now());
            found.extend(all.try_iter());
            tokio::task::yield_now().await;
        }
        assert_eq!(found.iter().filter(|file| *file == "hangs").count(), 1);
        drop(release);
    }
}
