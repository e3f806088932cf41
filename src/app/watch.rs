//! Reloads when the configuration changes, or a file that it names.
//!
//! A notice from the system only says that something may have changed: whether it did, the content says. So a touch
//! reloads nothing, whoever reloads by other means is not followed by a second reload, and notices that get lost (network
//! file systems send none) only delay what a regular look finds.

mod notices;
mod places;

use std::sync::Arc;
use std::thread;

use log::{info, warn};

use crate::admin::control::{Command, Control};
use crate::config::ConfigSource;
use crate::config::inputs::ConfigInputs;
use notices::Notices;

/// Reloads by `control` whenever what `source` was read from changes, until the process ends.
pub fn start(source: ConfigSource, control: Arc<dyn Control>) {
    let watch = move || {
        let notices = Notices::new();
        info!("watching {} and the files that it names", source.path);
        let mut watch = Watch { source, control, notices, tried: None };
        loop {
            watch.step();
        }
    };
    if let Err(error) = thread::Builder::new().name("watch".to_owned()).spawn(watch) {
        warn!("changes of the configuration can't be watched: {error}");
    }
}

struct Watch {
    source: ConfigSource,
    control: Arc<dyn Control>,
    notices: Notices,
    /// What was there when a reload was asked for that did not read it, as when another one was in the way.
    tried: Option<ConfigInputs>,
}

impl Watch {
    /// Looks once, and reloads or waits for a notice.
    fn step(&mut self) {
        let reading = self.source.inputs();
        // First follow, then look: a change between the two is noticed.
        self.notices.follow(&reading);
        let now = reading.read_again(&*self.source.environment);
        if now == *reading || self.tried.as_ref() == Some(&now) {
            let noticed = self.notices.wait();
            if !noticed || now == *reading {
                self.tried = None;
            }
            return;
        }
        // Whoever changes one file often changes another.
        self.notices.settle();
        self.tried = Some(reading.read_again(&*self.source.environment));
        self.control.handle(Command::Reload(None));
    }
}

#[cfg(test)]
mod tests;
