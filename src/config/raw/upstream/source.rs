//! Where the endpoints of an upstream come from: written addresses, SRV records, files.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, Visitor, value};
use serde::ser::{Serialize, Serializer};

use super::{Endpoint, WeightedEndpoint};
use crate::config::raw::shape::FromWord;

/// An entry of `endpoints`.
#[derive(Clone, Debug, PartialEq)]
pub enum EndpointSource {
    /// An address or a name, with its port.
    Written(Endpoint),
    /// What DNS says.
    Services(Services),
    /// What a file lists.
    File(EndpointFile),
}

/// Endpoints that DNS names with their ports and weights.
#[derive(Clone, Debug, PartialEq, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Services {
    /// The name of SRV records (RFC 2782), such as `_http._tcp.orders.internal`. Each gives a target, its port and its share;
    /// a share of 0 gets next to nothing while others have one. Records of a higher priority number are for when those of
    /// the lower ones have no address.
    pub srv: String,
}

/// Endpoints that a file lists.
#[derive(Clone, Debug, PartialEq, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EndpointFile {
    /// A YAML or JSON file with a list of endpoints, each `host:port` or a mapping with `address`, as in `endpoints`; 1 to 1000
    /// of them. A change takes effect without a reload, once the file has kept still for a second or has been changing for
    /// five. A file that is gone, wrong or empty changes nothing: the endpoints that it held before stay in use, what is
    /// wrong is logged, and `portcullis_discovery_stale` becomes 1.
    pub file: String,
}

impl<'de> Deserialize<'de> for EndpointSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Source;
        impl<'de> Visitor<'de> for Source {
            type Value = EndpointSource;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("`host:port`, or a mapping with `address`, `srv` or `file`")
            }
            fn visit_str<E: Error>(self, word: &str) -> Result<EndpointSource, E> {
                Endpoint::from_word(word).map(EndpointSource::Written).map_err(E::custom)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<EndpointSource, A::Error> {
                // Only written endpoints have more than one field, so the first tells which kind it is.
                let first: Option<String> = map.next_key()?;
                let kind = first.clone();
                let form = value::MapAccessDeserializer::new(Begun { first, rest: map });
                match kind.as_deref() {
                    Some("srv") => Services::deserialize(form).map(EndpointSource::Services),
                    Some("file") => EndpointFile::deserialize(form).map(EndpointSource::File),
                    _ => WeightedEndpoint::deserialize(form).map(|form| EndpointSource::Written(form.into())),
                }
            }
        }
        deserializer.deserialize_any(Source)
    }
}

/// A mapping whose first key was read already. The values come from the mapping itself, which knows where they stand.
struct Begun<A> {
    first: Option<String>,
    rest: A,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Begun<A> {
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

impl Serialize for EndpointSource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            EndpointSource::Written(endpoint) => endpoint.serialize(serializer),
            EndpointSource::Services(services) => services.serialize(serializer),
            EndpointSource::File(file) => file.serialize(serializer),
        }
    }
}

impl JsonSchema for EndpointSource {
    fn schema_name() -> Cow<'static, str> {
        "EndpointSource".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let written = generator.subschema_for::<WeightedEndpoint>();
        let services = generator.subschema_for::<Services>();
        let file = generator.subschema_for::<EndpointFile>();
        json_schema!({ "anyOf": [Endpoint::word_schema(), written, services, file] })
    }
}
