//! Schema: the JSON Schema of the configuration, for editors; generated from the raw types.

use super::raw::Config;

/// The JSON Schema (draft 2020-12) of a configuration file, as text.
pub fn schema() -> String {
    let schema = schemars::schema_for!(Config);
    let mut text = serde_json::to_string_pretty(&schema).expect("BUG: a schema is made of JSON values only");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_schema_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/conf/schema.json");
        let published = std::fs::read_to_string(path).unwrap_or_default();
        assert!(published == schema(), "conf/schema.json is old: run `portcullis schema > conf/schema.json`");
    }
}
