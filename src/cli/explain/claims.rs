//! The claims that a caller is supposed to have, from a file.

use std::io::ErrorKind;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::files;

/// More than any token has room for.
const MAX_BYTES: u64 = 1 << 20;
/// For a pipe of which the writer has to make the claims first (`--claims <(…)`), or is not there.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The JSON object in `file`.
///
/// # Errors
/// When it can't be read within [`MAX_BYTES`] and [`TIMEOUT`], or holds something else.
pub(super) fn read(file: &str) -> Result<Map<String, Value>, String> {
    read_within(file, TIMEOUT)
}

fn read_within(file: &str, timeout: Duration) -> Result<Map<String, Value>, String> {
    let content = files::read_anything(file, MAX_BYTES, timeout).map_err(|error| match error.kind() {
        ErrorKind::TimedOut => format!("cannot read `{file}`: it ends not in {timeout:?}"),
        ErrorKind::FileTooLarge => format!("`{file}` is longer than {MAX_BYTES} bytes"),
        _ => format!("cannot read `{file}`: {error}"),
    })?;
    serde_json::from_slice(&content).map_err(|error| format!("`{file}` is not a JSON object: {error}"))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;
    use std::{fs, thread};

    use super::*;

    #[test]
    fn claims_are_read_within_a_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        fs::write(path("claims"), r#"{"sub": "ann"}"#).unwrap();
        assert_eq!(read(&path("claims")).unwrap()["sub"], "ann");
        let long = format!(r#"{{"sub": "{}"}}"#, "a".repeat(MAX_BYTES as usize));
        fs::write(path("long"), long).unwrap();
        assert!(read(&path("long")).unwrap_err().contains("longer than 1048576 bytes"));
        assert!(read("/dev/zero").unwrap_err().contains("longer than"));

        nix::unistd::mkfifo(&*path("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let begun = Instant::now();
        let said = read_within(&path("pipe"), Duration::from_millis(20)).unwrap_err();
        assert!(said.contains("ends not in 20ms") && begun.elapsed() < TIMEOUT, "{said}");
        nix::unistd::mkfifo(&*path("written"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| fs::write(path("written"), "{}").unwrap());
            assert!(read(&path("written")).unwrap().is_empty());
        });
    }
}
