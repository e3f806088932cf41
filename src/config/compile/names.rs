//! What may be a name. Names become labels of metrics and fields of log lines.

use std::collections::HashMap;

use super::CompileContext;
use crate::config::doc_path::DocPath;

/// Longest name that is written for people, in characters.
const MAX_TITLE: usize = 100;

/// Longest name that programs read, in bytes.
const MAX_TOKEN: usize = 64;

/// Checks the names of routes or listeners, which are for people: each 1 to 100 printable characters, and unique in
/// `list`.
pub(super) fn titles<'n>(ctx: &mut CompileContext, list: &DocPath, names: impl Iterator<Item = &'n str>) {
    let mut seen: HashMap<&str, DocPath> = HashMap::new();
    for (index, name) in names.enumerate() {
        let path = list.index(index).key("name");
        if name.is_empty() || name.chars().count() > MAX_TITLE || name.chars().any(char::is_control) {
            let message = format!("a name has 1 to {MAX_TITLE} printable characters");
            ctx.error(&path, "invalid_name", message);
        } else if let Some(first) = seen.get(name) {
            let message = format!("the name `{name}` was already given at {}", ctx.place(first));
            ctx.error(&path, "duplicate_name", message);
        } else {
            seen.insert(name, path);
        }
    }
}

/// Whether `name` may name `what`, such as "an upstream"; if not, with a diagnostic at `path`. Such names are referred to
/// in the file, and sent in header fields without quoting: 1 to 64 of `[A-Za-z0-9._-]`.
pub(super) fn token(ctx: &mut CompileContext, path: &DocPath, what: &str, name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let valid = (1..=MAX_TOKEN).contains(&name.len()) && name.bytes().all(plain);
    if !valid {
        ctx.error_with_help(
            path,
            "invalid_name",
            format!("`{name}` can't name {what}: the name stands in logs, metrics and header fields"),
            format!("use letters, digits, `.`, `_` and `-`, at most {MAX_TOKEN} of them"),
        );
    }
    valid
}
