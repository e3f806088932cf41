//! Reference: the page of every field for people, `conf/reference.md`; made of the schema, the table of bounds and the examples in
//! `reference/example.yaml`.

mod bounds;
mod examples;
mod facts;
mod forms;

use std::fmt::Write;

use serde_json::Value;

use super::raw::Config;
use bounds::BoundFacts;
use examples::Examples;
use facts::FieldFacts;
use forms::{Field, Schema};

const INTRODUCTION: &str = "\
# Reference of the configuration

Every field of the file, by section. This page is written by `portcullis reference` from the same source as
[schema.json](schema.json), by which editors complete and check the file; a test keeps both current.

- `NAME` in a path stands for a name that you choose, and `[]` for an item of a list.
- Durations carry a unit (`250ms`, `5s`, `1m`, `2h`, `1d`), and so do sizes (`512B`, `8KiB`, `10MiB`, `1GiB`), rates (`50/s`,
  `1000/h`), speeds (`500B/s`) and shares (`5%`).
- `${VAR}` and `${VAR:-default}` in a value stand for an environment variable, `$${` for a literal `${`. A secret is never
  written into the file: its field takes `{env: NAME}` or `{file: PATH}`.
- An unknown field is an error, and `portcullis check FILE` reports every error in one run.
- A bound that refuses something is counted in `portcullis_bound_hits_total`, under the label that its field names.
";

/// The page, as Markdown.
pub fn reference() -> String {
    let document: Value = schemars::schema_for!(Config).into();
    let schema = Schema::new(&document);
    let mut page = ReferencePage {
        schema,
        examples: Examples::new(schema, &document),
        bounds: BoundFacts::all(),
        text: INTRODUCTION.into(),
    };
    let sections = schema.fields(&document);
    page.text.push_str("\nSections:");
    for (index, section) in sections.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(page.text, "{comma} [`{0}`](#{0})", section.name);
    }
    page.text.push_str(".\n");
    for section in sections {
        let _ = write!(page.text, "\n## {}\n\n", section.name);
        page.field(section.name, &document, &section);
        page.below(section.name, section.schema);
    }
    page.text
}

struct ReferencePage<'s> {
    schema: Schema<'s>,
    examples: Examples,
    bounds: Vec<BoundFacts>,
    text: String,
}

impl<'s> ReferencePage<'s> {
    /// The fields of the mapping that `schema`, at `path`, is or leads to; then those of the mappings below.
    fn below(&mut self, path: &str, schema: &'s Value) {
        let Some((path, mapping)) = self.schema.mapping(path, schema) else { return };
        let fields = self.schema.fields(mapping);
        self.text.push('\n');
        for field in &fields {
            let path = format!("{path}.{}", field.name);
            self.field(&path, mapping, field);
        }
        for field in &fields {
            let path = format!("{path}.{}", field.name);
            if let Some((below, mapping)) = self.schema.mapping(&path, field.schema) {
                let _ = write!(self.text, "\n### `{below}`\n");
                if let Some(words) = self.schema.type_description(mapping) {
                    let _ = write!(self.text, "\n{words}\n");
                }
                self.below(&path, field.schema);
            }
        }
    }

    /// One field: its facts, what it does, and an example.
    fn field(&mut self, path: &str, mapping: &'s Value, field: &Field<'s>) {
        let described = self.schema.description(field.schema).unwrap_or_default();
        let bound = path.strip_prefix("bounds.").and_then(|name| self.bounds.iter().find(|bound| bound.name == name));
        let facts = FieldFacts::new(self.schema, field, &described, bound);
        let _ = write!(self.text, "- **`{path}`** ({facts})");
        if !described.is_empty() {
            let _ = write!(self.text, "  \n  {}", described.replace("\n\n", "\n\n  "));
        }
        if let Some(example) = self.examples.of(self.schema, mapping, field) {
            let _ = write!(self.text, "  \n  Example: `{example}`");
        }
        self.text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_reference_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/conf/reference.md");
        let published = std::fs::read_to_string(path).unwrap_or_default();
        assert!(published == reference(), "conf/reference.md is old: run `portcullis reference > conf/reference.md`");
    }

    #[test]
    fn every_field_of_the_schema_has_its_facts_and_an_example() {
        let page = reference();
        for field in [
            "- **`bounds.token`** (size; default `16KiB`; `1B` to `1MiB`; counted for each request; metric label `token`)",
            "- **`upstreams.NAME.timeouts.connect`** (duration; default `2s`)",
            "- **`routes[].match.host`** (text, or a list of them;",
            "- **`listeners[].tls.certificates[].key`** (path of a PEM file, or `{credential: NAME}`; required)",
            "- **`admin.token`** (a secret: `{env: NAME}`, `{file: PATH}` or `{credential: NAME}`; optional; at least `16 characters`)",
        ] {
            assert!(page.contains(field), "no {field}");
        }
        let without: Vec<&str> = page
            .split("\n- **`")
            .skip(1)
            .filter(|entry| !entry.contains("Example: `"))
            .filter_map(|entry| entry.split('`').next())
            .collect();
        assert_eq!(without, [""; 0], "add an example to src/config/reference/example.yaml");
        assert!(!page.contains("[object") && !page.contains("null"));
    }
}
