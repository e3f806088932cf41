//! `portcullis status`: the process, the configuration in force, and what is in progress.

use clap::Args;
use serde_json::Value;

use super::client::execute;
use super::output::{ExitStatus, Printer};
use super::runtime::RuntimeArgs;
use crate::admin::command::AdminCommand;

#[derive(Debug, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    pub runtime: RuntimeArgs,
    /// Print the gateway's answer as JSON.
    #[arg(long)]
    pub json: bool,
}

pub fn status(args: &StatusArgs, printer: &mut Printer) -> ExitStatus {
    // Not a `GatewayStatus`: a field that a newer gateway adds is printed too.
    let reply = match execute::<Value>(&args.runtime, &AdminCommand::Status, printer) {
        Ok(reply) => reply,
        Err(status) => return status,
    };
    if args.json {
        reply.print_json(printer);
    } else {
        reply.print_error(printer);
        if let Ok(status) = &reply.result {
            printer.data(lines(status, 0));
        }
    }
    reply.exit_status()
}

/// `value` for people: a line for each field, nested fields below it with indentation.
pub fn lines(value: &Value, depth: usize) -> String {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| match inline(value) {
                Some(text) => format!("{indent}{name}: {text}\n"),
                None => format!("{indent}{name}:\n{}", lines(value, depth + 1)),
            })
            .collect(),
        Value::Array(items) => items
            .iter()
            .map(|item| inline(item).map_or_else(|| lines(item, depth), |text| format!("{indent}{text}\n")))
            .collect(),
        other => format!("{indent}{}\n", inline(other).unwrap_or_default()),
    }
}

/// `value` if it fits in a line.
fn inline(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some("-".to_owned()),
        // The text may be from elsewhere: control characters must not reach the terminal.
        Value::String(text) => Some(text.replace(char::is_control, "\u{fffd}")),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Array(items) if items.iter().all(|item| !item.is_object() && !item.is_array()) => {
            Some(items.iter().filter_map(inline).collect::<Vec<_>>().join(" "))
        }
        Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_field_has_a_line() {
        let body =
            json!({ "pid": 7, "start": { "arguments": ["run", "a\u{1b}[2J"], "folder": null }, "x": [{ "y": true }] });
        assert_eq!(lines(&body, 0), "pid: 7\nstart:\n  arguments: run a\u{fffd}[2J\n  folder: -\nx:\n  y: true\n");
    }
}
