//! Commands to a running gateway over its control socket.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::UnixStream;

use super::http::{ExchangeBounds, HttpAnswer, exchange};
use super::output::{ExitStatus, Printer};
use super::runtime::RuntimeArgs;
use crate::admin::api::{self, AdminError, ErrorCode, Versioned};
use crate::admin::command::AdminCommand;
use crate::runtime_folder::{CONTROL, RuntimeFolderChoice};

/// A reload compiles a configuration. The longest answer has room for a hundred thousand endpoints.
const BOUNDS: ExchangeBounds = ExchangeBounds { timeout: Duration::from_secs(600), max_bytes: 64 << 20 };

/// A gateway, by its control socket.
#[derive(Clone, Debug)]
pub struct ControlClient {
    folder: RuntimeFolderChoice,
    socket: PathBuf,
}

/// The process that answers, as the kernel knows it: it cannot be invented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlPeer {
    /// The user that it was when it made the socket.
    pub user: u32,
    /// `None`: it cannot be seen from here, as in another container.
    pub pid: Option<u32>,
}

/// The answer to a command.
#[derive(Clone, Debug, PartialEq)]
pub struct ControlReply<T> {
    pub status: StatusCode,
    /// The answer as it came, with the fields that this program does not know.
    pub body: Value,
    pub result: Result<T, AdminError>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error("which gateway? Name its runtime folder: --runtime FOLDER")]
    NoFolder,
    #[error("no gateway answers at `{}`", .0.display())]
    Unreachable(PathBuf),
    #[error("the gateway at `{}` takes commands of its own user and of root only", .0.display())]
    Forbidden(PathBuf),
    #[error("the gateway at `{}` closed the connection, as it does for users other than its own and root", .0.display())]
    Closed(PathBuf),
    #[error("no gateway answers at `{}`: {}", .0.display(), .1)]
    Failed(PathBuf, io::Error),
    #[error("what answers at `{}` is no gateway", .0.display())]
    NotAGateway(PathBuf),
    #[error("the gateway at `{}` speaks version {} of the admin API, and this program version {}", .0.display(), .1, api::VERSION)]
    OtherVersion(PathBuf, u32),
}

impl ControlError {
    fn from_io(socket: &Path, error: io::Error) -> Self {
        let socket = socket.to_owned();
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => ControlError::Unreachable(socket),
            ErrorKind::PermissionDenied => ControlError::Forbidden(socket),
            ErrorKind::UnexpectedEof => ControlError::Closed(socket),
            ErrorKind::InvalidData => ControlError::NotAGateway(socket),
            _ => ControlError::Failed(socket, error),
        }
    }
}

/// Sends `command` to the gateway of `runtime`. Prints why there is no answer, and how the command ends then.
///
/// # Errors
/// How the command ends if there is no answer.
pub fn execute<T: DeserializeOwned>(
    runtime: &RuntimeArgs,
    command: &AdminCommand,
    printer: &mut Printer,
) -> Result<ControlReply<T>, ExitStatus> {
    ControlClient::new(runtime).and_then(|client| client.send(command)).map_err(|error| {
        printer.message(format_args!("portcullis: {error}"));
        ExitStatus::Unavailable
    })
}

impl ControlClient {
    /// The gateway of `args`.
    ///
    /// # Errors
    /// When no folder is named and the system has none.
    pub fn new(args: &RuntimeArgs) -> Result<ControlClient, ControlError> {
        let folder = args.choice().ok_or(ControlError::NoFolder)?;
        Ok(ControlClient { socket: folder.socket(CONTROL), folder })
    }

    /// The gateway process `pid` of the same folder, whether the links lead to it or not.
    pub fn of_process(&self, pid: u32) -> ControlClient {
        ControlClient { socket: self.folder.socket(&format!("{CONTROL}.{pid}")), folder: self.folder.clone() }
    }

    /// The runtime folder.
    pub fn folder(&self) -> &Path {
        &self.folder.path
    }

    /// Sends `command` and waits for the answer.
    ///
    /// # Errors
    /// When no process answers, or none that is a gateway.
    pub fn send<T: DeserializeOwned>(&self, command: &AdminCommand) -> Result<ControlReply<T>, ControlError> {
        self.ask(command).map(|(reply, _)| reply)
    }

