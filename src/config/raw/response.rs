//! What every answer carries: `response_headers`, `framing`, `error_pages`.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor, value};
use serde::{Deserialize, Serialize, Serializer};

use super::shape::{Entries, Off, OneOrMany, is_default};

/// Operations on the headers of an answer, applied in this order: remove, rename, replace, default, set, append.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Headers {
    /// Take these away.
    #[serde(default, skip_serializing_if = "is_default")]
    pub remove: Vec<String>,
    /// Give a header another name: `old: new`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rename: Entries<String>,
    /// Set the value, but only if the header is present.
    #[serde(default, skip_serializing_if = "is_default")]
    pub replace: Entries<String>,
    /// Set the value, but only if the header is absent.
    #[serde(default, skip_serializing_if = "is_default")]
    pub default: Entries<String>,
    /// Set the value, whatever the origin sent, however often.
    #[serde(default, skip_serializing_if = "is_default")]
    pub set: Entries<String>,
    /// Add a further value.
    #[serde(default, skip_serializing_if = "is_default")]
    pub append: Entries<OneOrMany<String>>,
    /// On a route: inherited operations to switch off, by header name, each with the reason.
    #[serde(default, skip_serializing_if = "is_default")]
    pub off: Entries<String>,
}

/// Who may put the answers into a frame.
#[derive(Clone, Debug, PartialEq)]
pub enum Framing {
    /// Nobody.
    Deny,
    /// Pages of the same origin.
    SameOrigin,
    /// Pages of these origins, such as `https://portal.example.com`; `same_origin` may be among them.
    Origins(Vec<String>),
    /// Left to the origin and to `response_headers`; on a route this needs a reason.
    Off {
        /// Why the protection is switched off.
        reason: Option<String>,
    },
}

impl<'de> Deserialize<'de> for Framing {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Forms;
        impl<'de> Visitor<'de> for Forms {
            type Value = Framing;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("`deny`, `same_origin`, `off`, `{off: reason}`, or a list of origins")
            }
            fn visit_str<E: Error>(self, word: &str) -> Result<Framing, E> {
                match word {
                    "deny" => Ok(Framing::Deny),
                    "same_origin" => Ok(Framing::SameOrigin),
                    "off" => Ok(Framing::Off { reason: None }),
                    _ => Err(E::custom(format!(
                        "unknown framing `{word}`, expected `deny`, `same_origin`, `off` or a list of origins"
                    ))),
                }
            }
            // YAML 1.1 reads a bare `off` as false.
            fn visit_bool<E: Error>(self, v: bool) -> Result<Framing, E> {
                if v { Err(E::custom("`true` is not a framing")) } else { Ok(Framing::Off { reason: None }) }
            }
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Framing, A::Error> {
                Vec::deserialize(value::SeqAccessDeserializer::new(seq)).map(Framing::Origins)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Framing, A::Error> {
                let form = Off::deserialize(value::MapAccessDeserializer::new(map))?;
                Ok(Framing::Off { reason: Some(form.off) })
            }
        }
        deserializer.deserialize_any(Forms)
    }
}

impl Serialize for Framing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Framing::Deny => serializer.serialize_str("deny"),
            Framing::SameOrigin => serializer.serialize_str("same_origin"),
            Framing::Origins(origins) => origins.serialize(serializer),
            Framing::Off { reason: None } => serializer.serialize_str("off"),
            Framing::Off { reason: Some(reason) } => Off { off: reason.clone() }.serialize(serializer),
        }
    }
}

impl JsonSchema for Framing {
    fn schema_name() -> Cow<'static, str> {
        "Framing".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let off = generator.subschema_for::<Off>();
        json_schema!({ "anyOf": [
            { "enum": ["deny", "same_origin", "off", false] },
            { "type": "array", "items": { "type": "string" } },
            off,
        ] })
    }
}

/// An answer's body in the owner's own words. Give `body` or `file`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ErrorPage {
    /// The text. `{status}`, `{code}`, `{title}` and `{request_id}` are filled in.
    #[serde(default, skip_serializing_if = "is_default")]
    pub body: Option<String>,
    /// A file with the text, read at load.
    #[serde(default, skip_serializing_if = "is_default")]
    pub file: Option<String>,
    /// Default `text/html; charset=utf-8`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub content_type: Option<String>,
}
