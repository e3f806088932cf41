//! The answers of the admin listener and of the control socket, as types that both sides share.
//!
//! The listener serialises them, and the `portcullis` commands and the wire tests deserialise them. Each JSON answer to a
//! [command](super::command) is an object with the field `api` ([`VERSION`]) and the fields of one type of this file; each
//! error is an [`AdminError`].
//!
//! Within one version, fields are only added. A field that was added after the first release of a version has
//! `#[serde(default)]`, because a newer command must read the answer of an older gateway: `portcullis upgrade` does.

pub mod error;

use std::collections::BTreeMap;
use std::fmt;

use http::StatusCode;
use serde::{Deserialize, Serialize};

pub use self::error::{AdminError, ErrorCode};

/// The version of the answers. It grows when a field changes its name, its type or its meaning.
pub const VERSION: u32 = 1;

/// An answer with the version of its format.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Versioned<T> {
    /// [`VERSION`] of the gateway that answers.
    #[serde(default = "first_version")]
    pub api: u32,
    #[serde(flatten)]
    pub answer: T,
}

impl<T> Versioned<T> {
    pub fn new(answer: T) -> Self {
        Versioned { api: VERSION, answer }
    }
}

/// Gateways that say no version speak the first.
const fn first_version() -> u32 {
    1
}

/// The answer to a command that was carried out.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum CommandAnswer {
    Status(Box<GatewayStatus>),
    Upstreams(UpstreamList),
    Reload(ReloadResult),
    Rollback(RollbackResult),
    Rollout(RolloutResult),
    Drain(DrainResult),
    Endpoint(EndpointResult),
}

impl CommandAnswer {
    /// 202 (Accepted) for a reload that began a roll-out, of which the outcome is not known yet, else 200.
    pub fn status(&self) -> StatusCode {
        match self {
            CommandAnswer::Reload(ReloadResult { rollout: Some(_), .. }) => StatusCode::ACCEPTED,
            _ => StatusCode::OK,
        }
    }
}

/// The answer to `GET /readyz`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadinessReport {
    pub ready: bool,
    /// The first of `reasons`, for everyone. Absent if it is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Why traffic should not be sent here. Absent for a client that did not authenticate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasons: Option<Vec<String>>,
    /// What an operator should know although it keeps no request away, by subject. Absent like `reasons`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<BTreeMap<String, String>>,
}

/// The answer to `GET /status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GatewayStatus {
    /// The version of the program.
    pub version: String,
    pub pid: u32,
    /// Whether `/readyz` answers 200.
    pub ready: bool,
    /// Why it does not.
    pub not_ready: Vec<String>,
    /// What an operator should know although it keeps no request away, by subject.
    pub notes: BTreeMap<String, String>,
    /// Requests in progress.
    pub in_flight: u64,
    pub configuration: ConfigurationStatus,
    /// `None` while the process does not drain.
    pub drain: Option<DrainStatus>,
    pub start: StartInfo,
    /// `None`: the gateway does not say.
    #[serde(default)]
    pub sandbox: Option<SandboxStatus>,
}

/// The configuration in force, the ones before it, and the one that is being rolled out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConfigurationStatus {
    /// The file or folder that it is read from.
    pub path: String,
    /// The configuration in force.
    pub generation: u64,
    /// The configurations that can be served again, the one in force last; after them the last canary that was reverted.
    pub history: Vec<HistoryEntry>,
    pub rollout: Option<RolloutStatus>,
}

/// A configuration that was in force, or a canary that was reverted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    pub generation: u64,
    /// Since when it was in force (RFC 3339). `None` for a reverted canary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// [`HistoryEntry::origin`] and [`HistoryEntry::from`] in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub how: Option<String>,
    /// What put it in force. `None` for a reverted canary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<ConfigOrigin>,
    /// The generation of the same configuration before: as a canary, or when it was in force the time before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// Why the canary was reverted. `None` for a configuration that was in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reverted: Option<String>,
}

/// What put a configuration in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfigOrigin {
    /// The process started with it.
    Start,
    /// It was read again.
    Reload,
    /// An operator put an earlier one back.
    Rollback,
    /// It was a canary and was kept.
    Canary,
    /// A word that this program does not know.
    #[serde(other)]
    Unknown,
}

impl fmt::Display for ConfigOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ConfigOrigin::Start => "start",
            ConfigOrigin::Reload => "reload",
            ConfigOrigin::Rollback => "rollback",
            ConfigOrigin::Canary => "canary",
            ConfigOrigin::Unknown => "unknown",
        })
    }
}

/// A configuration that is served to a share of the requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RolloutStatus {
    /// Of the canary.
    pub generation: u64,
    /// Of all requests, above 0 and at most 1.
    pub share: f64,
    /// Until it is kept or reverted at the latest.
    pub seconds_left: u64,
    /// The configuration in force.
    pub old: RolloutSample,
    /// The canary.
    pub new: RolloutSample,
}

