//! [`SandboxGrants`]: the folders and files that a process is given.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Folders of the system, of which single files are given and never the whole: what is in them belongs to others.
const SYSTEM_FOLDERS: [&str; 20] = [
    "/",
    "/dev",
    "/etc",
    "/etc/pki",
    "/etc/pki/tls",
    "/etc/pki/tls/private",
    "/etc/ssl",
    "/etc/ssl/private",
    "/home",
    "/opt",
    "/proc",
    "/root",
    "/run",
    "/srv",
    "/sys",
    "/usr",
    "/usr/local",
    "/usr/local/etc",
    "/var",
    "/var/lib",
];

/// What a process may open. What does not exist when it is given can't be.
#[derive(Debug, Default)]
pub struct SandboxGrants {
    pub(super) entries: BTreeMap<PathBuf, Grant>,
    /// Whether it may connect to Unix sockets without a path, of processes outside.
    pub(super) abstract_sockets: bool,
}

/// How a folder with all beneath it, or a file, may be used.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Grant {
    pub read: bool,
    /// Written to, and files made in it.
    pub write: bool,
    /// Sockets, links and folders made and removed in it.
    pub sockets: bool,
    /// Device and inode, if it is no folder: another file in its place is another one.
    file: Option<(u64, u64)>,
}

impl SandboxGrants {
    /// The folder `path` with all beneath it, or the file, can be read.
    pub fn read(&mut self, path: &Path) {
        self.add(path, |grant| grant.read = true);
    }

    /// The same for the folder of a file that may be replaced: a new file is another one, and its folder is the same. Of a folder of
    /// the system, only the files `names`. Returns those.
    pub fn read_in(&mut self, folder: &Path, names: impl Iterator<Item = PathBuf>) -> Vec<PathBuf> {
        if !is_of_system(folder) {
            self.read(folder);
            return Vec::new();
        }
        let files: Vec<PathBuf> = names.map(|name| folder.join(name)).filter(|path| !path.is_dir()).collect();
        files.iter().for_each(|file| self.read(file));
        files.into_iter().filter(|file| fs::symlink_metadata(file).is_ok_and(|found| found.is_file())).collect()
    }

    /// Logs can be written to `names` in `folder`, and be made anew after a rotation. Of a folder of the system, only the files that
    /// are there.
    pub fn write_in(&mut self, folder: &Path, names: impl Iterator<Item = PathBuf>) {
        let log = |grant: &mut Grant| (grant.read, grant.write) = (true, true);
        if !is_of_system(folder) {
            return self.add(folder, log);
        }
        names.map(|name| folder.join(name)).filter(|path| !path.is_dir()).for_each(|file| self.add(&file, log));
    }

    /// Sockets can be made in `folder`, and in one that is made in its place.
    pub fn make_sockets_in(&mut self, folder: &Path) {
        for folder in folder.parent().into_iter().chain([folder]) {
            self.add(folder, |grant| grant.sockets = true);
        }
    }

    /// The process may connect to Unix sockets without a path.
    pub fn allow_abstract_sockets(&mut self) {
        self.abstract_sockets = true;
    }

    fn add(&mut self, path: &Path, change: impl Fn(&mut Grant)) {
        let Ok(path) = fs::canonicalize(path) else { return };
        let Ok(found) = fs::metadata(&path) else { return };
        let grant = self.entries.entry(path).or_default();
        grant.file = (!found.is_dir()).then_some((found.dev(), found.ino()));
        change(grant);
    }

    pub(super) fn readable(&self) -> impl Iterator<Item = &Path> {
        self.of(|grant| grant.read)
    }

    pub(super) fn writable(&self) -> impl Iterator<Item = &Path> {
        self.of(|grant| grant.write || grant.sockets)
    }

    fn of(&self, kind: impl Fn(&Grant) -> bool) -> impl Iterator<Item = &Path> {
        self.entries.iter().filter(move |(_, grant)| kind(grant)).map(|(path, _)| path.as_path())
    }

    /// Whether what stands at `path`, an absolute path without links, can be read.
    pub(super) fn may_read(&self, path: &Path) -> bool {
        self.covers(path, |grant| grant.read)
    }

    /// Whether it can be written, or made.
    pub(super) fn may_write(&self, path: &Path) -> bool {
        self.covers(path, |grant| grant.write)
    }

    /// Whether a file at `path` was given, be it this one or another.
    pub(super) fn had(&self, path: &Path) -> bool {
        self.entries.get(path).is_some_and(|grant| grant.file.is_some())
    }

    fn covers(&self, path: &Path, kind: impl Fn(&Grant) -> bool) -> bool {
        let same = |file| fs::metadata(path).is_ok_and(|found| file == (found.dev(), found.ino()));
        path.ancestors().any(|above| {
            let granted = self.entries.get(above).filter(|grant| kind(grant));
            granted.is_some_and(|grant| grant.file.is_none_or(|file| above == path && same(file)))
        })
    }
}

fn is_of_system(folder: &Path) -> bool {
    let found = fs::canonicalize(folder);
    let found = found.as_deref().unwrap_or(folder);
    let is_home = found.parent() == Some(Path::new("/home"));
    SYSTEM_FOLDERS.iter().any(|system| found == Path::new(system)) || is_home || found.starts_with("/proc")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> impl Iterator<Item = PathBuf> {
        names.iter().map(PathBuf::from).collect::<Vec<_>>().into_iter()
    }

    #[test]
    fn a_folder_is_given_with_what_will_be_in_it_and_a_file_as_it_is() {
        let above = tempfile::tempdir().unwrap();
        let (folder, file) = (above.path().join("folder"), above.path().join("file"));
        fs::create_dir(&folder).unwrap();
        fs::write(&file, "").unwrap();
        let mut grants = SandboxGrants::default();
        assert!(grants.read_in(&folder, names(&["a"])).is_empty());
        grants.read(&file);
        grants.read(&above.path().join("missing"));
        let at = |path: &str| fs::canonicalize(above.path()).unwrap().join(path);
        assert!(grants.may_read(&at("folder/a")) && grants.may_read(&at("folder/b/c")) && grants.may_read(&at("file")));
        assert!(
            !grants.may_read(&at("other")) && !grants.may_read(&at("missing")) && !grants.may_write(&at("folder/a"))
        );
        fs::write(above.path().join("new"), "").unwrap();
        fs::rename(above.path().join("new"), &file).unwrap();
        assert!(!grants.may_read(&at("file")) && grants.had(&at("file")));
    }

    #[test]
    fn of_a_folder_of_the_system_single_files_are_given() {
        let mut grants = SandboxGrants::default();
        assert_eq!(grants.read_in(Path::new("/etc"), names(&["passwd", "ssl"])), [PathBuf::from("/etc/passwd")]);
        grants.write_in(Path::new("/dev"), names(&["null", "shm"]));
        assert!(grants.may_read(Path::new("/etc/passwd")) && grants.may_write(Path::new("/dev/null")));
        assert!(is_of_system(Path::new("/home/alice")) && !is_of_system(Path::new("/home/alice/gateway")));
        for path in ["/etc/shadow", "/etc/ssl/x", "/etc"] {
            assert!(!grants.may_read(Path::new(path)), "{path}");
        }
        assert!(!grants.may_write(Path::new("/dev/zero")) && !grants.may_write(Path::new("/dev/shm/x")));
    }
}
