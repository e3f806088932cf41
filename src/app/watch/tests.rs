//! The loop around the notifications; those themselves are tested on the running gateway.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::admin::api::{AdminError, CommandAnswer, RollbackResult};
use crate::config::load::SystemEnvironment;

/// Counts reloads, and reads the configuration if it has one.
#[derive(Default)]
struct Counter {
    reloads: AtomicUsize,
    source: Option<ConfigSource>,
}

impl CommandHandler for Counter {
    fn handle(&self, command: AdminCommand) -> Result<CommandAnswer, AdminError> {
        assert_eq!(command, AdminCommand::Reload(None));
        self.reloads.fetch_add(1, Ordering::Relaxed);
        self.source.as_ref().map(ConfigSource::open);
        Ok(CommandAnswer::Rollback(RollbackResult { generation: 2 }))
    }
}

/// A watcher without notifications of the system, of a file of its own that was read once.
fn watch(reads: bool) -> (tempfile::TempDir, Arc<Counter>, ConfigWatcher) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("f.yaml");
    fs::write(&file, "version: 1").unwrap();
    let source = ConfigSource::new(file.to_str().unwrap(), Arc::new(SystemEnvironment));
    source.open();
    let counter = Arc::new(Counter { source: reads.then(|| source.clone()), ..Counter::default() });
    let (commands, notifier) = (counter.clone(), ChangeNotifier::without_system());
    (folder, counter, ConfigWatcher { source, commands, notifier, attempted: None })
}

#[test]
fn without_notifications_changes_are_found_by_looking() {
    let (folder, counter, mut watch) = watch(true);
    fs::write(folder.path().join("f.yaml"), "version: 2").unwrap();
    watch.step();
    assert_eq!(counter.reloads.load(Ordering::Relaxed), 1);
    watch.step();
    assert_eq!(counter.reloads.load(Ordering::Relaxed), 1);
}

#[test]
fn a_reload_that_could_not_be_done_is_not_asked_for_without_end() {
    let (folder, counter, mut watch) = watch(false);
    fs::write(folder.path().join("f.yaml"), "version: 2").unwrap();
    watch.step();
    watch.step();
    assert_eq!(counter.reloads.load(Ordering::Relaxed), 1);
    fs::write(folder.path().join("f.yaml"), "version: 3").unwrap();
    watch.step();
    assert_eq!(counter.reloads.load(Ordering::Relaxed), 2);
}
