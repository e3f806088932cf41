//! Which client addresses may come in: `addresses` of a listener and of a route.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::limit::Mode;
use super::shape::{FromWord, OneOrMany, WordOrMap, is_default, word_or_map};

/// Which client addresses are accepted. `deny` takes precedence over `allow`.
///
/// Each entry is an address (`192.0.2.1`, `2001:db8::1`), a range (`10.0.0.0/8`, `10.0.0.1-10.0.0.9`, `2001:db8::/32`)
/// or a list file (`{file: PATH}`). An IPv4 client that connects over IPv6 (an IPv4-mapped address) is matched by IPv4 ranges only;
/// IPv6 ranges, `::/0` included, do not match it.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Addresses {
    /// Accepted client addresses. Default: every address that `deny` does not contain.
    #[serde(default, skip_serializing_if = "is_default")]
    pub allow: Option<OneOrMany<AddressSource>>,
    /// Refused client addresses, even if `allow` contains them. Default: none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub deny: OneOrMany<AddressSource>,
    /// On a route: `enforce` (default) refuses the request; `report` logs and counts it and lets it pass.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mode: Mode,
}

/// An address, a range, or a list file.
#[derive(Clone, Debug, PartialEq)]
pub enum AddressSource {
    /// An address or a range.
    Range(String),
    /// A list file.
    File(String),
}

/// A list file.
#[derive(PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddressFile {
    /// A file with one address or range a line; `#` or `;` begins a comment. At most 16MiB. A changed file is read again
    /// without a reload, once it has not changed for one second, or after five seconds of changes. If it is missing or
    /// invalid, the previous content stays in force, a warning is logged, and `portcullis_address_list_stale` is 1.
    file: String,
}

impl FromWord for AddressSource {
    const EXPECTING: &'static str = "an address, a range such as `10.0.0.0/8`, or `{file: PATH}`";
    fn from_word(word: &str) -> Result<Self, String> {
        Ok(AddressSource::Range(word.to_owned()))
    }
}

impl From<AddressFile> for AddressSource {
    fn from(form: AddressFile) -> Self {
        AddressSource::File(form.file)
    }
}

impl From<&AddressSource> for WordOrMap<AddressFile> {
    fn from(value: &AddressSource) -> Self {
        match value {
            AddressSource::Range(range) => WordOrMap::word(range),
            AddressSource::File(file) => WordOrMap::Map(AddressFile { file: file.clone() }),
        }
    }
}

word_or_map!(AddressSource, AddressFile);
