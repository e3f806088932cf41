//! Which gateway is meant: by the folder that holds its sockets.

use std::path::PathBuf;

use clap::Args;

use crate::runtime_folder::Choice;

#[derive(Clone, Debug, Args)]
pub struct RuntimeArgs {
    /// The folder of the gateway's sockets, for its owner alone. Without it: the first of $RUNTIME_DIRECTORY, /run/portcullis
    /// for root, else $XDG_RUNTIME_DIR/portcullis.
    #[arg(long = "runtime", value_name = "FOLDER", env = "PORTCULLIS_RUNTIME")]
    pub folder: Option<PathBuf>,
}

impl RuntimeArgs {
    /// The folder that is named, or else the system's, if there is one.
    pub fn choice(&self) -> Option<Choice> {
        Choice::of_this_process(self.folder.clone())
    }
}
