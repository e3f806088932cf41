//! Circles of imports: in each folder, its files and folders import each other in one direction only, and so do a file and the
//! folder beside it. A re-export (`pub use child::X`) is no import: the parent only passes the name on.

use std::collections::{BTreeMap, BTreeSet};

use super::paths;

/// One import that leads from one part of a folder to another.
struct Import<'a> {
    from: &'a str,
    to: &'a str,
    /// Where it stands, and what it says.
    line: &'a str,
}

/// A folder with parts that import each other in a circle.
pub struct Circle {
    /// The module that the folder is of; `crate` for the top.
    pub folder: String,
    pub message: String,
}

/// Every circle in the crate whose files are `sources`, by path and text.
pub fn circles(sources: &[(String, String)]) -> Vec<Circle> {
    let modules: BTreeSet<Vec<String>> = sources.iter().map(|(file, _)| paths::module_of(file)).collect();
    let imports = sources.iter().flat_map(|(file, text)| imports(file, text, &modules)).collect::<Vec<_>>();
    let mut folders: BTreeSet<&[String]> = modules.iter().map(|module| &module[..module.len() - 1]).collect();
    folders.remove(&[][..]);
    folders.into_iter().flat_map(|folder| circles_in(folder, &imports)).collect()
}

/// A module's file, and a module that it imports from, with the line that does.
type ModuleImport = (Vec<String>, Vec<String>, String);

fn imports(file: &str, text: &str, modules: &BTreeSet<Vec<String>>) -> Vec<ModuleImport> {
    let own = paths::module_of(file);
    let mut found = Vec::new();
    for path in paths::paths(file, text).into_iter().filter(|path| !path.reexport) {
        let child: Vec<String> = own.iter().chain(path.segments.first()).cloned().collect();
        let segments = if modules.contains(&child) {
            own.iter().chain(&path.segments).cloned().collect()
        } else {
            path.segments.clone()
        };
        let target = (1..=segments.len()).rev().map(|end| &segments[..end]).find(|start| modules.contains(*start));
        if let Some(target) = target.filter(|target| *target != own) {
            let line = format!("{file}:{}: {}", path.line, path.segments.join("::"));
            found.push((own.clone(), target.to_vec(), line));
        }
    }
    found
}

/// The part of `folder` that `module` belongs to; `super` is the file beside the folder.
fn part<'a>(folder: &[String], module: &'a [String]) -> Option<&'a str> {
    module.starts_with(folder).then(|| module.get(folder.len()).map_or("super", |name| name))
}

/// The circles among the parts of `folder`: each file or folder in it, and the file that it belongs to.
fn circles_in(folder: &[String], imports: &[ModuleImport]) -> Vec<Circle> {
    let inside: Vec<Import<'_>> = imports
        .iter()
        .filter_map(|(from, to, line)| Some((part(folder, from)?, part(folder, to)?, line)))
        .filter(|(from, to, _)| from != to)
        .map(|(from, to, line)| Import { from, to, line })
        .collect();
    let mut reached: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for start in inside.iter().map(|import| import.from) {
        if reached.contains_key(start) {
            continue;
        }
        let seen = reached.entry(start).or_default();
        let mut next = vec![start];
        while let Some(part) = next.pop() {
            let targets = inside.iter().filter(|import| import.from == part).map(|import| import.to);
            next.extend(targets.filter(|target| seen.insert(target)));
        }
    }
    let reaches = |from: &str, to: &str| reached.get(from).is_some_and(|seen| seen.contains(to));
    let mut circles: BTreeMap<BTreeSet<&str>, Vec<&str>> = BTreeMap::new();
    for import in inside.iter().filter(|import| reaches(import.to, import.from)) {
        let with = |part: &&&str| reaches(part, import.from) && reaches(import.from, part);
        let parts = reached.keys().filter(with).copied().collect();
        circles.entry(parts).or_default().push(import.line);
    }
    let folder = folder.join("::");
    circles
        .into_iter()
        .map(|(parts, lines)| {
            let parts = parts.into_iter().collect::<Vec<_>>().join(", ");
            let message = format!("{folder}: {parts} import each other in a circle:\n  {}", lines.join("\n  "));
            Circle { folder: folder.clone(), message }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(sources: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<_> = sources.iter().map(|(file, text)| (format!("src/{file}"), (*text).to_owned())).collect();
        circles(&sources).into_iter().map(|circle| circle.message).collect()
    }

    #[test]
    fn siblings_in_a_circle_are_named_with_the_lines_that_make_it() {
        let files =
            [("a.rs", "mod b;\nmod c;"), ("a/b.rs", "use super::c::C;"), ("a/c.rs", "\nfn f() { super::b::g() }")];
        assert_eq!(
            found(&files),
            [
                "crate::a: b, c import each other in a circle:\n  src/a/b.rs:1: crate::a::c::C\n  src/a/c.rs:2: crate::a::b::g"
            ]
        );
    }

    #[test]
    fn a_circle_through_the_folders_of_others_is_found_where_they_meet() {
        let files =
            [("a/b.rs", "use crate::c::d::D;"), ("c/d.rs", "use crate::e::E;"), ("e.rs", "use crate::a::b::B;")];
        assert_eq!(found(&files).len(), 1);
        assert!(found(&files)[0].starts_with("crate: a, c, e import each other"), "{:?}", found(&files));
    }

    #[test]
    fn a_parent_and_its_child_are_a_circle_unless_it_only_passes_a_name_on() {
        let child = ("a/b.rs", "use super::A; pub struct B;");
        assert_eq!(found(&[("a.rs", "use b::B; pub struct A(B);"), child]).len(), 1);
        assert_eq!(found(&[("a.rs", "pub use b::B; pub struct A;"), child]), [""; 0]);
        assert_eq!(found(&[("a.rs", "pub(crate) use self::b::{B}; pub struct A;"), child]), [""; 0]);
    }

    #[test]
    fn one_direction_and_tests_are_no_circle() {
        let files = [("a/b.rs", "use super::c::C;"), ("a/c.rs", "#[cfg(test)]\nmod tests { use crate::a::b::B; }")];
        assert_eq!(found(&files), [""; 0]);
    }
}
