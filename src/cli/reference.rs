//! `portcullis reference`: every field of the configuration, for people.

use super::output::{ExitStatus, Printer};

/// Prints the reference, as Markdown.
pub fn reference(printer: &mut Printer) -> ExitStatus {
    printer.data(crate::config::reference::reference());
    ExitStatus::Success
}
