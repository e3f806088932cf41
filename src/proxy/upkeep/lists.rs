//! Background work for address lists: their files are read again when they change, off the event loop.

use std::sync::Arc;
use std::time::{Duration, Instant};

use log::{info, warn};
use tokio::task::JoinHandle;

use crate::proxy::runtime::Runtime;
use crate::state::address_lists::{AddressList, AddressListChange};

/// Between two looks at the list files.
const LOOK: Duration = Duration::from_secs(1);

/// When the list files are looked at next.
#[derive(Default)]
pub struct ListUpkeep {
    next: Option<Instant>,
    looking: Option<JoinHandle<()>>,
}

impl ListUpkeep {
    /// Looks at the list files in force if it is time.
    pub fn run(&mut self, runtime: &Arc<Runtime>) {
        let now = Instant::now();
        // A file system that hangs costs one thread, not one more every second.
        let busy = self.looking.as_ref().is_some_and(|looking| !looking.is_finished());
        if busy || self.next.is_some_and(|next| now < next) {
            return;
        }
        self.next = Some(now + LOOK);
        let lists = runtime.store.load().address_lists.clone();
        if !lists.is_empty() {
            self.looking = Some(tokio::task::spawn_blocking(move || lists.iter().for_each(|list| look(list))));
        }
    }
}

fn look(list: &AddressList) {
    match list.refresh() {
        Some(AddressListChange::Replaced { entries }) => {
            info!("address list {}: {entries} entries are in force", list.file())
        }
        Some(AddressListChange::Kept(error)) => {
            warn!("address list {}: {error}; its last good content stays in force", list.file());
        }
        None => {}
    }
}
