//! The paths at which a change of a file can happen: its own, and that of every symbolic link on the way to it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::config::inputs::{ConfigInputs, InputPath};

/// As many as Linux follows.
const MAX_LINKS: usize = 40;

/// The entries of folders that decide what a configuration is read from.
///
/// A volume of Kubernetes shows why one folder does not do: `gateway.yaml` is a link to `..data/gateway.yaml`, and `..data`
/// is a link that is swapped when the content changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WatchedPaths(BTreeMap<PathBuf, WatchedNames>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct WatchedNames {
    names: BTreeSet<OsString>,
    all: bool,
}

impl WatchedPaths {
    /// Where what `inputs` was made of can change.
    pub fn of(inputs: &ConfigInputs) -> WatchedPaths {
        let mut paths = WatchedPaths::default();
        for input in inputs.paths() {
            match input {
                InputPath::File(path) => _ = paths.walk(Path::new(path)),
                InputPath::Folder(path) => {
                    if let Some(folder) = paths.walk(Path::new(path)).filter(|folder| folder.is_dir()) {
                        paths.0.entry(folder).or_default().all = true;
                    }
                }
            }
        }
        paths
    }

    /// Where what `paths` lead to can change.
    pub fn to(paths: &[PathBuf]) -> WatchedPaths {
        let mut watched = WatchedPaths::default();
        for path in paths {
            watched.walk(path);
        }
        watched
    }

    /// Each folder, and the names in it that matter.
    pub fn entries(&self) -> impl Iterator<Item = (&Path, impl Iterator<Item = PathBuf>)> {
        self.0.iter().map(|(folder, entries)| (folder.as_path(), entries.names.iter().map(PathBuf::from)))
    }

    /// The folders to watch.
    pub fn folders(&self) -> impl Iterator<Item = &Path> {
        self.0.keys().map(PathBuf::as_path)
    }

    /// Whether something that matters stands at `path`, or one of the folders.
    pub fn contain(&self, path: &Path) -> bool {
        let named = |folder: &Path, name: &OsStr| {
            self.0.get(folder).is_some_and(|entries| entries.all || entries.names.contains(name))
        };
        self.0.contains_key(path)
            || path.parent().zip(path.file_name()).is_some_and(|(folder, name)| named(folder, name))
    }

    /// Goes to `path` as the system does, step by step. Gives what it leads to, if that is there; otherwise the last entry
    /// is the one that lacks.
    fn walk(&mut self, path: &Path) -> Option<PathBuf> {
        let mut way: VecDeque<OsString> = VecDeque::new();
        let mut at = std::env::current_dir().ok()?;
        push_front(&mut way, path);
        let mut links = 0;
        while let Some(step) = way.pop_front() {
            match step.to_str() {
                Some("/") => {
                    at = PathBuf::from("/");
                    continue;
                }
                Some("..") => {
                    at.pop();
                    continue;
                }
                _ => {}
            }
            let next = at.join(&step);
            let found = fs::symlink_metadata(&next);
            let is_link = found.as_ref().is_ok_and(fs::Metadata::is_symlink);
            if found.is_err() || is_link || way.is_empty() {
                self.0.entry(at.clone()).or_default().names.insert(step);
            }
            if !is_link {
                found.ok()?;
                at = next;
                continue;
            }
            links += 1;
            if links > MAX_LINKS {
                return None;
            }
            push_front(&mut way, &fs::read_link(&next).ok()?);
        }
        Some(at)
    }
}

/// Puts the steps of `path` before those of `way`.
fn push_front(way: &mut VecDeque<OsString>, path: &Path) {
    let steps = path.components().filter(|step| *step != Component::CurDir);
    for step in steps.collect::<Vec<_>>().into_iter().rev() {
        way.push_front(step.as_os_str().to_owned());
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn paths(path: &Path) -> Vec<String> {
        let mut paths = WatchedPaths::default();
        paths.walk(path);
        let entries =
            paths.0.iter().flat_map(|(folder, entries)| entries.names.iter().map(move |name| folder.join(name)));
        entries.map(|entry| entry.display().to_string()).collect()
    }

    /// A temporary folder, by the path that has no links in it.
    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap();
        (folder, path)
    }

    #[test]
    fn a_plain_file_changes_in_its_folder() {
        let (_keep, folder) = folder();
        fs::write(folder.join("file"), "").unwrap();
        assert_eq!(paths(&folder.join("./file")), [format!("{}/file", folder.display())]);
    }

    #[test]
    fn every_link_on_the_way_counts() {
        let (_keep, folder) = folder();
        let here = folder.display();
        fs::create_dir(folder.join("..1")).unwrap();
        fs::write(folder.join("..1/file"), "").unwrap();
        symlink("..1", folder.join("..data")).unwrap();
        symlink("..data/file", folder.join("file")).unwrap();
        let expected = ["..1/file", "..data", "file"].map(|name| format!("{here}/{name}"));
        let mut found = paths(&folder.join("file"));
        found.sort();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_lacks_can_appear() {
        let (_keep, folder) = folder();
        assert_eq!(paths(&folder.join("no/such/file")), [format!("{}/no", folder.display())]);
        symlink("gone", folder.join("link")).unwrap();
        let expected = ["gone", "link"].map(|name| format!("{}/{name}", folder.display()));
        assert_eq!(paths(&folder.join("link")), expected);
    }

    #[test]
    fn links_in_a_circle_come_to_an_end() {
        let (_keep, folder) = folder();
        symlink("b", folder.join("a")).unwrap();
        symlink("a", folder.join("b")).unwrap();
        let expected = ["a", "b"].map(|name| format!("{}/{name}", folder.display()));
        assert_eq!(paths(&folder.join("a")), expected);
    }

    #[test]
    fn only_what_matters_is_noticed() {
        let (_keep, folder) = folder();
        let mut paths = WatchedPaths::default();
        paths.walk(&folder.join("file"));
        assert!(paths.contain(&folder.join("file")) && paths.contain(&folder));
        assert!(!paths.contain(&folder.join("file.swp")));
    }
}
