//! The schema, read for people: the fields of a mapping, and what kind a value is.

use serde_json::Value;

/// A JSON Schema with its definitions.
#[derive(Clone, Copy)]
pub(super) struct Schema<'s> {
    definitions: &'s Value,
}

/// A field of a mapping.
pub(super) struct Field<'s> {
    pub name: &'s str,
    pub schema: &'s Value,
    pub required: bool,
}

impl<'s> Schema<'s> {
    pub fn new(document: &'s Value) -> Self {
        Schema { definitions: &document["$defs"] }
    }

    /// What `schema` may be: references are followed, and alternatives are listed. `null` is what an optional field is too, and
    /// is left out.
    pub fn forms(self, schema: &'s Value) -> Vec<&'s Value> {
        if let Some(name) = name(schema) {
            return self.forms(&self.definitions[name]);
        }
        match schema["anyOf"].as_array().or(schema["oneOf"].as_array()) {
            Some(forms) => forms.iter().flat_map(|form| self.forms(form)).collect(),
            None if schema["type"] == "null" => Vec::new(),
            None => vec![schema],
        }
    }

    /// The fields of `mapping`: of all its forms that are mappings.
    pub fn fields(self, mapping: &'s Value) -> Vec<Field<'s>> {
        let forms: Vec<&Value> =
            self.forms(mapping).into_iter().filter(|form| form["properties"].is_object()).collect();
        // A mapping that is one of several need not be written.
        let only = forms.len() == 1;
        let fields = forms.into_iter().flat_map(|form| {
            let required = form["required"].as_array().filter(|_| only);
            let is_required = move |name: &str| required.is_some_and(|names| names.iter().any(|other| other == name));
            let properties = form["properties"].as_object().into_iter().flatten();
            properties.map(move |(name, schema)| Field { name, schema, required: is_required(name) })
        });
        fields.collect()
    }

    /// The mapping with fixed fields that the value at `path` is, or that its items or entries are, and the path of those.
    /// `None` for other values, for secrets, and for mappings that only give a reason.
    pub fn mapping(self, path: &str, schema: &'s Value) -> Option<(String, &'s Value)> {
        if matches!(name(schema), Some("Off" | "KeyFile")) || self.is_secret_source(schema) {
            return None;
        }
        let forms = self.forms(schema);
        if let Some(entries) =
            forms.iter().find_map(|form| form.get("additionalProperties").filter(|form| form.is_object()))
        {
            return self.mapping(&format!("{path}.NAME"), entries);
        }
        let fields = self.fields(schema);
        if fields.iter().any(|field| field.name != "off") {
            return Some((path.to_owned(), schema));
        }
        let items = forms.iter().find_map(|form| form.get("items"))?;
        self.mapping(&format!("{path}[]"), items)
    }

    /// Whether the value says where a secret is kept.
    pub fn is_secret_source(self, schema: &Value) -> bool {
        let is_source = |schema: &Value| name(schema) == Some("SecretSource");
        is_source(schema) || schema["anyOf"].as_array().is_some_and(|forms| forms.iter().any(is_source))
    }

    /// The description of the value, in one line a paragraph; that of its type where it has none.
    pub fn description(self, schema: &'s Value) -> Option<String> {
        schema["description"].as_str().map(paragraphs).or_else(|| self.type_description(schema))
    }

    /// The description of the value's type.
    pub fn type_description(self, schema: &'s Value) -> Option<String> {
        let named = schema["anyOf"].as_array().into_iter().flatten().find_map(name);
        let described = name(schema).or(named).map(|name| &self.definitions[name])?;
        described["description"].as_str().map(paragraphs).or_else(|| self.type_description(described))
    }

    /// What a value of `schema` is, in words.
    pub fn kind(self, schema: &'s Value) -> String {
        if self.is_secret_source(schema) {
            return "a secret: `{env: NAME}`, `{file: PATH}` or `{credential: NAME}`".to_owned();
        }
        if let Some(name) = name(schema) {
            let quantity = match name {
                "Span" => Some("duration"),
                "Size" => Some("size"),
                "Speed" => Some("speed"),
                "Rate" => Some("rate"),
                "Share" => Some("share"),
                "Count" => Some("number"),
                "KeyFile" => Some("path of a PEM file, or `{credential: NAME}`"),
                "Lifetime" => Some("duration or `session`"),
                "Off" => Some("`{off: reason}`"),
                _ => None,
            };
            return match (quantity, name.strip_prefix("OneOrMany_")) {
                (Some(quantity), _) => quantity.to_owned(),
                (None, Some(_)) => {
                    let one = self.definitions[name]["anyOf"].get(0).map_or(String::new(), |one| self.kind(one));
                    format!("{one}, or a list of them")
                }
                (None, None) => self.kind(&self.definitions[name]),
            };
        }
        if let Some(forms) = schema["anyOf"].as_array().or(schema["oneOf"].as_array()) {
            let mut kinds: Vec<String> = Vec::new();
            for form in forms.iter().filter(|form| form["type"] != "null") {
                let kind = self.kind(form);
                if !kinds.contains(&kind) {
                    kinds.push(kind);
                }
            }
            return kinds.join(" or ");
        }
        if let Some(words) = schema["enum"].as_array() {
            let words = words.iter().filter(|word| !word.is_boolean());
            return words.map(word).collect::<Vec<_>>().join(" or ");
        }
        if let Some(constant) = schema.get("const") {
            return word(constant);
        }
        let kind = schema["type"].as_str().or_else(|| schema["type"].get(0)?.as_str());
        match kind {
            Some("string") => "text".to_owned(),
            Some("integer") => "number".to_owned(),
            Some("boolean") => "`true` or `false`".to_owned(),
            Some("array") => match schema.get("items") {
                Some(items) => format!("list, each: {}", self.kind(items)),
                None => "list".to_owned(),
            },
            Some("object") if schema["properties"].is_object() => "mapping".to_owned(),
            Some("object") => "mapping by name".to_owned(),
            _ => "value".to_owned(),
        }
    }
}

/// A word or number that may be written.
fn word(constant: &Value) -> String {
    format!("`{}`", constant.as_str().map_or(constant.to_string(), str::to_owned))
}

/// A documentation comment, in one line a paragraph.
fn paragraphs(text: &str) -> String {
    text.split("\n\n").map(|paragraph| paragraph.replace('\n', " ")).collect::<Vec<_>>().join("\n\n")
}

/// The definition that `schema` refers to.
pub(super) fn name(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str().map(|name| name.trim_start_matches("#/$defs/"))
}
