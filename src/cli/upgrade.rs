//! `portcullis upgrade`: this program in the place of a running gateway.
//!
//! The new gateway is started like the running one: with its arguments, in its folder; its environment is that of this
//! command. What the old one has in memory does not move: limits begin anew, endpoints begin as healthy. It takes over by itself ([`crate::handover`]); this command watches, and repeats what it says until then.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use http::Method;
use nix::unistd::Uid;
use serde::Deserialize;

use super::client::Client;
use super::output::{Printer, Status};
use super::runtime::RuntimeArgs;
use crate::config::raw::units::Span;

/// The new gateway is started like the running one, with the environment of this command, and reads the configuration as it is
/// now. It gets the listening sockets, and begins to accept once it is ready; then the old one finishes its requests and ends.
/// Limits begin anew. Where the new one fails to start or to become ready, the old one goes on as if nothing had happened.
#[derive(Debug, Args)]
pub struct UpgradeArgs {
    #[command(flatten)]
    pub runtime: RuntimeArgs,
    /// How long the new gateway may take to become ready.
    #[arg(long, default_value = "60s", value_parser = duration)]
    pub wait: Duration,
}

fn duration(text: &str) -> Result<Duration, String> {
    Span::parse(text).map(|span| span.0)
}

/// How often it is asked who serves.
const POLL: Duration = Duration::from_millis(50);
/// What the new gateway may take beyond the wait, to give up by itself or to finish what it has begun.
const GRACE: Duration = Duration::from_secs(20);

/// The running gateway, as its status tells.
#[derive(Debug, Deserialize)]
struct Running {
    pid: u32,
    start: Start,
}

#[derive(Debug, Deserialize)]
struct Start {
    arguments: Option<Vec<String>>,
    folder: Option<PathBuf>,
    user: u32,
    supervised: bool,
}

/// Success means that the new gateway serves and the old one drains. After anything else the old one goes on.
pub fn upgrade(args: &UpgradeArgs, printer: &mut Printer) -> Status {
    match attempt(args, printer) {
        Ok((old, new)) => {
            printer.words(format_args!("upgraded: process {new} serves, process {old} drains"));
            Status::Success
        }
        Err((status, message)) => {
            printer.words(format_args!("portcullis: {message}"));
            status
        }
    }
}

type Failed = (Status, String);

fn attempt(args: &UpgradeArgs, printer: &mut Printer) -> Result<(u32, u32), Failed> {
    let unavailable = |message: String| (Status::Unavailable, message);
    let client = Client::new(&args.runtime).map_err(|error| unavailable(error.to_string()))?;
    let reply = client.ask(Method::GET, "/status").map_err(|error| unavailable(error.to_string()))?;
    let running: Running = serde_json::from_value(reply.body)
        .map_err(|error| unavailable(format!("the running gateway does not say how it was started: {error}")))?;
    running.can_be_followed().map_err(unavailable)?;

    let mut child = running.next(&client, args.wait).map_err(unavailable)?;
    let new = child.id();
    let said = lines_of(&mut child);
    let late = Instant::now() + args.wait + GRACE;
    loop {
        match said.recv_timeout(POLL) {
            Ok(line) => {
                printer.words(line);
                continue;
            }
            Err(RecvTimeoutError::Timeout) => {}
            // It speaks elsewhere now, or has ended.
            Err(RecvTimeoutError::Disconnected) => thread::park_timeout(POLL),
        }
        if serves(&client, new) {
            return Ok((running.pid, new));
        }
        let ended = child.try_wait().ok().flatten();
        if let Some(status) = ended {
            for line in said {
                printer.words(line);
            }
            return Err(running.not_followed(&client, status));
        }
        if Instant::now() > late {
            let _ = child.kill();
            let _ = child.wait();
            return Err(unavailable(format!("the new gateway hung and was ended; {}", running.now(&client))));
        }
    }
}

impl Running {
    /// Refuses what can't work, before anything is started.
    fn can_be_followed(&self) -> Result<(), String> {
        let (own, user) = (Uid::effective().as_raw(), self.start.user);
        if own == 0 && user != 0 {
            return Err(format!(
                "the gateway was started by user {user}, and one started by root would run as root: run this as that user"
            ));
        }
        if self.pid == 1 {
            return Err(
                "the gateway is process 1 of its container, which ends with it: replace the container".to_owned()
            );
        }
        let group = |process: &str| std::fs::read_to_string(format!("/proc/{process}/cgroup")).ok();
        let (own, its) = (group("self"), group(&self.pid.to_string()));
        if self.start.supervised && own.is_some() && its.is_some() && own != its {
            return Err(
                "the gateway belongs to a service, and the new one would not: have the service manager do it (`systemctl reload`)"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// Starts this program like the running gateway.
    fn next(&self, client: &Client, wait: Duration) -> Result<Child, String> {
        let arguments = self.start.arguments.as_ref();
        let arguments = arguments.ok_or("the gateway was started with arguments that are no text: restart it")?;
        let folder =
            self.start.folder.as_ref().ok_or("the folder in which the gateway was started is gone: restart it")?;
        let program = std::env::current_exe().map_err(|error| format!("this program is not found: {error}"))?;
        let runtime = std::path::absolute(client.folder()).map_err(|error| error.to_string())?;
        let mut take_over = std::ffi::OsString::from("--take-over=");
        take_over.push(runtime);
        Command::new(&program)
            .args(arguments)
            .arg(take_over)
            .arg(format!("--take-over-within={}", wait.as_millis()))
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("`{}` cannot be started: {error}", program.display()))
    }

    /// What became of it.
    fn now(&self, client: &Client) -> String {
        if serves(client, self.pid) {
            format!("process {} goes on", self.pid)
        } else {
            format!("process {} does not answer any more", self.pid)
        }
    }

    fn not_followed(&self, client: &Client, ended: ExitStatus) -> Failed {
        let status = match ended.code() {
            Some(78) => Status::Configuration,
            _ => Status::Unavailable,
        };
        (status, format!("the new gateway did not take over ({ended}); {}", self.now(client)))
    }
}

fn serves(client: &Client, pid: u32) -> bool {
    client.ask(Method::GET, "/status").is_ok_and(|reply| reply.body["pid"] == pid)
}

/// What the new gateway says, line by line, until it says no more here.
fn lines_of(child: &mut Child) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    if let Some(stderr) = child.stderr.take() {
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
    }
    receiver
}
