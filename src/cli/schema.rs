//! `portcullis schema`: the JSON Schema of the configuration.

use super::output::{Printer, Status};

/// Prints the schema.
pub fn schema(printer: &mut Printer) -> Status {
    printer.data(crate::config::schema::schema());
    Status::Success
}
