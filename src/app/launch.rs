//! How this process was started, so that another one can be started like it.

use std::path::PathBuf;
use std::time::Instant;

use nix::unistd::Uid;
use serde_json::{Value, json};

use crate::runtime_folder::Choice;

/// The arguments that only [`Follow`] has: a process is not started like this one with them.
pub const FOLLOW_ARGUMENTS: &str = "--take-over";

/// How the process begins to serve.
#[derive(Clone, Debug, Default)]
pub struct Launch {
    /// Where it keeps its sockets. `None`: nowhere, and it takes no orders.
    pub runtime: Option<Choice>,
    /// Whether it follows the gateway of that folder.
    pub follow: Option<Follow>,
}

/// What a process that follows another one is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Follow {
    /// When it must be ready.
    pub deadline: Instant,
}

/// What a command needs to start another process like this one, as a part of `GET /status`.
#[derive(Clone, Debug)]
pub struct Origin {
    /// `None` where they are no text.
    arguments: Option<Vec<String>>,
    folder: Option<PathBuf>,
    user: u32,
    supervised: bool,
}

impl Origin {
    /// Of this process; to be asked before it becomes another user. `supervised`: by a service manager that is told things.
    pub fn of_this_process(supervised: bool) -> Origin {
        let arguments = std::env::args_os().skip(1).map(|argument| argument.into_string().ok());
        let kept = |argument: &Option<String>| !argument.as_ref().is_some_and(|one| one.starts_with(FOLLOW_ARGUMENTS));
        Origin {
            arguments: arguments.filter(kept).collect(),
            folder: std::env::current_dir().ok(),
            user: Uid::effective().as_raw(),
            supervised,
        }
    }

    /// As the status shows it.
    pub fn to_json(&self) -> Value {
        json!({
            "arguments": self.arguments,
            "folder": self.folder,
            "user": self.user,
            "supervised": self.supervised,
        })
    }
}
