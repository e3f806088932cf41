//! An identity's `api_key`, and the files of keys that it may name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::raw::shape::{Entries, is_default};

/// API keys, and the header that carries them.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// The request header that carries the key. Default `X-Api-Key`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub header: Option<String>,
    /// The accepted keys. Required.
    pub keys: ApiKeys,
}

/// Where the accepted keys are listed.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ApiKeys {
    /// A YAML file with a list `keys`. `portcullis keys new` prints an entry for it.
    File(String),
    /// The entries themselves. They contain hashes, so the configuration stays free of secrets.
    List(Vec<ApiKeyEntry>),
}

/// A file of API keys.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyFile {
    /// The accepted keys.
    pub keys: Vec<ApiKeyEntry>,
}

/// One API key, given by its hash.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyEntry {
    /// The principal that the key identifies.
    pub id: String,
    /// SHA-256 of the key: `sha256:` and 64 hexadecimal digits.
    #[schemars(extend("writeOnly" = true))]
    pub hash: String,
    /// The scopes of a caller with this key. Default: none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub scopes: Vec<String>,
    /// The roles of a caller with this key. Default: none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub roles: Vec<String>,
    /// Further claims of the caller, for `allow: {claims: …}`. Default: none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub claims: Entries<String>,
    /// The time from which the key is refused, in RFC 3339, such as `2027-01-31T00:00:00Z`. Default: never.
    #[serde(default, skip_serializing_if = "is_default")]
    pub expires: Option<String>,
}
