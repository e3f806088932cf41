//! Which folder it is.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use nix::unistd::Uid;

/// Where a gateway keeps its sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeFolderChoice {
    pub path: PathBuf,
    /// Whether it was named, and is not the system's default. The gateway also serves without the default folder.
    pub named: bool,
}

impl RuntimeFolderChoice {
    /// The folder that was named, or else the one that the system has for this process: `$RUNTIME_DIRECTORY` (the first, as
    /// systemd.exec(5) gives it), `/run/portcullis` for root, `$XDG_RUNTIME_DIR/portcullis`. `None`: there is none.
    pub fn new(
        named: Option<PathBuf>,
        root: bool,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Option<RuntimeFolderChoice> {
        if let Some(path) = named {
            return Some(RuntimeFolderChoice { path, named: true });
        }
        let given = |name: &str| variable(name).filter(|value| !value.is_empty());
        let path = if let Some(folders) = given("RUNTIME_DIRECTORY") {
            let first = folders.as_bytes().split(|&byte| byte == b':').next().unwrap_or_default();
            PathBuf::from(std::ffi::OsStr::from_bytes(first))
        } else if root {
            PathBuf::from("/run/portcullis")
        } else {
            PathBuf::from(given("XDG_RUNTIME_DIR")?).join("portcullis")
        };
        Some(RuntimeFolderChoice { path, named: false })
    }

    /// The same, from the environment of this process.
    pub fn of_this_process(named: Option<PathBuf>) -> Option<RuntimeFolderChoice> {
        RuntimeFolderChoice::new(named, Uid::effective().is_root(), |name| std::env::var_os(name))
    }

    /// The path of a socket of the gateway that serves.
    pub fn socket(&self, name: &str) -> PathBuf {
        self.path.join(format!("{name}.sock"))
    }
}
