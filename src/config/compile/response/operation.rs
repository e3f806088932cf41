//! `response_headers` of one level: names and values that may stand there, and no two operations that fight.

use std::collections::HashSet;

use http::{HeaderName, HeaderValue};

use super::super::CompileContext;
use super::{suggest, value};
use crate::config::doc_path::DocPath;
use crate::config::raw::response::Headers;
use crate::config::raw::shape::Entries;
use crate::diagnostics::{did_you_mean, slip};

/// An operation on a response header, checked.
#[derive(Clone, Debug)]
pub struct HeaderOperation {
    pub name: HeaderName,
    /// The name as the owner wrote it, for messages.
    pub written: String,
    pub action: HeaderAction,
    pub path: DocPath,
    /// Whether a route has it from the file.
    pub inherited: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum HeaderAction {
    Remove,
    Rename(HeaderName),
    Replace(HeaderValue),
    Default(HeaderValue),
    Set(HeaderValue),
    Append(HeaderValue),
}

impl HeaderAction {
    fn word(&self) -> &'static str {
        match self {
            HeaderAction::Remove => "remove",
            HeaderAction::Rename(_) => "rename",
            HeaderAction::Replace(_) => "replace",
            HeaderAction::Default(_) => "default",
            HeaderAction::Set(_) => "set",
            HeaderAction::Append(_) => "append",
        }
    }
}

impl HeaderOperation {
    /// The names that it concerns: two for a rename.
    pub fn names(&self) -> impl Iterator<Item = &HeaderName> {
        let new = match &self.action {
            HeaderAction::Rename(new) => Some(new),
            _ => None,
        };
        std::iter::once(&self.name).chain(new)
    }

    /// The value that it gives to the header.
    pub fn value(&self) -> Option<&HeaderValue> {
        match &self.action {
            HeaderAction::Remove | HeaderAction::Rename(_) => None,
            HeaderAction::Replace(value)
            | HeaderAction::Default(value)
            | HeaderAction::Set(value)
            | HeaderAction::Append(value) => Some(value),
        }
    }

    pub fn to_inherited(&self) -> HeaderOperation {
        HeaderOperation { inherited: true, ..self.clone() }
    }
}

/// The operations of a level, in the order in which they apply; what is wrong is reported and left out.
pub fn read(ctx: &mut CompileContext, path: &DocPath, raw: &Headers) -> Vec<HeaderOperation> {
    let mut operations = Vec::new();
    for (i, written) in raw.remove.iter().enumerate() {
        operations.extend(operation(ctx, path.key("remove").index(i), written, |_, _, _| Some(HeaderAction::Remove)));
    }
    for (written, new) in &raw.rename.0 {
        operations.extend(operation(ctx, path.key("rename").key(written), written, |ctx, path, _| {
            name(ctx, path, new).map(HeaderAction::Rename)
        }));
    }
    type Make = fn(HeaderValue) -> HeaderAction;
    let valued = [
        (&raw.replace, "replace", HeaderAction::Replace as Make),
        (&raw.default, "default", HeaderAction::Default),
        (&raw.set, "set", HeaderAction::Set),
    ];
    for (entries, word, action) in valued {
        for (written, text) in &entries.0 {
            operations.extend(operation(ctx, path.key(word).key(written), written, |ctx, path, name| {
                value::read(ctx, path, name, written, text).map(action)
            }));
        }
    }
    for (written, texts) in &raw.append.0 {
        let path = path.key("append").key(written);
        for (i, text) in texts.0.iter().enumerate() {
            let path = if texts.0.len() > 1 { path.index(i) } else { path.clone() };
            operations.extend(operation(ctx, path, written, |ctx, path, name| {
                value::refuse_append(ctx, path, name);
                value::read(ctx, path, name, written, text).map(HeaderAction::Append)
            }));
        }
    }
    report_conflicts(ctx, &operations);
    operations
}

fn operation(
    ctx: &mut CompileContext,
    path: DocPath,
    written: &str,
    action: impl FnOnce(&mut CompileContext, &DocPath, &HeaderName) -> Option<HeaderAction>,
) -> Option<HeaderOperation> {
    let name = name(ctx, &path, written)?;
    let action = action(ctx, &path, &name)?;
    Some(HeaderOperation { name, written: written.to_owned(), action, path, inherited: false })
}

/// A header that the owner may operate on.
fn name(ctx: &mut CompileContext, path: &DocPath, written: &str) -> Option<HeaderName> {
    let Ok(name) = HeaderName::from_bytes(written.as_bytes()) else {
        ctx.error_with_help(
            path,
            "header_name_invalid",
            format!("{written:?} is not the name of a header"),
            "a name is made of letters, digits and hyphens, without spaces or a colon",
        );
        return None;
    };
    if let Some(why) = reserved(&name) {
        ctx.error_with_help(
            path,
            "header_reserved",
            format!("`{written}` can't be operated on: {why}"),
            "leave it out; the gateway keeps it right by itself",
        );
        return None;
    }
    if let Some(meant) = suggest::security_header(&name) {
        ctx.warning(
            path,
            "header_unknown",
            format!("no browser knows a header `{written}`, so it protects nothing"),
            format!("did you mean `{meant}`?"),
        );
    }
    Some(name)
}

