//! Signals while the process starts.
//!
//! Until they are handled, SIGHUP, SIGUSR1 and SIGUSR2 end a process (signal(7)): a reload that is asked for, or a log that is
//! rotated, in the first second of a gateway would end it. So they are blocked by the first instruction of the program, wait in the
//! kernel, and are delivered to the one thread that handles them. A thread that is started later has them blocked too.

use nix::sys::signal::{SigSet, Signal};

/// The gateway handles them once it serves.
const HANDLED: [Signal; 2] = [Signal::SIGHUP, Signal::SIGUSR1];

/// It means nothing to the gateway, and must not end it.
const IGNORED: [Signal; 1] = [Signal::SIGUSR2];

fn set(signals: impl IntoIterator<Item = Signal>) -> SigSet {
    signals.into_iter().collect()
}

/// Lets them wait, for this thread and those that it starts. To be called before the first thread is started.
pub fn block() {
    // It fails only for what is no operation.
    let _ = set(HANDLED.into_iter().chain(IGNORED)).thread_block();
}

/// They do again what they do to any program: this process serves nothing.
pub fn unblock() {
    let _ = set(HANDLED.into_iter().chain(IGNORED)).thread_unblock();
}

/// Those that the gateway handles are delivered to this thread from here on.
pub fn unblock_handled() {
    let _ = set(HANDLED).thread_unblock();
}
