//! Compile: `routes`: what they match, what they do, and whether two of them contradict each other.

mod action;
mod pattern;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Method};

use self::pattern::{host, path_pattern, regex};
use super::{Context, DocPath};
use crate::config::raw::route::{Route, Value};
use crate::config::raw::shape::Entries;
use crate::decision::route::{Condition, Match, Table};
use crate::decision::rules::RouteId;

pub use action::action;

/// What a route matches. `None` only if something was reported.
pub fn matches(ctx: &mut Context, path: &DocPath, id: RouteId, route: &Route) -> Option<Match> {
    let raw = &route.matches;
    let path = path.key("match");
    let hosts = each(ctx, &path.key("host"), &raw.host.0, |ctx, path, text| host(ctx, path, text));
    let paths = each(ctx, &path.key("path"), &raw.path.0, path_pattern);
    let methods = each(ctx, &path.key("methods"), &raw.methods.0, |ctx, path, text| method(ctx, path, text));
    let headers = headers(ctx, &path.key("headers"), &raw.headers);
    let query = conditions(ctx, &path.key("query"), &raw.query, |_, _, name| Some(name.to_owned()));
    Some(Match { route: id, hosts: hosts?, paths: paths?, methods: methods?, headers: headers?, query: query? })
}

/// The table of all routes, or a diagnostic at both routes of every ambiguous pair.
pub fn table(ctx: &mut Context, matches: Vec<Match>, names: &[(DocPath, Arc<str>)]) -> Option<Table> {
    match Table::build(matches) {
        Ok(table) => Some(table),
        Err(ambiguities) => {
            for found in ambiguities {
                let (first, second) = (&names[found.first.0 as usize], &names[found.second.0 as usize]);
                for ((path, _), (other_path, other)) in [(first, second), (second, first)] {
                    let place = ctx.place(other_path);
                    let message =
                        format!("this route and `{other}` ({place}) match with equal right: {}", found.overlap);
                    let help = "make one more specific by host, path, methods, headers or query, or remove one";
                    ctx.error_with_help(&path.key("match"), "ambiguous_routes", message, help);
                }
            }
            None
        }
    }
}

/// Compiles every item of a list that may also be written as its only item; `None` if any is wrong.
fn each<T, C>(
    ctx: &mut Context,
    path: &DocPath,
    items: &[T],
    mut compile: impl FnMut(&mut Context, &DocPath, &T) -> Option<C>,
) -> Option<Vec<C>> {
    // All are compiled, so that all mistakes are reported.
    let compiled: Vec<Option<C>> =
        items.iter().enumerate().map(|(index, item)| compile(ctx, &path.index(index), item)).collect();
    compiled.into_iter().collect()
}

fn method(ctx: &mut Context, path: &DocPath, text: &str) -> Option<Method> {
    if text.bytes().any(|b| b.is_ascii_lowercase()) {
        let help = format!("methods are case-sensitive; write `{}`", text.to_ascii_uppercase());
        ctx.error_with_help(path, "invalid_method", format!("`{text}` is no standard method"), help);
        return None;
    }
    match Method::from_bytes(text.as_bytes()) {
        Ok(Method::CONNECT) => {
            ctx.error(path, "invalid_method", "CONNECT is always refused");
            None
        }
        Ok(method) => Some(method),
        Err(_) => {
            ctx.error(path, "invalid_method", format!("`{text}` is not a method"));
            None
        }
    }
}

fn headers(ctx: &mut Context, path: &DocPath, raw: &Entries<Value>) -> Option<Vec<(HeaderName, Condition)>> {
    conditions(ctx, path, raw, |ctx, path, name| match HeaderName::from_bytes(name.as_bytes()) {
        Ok(http::header::HOST) => {
            ctx.error_with_help(path, "invalid_header", "the host is matched in its normal form", "use `match.host`");
            None
        }
        Ok(name) => Some(name),
        Err(_) => {
            ctx.error(path, "invalid_header", format!("`{name}` is not a header name"));
            None
        }
    })
}

fn conditions<N>(
    ctx: &mut Context,
    path: &DocPath,
    raw: &Entries<Value>,
    name: impl Fn(&mut Context, &DocPath, &str) -> Option<N>,
) -> Option<Vec<(N, Condition)>> {
    let compiled: Vec<Option<(N, Condition)>> = raw
        .0
        .iter()
        .map(|(key, value)| {
            let path = path.key(key);
            let name = name(ctx, &path, key);
            let condition = condition(ctx, &path, value);
            name.zip(condition)
        })
        .collect();
    compiled.into_iter().collect()
}

fn condition(ctx: &mut Context, path: &DocPath, value: &Value) -> Option<Condition> {
    match value {
        Value::Present(wanted) => Some(Condition::Present(*wanted)),
        Value::Regex(text) => regex(ctx, &path.key("regex"), text).map(Condition::Regex),
        Value::Exact(text) => match HeaderValue::from_str(text) {
            Ok(value) => Some(Condition::Exact(value)),
            Err(_) => {
                ctx.error(path, "invalid_value", "the value has characters that no request can carry");
                None
            }
        },
    }
}
