//! What every part of Portcullis says about a mistake in its input: what is wrong, where, and what to do about it.
//!
//! Configuration, import, the command line and the admin listener all speak [`Diagnostic`], so that an owner meets one
//! form of message everywhere.

mod nearest;

use std::fmt;
use std::sync::Arc;

pub use nearest::{did_you_mean, nearest, slip};

/// How much a [`Diagnostic`] matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration works; something in it deserves a second look.
    Warning,
    /// The configuration is refused.
    Error,
}

/// A position in a configuration file. Lines and columns count from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file as the user named it.
    pub file: Arc<str>,
    /// 1-based; 0 when only the file is known.
    pub line: u32,
    /// 1-based; 0 when only the file is known.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            return write!(f, "{}", self.file);
        }
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// One problem, complete enough to be mended without reading source code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable identifier, such as `unknown_field`; scripts may match on it.
    pub code: &'static str,
    pub severity: Severity,
    pub place: Place,
    /// Where in the document, such as `routes[2].match.path`. Empty for the document itself.
    pub path: String,
    /// What is wrong and why, without a trailing full stop.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{}: {severity}[{}]: ", self.place, self.code)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "{}", self.message)?;
        if let Some(help) = &self.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

/// Whether any of `diagnostics` refuses the configuration.
pub fn has_errors(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(|d| d.severity == Severity::Error)
}
