//! What the gateway says of itself in messages that it passes on: `via`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shape::is_default;

/// The field `Via` (RFC 9110 §7.6.3), by which a loop of gateways is found. Every request that goes to an origin has it. Some
/// origins, nginx among them, do not compress responses to such requests unless they are told to (`gzip_proxied any`).
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Via {
    /// What the gateway calls itself: letters, digits and `-`. A request that names it more than `bounds.passes` times is
    /// refused with 508. Gateways that pass requests to each other need different ones, and replicas of one gateway the
    /// same. Default `portcullis`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pseudonym: Option<String>,
    /// Whether responses of origins have it too. Default true.
    #[serde(default, skip_serializing_if = "is_default")]
    pub responses: Option<bool>,
}
