//! The argument that selects a running gateway: the folder with its sockets.

use std::path::PathBuf;

use clap::Args;

use crate::runtime_folder::RuntimeFolderChoice;

#[derive(Clone, Debug, Args)]
pub struct RuntimeArgs {
    /// The folder of the gateway's sockets, which only its owner may enter. Default: the first of $RUNTIME_DIRECTORY, or else
    /// /run/portcullis for root, $XDG_RUNTIME_DIR/portcullis for others.
    #[arg(long = "runtime", value_name = "FOLDER", env = "PORTCULLIS_RUNTIME")]
    pub folder: Option<PathBuf>,
}

impl RuntimeArgs {
    /// The folder that is named, or else the default, if there is one.
    pub fn choice(&self) -> Option<RuntimeFolderChoice> {
        RuntimeFolderChoice::of_this_process(self.folder.clone())
    }
}
