//! What is said of a field before its description: kind, default, range; for a bound its scope and metric.

use std::fmt;
use std::sync::LazyLock;

use regex::Regex;

use super::bounds::BoundFacts;
use super::forms::{Field, Schema};

pub(super) struct FieldFacts<'f> {
    kind: String,
    /// In the form of the file, or in words.
    default: Option<String>,
    range: Option<String>,
    required: bool,
    bound: Option<&'f BoundFacts>,
}

impl<'f> FieldFacts<'f> {
    /// The documentation of a field says its default and its range in sentences of a fixed form, which schemas have no words for; of a
    /// bound, both are known.
    pub fn new(schema: Schema<'_>, field: &Field<'_>, described: &str, bound: Option<&'f BoundFacts>) -> Self {
        let (default, range) = match bound {
            Some(bound) => (Some(bound.default.clone()), Some(bound.range.clone())),
            None => (default(described), range(described)),
        };
        // What only the compiler of the configuration asks for says so in its documentation.
        let required = field.required || described.contains("Required.") || described.contains("Required;");
        FieldFacts { kind: schema.kind(field.schema), default, range, required, bound }
    }
}

impl fmt::Display for FieldFacts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        match &self.default {
            _ if self.required => f.write_str("; required")?,
            Some(default) => write!(f, "; default {default}")?,
            None => f.write_str("; optional")?,
        }
        if let Some(range) = &self.range {
            write!(f, "; {range}")?;
        }
        if let Some(bound) = self.bound {
            write!(f, "; counted for {}", bound.scope)?;
            match bound.label {
                Some(label) => write!(f, "; metric label `{label}`")?,
                None => f.write_str("; refuses nothing, no metric")?,
            }
        }
        Ok(())
    }
}

fn pattern(pattern: &str) -> Regex {
    Regex::new(pattern).expect("BUG: a fixed pattern is valid")
}

/// `Default 5s.`, `default 100`, `Default: none; …`, or a word with `(default)` behind it.
fn default(described: &str) -> Option<String> {
    static VALUE: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"[Dd]efault:? (`[^`]+`|\d[\d,.]*[A-Za-z/%]*|true\b|false\b)"));
    static WORDS: LazyLock<Regex> = LazyLock::new(|| pattern(r"[Dd]efault: ([^.;]+)"));
    static MARKED: LazyLock<Regex> = LazyLock::new(|| pattern(r"(`[^`]+`) \(default\)"));
    let quoted = |text: &str| match text.starts_with('`') {
        true => text.to_owned(),
        false => format!("`{}`", text.trim_end_matches(['.', ','])),
    };
    MARKED
        .captures(described)
        .map(|found| found[1].to_owned())
        .or_else(|| VALUE.captures(described).map(|found| quoted(&found[1])))
        .or_else(|| WORDS.captures(described).map(|found| found[1].to_owned()))
}

/// `1 to 100`, `at most 1d`, `at least 32 bytes`.
fn range(described: &str) -> Option<String> {
    static FROM_TO: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?:^|[ (])(\d[\d,]*|`[^`]+`) to (\d[\d,]*|`[^`]+`)"));
    static ONE_END: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"\b([Aa]t (?:most|least)) (`[^`]+`|\d[\d,]*(?:[KM]iB| bytes| characters)?)"));
    let plain = |text: &str| format!("`{}`", text.trim_matches('`'));
    let ends = FROM_TO.captures(described).map(|found| format!("{} to {}", plain(&found[1]), plain(&found[2])));
    ends.or_else(|| {
        let found = ONE_END.captures(described)?;
        Some(format!("{} {}", found[1].to_lowercase(), plain(&found[2])))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_and_ranges_are_found_in_the_sentences_that_say_them() {
        let found = |text: &str| (default(text).unwrap_or_default(), range(text).unwrap_or_default());
        let pair = |default: &str, range: &str| (default.to_owned(), range.to_owned());
        assert_eq!(found("Time. Default `2s`, at most `1d`."), pair("`2s`", "at most `1d`"));
        assert_eq!(found("Number. 1 to 1,024; default 100."), pair("`100`", "`1` to `1,024`"));
        assert_eq!(found("How: `a` (default), or `b`."), pair("`a`", ""));
        assert_eq!(found("Which. Default: none; nobody."), pair("none", ""));
        assert_eq!(found("Whether. Default false: it is not."), pair("`false`", ""));
        assert_eq!(found("The key, at least 32 bytes. Required."), pair("", "at least `32 bytes`"));
        assert_eq!(found("Nothing."), pair("", ""));
    }
}
