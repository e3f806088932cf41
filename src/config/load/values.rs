//! Values: a YAML file as JSON values, where a mapping with one key can be read as an enum.
//!
//! `serde_yaml` reads enums only from tags (`!header X`), which the loader refuses; JSON's data model is also
//! smaller.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Estimated memory of all values together, in bytes. Aliases can expand a small file to a large document; a file within
/// [`MAX_FILE_BYTES`](crate::config::raw::MAX_FILE_BYTES) does not reach this without them.
const MAX_MEMORY: usize = 160 << 20;
/// Estimated memory of a value beside its text, in bytes.
const VALUE_BYTES: usize = 64;

/// Reads the one document of `text`. A key that is given twice is reported by the scanner; so that it hides no other mistake,
/// lists and mappings that stand behind it are joined, and of other values the first counts.
pub(super) fn values(text: &str) -> Result<Value, serde_yaml::Error> {
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    let allowance = Cell::new(MAX_MEMORY);
    ValueReader { allowance: &allowance }.deserialize(serde_yaml::Deserializer::from_str(text))
}

#[derive(Clone, Copy)]
struct ValueReader<'a> {
    allowance: &'a Cell<usize>,
}

impl ValueReader<'_> {
    fn account<E: Error>(self, text: usize) -> Result<(), E> {
        match self.allowance.get().checked_sub(VALUE_BYTES + text) {
            Some(left) => {
                self.allowance.set(left);
                Ok(())
            }
            None => Err(E::custom("aliases make this file too large")),
        }
    }

    fn text<E: Error>(self, text: String) -> Result<Value, E> {
        self.account(text.len())?;
        Ok(Value::String(text))
    }
}

impl<'de> DeserializeSeed<'de> for ValueReader<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueReader<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("plain YAML")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        self.account(0)?;
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        self.account(0)?;
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        self.account(0)?;
        Ok(number.into())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        self.account(0)?;
        Ok(number.into())
    }

    // Numbers that JSON can't represent become text: no setting accepts them, and each reports its own mistake.
    fn visit_u128<E: Error>(self, number: u128) -> Result<Value, E> {
        self.text(number.to_string())
    }

    fn visit_i128<E: Error>(self, number: i128) -> Result<Value, E> {
        self.text(number.to_string())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        match Number::from_f64(number) {
            Some(number) => self.account(0).map(|()| Value::Number(number)),
            None => self.text(number.to_string()),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        self.text(text.to_owned())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        self.account(0)?;
        let mut items = Vec::new();
        while let Some(item) = list.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut mapping: A) -> Result<Value, A::Error> {
        self.account(0)?;
        let mut entries = Map::new();
        while let Some(key) = mapping.next_key_seed(self)? {
            let key = match key {
                Value::String(text) => text,
                Value::Number(number) => number.to_string(),
                Value::Bool(value) => value.to_string(),
                Value::Null | Value::Array(_) | Value::Object(_) => {
                    return Err(A::Error::custom("a key must be plain text"));
                }
            };
            let value = mapping.next_value_seed(self)?;
            match entries.get_mut(&key) {
                Some(earlier) => join(earlier, value),
                None => {
                    entries.insert(key, value);
                }
            }
        }
        Ok(Value::Object(entries))
    }
}

/// Adds what `later` has to `earlier`, where both are lists or both are mappings.
fn join(earlier: &mut Value, later: Value) {
    match (earlier, later) {
        (Value::Array(items), Value::Array(mut more)) => items.append(&mut more),
        (Value::Object(entries), Value::Object(more)) => {
            for (key, value) in more {
                match entries.get_mut(&key) {
                    Some(earlier) => join(earlier, value),
                    None => {
                        entries.insert(key, value);
                    }
                }
            }
        }
        _ => {}
    }
}
