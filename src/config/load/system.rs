//! The real world: variables of the process, files of the machine, the system's clock.

use std::fs::{self, File};
use std::io::{self, Read};

use crate::config::compile::Environment;
use crate::decision::rules::defaults::NAMED_FILE_BYTES as MAX_BYTES;

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

    fn list_dir(&self, path: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(path)? {
            // A name that is not text can't end in `.yaml` either.
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }
}
