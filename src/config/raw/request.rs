//! The section `request`: how requests are read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shape::is_default;

/// How requests are read, on HTTP/1 and HTTP/2 alike.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// What happens to characters that clients should have percent-encoded in the request target: `"`, `<`, `>`, `{`, `}`, `|`,
    /// `\\`, `^`, a backtick, and everything beyond ASCII. Default: `encode`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub target: TargetReading,
}

/// What happens to characters that should have been percent-encoded in the request target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TargetReading {
    /// They are percent-encoded before rules see them and before the request is forwarded.
    #[default]
    Encode,
    /// The request is refused with 400 (`path_invalid`).
    Strict,
}
