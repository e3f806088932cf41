//! Background work for address lists: their files are read again when they change, off the event loop.

use std::sync::Arc;

use log::{info, warn};

use super::file_looks::FileLooks;
use crate::proxy::runtime::Runtime;
use crate::state::address_lists::{AddressList, AddressListChange};

/// When each list file is looked at next.
#[derive(Default)]
pub struct ListUpkeep {
    looks: FileLooks,
}

impl ListUpkeep {
    /// Looks at the list files in force that are due.
    pub fn run(&mut self, runtime: &Arc<Runtime>) {
        let lists = &runtime.store.load().address_lists;
        if lists.is_empty() {
            return;
        }
        let runtime = runtime.clone();
        self.looks.run(lists.iter().map(|list| list.file().clone()), move |file| {
            let lists = &runtime.store.load().address_lists;
            if let Some(list) = lists.iter().find(|list| &**list.file() == file) {
                look(list);
            }
        });
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
