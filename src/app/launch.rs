//! How this process is started, and how another one can be started like it.

use std::time::Instant;

use nix::unistd::Uid;

use crate::admin::api::StartInfo;
use crate::runtime_folder::RuntimeFolderChoice;

/// How the arguments of a [`TakeoverRequest`] begin. They are not part of how another process is started like this one.
pub const TAKEOVER_ARGUMENTS: &str = "--take-over";

/// How the process begins to serve.
#[derive(Clone, Debug, Default)]
pub struct Launch {
    /// Where it keeps its sockets. `None`: it has no control socket.
    pub runtime: Option<RuntimeFolderChoice>,
    /// Whether it takes over from the gateway of that folder.
    pub takeover: Option<TakeoverRequest>,
}

/// What a process is told that takes over from another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TakeoverRequest {
    /// When it must be ready.
    pub deadline: Instant,
    /// Whether it may serve as root. Not if the running gateway is no root and itself said what to start.
    pub may_stay_root: bool,
}

/// How this process was started. To be called before it becomes another user. `supervised`: a service manager expects
/// notifications from it.
pub fn start_info(supervised: bool) -> StartInfo {
    let arguments = std::env::args_os().skip(1).map(|argument| argument.into_string().ok());
    let kept = |argument: &Option<String>| !argument.as_ref().is_some_and(|one| one.starts_with(TAKEOVER_ARGUMENTS));
    StartInfo {
        arguments: arguments.filter(kept).collect(),
        folder: std::env::current_dir().ok().and_then(|folder| folder.into_os_string().into_string().ok()),
        user: Uid::effective().as_raw(),
        supervised,
    }
}
