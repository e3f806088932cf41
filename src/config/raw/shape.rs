//! Shapes that several settings share: a value or a list of values, a word or a mapping, a secret kept elsewhere.
//!
//! None of them uses serde's `untagged`, which forgets both the place and the cause of a mistake.

mod off;

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor, value};
use serde::ser::{self, Serialize, SerializeMap, Serializer};

pub use off::{Off, OrNone, OrOff, or_none};

/// Whether `value` is what a file says that does not mention it, so that it need not be written.
pub fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// `a` or `[a, b]`.
#[derive(Clone, Debug, PartialEq)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        OneOrMany(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrManyVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrManyVisitor<T> {
            type Value = OneOrMany<T>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("one value or a list of values")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                T::deserialize(value::StrDeserializer::new(text)).map(|v| OneOrMany(vec![v]))
            }
            fn visit_bool<E: Error>(self, v: bool) -> Result<Self::Value, E> {
                T::deserialize(value::BoolDeserializer::new(v)).map(|v| OneOrMany(vec![v]))
            }
            fn visit_u64<E: Error>(self, v: u64) -> Result<Self::Value, E> {
                T::deserialize(value::U64Deserializer::new(v)).map(|v| OneOrMany(vec![v]))
            }
            fn visit_i64<E: Error>(self, v: i64) -> Result<Self::Value, E> {
                T::deserialize(value::I64Deserializer::new(v)).map(|v| OneOrMany(vec![v]))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(value::MapAccessDeserializer::new(map)).map(|v| OneOrMany(vec![v]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
                Vec::deserialize(value::SeqAccessDeserializer::new(seq)).map(OneOrMany)
            }
        }
        deserializer.deserialize_any(OneOrManyVisitor(PhantomData))
    }
}

impl<T: Serialize> Serialize for OneOrMany<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => one.serialize(serializer),
            many => many.serialize(serializer),
        }
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("OneOrMany_{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
    }
}

/// Something that may be written as a bare word instead of its full mapping, such as `upstream: 127.0.0.1:9001`.
pub trait FromWord: Sized {
    /// What the word may be, for the message when neither fits.
    const EXPECTING: &'static str;
    /// Reads the word.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it.
    fn from_word(word: &str) -> Result<Self, String>;
    /// The schema of the word form.
    fn word_schema() -> Schema {
        json_schema!({ "type": "string" })
    }
}

/// Deserialises `T` from a word by [`FromWord`], or from a mapping by `F`, which mirrors the mapping and turns into `T`.
pub fn deserialize_word_or_map<'de, D, T, F>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromWord + From<F>,
    F: Deserialize<'de>,
{
    struct WordOrMapVisitor<T, F>(PhantomData<(T, F)>);
    impl<'de, T: FromWord + From<F>, F: Deserialize<'de>> Visitor<'de> for WordOrMapVisitor<T, F> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str(T::EXPECTING)
        }
        fn visit_str<E: Error>(self, word: &str) -> Result<T, E> {
            T::from_word(word).map_err(E::custom)
        }
        // YAML 1.1 reads a bare `off` as false.
        fn visit_bool<E: Error>(self, v: bool) -> Result<T, E> {
            T::from_word(if v { "on" } else { "off" }).map_err(E::custom)
        }
        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            F::deserialize(value::MapAccessDeserializer::new(map)).map(T::from)
        }
    }
    deserializer.deserialize_any(WordOrMapVisitor(PhantomData))
}

/// How a value is written: as a word, or as the mapping `F`.
#[derive(serde::Serialize)]
#[serde(untagged)]
pub enum WordOrMap<F> {
    /// The word that [`FromWord`] reads.
    Word(String),
    /// The mapping.
    Map(F),
}

impl<F> WordOrMap<F> {
    /// The word form.
    pub fn word(word: impl Into<String>) -> Self {
        WordOrMap::Word(word.into())
    }
}

/// Implements `Deserialize`, `Serialize` and `JsonSchema` for `$type`, which is written as a word or as the mapping
/// `$form`. It needs `$type: FromWord + From<$form>` to read, and `WordOrMap<$form>: From<&$type>` to write.
macro_rules! word_or_map {
    ($type:ident, $form:ident) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::config::raw::shape::deserialize_word_or_map::<D, $type, $form>(deserializer)
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $crate::config::raw::shape::WordOrMap::<$form>::from(self).serialize(serializer)
            }
        }

        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                use $crate::config::raw::shape::FromWord;
                let mapping = generator.subschema_for::<$form>();
                schemars::json_schema!({ "anyOf": [$type::word_schema(), mapping] })
            }
        }
    };
}
pub(crate) use word_or_map;

/// Where a secret is kept. The configuration itself never contains a secret.
#[derive(Clone, Debug, PartialEq, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[schemars(extend("writeOnly" = true))]
pub enum SecretSource {
    /// The name of an environment variable.
    Env(String),
    /// A file; one trailing line feed is not part of the secret.
    File(String),
    /// The name of a credential that systemd passes to the service (`LoadCredential=`): a file in `$CREDENTIALS_DIRECTORY`.
    Credential(String),
}

/// An ordered mapping that keeps what was written, in the order it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Entries<V>(pub Vec<(String, V)>);

impl<V> Default for Entries<V> {
    fn default() -> Self {
        Entries(Vec::new())
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Entries<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Mapping<V>(PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for Mapping<V> {
            type Value = Entries<V>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a mapping")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry::<EntryName, V>()? {
                    entries.push((entry.0.0, entry.1));
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Mapping(PhantomData))
    }
}

impl<V: Serialize> Serialize for Entries<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut written = HashSet::with_capacity(self.0.len());
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            if !written.insert(key) {
                return Err(ser::Error::custom(format!("the key `{key}` stands twice in one mapping")));
            }
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

/// A mapping's key as text: `404:` is a number in YAML.
#[derive(PartialEq)]
struct EntryName(String);

impl<'de> Deserialize<'de> for EntryName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl Visitor<'_> for NameVisitor {
            type Value = EntryName;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a name")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<EntryName, E> {
                Ok(EntryName(text.to_owned()))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<EntryName, E> {
                Ok(EntryName(number.to_string()))
            }
        }
        deserializer.deserialize_any(NameVisitor)
    }
}

impl<V: JsonSchema> JsonSchema for Entries<V> {
    fn schema_name() -> Cow<'static, str> {
        format!("Entries_{}", V::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<V>();
        json_schema!({ "type": "object", "additionalProperties": value })
    }
}
