//! The loop around the notices; the notices themselves are tried on the running gateway.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::StatusCode;
use serde_json::json;

use super::*;
use crate::admin::control::Outcome;
use crate::config::load::SystemEnvironment;

/// Counts what it is asked, and reads the configuration if it has one.
#[derive(Default)]
struct Counter {
    reloads: AtomicUsize,
    source: Option<ConfigSource>,
}

impl Control for Counter {
    fn handle(&self, command: Command) -> Outcome {
        assert_eq!(command, Command::Reload(None));
        self.reloads.fetch_add(1, Ordering::Relaxed);
        self.source.as_ref().map(ConfigSource::open);
        Outcome { status: StatusCode::OK, body: json!({}) }
    }
}

/// A watch without the system's help on a file of its own, which was read once.
fn watch(reads: bool) -> (tempfile::TempDir, Arc<Counter>, Watch) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("f.yaml");
    fs::write(&file, "version: 1").unwrap();
    let source = ConfigSource::new(file.to_str().unwrap(), Arc::new(SystemEnvironment));
    source.open();
    let counter = Arc::new(Counter { source: reads.then(|| source.clone()), ..Counter::default() });
    let control = counter.clone();
    (folder, counter, Watch { source, control, notices: Notices::without_system(), tried: None })
}

#[test]
fn without_notices_changes_are_found_by_looking() {
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
