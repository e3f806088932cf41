//! `portcullis schema`: the JSON Schema of the configuration.

use super::output::{ExitStatus, Printer};

/// Prints the schema.
pub fn schema(printer: &mut Printer) -> ExitStatus {
    printer.data(crate::config::schema::schema());
    ExitStatus::Success
}
