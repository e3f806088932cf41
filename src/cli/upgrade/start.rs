//! What the next gateway is started with, and who says so.
//!
//! The running gateway says what it was started with. Whoever took control of it can say anything, and root would start that with
//! root's rights. So what it says counts for root only where nobody but root could have written it: the configuration and the
//! working folder are root's alone ([`super::root_owned`]), and where the running gateway is no root, the next one must not
//! stay root either. Everything else is named on the command line. The program is the one that was called.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use clap::{Parser, Subcommand};
use nix::unistd::Uid;

use super::root_owned;
use crate::admin::api::StartInfo;
use crate::cli::client::ControlPeer;
use crate::cli::output::Printer;
use crate::cli::run::RunArgs;

/// The configuration that was named for the next gateway.
#[derive(Clone, Copy, Debug)]
pub struct NamedStart<'a> {
    pub path: &'a str,
    pub watch: bool,
}

/// How the next gateway is started.
#[derive(Debug)]
pub struct NextGateway {
    /// After `run`.
    arguments: Vec<String>,
    folder: PathBuf,
    may_stay_root: bool,
}

/// The command line of a gateway.
#[derive(Debug, Parser)]
struct StartedAs {
    #[command(subcommand)]
    command: StartedCommand,
}

#[derive(Debug, Subcommand)]
enum StartedCommand {
    Run(RunArgs),
}

impl NextGateway {
    /// As `named`, or else as the running gateway, the process `peer`, says that it was started.
    ///
    /// # Errors
    /// When neither says enough, or when root would have to believe the running gateway.
    pub fn new(
        said: &StartInfo,
        named: Option<NamedStart<'_>>,
        peer: ControlPeer,
        printer: &mut Printer,
    ) -> Result<NextGateway, String> {
        match named {
            Some(named) => NextGateway::named(named, said, printer),
            None => NextGateway::said(said, peer),
        }
    }

    fn named(named: NamedStart<'_>, said: &StartInfo, printer: &mut Printer) -> Result<NextGateway, String> {
        let folder = std::env::current_dir().map_err(|error| format!("this folder is not found: {error}"))?;
        let mut arguments = Vec::new();
        if named.watch {
            arguments.push("--watch".to_owned());
        }
        arguments.extend(["--".to_owned(), named.path.to_owned()]);
        let before = said.folder.as_deref().zip(configuration(said).ok());
        if let Some((before, (path, _))) = before
            && Path::new(before).join(&path) != folder.join(named.path)
        {
            printer.message(format_args!(
                "portcullis: the running gateway says that it was started with `{path}` in `{before}`"
            ));
        }
        Ok(NextGateway { arguments, folder, may_stay_root: true })
    }

    fn said(said: &StartInfo, peer: ControlPeer) -> Result<NextGateway, String> {
        let (path, arguments) = configuration(said)?;
        let folder = said.folder.as_ref();
        let folder = folder.ok_or("the folder in which the gateway was started is gone or not UTF-8: restart it")?;
        let folder = PathBuf::from(folder);
        if !Uid::effective().is_root() {
            return Ok(NextGateway { arguments, folder, may_stay_root: true });
        }
        let file = folder.join(&path);
        root_owned::check(&folder).and_then(|()| root_owned::check_configuration(&file)).map_err(|why| {
            format!(
                "the gateway says that it was started with `{path}` in `{}`, and others than root may change that: {why}; name the \
                 configuration that root should read, `portcullis upgrade FILE`",
                folder.display()
            )
        })?;
        Ok(NextGateway { arguments, folder, may_stay_root: peer.pid.is_some_and(runs_as_root) })
    }

    /// The command that takes over from the gateway of the runtime folder `runtime` within `wait`.
    ///
    /// # Errors
    /// When this program is not found.
    pub fn command(self, runtime: &Path, wait: Duration) -> Result<Command, String> {
        let program = std::env::current_exe().map_err(|error| format!("this program is not found: {error}"))?;
        let mut take_over = std::ffi::OsString::from("--take-over=");
        take_over.push(runtime);
        let mut command = Command::new(program);
        // Before the others: what follows a `--` is no option.
        command.arg("run").arg(take_over).arg(format!("--take-over-within={}", wait.as_millis()));
        if !self.may_stay_root {
            command.arg("--take-over-as-no-root");
        }
        command.args(self.arguments).current_dir(self.folder);
        Ok(command)
    }
}

/// The path of the configuration that a gateway was started with, and all that stood after `run`.
fn configuration(said: &StartInfo) -> Result<(String, Vec<String>), String> {
    let arguments = said.arguments.as_ref();
    let arguments = arguments.ok_or("the gateway was started with arguments that are not UTF-8: restart it")?;
    let all = std::iter::once("portcullis").chain(arguments.iter().map(String::as_str));
    match StartedAs::try_parse_from(all) {
        Ok(StartedAs { command: StartedCommand::Run(run) }) if run.take_over.is_none() => {
            Ok((run.path, arguments[1..].to_vec()))
        }
        _ => Err(format!(
            "the gateway says that it was started as `portcullis {}`, which is no `portcullis run`",
            arguments.join(" ")
        )),
    }
}

/// Whether the process `pid` is root now, as the system says.
fn runs_as_root(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    ids.is_some_and(|ids| ids.split_whitespace().nth(1) == Some("0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(arguments: &[&str]) -> StartInfo {
        let arguments = Some(arguments.iter().map(|&argument| argument.to_owned()).collect());
        StartInfo { arguments, folder: Some("/".to_owned()), user: 0, supervised: false }
    }

    #[test]
    fn only_a_gateway_is_started_again() {
        for arguments in [&["run", "--runtime", "/r", "--", "a"][..], &["run", "--watch", "a"], &["run", "a"]] {
            let (path, rest) = configuration(&said(arguments)).unwrap();
            assert_eq!((path.as_str(), rest.len()), ("a", arguments.len() - 1));
        }
        for arguments in [
            &["demo"][..],
            &["keys", "new"],
            &["run"],
            &[],
            &["--version"],
            &["run", "--take-over=/elsewhere", "a"],
            &["check", "run", "a"],
        ] {
            assert!(configuration(&said(arguments)).is_err(), "{arguments:?}");
        }
    }
}
