//! What an operator may ask of a running gateway: the commands, how they are written as requests, and who may give them.
//!
//! Looking (`GET`) is for whoever may read the listener. Changing (`POST`) is for whoever has shown who they are: by the
//! token, or by the user of the process where the request came over a socket that only that user can reach. A listener
//! without a token changes nothing, since any page that a browser on this machine shows could send it a `POST`.

use http::{Method, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::Value;

/// A question to, or an order for, the running gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `GET /status`: the process, the configuration in force, and what is under way.
    Status,
    /// `GET /upstreams`: every endpoint and whether it takes requests.
    Upstreams,
    /// `POST /reload`: read the configuration again, and serve it if nothing is wrong with it.
    Reload,
    /// `POST /drain`: take no more requests, finish those that are under way, and end.
    Drain,
    /// `POST /upstreams/{upstream}/endpoints/{endpoint}/drain` and `…/restore`: whether an endpoint gets new requests.
    Endpoint { upstream: String, endpoint: String, draining: bool },
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// 200 when it was done, 404 where it names what is not there, 409 where it can't be done now, 422 where the
    /// configuration is wrong.
    pub status: StatusCode,
    /// For people and programs alike.
    pub body: Value,
}

/// Whoever carries commands out. It may block: it is never called on a thread that serves requests.
pub trait Control: Send + Sync {
    /// Does what `command` says, or says why not.
    fn handle(&self, command: Command) -> Outcome;
}

impl Command {
    /// The command that `path` names, and the method that gives it. `None`: no command.
    pub fn named(path: &str) -> Option<(Method, Command)> {
        let segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        Some(match segments.as_slice() {
            ["status"] => (Method::GET, Command::Status),
            ["upstreams"] => (Method::GET, Command::Upstreams),
            ["reload"] => (Method::POST, Command::Reload),
            ["drain"] => (Method::POST, Command::Drain),
            ["upstreams", upstream, "endpoints", endpoint, verb @ ("drain" | "restore")] => {
                let (upstream, endpoint) = (decoded(upstream)?, decoded(endpoint)?);
                (Method::POST, Command::Endpoint { upstream, endpoint, draining: *verb == "drain" })
            }
            _ => return None,
        })
    }
}

fn decoded(segment: &str) -> Option<String> {
    percent_decode_str(segment).decode_utf8().ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_command_and_its_method() {
        assert_eq!(Command::named("/reload"), Some((Method::POST, Command::Reload)));
        assert_eq!(Command::named("/drain"), Some((Method::POST, Command::Drain)));
        assert_eq!(Command::named("/status"), Some((Method::GET, Command::Status)));
        let endpoint = Command::Endpoint { upstream: "a".into(), endpoint: "[::1]:80".into(), draining: true };
        assert_eq!(Command::named("/upstreams/a/endpoints/%5B::1%5D:80/drain"), Some((Method::POST, endpoint)));
        for none in ["/", "/reload/", "/upstreams/a/endpoints/b/kill", "/upstreams/%FF/endpoints/b/drain"] {
            assert_eq!(Command::named(none), None, "{none}");
        }
    }
}
