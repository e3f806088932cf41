//! Where the endpoints of an upstream come from: written addresses, SRV records, files.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor, value};
use serde::ser::{Serialize, Serializer};

use super::{Endpoint, WeightedEndpoint};
use crate::config::raw::peeked_map::PeekedMap;
use crate::config::raw::shape::FromWord;

/// An entry of `endpoints`.
#[derive(Clone, Debug, PartialEq)]
pub enum EndpointSource {
    /// An address or a name, with its port.
    Written(Endpoint),
    /// SRV records.
    Services(Services),
    /// A file that lists endpoints.
    File(EndpointFile),
}

/// Endpoints from SRV records (RFC 2782), with their ports and weights.
#[derive(Clone, Debug, PartialEq, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Services {
    /// The name of the SRV records, such as `_http._tcp.orders.internal`. Each record gives a target, its port and its
    /// weight. A weight of 0 gets almost no requests while other records have a weight. Records with a higher priority
    /// number are used when those with lower numbers have no address.
    pub srv: String,
}

/// Endpoints from a file.
#[derive(Clone, Debug, PartialEq, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EndpointFile {
    /// A YAML or JSON file with a list of 1 to 1000 endpoints, each `host:port` or a mapping with `address`, as in
    /// `endpoints`. A changed file is read again without a reload, once it has not changed for one second, or after
    /// five seconds of changes. If it is missing, invalid or empty, the previous endpoints stay in use, the mistakes
    /// are logged, and `portcullis_discovery_stale` is 1.
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
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<EndpointSource, A::Error> {
                // Only written endpoints have more than one field, so the first tells which kind it is.
                let map = PeekedMap::new(map)?;
                let kind = map.first().map(str::to_owned);
                let form = value::MapAccessDeserializer::new(map);
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
