//! Random configurations, made from the JSON Schema of the raw types: a field or a form that is added to them is covered as
//! soon as it is declared.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use crate::config::raw::Config;

/// Whole configurations: any subset of the optional fields, and each of the forms of a value.
pub fn configuration() -> impl Strategy<Value = Config> {
    document().prop_map(|value| serde_json::from_value(value.clone()).unwrap_or_else(|why| panic!("{why}: {value:#}")))
}

/// Configurations as JSON values, before they are given their type.
pub fn document() -> BoxedStrategy<Value> {
    let schema = schema();
    Schema { definitions: &schema["$defs"] }.value(&schema)
}

/// The schema of a configuration.
pub fn schema() -> Value {
    schemars::schema_for!(Config).into()
}

struct Schema<'s> {
    definitions: &'s Value,
}

impl Schema<'_> {
    /// What satisfies `schema`. Panics at keywords that it does not know.
    fn value(&self, schema: &Value) -> BoxedStrategy<Value> {
        if let Some(reference) = schema["$ref"].as_str() {
            let name = reference.trim_start_matches("#/$defs/");
            return quantity(name).unwrap_or_else(|| self.value(&self.definitions[name]));
        }
        if let Some(constant) = schema.get("const") {
            return Just(constant.clone()).boxed();
        }
        if let Some(constants) = schema["enum"].as_array() {
            return select(constants.clone()).boxed();
        }
        if let Some(forms) = schema["anyOf"].as_array().or(schema["oneOf"].as_array()) {
            return proptest::strategy::Union::new(forms.iter().map(|form| self.value(form))).boxed();
        }
        match &schema["type"] {
            Value::Array(types) => {
                // A type or null.
                let mut one = schema.clone();
                one["type"] = types[0].clone();
                self.value(&one)
            }
            kind => match kind.as_str().unwrap_or_default() {
                "null" => Just(Value::Null).boxed(),
                "boolean" => any::<bool>().prop_map(Value::from).boxed(),
                "integer" => integer(schema),
                "string" if schema["pattern"].is_string() => (400..600_u32).prop_map(|n| json!(n.to_string())).boxed(),
                "string" => text().prop_map(Value::from).boxed(),
                "array" => prop::collection::vec(self.value(&schema["items"]), 0..3).prop_map(Value::from).boxed(),
                "object" if schema["properties"].is_object() => self.mapping(schema),
                "object" => self.entries(&schema["additionalProperties"]),
                other => panic!("no strategy for `{other}` in {schema}"),
            },
        }
    }

    /// A mapping with fixed fields.
    fn mapping(&self, schema: &Value) -> BoxedStrategy<Value> {
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        let fields = schema["properties"].as_object().expect("fields");
        let values: Vec<BoxedStrategy<Option<Value>>> = fields
            .iter()
            .map(|(name, field)| match name.as_str() {
                // The reason why a protection is switched off must say something.
                "off" if field["type"] == "string" => reason().prop_map(Some).boxed(),
                name if required.iter().any(|required| required == name) => self.value(field).prop_map(Some).boxed(),
                _ => prop::option::weighted(0.3, self.value(field)).boxed(),
            })
            .collect();
        let names: Vec<String> = fields.keys().cloned().collect();
        values
            .prop_map(move |values| {
                let fields = names.iter().cloned().zip(values).filter_map(|(name, value)| Some((name, value?)));
                Value::Object(fields.collect())
            })
            .boxed()
    }

    /// A mapping whose keys the owner chooses.
    fn entries(&self, value: &Value) -> BoxedStrategy<Value> {
        let entries = prop::collection::vec((text(), self.value(value)), 0..3);
        entries.prop_map(|entries| Value::Object(entries.into_iter().collect::<Map<_, _>>())).boxed()
    }
}

/// Texts of the quantity called `name`.
fn quantity(name: &str) -> Option<BoxedStrategy<Value>> {
    let number = |largest: u64| prop_oneof![0..3000_u64, 0..=largest];
    let with = |number: BoxedStrategy<u64>, units: Vec<&'static str>| {
        (number, select(units)).prop_map(|(number, unit)| json!(format!("{number}{unit}"))).boxed()
    };
    let spans = || with(number(u64::MAX / 86_400_000).boxed(), vec!["ms", "s", "m", "h", "d"]);
    Some(match name {
        "Span" => spans(),
        "Size" => with(number(u64::MAX >> 30).boxed(), vec!["B", "KiB", "MiB", "GiB"]),
        "Speed" => with((1..=u64::MAX >> 30).boxed(), vec!["B/s", "KiB/s", "MiB/s", "GiB/s"]),
        "Rate" => with((1..=1_000_000_000_u64).boxed(), vec!["/s", "/m", "/h", "/d"]),
        "Share" => prop_oneof![
            (0..=100_u32).prop_map(|percent| json!(format!("{percent}%"))),
            (0..100_u32, 0..10_000_u32).prop_map(|(percent, parts)| json!(format!("{percent}.{parts:04}%"))),
        ]
        .boxed(),
        "Count" => any::<u64>().prop_map(Value::from).boxed(),
        "Lifetime" => prop_oneof![Just(json!("session")), spans()].boxed(),
        _ => return None,
    })
}

fn integer(schema: &Value) -> BoxedStrategy<Value> {
    let bound = |name: &str, default| schema[name].as_u64().unwrap_or(default);
    (bound("minimum", 0)..=bound("maximum", u64::MAX)).prop_map(Value::from).boxed()
}

/// Texts that a YAML reader, or the loader after it, could take for something else; and any others.
fn text() -> impl Strategy<Value = String> {
    let odd = [
        "",
        " ",
        "~",
        "null",
        "Null",
        "true",
        "False",
        "yes",
        "NO",
        "on",
        "off",
        "y",
        "0",
        "-1",
        "+1",
        "1_000",
        "0x1F",
        "0o17",
        "1e3",
        ".5",
        ".inf",
        ".NaN",
        "1:30",
        "2027-01-31",
        "- a",
        "-",
        "--- a",
        "---",
        "...",
        "a: b",
        "a:",
        ": a",
        "#",
        "a #b",
        " lead",
        "trail ",
        "a\nb",
        "a\n",
        "\n",
        "a\n\n",
        "\n a",
        "a\r\nb",
        "\r",
        "\t",
        "a\tb",
        "*a",
        "&a",
        "!a",
        "!!str a",
        "|",
        ">-",
        "%TAG",
        "@a",
        "`a`",
        "'",
        "''",
        "\"",
        "\\",
        "[a",
        "{a: b}",
        "]",
        ",",
        "?",
        "? a",
        "<<",
        "=",
        "${",
        "${A}",
        "$${A}",
        "$$${",
        "${A:-b}",
        "$",
        "}",
        "é",
        "\u{0}",
        "\u{7f}",
        "\u{85}",
        "a\u{85}b",
        "\u{a0}",
        "\u{2028}",
        "a\u{2029}\nb",
        "\u{feff}",
        "a\u{feff}",
        "\u{10ffff}",
        "/v1/orders/{id}",
        "*.example.com",
        "127.0.0.1:8080",
        "::/0",
        "W/\"x\"",
    ];
    let long = "[a-z ]{100,300}";
    prop_oneof![3 => "[a-z]{1,8}", 3 => select(odd.to_vec()).prop_map(str::to_owned), 1 => any::<String>(), 1 => long]
}

fn reason() -> impl Strategy<Value = Value> {
    text().prop_map(|text| json!(if text.trim().is_empty() { "because".to_owned() } else { text }))
}
