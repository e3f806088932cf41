//! File descriptors: a bound on connections is only true if the process may open that many.

use log::{info, warn};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::config::snapshot::Snapshot;
use crate::proxy::upstream::mirror;

/// Listeners, logs, files of the configuration, the runtimes' own.
const OTHERS: u64 = 128;

/// How many descriptors `snapshot` may need.
pub fn needed(snapshot: &Snapshot) -> u64 {
    let bounds = &snapshot.bounds;
    // A client's connection, and one to an origin for it; besides, those that belong to one client, and those of mirrors.
    let connections = 2 * u64::from(bounds.connections) + u64::from(bounds.private_connections);
    // Each listener has threads of its own, and each lane a pool.
    let workers = snapshot.process.threads as u64 * snapshot.listeners.len() as u64;
    let lanes = 1 + u64::from(snapshot.process.fast_lane);
    let idle = u64::from(bounds.upstream_pool) * workers * lanes;
    connections + mirror::connections(&snapshot.rules) + idle + OTHERS
}

/// Raises the soft limit to the hard one where it is too low for `snapshot`, and warns where that is still too low.
pub fn provide(snapshot: &Snapshot) {
    let (needed, connections) = (needed(snapshot), snapshot.bounds.connections);
    let (soft, hard) = match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok(limits) => limits,
        Err(e) => {
            warn!("the limit on file descriptors is not known: {e}");
            return;
        }
    };
    if soft >= needed {
        return;
    }
    let limit = match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(e) => {
            warn!("the limit on file descriptors cannot be raised from {soft} to {hard}: {e}");
            soft
        }
    };
    if limit < needed {
        warn!(
            "{connections} connections (`bounds.connections`) may need {needed} file descriptors, and the process may \
             open {limit}: raise the hard limit (`ulimit -Hn`, `LimitNOFILE=`), or lower the bound"
        );
    } else {
        info!("raised the limit on file descriptors from {soft} to {limit}");
    }
}
