//! Reloads when the configuration changes, or a file that it names.
//!
//! A notification of the system only says that something may have changed; the content decides whether it did. Therefore a
//! touch reloads nothing, a reload by command is not followed by a second one, and a notification that gets lost (network
//! file systems send none) only delays what a comparison at intervals finds.

mod notifier;
mod paths;

use std::sync::Arc;
use std::thread;

use log::{info, warn};

use crate::admin::command::{AdminCommand, CommandHandler};
use crate::config::ConfigSource;
use crate::config::inputs::ConfigInputs;
use notifier::ChangeNotifier;
pub(super) use paths::WatchedPaths;

/// Reloads by `commands` whenever the files that `source` was read from change, until the process ends.
pub fn start(source: ConfigSource, commands: Arc<dyn CommandHandler>) {
    let watch = move || {
        let notifier = ChangeNotifier::new();
        info!("watching {} and the files that it names", source.path);
        let mut watcher = ConfigWatcher { source, commands, notifier, attempted: None };
        loop {
            watcher.step();
        }
    };
    if let Err(error) = thread::Builder::new().name("watch".to_owned()).spawn(watch) {
        warn!("changes of the configuration can't be watched: {error}");
    }
}

struct ConfigWatcher {
    source: ConfigSource,
    commands: Arc<dyn CommandHandler>,
    notifier: ChangeNotifier,
    /// The files at the last reload that did not read them, as when a roll-out was running.
    attempted: Option<ConfigInputs>,
}

impl ConfigWatcher {
    /// Compares once, and reloads or waits for a notification.
    fn step(&mut self) {
        let inputs = self.source.inputs();
        // First watch, then compare: a change between the two gives a notification.
        self.notifier.watch(&inputs);
        let now = self.source.inputs_now();
        if now == *inputs || self.attempted.as_ref() == Some(&now) {
            let notified = self.notifier.wait();
            if !notified || now == *inputs {
                self.attempted = None;
            }
            return;
        }
        // A change of one file is often followed by a change of another.
        self.notifier.settle();
        self.attempted = Some(self.source.inputs_now());
        // The log tells the outcome.
        let _ = self.commands.handle(AdminCommand::Reload(None));
    }
}

#[cfg(test)]
mod tests;
