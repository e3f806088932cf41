//! The real world: variables of the process, files of the machine, the system's clock.

use std::io;

use nix::unistd::{Group, Uid, User};

use crate::config::environment::Environment;
use crate::decision::defaults::NAMED_FILE_BYTES as MAX_BYTES;
use crate::files::{self, FileStamp};

/// The [`Environment`] of a running program.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEnvironment;

impl Environment for SystemEnvironment {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        files::read(path, MAX_BYTES)
    }

    fn read_at_start(&self, path: &str) -> io::Result<Vec<u8>> {
        files::read_even_pipe(path, MAX_BYTES)
    }

    fn mode(&self, path: &str) -> Option<u32> {
        files::stamp(path).ok()?.permissions()
    }

    fn stamp(&self, path: &str) -> io::Result<FileStamp> {
        files::stamp(path)
    }

    fn is_privileged(&self) -> bool {
        Uid::effective().is_root()
    }

    fn knows_user(&self, name: &str) -> bool {
        // Where the system can't say, nothing is known to be wrong.
        name.parse::<u32>().is_ok() || User::from_name(name).map_or(true, |found| found.is_some())
    }

    fn knows_group(&self, name: &str) -> bool {
        name.parse::<u32>().is_ok() || Group::from_name(name).map_or(true, |found| found.is_some())
    }

    fn list_dir(&self, path: &str) -> io::Result<Vec<String>> {
        files::names(path)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn the_mode_is_that_of_the_file_behind_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        symlink("file", &link).unwrap();
        let mode = |path: &std::path::Path| SystemEnvironment.mode(path.to_str().unwrap());
        assert_eq!((mode(&file), mode(&link)), (Some(0o640), Some(0o640)));
        assert!(mode(folder.path()).is_some());
        assert_eq!(SystemEnvironment.mode("/dev/null"), None);
    }

    #[test]
    fn users_are_those_of_the_system() {
        assert!(SystemEnvironment.knows_user("root") && SystemEnvironment.knows_user("4711"));
        assert!(!SystemEnvironment.knows_user("no-such-user") && !SystemEnvironment.knows_group("no-such-group"));
    }
}