/// Why a header is not the owner's to touch (RFC 9110 §7.6.1, RFC 9112 §6).
fn reserved(name: &HeaderName) -> Option<&'static str> {
    match name.as_str() {
        "connection" | "keep-alive" | "proxy-connection" | "te" | "trailer" | "upgrade" => {
            Some("it belongs to one connection, not to the answer")
        }
        "transfer-encoding" | "content-length" => {
            Some("it says where the answer ends, and a wrong one splits it in two")
        }
        "host" => Some("it is a header of requests"),
        _ => None,
    }
}

/// Two operations on one name where the later makes the earlier pointless.
fn report_conflicts(ctx: &mut CompileContext, operations: &[HeaderOperation]) {
    for (i, later) in operations.iter().enumerate() {
        for earlier in &operations[..i] {
            let Some(help) = conflict(earlier, later) else { continue };
            let (first, second) = (earlier.action.word(), later.action.word());
            let message = if first == second {
                format!("`{}` stands twice in `{second}`", later.written)
            } else {
                let name = earlier.names().find(|name| later.names().any(|other| other == *name));
                let written = if name == Some(&later.name) { &later.written } else { &earlier.written };
                format!("`{written}` stands in both `{first}` and `{second}`")
            };
            ctx.error_with_help(&later.path, "header_conflict", message, help);
            break;
        }
    }
}

fn conflict(earlier: &HeaderOperation, later: &HeaderOperation) -> Option<&'static str> {
    use HeaderAction::*;
    if let Rename(new) = &earlier.action {
        if let Rename(later_new) = &later.action
            && (later.name == *new || earlier.name == *later_new)
        {
            return Some("rename the header once, to its last name");
        }
        if later.name == *new && matches!(later.action, Set(_)) {
            return Some(
                "`set` overwrites what was renamed; use `default` or `append`, or remove the old header instead",
            );
        }
    }
    if earlier.name != later.name {
        return None;
    }
    match (&earlier.action, &later.action) {
        (Append(_), Append(_)) | (Replace(_), Default(_) | Append(_)) | (Default(_) | Set(_), Append(_)) => None,
        (Remove, Append(_)) => None,
        (Remove, Set(_)) => Some("`set` already replaces whatever the origin sent; leave `remove` out"),
        (Remove, Default(_)) => Some("after `remove` the header is always absent; write `set` instead of both"),
        (Remove, _) => Some("after `remove` nothing is left for it to work on; keep one of them"),
        (Rename(_), Rename(_)) => Some("a header can be given one new name"),
        (Rename(_), _) => Some("after `rename` the header has its new name; keep one of them"),
        (_, Set(_)) => Some("`set` applies whether the header is present or not; keep one of them"),
        _ => Some("names are the same in any case of letters; keep one"),
    }
}

/// The inherited headers that a route switches off.
pub fn read_off(
    ctx: &mut CompileContext,
    path: &DocPath,
    off: &Entries<String>,
    own: &[HeaderOperation],
    inherited: &[HeaderOperation],
) -> HashSet<HeaderName> {
    let mut names = HashSet::new();
    for (written, reason) in &off.0 {
        let path = path.key(written);
        let name = HeaderName::from_bytes(written.as_bytes()).ok();
        let Some(name) = name.filter(|name| inherited.iter().any(|operation| operation.names().any(|n| n == name)))
        else {
            let known: Vec<_> = inherited.iter().map(|operation| operation.written.as_str()).collect();
            let otherwise = if slip(written, ["X-Frame-Options", "Content-Security-Policy"]).is_some() {
                "if it comes from `framing`, write `framing: {off: \"why\"}` on the route"
            } else {
                "leave it out; `off` takes names that `response_headers` of the file operates on"
            };
            ctx.error_with_help(
                &path,
                "nothing_to_switch_off",
                format!("the route inherits no operation on `{written}`"),
                did_you_mean(written, known, otherwise),
            );
            continue;
        };
        if let Some(own) = own.iter().find(|own| own.names().any(|own| *own == name)) {
            ctx.error_with_help(
                &path,
                "header_conflict",
                format!("`{written}` stands in both `{}` and `off`", own.action.word()),
                "the route's own operation already takes the place of the inherited one; leave `off` out",
            );
        }
        if reason.trim().is_empty() {
            ctx.error_with_help(
                &path,
                "reason_missing",
                format!("`{written}` is switched off without a reason"),
                format!("write `off: {{{written}: \"why\"}}`"),
            );
        }
        ctx.warning(
            &path,
            "header_switched_off",
            format!("the inherited `{written}` is switched off: {}", reason.trim()),
            "if the reason still holds, nothing needs to change",
        );
        names.insert(name);
    }
    names
}
