//! The private folder with the sockets of a running gateway: for commands, and for the process that takes over.
//!
//! | name | what |
//! |---|---|
//! | `control.PID.sock`, `upgrade.PID.sock` | the sockets of one process, for as long as it lives |
//! | `control.sock`, `upgrade.sock` | links to those of the process that serves |
//!
//! A link is replaced in one step (`rename`), so that there is always one while a new process takes over, and an old process
//! that has to continue only restores its links. The leftovers of a killed process do no harm: links are replaced, and the
//! next start removes sockets at which no process answers.
//!
//! Only its owner may enter the folder. It is opened once and used by its descriptor from then on: a process that is not root
//! any more still reaches it, wherever it is, and no other folder can be put in its place. A lock on the descriptor (flock(2))
//! lets one gateway at a time start with it.
//!
//! A process that was started as root gives the folder to the user that it becomes, as the last thing that it does as root. It
//! gives away only a folder without other files. One that takes over as another user leaves the folder to the old process until it
//! serves: `portcullis upgrade`, which is still root then, gives it to the new user.

mod choice;
mod error;
mod folder;
mod names;
mod sockets;
#[cfg(test)]
mod tests;

pub use self::choice::RuntimeFolderChoice;
pub use self::error::RuntimeFolderError;
pub use self::folder::RuntimeFolder;
pub use self::names::{CONTROL, UPGRADE};
