//! `portcullis check`: everything that is wrong with a configuration, in one run.

use clap::Args;
use serde_json::{Value, json};

use super::output::{ExitStatus, OutputFormat, Printer};
use crate::config;
use crate::config::load::SystemEnvironment;
use crate::diagnostics::{Diagnostic, Severity, has_errors};

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// A YAML file, or a folder whose *.yaml and *.yml files are merged.
    pub path: String,
    /// How to report.
    #[arg(long, value_enum, default_value_t = OutputFormat::Text)]
    pub format: OutputFormat,
}

/// Reports every diagnostic. Warnings alone do not refuse a configuration.
pub fn check(args: &CheckArgs, printer: &mut Printer) -> ExitStatus {
    let (_, diagnostics) = config::open(&args.path, &SystemEnvironment);
    match args.format {
        OutputFormat::Text => {
            report(&diagnostics, printer);
            printer.message(summary(&args.path, &diagnostics));
        }
        OutputFormat::Json => {
            let all: Vec<Value> = diagnostics.iter().map(as_json).collect();
            printer.data(format_args!("{:#}\n", Value::from(all)));
        }
    }
    if has_errors(&diagnostics) { ExitStatus::Configuration } else { ExitStatus::Success }
}

/// Prints `diagnostics`, one after the other.
pub fn report(diagnostics: &[Diagnostic], printer: &mut Printer) {
    for diagnostic in diagnostics {
        printer.message(diagnostic);
    }
}

fn summary(path: &str, diagnostics: &[Diagnostic]) -> String {
    let errors = diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    match (errors, diagnostics.len() - errors) {
        (0, 0) => format!("{path}: valid"),
        (0, warnings) => format!("{path}: valid, {}", count(warnings, "warning")),
        (errors, 0) => format!("{path}: {}", count(errors, "error")),
        (errors, warnings) => format!("{path}: {}, {}", count(errors, "error"), count(warnings, "warning")),
    }
}

fn as_json(diagnostic: &Diagnostic) -> Value {
    let Diagnostic { code, severity, place, path, message, help } = diagnostic;
    let severity = match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let (file, line, column) = (&*place.file, place.line, place.column);
    json!({
        "code": code, "severity": severity, "file": file, "line": line, "column": column,
        "path": path, "message": message, "help": help,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_counts() {
        let one = |severity| Diagnostic {
            code: "x",
            severity,
            place: Default::default(),
            path: String::new(),
            message: String::new(),
            help: None,
        };
        let (error, warning) = (one(Severity::Error), one(Severity::Warning));
        assert_eq!(summary("f", &[]), "f: valid");
        assert_eq!(summary("f", std::slice::from_ref(&warning)), "f: valid, 1 warning");
        assert_eq!(summary("f", &[error.clone(), error.clone()]), "f: 2 errors");
        assert_eq!(summary("f", &[error, warning]), "f: 1 error, 1 warning");
    }
}
