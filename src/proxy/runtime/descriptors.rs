//! File descriptors: a bound on connections is only true if the process may open that many.

use log::{info, warn};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Idle connections to origins that each worker thread may keep.
pub const IDLE_UPSTREAM: usize = 512;

/// Listeners, logs, files of the configuration, the runtimes' own.
const OTHERS: u64 = 128;

/// Raises the soft limit to the hard one where it is too low for `connections`, and warns where that is still too low.
///
/// `mirrors` are the connections that copies of requests may have on top.
pub fn provide(connections: u32, mirrors: u64, threads: usize) {
    // A client's connection, and one to an origin for it.
    let needed = 2 * u64::from(connections) + mirrors + (IDLE_UPSTREAM * threads) as u64 + OTHERS;
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
