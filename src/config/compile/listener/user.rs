//! Compile: `process.user`.

use crate::config::compile::CompileContext;
use crate::config::doc_path::DocPath;
use crate::config::snapshot::User;

/// Whom the process becomes. Whether this machine knows the user is a warning here, since a file may be checked on another
/// machine than the one that runs it; there it ends the start.
pub(super) fn user(ctx: &mut CompileContext, path: &DocPath, written: &str) -> Option<User> {
    let (name, group) = match written.split_once(':') {
        Some((name, group)) => (name, Some(group)),
        None => (written, None),
    };
    if !is_name(name) || !group.is_none_or(is_name) {
        let help = "write a user and, if it is not the user's own, a group: `portcullis` or `portcullis:web`";
        ctx.error_with_help(path, "invalid_user", format!("`{written}` names no user"), help);
        return None;
    }
    if matches!(name, "root" | "0") {
        let message = "as root, whatever gets hold of the process has the whole machine";
        ctx.warning(path, "user_is_root", message, "name a user of its own, who owns nothing but the log");
    }
    if !ctx.knows_user(name) {
        warn_of_unknown(ctx, path, "unknown_user", "user", name);
    }
    if let Some(group) = group.filter(|group| !ctx.knows_group(group)) {
        warn_of_unknown(ctx, path, "unknown_group", "group", group);
    }
    Some(User { name: name.to_owned(), group: group.map(str::to_owned) })
}

fn warn_of_unknown(ctx: &mut CompileContext, path: &DocPath, code: &'static str, kind: &str, name: &str) {
    let help =
        format!("make it where the gateway runs, for example with `{kind}add --system {name}`; without it, `run` ends");
    ctx.warning(path, code, format!("this machine has no {kind} `{name}`"), help);
}

/// What useradd(8) and groupadd(8) could have made, generously.
fn is_name(text: &str) -> bool {
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, ':' | ',' | '/');
    !text.is_empty() && !text.starts_with('-') && text.chars().all(plain)
}
