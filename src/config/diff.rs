//! What changes from one compiled configuration to another, by subject and by effect, in an owner's words.
//!
//! Each part of a snapshot is written down as [`facts`]: what is so, in words, and which way it guards. Two lists of facts
//! are then compared by name. The functions that write the facts take their structs apart field by field, so that a new
//! field does not compile until somebody has said what it means here. What weakens protection stands first.
//!
//! Nothing secret is shown: of keys, tokens and certificates only that they changed.

mod access;
mod bounds;
mod change;
mod facts;
mod guard;
mod header;
mod listener;
mod process;
mod response;
mod route;
#[cfg(test)]
mod tests;
mod upstream;

pub use change::{Apply, ConfigChange, Effect, Subject, Weight};

use super::snapshot::Snapshot;
use facts::ConfigFacts;

/// Every difference between `old` and `new`, what weakens protection first. Empty if nothing changes.
pub fn diff(old: &Snapshot, new: &Snapshot) -> Vec<ConfigChange> {
    // A field that is added to a snapshot belongs into one of these, or gets its own line below.
    let Snapshot { rules: _, listeners: _, bounds: _, upstreams: _, dns: _, access_log: _, admin: _, process: _ } = new;
    let mut changes = route::changes(old, new);
    changes.extend(access::changes(&old.rules, &new.rules));
    changes.extend(listener::changes(old, new));
    changes.extend(upstream::changes(&old.upstreams, &new.upstreams));
    changes.extend(process::admin_changes(old, new));
    for (subject, facts) in [
        (Subject::Bounds, process::bounds as fn(&Snapshot) -> ConfigFacts),
        (Subject::Dns, process::dns),
        (Subject::Process, process::process),
        (Subject::AccessLog, process::access_log),
    ] {
        changes.extend(facts::compare(&subject, facts(old), facts(new)));
    }
    changes.sort();
    changes
}

/// Those of `changes` that a reload can't make, since the process holds it from its start: the listeners and their
/// addresses, the admin listener's address, threads and user, and bounds of the process. None: a reload is enough.
pub fn needs_upgrade(changes: &[ConfigChange]) -> impl Iterator<Item = &ConfigChange> {
    changes.iter().filter(|change| change.apply == Apply::Upgrade)
}
