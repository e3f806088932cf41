//! Compile: `response_headers`, `framing` and `error_pages`, for the file and for each route.
//!
//! Inheritance is by header name: what a route does not mention, it inherits. An inherited operation counts as mentioned
//! when the route has an operation on one of its names (a rename has two) or lists it in `off`.

mod framing;
mod operation;
mod pages;
mod suggest;
mod value;

use std::sync::Arc;

use self::framing::Declared;
use self::operation::{Action, Operation};
use super::{Context, DocPath};
use crate::config::raw;
use crate::decision::response::page::Pages;
use crate::decision::response::{Operations, ResponseRules};

/// What the file declares for all its routes.
pub(super) struct FileLevel {
    operations: Vec<Operation>,
    framing: Option<Declared>,
    pages: Pages,
    rules: Arc<ResponseRules>,
}

/// The rules of a route, or (`None`) of the answers that no route made. A route that declares nothing shares the file's.
///
/// Mistakes at the level of the file are reported by the first call with this `ctx`.
pub fn rules(
    ctx: &mut Context,
    raw: &raw::Config,
    route: Option<(&DocPath, &raw::route::Route)>,
) -> Arc<ResponseRules> {
    let file = match &ctx.response {
        Some(file) => file.clone(),
        None => {
            let file = Arc::new(file_level(ctx, raw));
            ctx.response = Some(file.clone());
            file
        }
    };
    match route {
        Some((path, route)) if declares_something(route) => Arc::new(route_rules(ctx, &file, path, route)),
        _ => file.rules.clone(),
    }
}

fn file_level(ctx: &mut Context, raw: &raw::Config) -> FileLevel {
    let root = DocPath::root();
    let path = root.key("response_headers");
    for (name, _) in &raw.response_headers.off.0 {
        ctx.error_with_help(
            &path.key("off").key(name),
            "off_outside_route",
            format!(
                "`off` switches off what a route inherits, and the file inherits nothing, so `{name}` can't stand here"
            ),
            "leave the operation itself out, or write `off` on a route",
        );
    }
    let operations = operation::read(ctx, &path, &raw.response_headers);
    let framing = raw.framing.as_ref().map(|written| framing::read(ctx, &root.key("framing"), written));
    framing::check(ctx, &operations, framing.as_ref());
    let mut pages = Pages::default();
    pages::read(ctx, &root.key("error_pages"), &raw.error_pages, &mut pages);
    let rules = Arc::new(assemble(&operations, framing.as_ref(), pages.clone()));
    FileLevel { operations, framing, pages, rules }
}

fn declares_something(route: &raw::route::Route) -> bool {
    let raw::response::Headers { remove, rename, replace, default, set, append, off } = &route.response_headers;
    let pairs = [rename, replace, default, set, off];
    !remove.is_empty()
        || pairs.iter().any(|entries| !entries.0.is_empty())
        || !append.0.is_empty()
        || route.framing.is_some()
        || !route.error_pages.0.is_empty()
}

fn route_rules(ctx: &mut Context, file: &FileLevel, path: &DocPath, route: &raw::route::Route) -> ResponseRules {
    let headers = path.key("response_headers");
    let mut operations = operation::read(ctx, &headers, &route.response_headers);
    let off = operation::read_off(ctx, &headers.key("off"), &route.response_headers.off, &operations, &file.operations);
    for operation in &operations {
        warn_if_protection_is_removed(ctx, operation, &file.operations);
    }
    let inherited = file.operations.iter().filter(|inherited| {
        let mentioned = |name| off.contains(name) || operations.iter().any(|own| own.names().any(|own| own == name));
        !inherited.names().any(mentioned)
    });
    let inherited: Vec<_> = inherited.map(Operation::to_inherited).collect();
    operations.extend(inherited);

    let framing = match &route.framing {
        Some(written) => {
            let declared = framing::read(ctx, &path.key("framing"), written);
            framing::check_off(ctx, &declared, written, file.framing.as_ref());
            Some(declared)
        }
        None => file.framing.as_ref().map(Declared::to_inherited),
    };
    framing::check(ctx, &operations, framing.as_ref());

    let mut pages = file.pages.clone();
    pages::read(ctx, &path.key("error_pages"), &route.error_pages, &mut pages);
    assemble(&operations, framing.as_ref(), pages)
}

/// A route may take away what it inherits, but a security header should not go without a word.
fn warn_if_protection_is_removed(ctx: &mut Context, own: &Operation, inherited: &[Operation]) {
    let gives = |operation: &Operation| operation.name == own.name && operation.value().is_some();
    if own.action == Action::Remove && suggest::is_security_header(&own.name) && inherited.iter().any(gives) {
        let name = &own.written;
        ctx.warning(
            &own.path,
            "header_switched_off",
            format!("this route's answers go without the `{name}` that the file declares"),
            "if that is meant, nothing needs to change; to let the origin's own value through, use `off` with a reason",
        );
    }
}

fn assemble(operations: &[Operation], framing: Option<&Declared>, pages: Pages) -> ResponseRules {
    let mut compiled = Operations::default();
    for Operation { name, action, .. } in operations {
        let name = name.clone();
        match action.clone() {
            Action::Remove => compiled.remove.push(name),
            Action::Rename(new) => compiled.rename.push((name, new)),
            Action::Replace(value) => compiled.replace.push((name, value)),
            Action::Default(value) => compiled.default.push((name, value)),
            Action::Set(value) => compiled.set.push((name, value)),
            Action::Append(value) => compiled.append.push((name, value)),
        }
    }
    ResponseRules::new(compiled, framing.and_then(Declared::compile), pages)
}

#[cfg(test)]
mod tests;
