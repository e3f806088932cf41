//! The real world: variables of the process, files of the machine, the system's clock.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;

use nix::unistd::{Group, User};

use crate::config::environment::Environment;
use crate::decision::defaults::NAMED_FILE_BYTES as MAX_BYTES;

/// The [`Environment`] of a running program.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEnvironment;

impl Environment for SystemEnvironment {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        // One byte more than allowed tells a file that is too large from one that just fits.
        File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut content)?;
        if content.len() as u64 > MAX_BYTES {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {MAX_BYTES} bytes")));
        }
        Ok(content)
    }

    fn mode(&self, path: &str) -> Option<u32> {
        let metadata = fs::metadata(path).ok().filter(|metadata| metadata.is_file())?;
        Some(metadata.permissions().mode() & 0o777)
    }

    fn knows_user(&self, name: &str) -> bool {
        // Where the system can't say, nothing is known to be wrong.
        name.parse::<u32>().is_ok() || User::from_name(name).map_or(true, |found| found.is_some())
    }

    fn knows_group(&self, name: &str) -> bool {
        name.parse::<u32>().is_ok() || Group::from_name(name).map_or(true, |found| found.is_some())
    }

    fn list_dir(&self, path: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(path)? {
            // A name that is not text can't end in `.yaml` either.
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

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
        assert_eq!((mode(folder.path()), SystemEnvironment.mode("/dev/null")), (None, None));
    }

    #[test]
    fn users_are_those_of_the_system() {
        assert!(SystemEnvironment.knows_user("root") && SystemEnvironment.knows_user("4711"));
        assert!(!SystemEnvironment.knows_user("no-such-user") && !SystemEnvironment.knows_group("no-such-group"));
    }
}
