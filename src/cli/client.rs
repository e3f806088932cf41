//! Orders to a running gateway: HTTP/1.1 over its control socket, one request a connection.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::Value;

use super::output::{Printer, Status};
use super::runtime::RuntimeArgs;
use crate::runtime_folder::{CONTROL, Choice};

/// For an answer: a reload compiles a configuration.
const PATIENCE: Duration = Duration::from_secs(600);
/// Longest answer. A hundred thousand endpoints fit.
const MAX_ANSWER: u64 = 64 << 20;
const MAX_HEADERS: usize = 64;

/// A gateway, by its control socket.
#[derive(Clone, Debug)]
pub struct Client {
    folder: Choice,
    socket: PathBuf,
}

/// What the gateway said.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    pub status: StatusCode,
    pub body: Value,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Error {
    /// No folder is known in which there could be a gateway.
    NoFolder,
    Unreachable(PathBuf, io::Error),
    Nonsense(PathBuf),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NoFolder => f.write_str("which gateway? Name its runtime folder: --runtime FOLDER"),
            Error::Unreachable(socket, error) => match error.kind() {
                ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
                    write!(f, "no gateway answers at `{}`", socket.display())
                }
                ErrorKind::PermissionDenied => {
                    write!(f, "the gateway at `{}` takes orders of its own user and of root only", socket.display())
                }
                _ => write!(f, "no gateway answers at `{}`: {error}", socket.display()),
            },
            Error::Nonsense(socket) => write!(f, "what answers at `{}` is no gateway", socket.display()),
        }
    }
}

impl Client {
    /// The gateway that `args` mean.
    ///
    /// # Errors
    /// When no folder is named and the system has none.
    pub fn new(args: &RuntimeArgs) -> Result<Client, Error> {
        let folder = args.choice().ok_or(Error::NoFolder)?;
        Ok(Client { socket: folder.socket(CONTROL), folder })
    }

    /// The runtime folder.
    pub fn folder(&self) -> &std::path::Path {
        &self.folder.path
    }

    /// Sends one request and waits for its answer.
    ///
    /// # Errors
    /// When nobody answers, or nobody that speaks as a gateway does.
    pub fn ask(&self, method: Method, path: &str) -> Result<Reply, Error> {
        let answer = self.exchange(&method, path).map_err(|error| Error::Unreachable(self.socket.clone(), error))?;
        parse(&answer).ok_or_else(|| Error::Nonsense(self.socket.clone()))
    }

    fn exchange(&self, method: &Method, path: &str) -> io::Result<Vec<u8>> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        write!(stream, "{method} {path} HTTP/1.1\r\nhost: portcullis\r\nconnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.take(MAX_ANSWER).read_to_end(&mut answer)?;
        if answer.is_empty() {
            let closed = "it closed the connection, as it does for users other than its own and root";
            return Err(io::Error::new(ErrorKind::UnexpectedEof, closed));
        }
        Ok(answer)
    }
}

impl Reply {
    /// Prints the answer as it came.
    pub fn print_json(&self, printer: &mut Printer) {
        printer.data(format_args!("{:#}\n", self.body));
    }

    /// Prints what an answer says in words: everything that is wrong with a configuration, and the error.
    pub fn print_words(&self, printer: &mut Printer) {
        for diagnostic in strings(&self.body["diagnostics"]) {
            printer.words(diagnostic);
        }
        if let Some(error) = self.body["error"].as_str() {
            printer.words(format_args!("portcullis: {error}"));
        }
    }

    /// How a command ends that got this answer.
    pub fn ends(&self) -> Status {
        match self.status {
            status if status.is_success() => Status::Success,
            StatusCode::UNPROCESSABLE_ENTITY => Status::Configuration,
            status if status.is_server_error() => Status::Unavailable,
            _ => Status::Failure,
        }
    }
}

/// The texts of an array.
pub fn strings(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// The answer in the bytes that came until the end of the connection.
fn parse(answer: &[u8]) -> Option<Reply> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(length) = head.parse(answer).ok()? else { return None };
    let status = StatusCode::from_u16(head.code?).ok()?;
    let body = answer.get(length..)?;
    // What is no JSON is a line of text, such as for a path that this version of the gateway does not know.
    let body = serde_json::from_slice(body)
        .unwrap_or_else(|_| serde_json::json!({ "error": String::from_utf8_lossy(body).trim_end() }));
    Some(Reply { status, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_its_status_and_its_body() {
        let reply =
            parse(b"HTTP/1.1 422 x\r\ncontent-type: application/json\r\n\r\n{\"diagnostics\":[\"a\"]}").unwrap();
        assert_eq!(reply.ends(), Status::Configuration);
        assert_eq!(strings(&reply.body["diagnostics"]).collect::<Vec<_>>(), ["a"]);
        let reply = parse(b"HTTP/1.1 404 x\r\n\r\nnot found\n").unwrap();
        assert_eq!((reply.ends(), &reply.body["error"]), (Status::Failure, &"not found".into()));
        for nonsense in [&b""[..], b"HTTP/1.1 200", b"hello", b"\x16\x03\x01"] {
            assert_eq!(parse(nonsense), None);
        }
    }
}
