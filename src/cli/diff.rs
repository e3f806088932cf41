//! `portcullis diff`: what a reload would change.

use std::fmt::Write;

use clap::Args;
use serde_json::Value;

use super::check::report;
use super::output::{ExitStatus, Printer};
use crate::config::diff::{Apply, Change, Subject, Weight};
use crate::config::load::SystemEnvironment;
use crate::config::snapshot::Snapshot;
use crate::config::{self, diff};

#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The configuration as it is: a YAML file, or a folder of them.
    old: String,
    /// The configuration as it will be.
    new: String,
    /// A JSON array of the changes, on standard output.
    #[arg(long)]
    json: bool,
    /// End with 1 if anything changes.
    #[arg(long)]
    exit_code: bool,
}

/// Compares. Both files are compiled, and what is wrong with either is reported.
pub fn diff(args: &DiffArgs, printer: &mut Printer) -> ExitStatus {
    let (old, new) = (compiled(&args.old, printer), compiled(&args.new, printer));
    let (Some(old), Some(new)) = (old, new) else { return ExitStatus::Configuration };
    let changes = diff::diff(&old, &new);
    if args.json {
        let all: Vec<Value> = changes.iter().map(Change::json).collect();
        printer.data(format_args!("{:#}\n", Value::from(all)));
    } else {
        printer.data(text(&changes));
        printer.message(summary(&changes));
    }
    if args.exit_code && !changes.is_empty() { ExitStatus::Failure } else { ExitStatus::Success }
}

/// The snapshot, if it compiles. Warnings are left to `check`.
fn compiled(path: &str, printer: &mut Printer) -> Option<Snapshot> {
    let (snapshot, diagnostics) = config::open(path, &SystemEnvironment);
    if snapshot.is_none() {
        report(&diagnostics, printer);
        printer.message(format_args!("{path}: does not compile, because of the errors above"));
    }
    snapshot
}

/// The changes by subject. The subject of the most important change is first.
fn text(changes: &[Change]) -> String {
    let mut subjects: Vec<&Subject> = Vec::new();
    for change in changes {
        if !subjects.contains(&&change.subject) {
            subjects.push(&change.subject);
        }
    }
    let mut text = String::new();
    for subject in subjects {
        let _ = writeln!(text, "{subject}");
        for change in changes.iter().filter(|change| change.subject == *subject) {
            let weight = match change.weight {
                Weight::Weaker => "weaker",
                Weight::Stronger => "stronger",
                Weight::Changed => "",
            };
            let upgrade = if change.apply == Apply::Upgrade { "  [upgrade]" } else { "" };
            let _ = writeln!(text, "  {weight:<8}  {}: {}{upgrade}", change.label(), change.step());
        }
    }
    // The text is from files: control characters must not reach the terminal.
    text.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}")
}

fn summary(changes: &[Change]) -> String {
    let count = |wanted: fn(&Change) -> bool| changes.iter().filter(|change| wanted(change)).count();
    let weaker = match count(|change| change.weight == Weight::Weaker) {
        0 => String::new(),
        1 => "; 1 weakens protection".to_owned(),
        many => format!("; {many} weaken protection"),
    };
    let upgrade = match count(|change| change.apply == Apply::Upgrade) {
        0 => String::new(),
        1 => "; 1 needs `portcullis upgrade` instead of a reload".to_owned(),
        many => format!("; {many} need `portcullis upgrade` instead of a reload"),
    };
    match changes.len() {
        0 => "nothing changes".to_owned(),
        1 => format!("1 change{weaker}{upgrade}"),
        many => format!("{many} changes{weaker}{upgrade}"),
    }
}
