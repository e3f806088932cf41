//! Names of types: each is declared once in the crate, so that it says the same thing wherever it is read.

use std::collections::BTreeMap;

use super::paths;

/// Where the types as written in a configuration stand: each may have a twin with its name, which it is compiled to.
const AS_WRITTEN: &str = "src/config/raw";

/// The names that `sources` declare more than once, each with the places.
pub fn twins(sources: &[(String, String)]) -> BTreeMap<String, Vec<String>> {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut seen: BTreeMap<(String, bool), usize> = BTreeMap::new();
    for (file, text) in sources {
        for (line, name) in paths::declared_types(text) {
            *seen.entry((name.clone(), file.starts_with(AS_WRITTEN))).or_default() += 1;
            places.entry(name).or_default().push(format!("{file}:{line}"));
        }
    }
    let twice = |name: &String| [false, true].iter().any(|raw| seen.get(&(name.clone(), *raw)).is_some_and(|n| *n > 1));
    places.into_iter().filter(|(name, _)| twice(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(sources: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<_> = sources.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
        twins(&sources).into_iter().map(|(name, places)| format!("{name}: {}", places.join(", "))).collect()
    }

    #[test]
    fn a_name_is_declared_once_whatever_declares_it() {
        let files = [
            ("src/a.rs", "struct A;\nenum B {}"),
            ("src/b.rs", "trait A {}\ntype C = u8;"),
            ("src/c.rs", "pub type C = u8;"),
        ];
        assert_eq!(found(&files), ["A: src/a.rs:1, src/b.rs:1", "C: src/b.rs:2, src/c.rs:1"]);
    }

    #[test]
    fn what_is_written_may_have_a_twin_and_associated_types_are_none() {
        let files = [
            ("src/config/raw/route.rs", "pub struct Route;"),
            ("src/decision/rules.rs", "pub struct Route; impl I for Route { type Item = u8; }"),
            ("src/b.rs", "impl I for B { type Item = u8; } #[cfg(test)] struct Route;"),
        ];
        assert_eq!(found(&files), [""; 0]);
    }
}
