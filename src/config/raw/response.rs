//! What every answer carries: `response_headers`, `framing`, `error_pages`.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor, value};
use serde::{Deserialize, Serialize, Serializer};

use super::shape::{Entries, Off, OneOrMany, is_default};

/// Operations on the header fields of a response, applied in this order: remove, rename, replace, default, set, append.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Headers {
    /// Names of fields that are removed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub remove: Vec<String>,
    /// Fields that get another name: `old: new`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rename: Entries<String>,
    /// Fields whose value is set if the response has the field.
    #[serde(default, skip_serializing_if = "is_default")]
    pub replace: Entries<String>,
    /// Fields whose value is set if the response does not have the field.
    #[serde(default, skip_serializing_if = "is_default")]
    pub default: Entries<String>,
    /// Fields whose value is set in any case; it replaces every value from the origin.
    #[serde(default, skip_serializing_if = "is_default")]
    pub set: Entries<String>,
    /// Fields that get a further value.
    #[serde(default, skip_serializing_if = "is_default")]
    pub append: Entries<OneOrMany<String>>,
    /// On a route: names of fields whose inherited operations are disabled, each with the reason.
    #[serde(default, skip_serializing_if = "is_default")]
    pub off: Entries<String>,
}

/// Which sites may show responses in a frame.
#[derive(Clone, Debug, PartialEq)]
pub enum Framing {
    /// None.
    Deny,
    /// Pages of the same origin.
    SameOrigin,
    /// Pages of these origins, such as `https://portal.example.com`; `same_origin` may be among them.
    Origins(Vec<String>),
    /// The gateway does not set the protection; the origin and `response_headers` may. A route must give the reason.
    Off {
        /// Why the protection is disabled.
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

/// The body of an error response. Give `body` or `file`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ErrorPage {
    /// The text. `{status}`, `{code}`, `{title}` and `{request_id}` are replaced by their values. At most 256KiB.
    #[serde(default, skip_serializing_if = "is_default")]
    pub body: Option<String>,
    /// A file with the text, which is read when the configuration is loaded. At most 256KiB.
    #[serde(default, skip_serializing_if = "is_default")]
    pub file: Option<String>,
    /// The `Content-Type` of the response. Default `text/html; charset=utf-8`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub content_type: Option<String>,
}
