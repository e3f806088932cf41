//! The metrics and labels that a PromQL expression names. Only names are read; `promtool` checks the expression.

use std::collections::BTreeSet;

/// What an expression names.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Names {
    pub selectors: Vec<Selector>,
    /// The labels that aggregations keep (`by`), or that take part otherwise (`without`, `on`, …).
    pub grouping: BTreeSet<String>,
}

/// A metric with the labels that it is selected by.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Selector {
    pub metric: String,
    /// Each label with the text that it is compared with.
    pub labels: Vec<(String, String)>,
}

const OPERATORS: [&str; 6] = ["and", "or", "unless", "offset", "bool", "atan2"];
const GROUPINGS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

/// Reads `expression`; Grafana's `label_values(metric, label)` too.
pub fn names(expression: &str) -> Names {
    let mut found = Names::default();
    let mut rest = expression;
    if let Some((series, label)) = rest.strip_prefix("label_values(").and_then(|call| call.rsplit_once(',')) {
        found.grouping.insert(label.trim_end_matches(')').trim().to_owned());
        rest = series;
    }
    while let Some(first) = rest.chars().next() {
        if first == '"' {
            rest = quoted(rest).1;
        } else if first == '[' {
            rest = after(rest, ']');
        } else if first.is_ascii_digit() {
            // A number, or a duration after `offset`.
            rest = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '.');
        } else if begins_a_name(first) {
            let (name, remaining) = name(rest);
            rest = remaining.trim_start();
            if GROUPINGS.contains(&name) {
                let list = rest.strip_prefix('(').map_or("", |list| &list[..list.find(')').unwrap_or(list.len())]);
                found.grouping.extend(list.split(',').map(|label| label.trim().to_owned()).filter(|l| !l.is_empty()));
                rest = if list.is_empty() { rest } else { after(rest, ')') };
            } else if !OPERATORS.contains(&name) && !applies(rest) {
                let mut selector = Selector { metric: name.to_owned(), labels: Vec::new() };
                if rest.starts_with('{') {
                    (selector.labels, rest) = matchers(rest);
                }
                found.selectors.push(selector);
            }
        } else {
            rest = &rest[first.len_utf8()..];
        }
    }
    found
}

/// The names in `{{name}}` or `{{ $labels.name }}` of a legend or an annotation.
pub fn placeholders(text: &str) -> BTreeSet<String> {
    let inside = text.split("{{").skip(1).filter_map(|part| Some(part.split_once("}}")?.0.trim()));
    inside
        .filter_map(|part| part.strip_prefix("$labels.").or((!part.starts_with('$')).then_some(part)))
        .map(str::to_owned)
        .collect()
}

/// Whether what was named is a function or an aggregation, by what follows it.
fn applies(rest: &str) -> bool {
    rest.starts_with('(') || ["by", "without"].contains(&name(rest).0)
}

/// The comparisons of a `{…}`, and what follows it.
fn matchers(text: &str) -> (Vec<(String, String)>, &str) {
    let mut rest = &text[1..];
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', ',', '\n']);
        if !rest.starts_with(begins_a_name) {
            return (labels, after(rest, '}'));
        }
        let (label, remaining) = name(rest);
        let (value, remaining) = quoted(remaining.trim_start_matches(['=', '!', '~', ' ']));
        labels.push((label.to_owned(), value.to_owned()));
        rest = remaining;
    }
}

fn begins_a_name(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

fn name(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':').unwrap_or(text.len());
    text.split_at(end)
}

/// The text between the quotes that `text` begins with, and what follows them.
fn quoted(text: &str) -> (&str, &str) {
    let inside = text.strip_prefix('"').unwrap_or(text);
    inside.split_once('"').unwrap_or((inside, ""))
}

fn after(text: &str, end: char) -> &str {
    text.split_once(end).map_or("", |(_, rest)| rest)
}

#[test]
fn names_are_told_from_functions_numbers_and_texts() {
    let found = names(
        r#"histogram_quantile(0.99, sum by (job, le) (rate(a_bucket{route=~"$route", b!="c d"}[5m] offset 1h))) > 2 and x:y"#,
    );
    let selector = |metric: &str, labels: &[(&str, &str)]| Selector {
        metric: metric.to_owned(),
        labels: labels.iter().map(|(label, value)| (label.to_string(), value.to_string())).collect(),
    };
    assert_eq!(found.selectors, [selector("a_bucket", &[("route", "$route"), ("b", "c d")]), selector("x:y", &[])]);
    assert_eq!(found.grouping, ["job", "le"].map(str::to_owned).into());
    let variable = names(r#"label_values(up{job="j"}, instance)"#);
    assert_eq!(variable.selectors, [selector("up", &[("job", "j")])]);
    assert_eq!(variable.grouping, ["instance".to_owned()].into());
    assert_eq!(
        placeholders("{{route}} {{ $labels.cause }} {{ $value | humanize }}"),
        ["cause", "route"].map(str::to_owned).into()
    );
}