    /// The same, with the process that answers.
    ///
    /// # Errors
    /// As those of [`ControlClient::send`].
    pub fn ask<T: DeserializeOwned>(
        &self,
        command: &AdminCommand,
    ) -> Result<(ControlReply<T>, ControlPeer), ControlError> {
        let request = (command.method(), "portcullis", &*command.target());
        let mut peer = None;
        let connect = async {
            let stream = UnixStream::connect(&self.socket).await?;
            peer = Some(stream.peer_cred()?);
            Ok(stream)
        };
        let answer = exchange(connect, request, BOUNDS).map_err(|error| ControlError::from_io(&self.socket, error))?;
        let peer = peer.expect("BUG: who answers was connected to");
        let pid = peer.pid().and_then(|pid| u32::try_from(pid).ok()).filter(|&pid| pid > 0);
        Ok((self.parse(answer)?, ControlPeer { user: peer.uid(), pid }))
    }

    fn parse<T: DeserializeOwned>(&self, answer: HttpAnswer) -> Result<ControlReply<T>, ControlError> {
        let HttpAnswer { status, body } = answer;
        let not_a_gateway = || ControlError::NotAGateway(self.socket.clone());
        let Ok(body) = serde_json::from_slice::<Value>(&body) else {
            // Gateways before version 1 of the API say in a line of text that they do not know a path.
            let text = String::from_utf8_lossy(&body).trim_end().to_owned();
            let result = Err(AdminError::new(ErrorCode::Unknown, text));
            let reply = ControlReply { status, body: Value::Null, result };
            return (!status.is_success()).then_some(reply).ok_or_else(not_a_gateway);
        };
        let version = Versioned::<Value>::deserialize(&body).map_err(|_| not_a_gateway())?.api;
        if version > api::VERSION {
            return Err(ControlError::OtherVersion(self.socket.clone(), version));
        }
        let result =
            if status.is_success() { T::deserialize(&body).map(Ok) } else { AdminError::deserialize(&body).map(Err) };
        Ok(ControlReply { status, result: result.map_err(|_| not_a_gateway())?, body })
    }
}

impl<T> ControlReply<T> {
    /// Prints the answer as it came.
    pub fn print_json(&self, printer: &mut Printer) {
        printer.data(format_args!("{:#}\n", self.body));
    }

    /// Prints the error of an answer, and everything that is wrong with a configuration.
    pub fn print_error(&self, printer: &mut Printer) {
        let Err(error) = &self.result else { return };
        for diagnostic in &error.diagnostics {
            printer.message(diagnostic);
        }
        printer.message(format_args!("portcullis: {}", error.error));
    }

    /// How a command ends that got this answer.
    pub fn exit_status(&self) -> ExitStatus {
        match self.status {
            status if status.is_success() => ExitStatus::Success,
            StatusCode::UNPROCESSABLE_ENTITY => ExitStatus::Configuration,
            status if status.is_server_error() => ExitStatus::Unavailable,
            _ => ExitStatus::Failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::api::RollbackResult;

    fn parse(status: u16, body: &str) -> Result<ControlReply<RollbackResult>, ControlError> {
        let folder = RuntimeFolderChoice { path: "/run/test".into(), named: true };
        let client = ControlClient { socket: folder.socket(CONTROL), folder };
        client.parse(HttpAnswer { status: StatusCode::from_u16(status).unwrap(), body: body.to_owned().into() })
    }

    #[test]
    fn an_answer_is_a_result_or_an_error() {
        let reply = parse(200, r#"{"api":1,"generation":3,"later":true}"#).unwrap();
        assert_eq!((reply.exit_status(), reply.result), (ExitStatus::Success, Ok(RollbackResult { generation: 3 })));
        let reply = parse(422, r#"{"api":1,"error":"x","code":"configuration_invalid","diagnostics":["a"]}"#).unwrap();
        assert_eq!(reply.exit_status(), ExitStatus::Configuration);
        let error = reply.result.unwrap_err();
        assert_eq!((error.code, error.diagnostics), (ErrorCode::ConfigurationInvalid, vec!["a".to_owned()]));
    }

    #[test]
    fn an_answer_of_another_version_is_told_from_one_of_another_program() {
        assert!(parse(200, r#"{"generation":3}"#).unwrap().result.is_ok(), "an older gateway says no version");
        let reply = parse(404, "not found\n").unwrap();
        assert_eq!(
            (reply.exit_status(), reply.result.unwrap_err().error),
            (ExitStatus::Failure, "not found".to_owned())
        );
        assert!(matches!(parse(200, r#"{"api":2,"x":1}"#), Err(ControlError::OtherVersion(_, 2))));
        for body in ["<html>", "[]", r#"{"api":1}"#] {
            assert!(matches!(parse(200, body), Err(ControlError::NotAGateway(_))), "{body}");
        }
    }
}
