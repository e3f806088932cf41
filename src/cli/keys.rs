//! `portcullis keys`: API keys.

use std::time::SystemTime;

use clap::{Args, Subcommand};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::output::{ExitStatus, Printer};
use crate::decision::access::api_key;
use crate::secret::Secret;

/// Make API keys.
#[derive(Debug, Args)]
pub struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Make a key. Prints the key, which is stored nowhere, and its entry for the configuration.
    New(NewKey),
}

#[derive(Debug, Args)]
pub struct NewKey {
    /// Who will use the key.
    #[arg(long)]
    pub id: String,
    /// A scope that the key gives. May be repeated.
    #[arg(long = "scope", value_name = "SCOPE")]
    pub scopes: Vec<String>,
    /// A role that the key gives. May be repeated.
    #[arg(long = "role", value_name = "ROLE")]
    pub roles: Vec<String>,
    /// When the key stops working, such as 2027-01-31T00:00:00Z.
    #[arg(long, value_name = "RFC3339")]
    pub expires: Option<String>,
}

/// Prints a new key and its entry, or why none was made.
pub fn keys(args: KeysArgs, printer: &mut Printer) -> ExitStatus {
    let KeysCommand::New(new) = args.command;
    match make(&new) {
        Ok((key, entry)) => {
            printer.data(format_args!("{}\n{entry}", key.expose()));
            printer
                .message(format_args!("The first line is the key. Give it to `{}` now: it is stored nowhere.", new.id));
            printer.message(
                "The rest is its entry for the list of keys, in the configuration or in the file that it names.",
            );
            ExitStatus::Success
        }
        Err(reason) => {
            printer.message(format_args!("error: {reason}"));
            ExitStatus::Failure
        }
    }
}

/// A new key, and its entry for the configuration.
pub fn make(args: &NewKey) -> Result<(Secret<String>, String), String> {
    check(args, SystemTime::now())?;
    let mut random = [0; 32];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| "the system gives no random numbers".to_owned())?;
    Ok(text(args, &random))
}

fn check(args: &NewKey, now: SystemTime) -> Result<(), String> {
    if args.id.is_empty() {
        return Err("--id: the value is empty".to_owned());
    }
    if let Some(control) = args.id.chars().find(|c| c.is_control()) {
        return Err(format!("--id: {control:?} is not allowed"));
    }
    if let Some(expires) = &args.expires {
        let time = OffsetDateTime::parse(expires, &Rfc3339).map_err(|_| {
            format!("--expires: `{expires}` is not a time; write it as RFC 3339 does, such as 2027-01-31T00:00:00Z")
        })?;
        if SystemTime::from(time) <= now {
            return Err(format!("--expires: {expires} is past"));
        }
    }
    Ok(())
}

/// The key of `random`, and the entry that `decision::access::api_key` looks up.
fn text(args: &NewKey, random: &[u8; 32]) -> (Secret<String>, String) {
    let (key, hash) = api_key::make(random);
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut text = format!("- id: {}\n  hash: \"sha256:{hash}\"\n", quoted(&args.id));
    for (field, values) in [("scopes", &args.scopes), ("roles", &args.roles)] {
        if !values.is_empty() {
            let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
            text.push_str(&format!("  {field}: [{}]\n", values.join(", ")));
        }
    }
    if let Some(expires) = &args.expires {
        text.push_str(&format!("  expires: {}\n", quoted(expires)));
    }
    (key, text)
}

/// A JSON string is also a YAML string, and nothing in it is special to YAML.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::config::raw::access::ApiKeyEntry;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        args: KeysArgs,
    }

    fn new(args: &[&str]) -> NewKey {
        let KeysCommand::New(new) = Program::parse_from([&["keys", "new"], args].concat()).args.command;
        new
    }

    #[test]
    fn the_entry_is_what_the_configuration_reads() {
        let args =
            new(&["--id", "o'hara: \"x\"", "--scope", "a.b", "--scope", "c", "--expires", "2999-01-31T00:00:00Z"]);
        let (key, entry) = text(&args, &[7; 32]);
        let key = key.expose().as_str();
        assert!(key.starts_with("pk_") && key.len() == 46, "{key}");
        assert!(!entry.contains(key));
        let entries: Vec<ApiKeyEntry> = serde_yaml::from_str(&entry).unwrap();
        assert_eq!(entries[0].id, "o'hara: \"x\"");
        assert_eq!(entries[0].scopes, ["a.b", "c"]);
        assert_eq!(entries[0].hash.len(), 7 + 64);
        assert_eq!(entries[0].expires.as_deref(), Some("2999-01-31T00:00:00Z"));
    }

    #[test]
    fn keys_differ() {
        let args = new(&["--id", "a"]);
        assert_ne!(text(&args, &[1; 32]).0.expose(), text(&args, &[2; 32]).0.expose());
    }

    #[test]
    fn senseless_arguments_are_refused() {
        let now = SystemTime::now();
        assert!(check(&new(&["--id", "a", "--expires", "2999-01-31T00:00:00Z"]), now).is_ok());
        assert!(check(&new(&["--id", ""]), now).is_err());
        assert!(check(&new(&["--id", "a\nb"]), now).is_err());
        assert!(check(&new(&["--id", "a", "--expires", "tomorrow"]), now).unwrap_err().contains("RFC 3339"));
        assert!(check(&new(&["--id", "a", "--expires", "2001-01-31T00:00:00Z"]), now).unwrap_err().contains("past"));
    }
}
