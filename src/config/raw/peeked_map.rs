//! [`PeekedMap`]: a mapping whose first key tells how to read it.

use serde::de::{DeserializeSeed, MapAccess, value};

/// A mapping whose first key was read already. The values come from the mapping itself, which knows where they stand.
pub struct PeekedMap<A> {
    first: Option<String>,
    rest: A,
}

impl<'de, A: MapAccess<'de>> PeekedMap<A> {
    /// Reads the first key of `map`.
    ///
    /// # Errors
    /// If it is no text.
    pub fn new(mut map: A) -> Result<Self, A::Error> {
        Ok(PeekedMap { first: map.next_key()?, rest: map })
    }

    /// The first key; `None` for an empty mapping.
    pub fn first(&self) -> Option<&str> {
        self.first.as_deref()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for PeekedMap<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        match self.first.take() {
            Some(key) => seed.deserialize(value::StringDeserializer::new(key)).map(Some),
            None => self.rest.next_key_seed(seed),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.rest.next_value_seed(seed)
    }
}
