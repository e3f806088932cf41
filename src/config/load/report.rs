//! Report: what the readers of a file have in common when they report a mistake in it.

use std::sync::Arc;

use crate::diagnostics::{Diagnostic, Place, Severity};

/// How many mistakes of each kind (of structure, of shape) one run reports. Beyond, the file is not what its owner
/// meant to show.
pub(super) const MAX_MISTAKES: usize = 200;

/// A mistake in a file as such, which no path in the document names.
pub(super) fn file_error(place: Place, code: &'static str, message: String) -> Diagnostic {
    Diagnostic { code, severity: Severity::Error, place, path: String::new(), message, help: None }
}

/// The beginning of `file`.
pub(super) fn start_of(file: &str) -> Place {
    Place { file: file.into(), line: 1, column: 1 }
}

/// The place after `valid`, which is UTF-8.
pub(super) fn end_of(file: &Arc<str>, valid: &[u8]) -> Place {
    // YAML 1.2 §5.4: a line ends with LF, CR or both.
    let lone_returns = valid.windows(2).filter(|pair| pair[0] == b'\r' && pair[1] != b'\n').count();
    let line = 1 + lone_returns + valid.iter().filter(|&&b| b == b'\n').count() + usize::from(valid.ends_with(b"\r"));
    let last = valid.rsplit(|&b| matches!(b, b'\n' | b'\r')).next().unwrap_or_default();
    // Continuation bytes begin with 10: every other byte begins a character.
    let column = 1 + last.iter().filter(|&&b| b & 0xc0 != 0x80).count();
    let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Place { file: file.clone(), line: small(line), column: small(column) }
}
