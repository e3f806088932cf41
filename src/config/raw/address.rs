//! Which client addresses may come in: `addresses` of a listener and of a route.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::limit::Mode;
use super::shape::{FromWord, OneOrMany, WordOrMap, is_default, word_or_map};

/// Which client addresses may come in. `deny` goes before `allow`.
///
/// Each entry is an address (`192.0.2.1`, `2001:db8::1`), a range (`10.0.0.0/8`, `2001:db8::/32`) or a list file (`{file:
/// PATH}`). An IPv4 client is one however it connects: IPv6 ranges, `::/0` included, do not name it.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Addresses {
    /// Only clients at these addresses. Default: all that `deny` does not name.
    #[serde(default, skip_serializing_if = "is_default")]
    pub allow: Option<OneOrMany<AddressSource>>,
    /// Clients at these addresses are refused, also where `allow` names them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub deny: OneOrMany<AddressSource>,
    /// On a route: `enforce` (default), or `report`: decide, log and count, but let the request pass.
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
    /// A file with one address or range a line; `#` begins a comment. At most 16MiB. A change takes effect without a
    /// restart, once the file has kept still for a second or has been changing for five. A file that is gone or wrong
    /// changes nothing: what it held before stays in force, a warning is logged, and `portcullis_address_list_stale`
    /// becomes 1.
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