/// What one of the two configurations of a roll-out did so far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RolloutSample {
    /// Finished requests, without those that their client gave up.
    pub requests: u64,
    /// Failures and 5xx answers among them.
    pub errors: u64,
    /// Requests that a rule refused.
    pub refusals: u64,
    /// The 95th percentile of the time that they took, in milliseconds.
    pub p95_ms: f64,
}

/// How far the drain of the process is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DrainStatus {
    /// What began it: the name of a signal, or words.
    pub reason: String,
    pub stage: String,
    /// Since it began.
    pub seconds: f64,
    pub requests_left: u64,
    /// Tunnels and answers without an end among `requests_left`.
    pub streams_left: u64,
    pub connections_left: u64,
    /// Requests that did not finish.
    pub requests_cut: u64,
}

/// How the process was started, so that `portcullis upgrade` can start another one like it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartInfo {
    /// The arguments after the program's name. `None` if one is not UTF-8.
    pub arguments: Option<Vec<String>>,
    /// The working directory. `None` if it is gone, or not UTF-8.
    pub folder: Option<String>,
    /// The user that started it, by number.
    pub user: u32,
    /// Whether a service manager expects notifications from it.
    pub supervised: bool,
}

/// What of the sandbox is in force, and what the process was given (`process.sandbox`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxStatus {
    /// As the configuration asks for it.
    pub mode: String,
    /// `on`, with the version, or why it is not.
    pub landlock: String,
    /// `on`, or why it is not.
    pub seccomp: String,
    /// Folders, with all beneath them, and files that the process can read.
    pub readable: Vec<String>,
    /// Those that it can write, or make sockets in.
    pub writable: Vec<String>,
}

impl SandboxStatus {
    /// No sandbox.
    pub fn off() -> Self {
        let off = || "off".to_owned();
        SandboxStatus { mode: off(), landlock: off(), seccomp: off(), readable: Vec::new(), writable: Vec::new() }
    }
}

/// The answer to `POST /reload`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReloadResult {
    /// The generation in force now, or of the canary.
    pub generation: u64,
    /// Only if a roll-out began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutStatus>,
    /// Warnings about the configuration.
    pub diagnostics: Vec<String>,
    /// What is different from the configuration before.
    pub changes: Vec<String>,
}

/// The answer to `POST /rollback`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackResult {
    /// The generation in force now.
    pub generation: u64,
}

/// The answer to `POST /rollout/keep` and `POST /rollout/revert`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RolloutResult {
    /// The generation in force now.
    pub generation: u64,
    /// Why the canary was reverted. `None` if it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reverted: Option<String>,
    /// What the two configurations did until the end of the roll-out.
    pub rollout: RolloutStatus,
}

/// The answer to `POST /drain`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DrainResult {
    pub drain: Option<DrainStatus>,
}

/// The answer to `GET /upstreams`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UpstreamList {
    pub upstreams: Vec<UpstreamStatus>,
}

/// An upstream of the configuration in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UpstreamStatus {
    pub name: String,
    pub endpoints: Vec<EndpointStatus>,
}

/// An endpoint as it is now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndpointStatus {
    /// `host:port` as written.
    pub endpoint: String,
    /// The address of this endpoint; a name can stand for several.
    pub address: String,
    pub zone: Option<String>,
    pub priority: u32,
    pub weight: u32,
    /// `draining`, `unhealthy`, `ejected`, `half_open`, `slow_start` or `healthy`; where several hold, the first of them.
    pub state: String,
    /// The result of health checks; true without any.
    pub healthy: bool,
    pub draining: bool,
    /// The seconds for which it is still ejected. Zero if it is half-open, `None` if it is in service.
    pub ejected_for: Option<f64>,
    /// The part of its share of the requests that it takes during slow start, from 0 to 1.
    pub share: f64,
    /// Requests in progress.
    pub requests: u64,
}

/// The answer to `POST /upstreams/{upstream}/endpoints/{endpoint}/drain` and `…/restore`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointResult {
    /// How many endpoints have this name or address.
    pub endpoints: u64,
    /// Whether they are drained now.
    pub draining: bool,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_is_one_object_with_its_version() {
        let answer = CommandAnswer::Endpoint(EndpointResult { endpoints: 2, draining: true });
        let wire = serde_json::to_value(Versioned::new(answer)).unwrap();
        assert_eq!(wire, json!({ "api": 1, "endpoints": 2, "draining": true }));
        let read: Versioned<EndpointResult> = serde_json::from_value(wire).unwrap();
        assert_eq!(read, Versioned::new(EndpointResult { endpoints: 2, draining: true }));
    }

    #[test]
    fn the_history_of_an_older_and_of_a_newer_gateway_is_read() {
        let old = json!([{ "generation": 1, "since": "2026-11-22T03:00:00.123Z", "how": "start" }, { "generation": 2, "reverted": "x" }]);
        let entries: Vec<HistoryEntry> = serde_json::from_value(old).unwrap();
        assert_eq!((entries[0].origin, entries[1].reverted.as_deref()), (None, Some("x")));
        let new: HistoryEntry =
            serde_json::from_value(json!({ "generation": 3, "origin": "later", "more": 1 })).unwrap();
        assert_eq!(new.origin, Some(ConfigOrigin::Unknown));
    }
}
