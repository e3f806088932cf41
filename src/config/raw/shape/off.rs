//! Values that a setting may be without: `off`, `none`, and `{off: reason}`.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor, value};
use serde::ser::{self, Serialize, Serializer};

/// A value, or that there is none: `{off: reason}`, or `off` or `none` where nothing is inherited that it would end.
#[derive(Clone, Debug, PartialEq)]
pub enum OrOff<T> {
    /// The protection, with this value.
    On(T),
    /// No protection, for this reason, if one is given.
    Off(Option<String>),
}

/// A protection that is disabled.
#[derive(PartialEq, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Off {
    /// The reason why the protection is disabled.
    pub off: String,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OrOff<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OrOffVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for OrOffVisitor<T> {
            type Value = OrOff<T>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a value, `off`, or `{off: reason}`")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                match is_none_word(text) {
                    true => Ok(OrOff::Off(None)),
                    false => T::deserialize(value::StrDeserializer::new(text)).map(OrOff::On),
                }
            }
            fn visit_u64<E: Error>(self, v: u64) -> Result<Self::Value, E> {
                T::deserialize(value::U64Deserializer::new(v)).map(OrOff::On)
            }
            // YAML 1.1 reads a bare `off` as false.
            fn visit_bool<E: Error>(self, on: bool) -> Result<Self::Value, E> {
                match on {
                    true => Err(E::custom("`on` says nothing here: write a value")),
                    false => Ok(OrOff::Off(None)),
                }
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                match Off::deserialize(value::MapAccessDeserializer::new(map))?.off {
                    reason if reason.trim().is_empty() => Err(A::Error::custom("the reason is empty")),
                    reason => Ok(OrOff::Off(Some(reason))),
                }
            }
        }
        deserializer.deserialize_any(OrOffVisitor(PhantomData))
    }
}

impl<T: Serialize> Serialize for OrOff<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            OrOff::On(value) => value.serialize(serializer),
            OrOff::Off(None) => serializer.serialize_str("off"),
            OrOff::Off(Some(reason)) if reason.trim().is_empty() => {
                Err(ser::Error::custom("a protection is switched off with an empty reason"))
            }
            OrOff::Off(Some(reason)) => Off { off: reason.clone() }.serialize(serializer),
        }
    }
}

impl<T: JsonSchema> JsonSchema for OrOff<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("OrOff_{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let on = generator.subschema_for::<T>();
        let off = generator.subschema_for::<Off>();
        json_schema!({ "anyOf": [on, none_words(), off] })
    }
}

/// The words for no value. YAML 1.1 reads a bare `off` as false.
fn none_words() -> Schema {
    json_schema!({ "enum": ["off", "none", false] })
}

fn is_none_word(word: &str) -> bool {
    matches!(word, "off" | "none")
}

/// Reads a value, or `off` or `none`, which say the same as not to mention it. Its schema is that of [`OrNone`].
pub fn or_none<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    struct OrNoneVisitor<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for OrNoneVisitor<T> {
        type Value = Option<T>;
        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("a value, or `none`")
        }
        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
        fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
            match is_none_word(text) {
                true => Ok(None),
                false => T::deserialize(value::StrDeserializer::new(text)).map(Some),
            }
        }
        fn visit_bool<E: Error>(self, on: bool) -> Result<Self::Value, E> {
            match on {
                true => Err(E::custom("`on` says nothing here: write a value")),
                false => Ok(None),
            }
        }
        fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
            T::deserialize(value::U64Deserializer::new(number)).map(Some)
        }
    }
    deserializer.deserialize_any(OrNoneVisitor(PhantomData))
}

/// A value, or `off` or `none`.
pub struct OrNone<T>(PhantomData<T>);

impl<T: JsonSchema> JsonSchema for OrNone<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("OrNone_{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [value, none_words()] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::raw::units::Size;

    #[test]
    fn a_protection_is_switched_off_by_a_word_or_with_a_reason() {
        let parse = |text| serde_yaml::from_str::<OrOff<Size>>(text).map_err(|error| error.to_string());
        assert_eq!(parse("8KiB"), Ok(OrOff::On(Size(8192))));
        assert_eq!(parse("{off: streams}"), Ok(OrOff::Off(Some("streams".into()))));
        for word in ["off", "'off'", "none", "false"] {
            assert_eq!(parse(word), Ok(OrOff::Off(None)), "{word}");
        }
        for wrong in ["on", "true", "{off: ''}", "{off: a, on: b}", "[8KiB]"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
