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
    /// The known keys.
    pub keys: ApiKeys,
}

/// Where the known keys stand.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ApiKeys {
    /// A YAML file with a list `keys`, whose entries `portcullis keys new` makes.
    File(String),
    /// The entries themselves; they hold hashes, so that this file stays free of secrets.
    List(Vec<ApiKeyEntry>),
}

/// A file of API keys.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyFile {
    /// The known keys.
    pub keys: Vec<ApiKeyEntry>,
}

/// One API key, known by its hash.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyEntry {
    /// Who uses it: the principal.
    pub id: String,
    /// `sha256:` and 64 hexadecimal digits.
    pub hash: String,
    /// The scopes that the key gives.
    #[serde(default, skip_serializing_if = "is_default")]
    pub scopes: Vec<String>,
    /// The roles that the key gives.
    #[serde(default, skip_serializing_if = "is_default")]
    pub roles: Vec<String>,
    /// Further facts about the caller, for `allow: {claims: …}`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub claims: Entries<String>,
    /// When it stops working: RFC 3339, such as `2027-01-31T00:00:00Z`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub expires: Option<String>,
}
