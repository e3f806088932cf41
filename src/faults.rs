//! Faults on demand, so that tests can prove on the wire what a fault in the gateway's own code costs: one request.
//!
//! Compiled in by the feature `faults` only, which the tests switch on and nothing that is shipped does. Even then a process
//! has to be armed by the environment variable [`VARIABLE`], so that a test build is no gateway that strangers can break.

use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// The environment variable that arms a process, by any value.
pub const VARIABLE: &str = "PORTCULLIS_FAULTS";

/// The request header that asks for a fault, by the name of a [`FaultPlace`].
pub const HEADER: &str = "x-portcullis-fault";

/// Where a request can be made to panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultPlace {
    /// While facts for the decision are awaited, after the task was suspended once.
    Fact,
    /// While the request is decided upon, after it took its place in every limit.
    Request,
    /// While what the origin is shown is written.
    Upstream,
    /// While the origin's answer is sealed.
    Response,
    /// Where nothing catches it: the task of the request ends.
    Task,
    /// No panic: the thread that serves the request stands still for [`STALL`].
    Stall,
}

/// The headers of a request.
pub trait HeaderLookup {
    /// The first value of the header called `name`.
    fn value(&self, name: &'static str) -> Option<&[u8]>;
}

/// How long a thread stands still that was asked to.
const STALL: Duration = Duration::from_secs(4);

/// Between two looks at whether a file is to hang for longer.
const HANG_PAUSE: Duration = Duration::from_millis(20);

impl FaultPlace {
    /// The value of the header.
    const fn name(self) -> &'static str {
        match self {
            FaultPlace::Fact => "panic-in-fact",
            FaultPlace::Request => "panic-in-request",
            FaultPlace::Upstream => "panic-in-upstream",
            FaultPlace::Response => "panic-in-response",
            FaultPlace::Task => "panic-in-task",
            FaultPlace::Stall => "stall",
        }
    }
}

/// Panics if the request asks for it and the process is armed. Nothing at all without the feature.
#[inline]
pub fn panic_at(place: FaultPlace, asked: impl HeaderLookup) {
    if is_asked(place, asked) {
        panic!("a fault was asked for");
    }
}

/// Stands still if the request asks for it and the process is armed. Nothing at all without the feature.
#[inline]
pub fn stall(asked: impl HeaderLookup) {
    if is_asked(FaultPlace::Stall, asked) {
        let end = Instant::now() + STALL;
        while let Some(rest) = end.checked_duration_since(Instant::now()) {
            std::thread::park_timeout(rest);
        }
    }
}

/// The name of a file that stands beside the one that is to hang, after its own name.
pub const HANG: &str = ".hang";

/// Stands still for as long as the file beside `path` is there that asks for it, if the process is armed. Nothing at all without
/// the feature.
#[inline]
pub fn hang(path: &str) {
    if is_armed() {
        let asked = format!("{path}{HANG}");
        while Path::new(&asked).exists() {
            std::thread::park_timeout(HANG_PAUSE);
        }
    }
}

/// The same, once the task was suspended and is polled again.
#[inline]
pub async fn panic_after_wait_at(place: FaultPlace, asked: impl HeaderLookup) {
    if is_asked(place, asked) {
        tokio::task::yield_now().await;
        panic!("a fault was asked for");
    }
}

#[inline]
fn is_asked(place: FaultPlace, asked: impl HeaderLookup) -> bool {
    is_armed() && asked.value(HEADER).is_some_and(|asked| asked == place.name().as_bytes())
}

#[inline]
fn is_armed() -> bool {
    static ARMED: LazyLock<bool> = LazyLock::new(|| std::env::var_os(VARIABLE).is_some());
    cfg!(feature = "faults") && *ARMED
}
