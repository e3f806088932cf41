//! `portcullis upgrade`: this program in the place of a running gateway.
//!
//! The new gateway is started like the running one: with its arguments, in its folder, but with the environment of this
//! command. It takes over by itself ([`crate::handover`]); this command waits for it and prints its messages until then. The
//! memory of the old one is not handed over: limits start at zero, and endpoints start as healthy.
//!
//! Root does not do what another user's process says ([`start`]). Whose process answers, the kernel says.

mod root_owned;
mod start;

use std::io::{BufRead, BufReader};
use std::process::{self, Child, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use nix::unistd::Uid;

use self::start::{NamedStart, NextGateway};
use super::client::{ControlClient, ControlError, ControlPeer, ControlReply};
use super::output::{ExitStatus, Printer};
use super::runtime::RuntimeArgs;
use crate::admin::api::{GatewayStatus, StartInfo};
use crate::admin::command::{AdminCommand, parse_duration};
use crate::runtime_folder::RuntimeFolder;

/// The new gateway is started like the running one, with the environment of this command, and reads the configuration as it is
/// now. It gets the listening sockets, and begins to accept once it is ready; then the old one finishes its requests and ends.
/// Limits start at zero. If the new gateway fails to start or to become ready, the old one continues to serve.
///
/// As root, the configuration and its folder must belong to root, with nobody else able to change them, or be named here: the running
/// gateway may be in the hands of somebody who would like root to read another file.
#[derive(Debug, Args)]
pub struct UpgradeArgs {
    /// The configuration of the new gateway, a YAML file or a folder, from the folder of this command. Default: what the running
    /// gateway was started with.
    pub path: Option<String>,
    /// With a configuration named here: reload when it changes.
    #[arg(long, requires = "path")]
    pub watch: bool,
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
    peer: ControlPeer,
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
    let (ControlReply { result, .. }, peer) = client.ask::<GatewayStatus>(&AdminCommand::Status)?;
    let GatewayStatus { pid, start, .. } = result.map_err(|error| UpgradeError::unavailable(error.error))?;
    let running = RunningGateway { pid, peer, start };
    running.can_be_replaced().map_err(UpgradeError::unavailable)?;
    let named = args.path.as_ref().map(|path| NamedStart { path, watch: args.watch });
    let next = NextGateway::new(&running.start, named, peer, printer).map_err(UpgradeError::unavailable)?;
    settle_folder(&client, peer, printer);

    let mut child = running.start_next(next, &client, args.wait).map_err(UpgradeError::unavailable)?;
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
            if Uid::effective().is_root() {
                running.wait_for_drain(&client, late);
                settle_folder(&client, ControlPeer { pid: Some(new), ..peer }, printer);
            }
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
        if ![0, own].contains(&self.peer.user) && own != 0 {
            return Err(format!("the gateway belongs to user {}: run this as that user", self.peer.user));
        }
        if let Some(pid) = self.peer.pid.filter(|&pid| pid != self.pid) {
            return Err(format!("the gateway says that it is process {}, and is process {pid}", self.pid));
        }
        if self.pid == 1 {
            return Err(
                "the gateway is process 1 of its container, which ends with it: replace the container".to_owned()
            );
        }
        let group = |process: &str| std::fs::read_to_string(format!("/proc/{process}/cgroup")).ok();
        let (own, its) = (group("self"), group(&self.pid.to_string()));
        // A service is one whatever the gateway says of itself.
        let in_service = |groups: &str| groups.lines().any(|group| group.ends_with(".service"));
        let supervised = self.start.supervised || its.as_deref().is_some_and(in_service);
        if supervised && own.is_some() && its.is_some() && own != its {
            return Err(
                "the gateway belongs to a service, and the new one would not: have the service manager do it (`systemctl reload`)"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// Starts this program as the next gateway.
    fn start_next(&self, next: NextGateway, client: &ControlClient, wait: Duration) -> Result<Child, String> {
        let runtime = std::path::absolute(client.folder()).map_err(|error| error.to_string())?;
        let mut command = next.command(&runtime, wait)?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let program = command.get_program().to_owned();
        command.spawn().map_err(|error| format!("`{}` cannot be started: {error}", program.display()))
    }

    /// Waits until it drains, or has ended: it needs the runtime folder until then.
    fn wait_for_drain(&self, client: &ControlClient, late: Instant) {
        let own = client.of_process(self.pid);
        let serves = || {
            let status = own.send::<GatewayStatus>(&AdminCommand::Status);
            status.is_ok_and(|reply| reply.result.is_ok_and(|status| status.drain.is_none()))
        };
        while serves() && Instant::now() < late {
            thread::park_timeout(INTERVAL);
        }
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

/// Has the runtime folder belong to the user whom the gateway runs as that serves with it, for which it takes root. The gateway
/// itself can't when it has become another user than the one before.
fn settle_folder(client: &ControlClient, serving: ControlPeer, printer: &mut Printer) {
    let Some(pid) = serving.pid.filter(|_| Uid::effective().is_root() && serving.user == 0) else { return };
    let settled = RuntimeFolder::join(client.folder(), None).map_err(|error| error.to_string());
    let settled = settled.and_then(|folder| folder.give_to_user_of(pid).map_err(|error| error.to_string()));
    if let Err(error) = settled {
        printer
            .message(format_args!("portcullis: the runtime folder is not given to the user of process {pid}: {error}"));
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
