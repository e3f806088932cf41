//! `portcullis upgrade`: this program in the place of a running gateway.
//!
//! The new gateway is started like the running one: with its arguments, in its folder, but with the environment of this
//! command. It takes over by itself ([`crate::handover`]); this command waits for it and prints its messages until then. The
//! memory of the old one is not handed over: limits start at zero, and endpoints start as healthy.

use std::io::{BufRead, BufReader};
use std::process::{self, Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use nix::unistd::Uid;

use super::client::{ControlClient, ControlError, ControlReply};
use super::output::{ExitStatus, Printer};
use super::runtime::RuntimeArgs;
use crate::admin::api::{GatewayStatus, StartInfo};
use crate::admin::command::{AdminCommand, parse_duration};

/// The new gateway is started like the running one, with the environment of this command, and reads the configuration as it is
/// now. It gets the listening sockets, and begins to accept once it is ready; then the old one finishes its requests and ends.
/// Limits start at zero. If the new gateway fails to start or to become ready, the old one continues to serve.
#[derive(Debug, Args)]
pub struct UpgradeArgs {
    #[command(flatten)]
    pub runtime: RuntimeArgs,
    /// How long the new gateway may take to become ready.
    #[arg(long, default_value = "60s", value_parser = parse_duration)]
    pub wait: Duration,
}

/// The time between two requests for the process that serves.
const INTERVAL: Duration = Duration::from_millis(50);
/// How much longer than `--wait` the new gateway may take to end by itself or to complete the takeover.
const GRACE: Duration = Duration::from_secs(20);

/// The running gateway.
struct RunningGateway {
    pid: u32,
    start: StartInfo,
}

/// Why an upgrade failed: the message, and how the command ends.
struct UpgradeError {
    status: ExitStatus,
    message: String,
}

impl UpgradeError {
    fn unavailable(message: impl Into<String>) -> Self {
        UpgradeError { status: ExitStatus::Unavailable, message: message.into() }
    }
}

impl From<ControlError> for UpgradeError {
    fn from(error: ControlError) -> Self {
        UpgradeError::unavailable(error.to_string())
    }
}

/// Success means that the new gateway serves and the old one drains. After an error the old one continues to serve.
pub fn upgrade(args: &UpgradeArgs, printer: &mut Printer) -> ExitStatus {
    match attempt(args, printer) {
        Ok((old, new)) => {
            printer.message(format_args!("upgraded: process {new} serves, process {old} drains"));
            ExitStatus::Success
        }
        Err(UpgradeError { status, message }) => {
            printer.message(format_args!("portcullis: {message}"));
            status
        }
    }
}

fn attempt(args: &UpgradeArgs, printer: &mut Printer) -> Result<(u32, u32), UpgradeError> {
    let client = ControlClient::new(&args.runtime)?;
    let ControlReply { result, .. } = client.send::<GatewayStatus>(&AdminCommand::Status)?;
    let GatewayStatus { pid, start, .. } = result.map_err(|error| UpgradeError::unavailable(error.error))?;
    let running = RunningGateway { pid, start };
    running.can_be_replaced().map_err(UpgradeError::unavailable)?;

    let mut child = running.start_next(&client, args.wait).map_err(UpgradeError::unavailable)?;
    let new = child.id();
    let messages = lines_of(&mut child);
    let late = Instant::now() + args.wait + GRACE;
    loop {
        match messages.recv_timeout(INTERVAL) {
            Ok(line) => {
                printer.message(line);
                continue;
            }
            Err(RecvTimeoutError::Timeout) => {}
            // Its messages go to the output of the old gateway now, or it has ended.
            Err(RecvTimeoutError::Disconnected) => thread::park_timeout(INTERVAL),
        }
        if serves(&client, new) {
            return Ok((running.pid, new));
        }
        let ended = child.try_wait().ok().flatten();
        if let Some(status) = ended {
            for line in messages {
                printer.message(line);
            }
            return Err(running.not_replaced(&client, status));
        }
        if Instant::now() > late {
            let _ = child.kill();
            let _ = child.wait();
            let now = running.now(&client);
            return Err(UpgradeError::unavailable(format!("the new gateway hung and was killed; {now}")));
        }
    }
}

impl RunningGateway {
    /// Refuses an upgrade that can't work, before anything is started.
    fn can_be_replaced(&self) -> Result<(), String> {
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
    fn start_next(&self, client: &ControlClient, wait: Duration) -> Result<Child, String> {
        let arguments = self.start.arguments.as_ref();
        let arguments = arguments.ok_or("the gateway was started with arguments that are not UTF-8: restart it")?;
        let folder = self
            .start
            .folder
            .as_ref()
            .ok_or("the folder in which the gateway was started is gone or not UTF-8: restart it")?;
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

    /// Whether it serves now, in words.
    fn now(&self, client: &ControlClient) -> String {
        if serves(client, self.pid) {
            format!("process {} goes on", self.pid)
        } else {
            format!("process {} does not answer any more", self.pid)
        }
    }

    fn not_replaced(&self, client: &ControlClient, ended: process::ExitStatus) -> UpgradeError {
        let status = match ended.code() {
            Some(code) if code == i32::from(ExitStatus::Configuration.code()) => ExitStatus::Configuration,
            _ => ExitStatus::Unavailable,
        };
        UpgradeError { status, message: format!("the new gateway did not take over ({ended}); {}", self.now(client)) }
    }
}

fn serves(client: &ControlClient, pid: u32) -> bool {
    let status = client.send::<GatewayStatus>(&AdminCommand::Status);
    status.is_ok_and(|reply| reply.result.is_ok_and(|status| status.pid == pid))
}

/// The messages of the new gateway, line by line, until it sends them elsewhere.
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
