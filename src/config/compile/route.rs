//! Compile: `routes`.

mod action;
mod connection;
mod mirror;
mod parent;
mod pattern;
mod redirect_loop;
mod split;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Method, header};

pub use self::action::action;
pub use self::connection::arrivals;
pub use self::parent::warn_of_open_parents;
pub use self::redirect_loop::check_redirects;

use self::pattern::InvalidValue;
use super::CompileContext;
use crate::config::doc_path::DocPath;
use crate::config::raw;
use crate::config::raw::matching::{PathMatch, ValueMatch};
use crate::decision::ids::RouteId;
use crate::decision::request::fields::FieldName;
use crate::decision::route::{Condition, EncodedSeparators, Match, PathPattern, Table};

/// Compiles the route's `match`. `path` is the route's own place.
pub fn matches(
    ctx: &mut CompileContext,
    path: &DocPath,
    id: RouteId,
    route: &raw::route::Route,
    raw: &raw::Config,
) -> Option<Match> {
    let merge_slashes = merge_slashes(ctx, path, route);
    let path = path.key("match");
    let written = &route.matches;
    let connection = connection::conditions(ctx, &path, written, raw);
    let hosts = each(ctx, &path.key("host"), &written.host.0, "invalid_host", |text| pattern::host(text));
    let encoded_separators = encoded_separators(route);
    let kept = encoded_separators == EncodedSeparators::Keep;
    let paths = each(ctx, &path.key("path"), &written.path.0, "invalid_path", |text| path_pattern(text, kept));
    let paths = paths.filter(|paths| every_reading_is_taken(ctx, &path.key("path"), paths));
    let methods = each(ctx, &path.key("methods"), &written.methods.0, "invalid_method", |text| method(text));
    let headers = headers(ctx, &path.key("headers"), &written.headers.0);
    let query = query(ctx, &path.key("query"), &written.query.0);
    Some(Match {
        route: id,
        connection: connection?,
        hosts: hosts?,
        paths: paths?,
        methods: methods?,
        headers: headers?,
        query: query?,
        encoded_separators,
        merge_slashes,
    })
}

/// Whether `//` is matched and forwarded as `/`. A redirect that began with `//` would lead to another host.
fn merge_slashes(ctx: &mut CompileContext, path: &DocPath, route: &raw::route::Route) -> bool {
    let keeps = route.merge_slashes == Some(false);
    if keeps && route.upstream.is_none() {
        ctx.warning(
            &path.key("merge_slashes"),
            "setting_without_effect",
            "`merge_slashes` does nothing, since the route has no upstream",
            "remove it, or add `upstream`",
        );
    }
    !keeps || route.upstream.is_none()
}

fn encoded_separators(route: &raw::route::Route) -> EncodedSeparators {
    match route.encoded_separators {
        raw::route::EncodedSeparators::Reject => EncodedSeparators::Reject,
        raw::route::EncodedSeparators::Keep => EncodedSeparators::Keep,
        raw::route::EncodedSeparators::Decode => EncodedSeparators::Decode,
    }
}

/// Reports patterns whose requests are refused because origins may read them as a path that the route does not take.
fn every_reading_is_taken(ctx: &mut CompileContext, path: &DocPath, paths: &[PathPattern]) -> bool {
    let mut all = true;
    for pattern in paths {
        if let Some(reading) = pattern::other_reading(pattern)
            && !paths.iter().any(|pattern| pattern.matches(&reading))
        {
            all = false;
            let message = format!(
                "origins may read a path with parameters (`;`) or needless escapes as `{reading}`, which this route does not \
                 take, so that its requests would be refused"
            );
            ctx.error_with_help(path, "invalid_path", message, format!("write `{reading}`, or add it to the paths"));
        }
    }
    all
}

/// Puts the routes' matches into one table. `names` are the routes' places and names by [`RouteId`].
pub fn table(ctx: &mut CompileContext, matches: Vec<Match>, names: &[(DocPath, Arc<str>)]) -> Option<Table> {
    let ambiguities = match Table::build(matches) {
        Ok(table) => return Some(table),
        Err(ambiguities) => ambiguities,
    };
    for ambiguity in ambiguities {
        let [first, second] = [ambiguity.first, ambiguity.second].map(|id| names.get(id.0 as usize));
        if let (Some((first_path, first)), Some((second_path, second))) = (first, second) {
            let place = ctx.place(first_path);
            ctx.error_with_help(
                &second_path.key("match"),
                "ambiguous_routes",
                format!(
                    "`{second}` and `{first}` ({place}) would take the same requests with equal right: {}",
                    ambiguity.overlap
                ),
                "remove one of them, or give one a further condition such as `methods`, `headers` or a longer `path`",
            );
        }
    }
    None
}

/// Compiles every item of a list and reports each that is wrong; `None` if any is.
fn each<T, C>(
    ctx: &mut CompileContext,
    path: &DocPath,
    items: &[T],
    code: &'static str,
    compile: impl Fn(&T) -> Result<C, InvalidValue>,
) -> Option<Vec<C>> {
    let mut compiled = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        // A single value may stand there without a list.
        let path = if items.len() == 1 { path.clone() } else { path.index(index) };
        compiled.extend(compile(item).map_err(|wrong| wrong.report(ctx, &path, code)).ok());
    }
    (compiled.len() == items.len()).then_some(compiled)
}

fn path_pattern(written: &PathMatch, kept_separators: bool) -> Result<PathPattern, InvalidValue> {
    match written {
        PathMatch::Pattern(text) => pattern::path(text, kept_separators),
        PathMatch::Regex(text) => pattern::regex(text).map(PathPattern::Regex),
    }
}

fn method(text: &str) -> Result<Method, InvalidValue> {
    let upper = text.to_ascii_uppercase();
    match Method::from_bytes(upper.as_bytes()) {
        Err(_) => Err(InvalidValue::new(format!("`{text}` is not a method"), "write methods such as GET or POST")),
        Ok(Method::CONNECT) => {
            Err(InvalidValue::new("CONNECT is refused before any route is asked", "remove it; it would open a tunnel"))
        }
        Ok(_) if upper != text => Err(InvalidValue::new(
            format!("methods are in capitals, so no request has `{text}`"),
            format!("write `{upper}`"),
        )),
        Ok(method) => Ok(method),
    }
}

fn headers(
    ctx: &mut CompileContext,
    path: &DocPath,
    written: &[(String, ValueMatch)],
) -> Option<Vec<(FieldName, Condition)>> {
    let mut conditions: Vec<(FieldName, Condition)> = Vec::with_capacity(written.len());
    for (text, value) in written {
        let path = path.key(text);
        let name = match HeaderName::from_bytes(text.as_bytes()) {
            Ok(header::HOST) => Err(InvalidValue::new("the host has its own condition", "write it as `match.host`")),
            Ok(name) if conditions.iter().any(|(known, _)| *known == name) => Err(InvalidValue::new(
                format!("`{name}` has a condition already"),
                "header names differ by more than case",
            )),
            Ok(name) => Ok(ctx.field(name)),
            Err(_) => Err(InvalidValue::new(format!("`{text}` is not a header name"), "use letters, digits and `-`")),
        };
        let name = name.map_err(|wrong| wrong.report(ctx, &path, "invalid_header")).ok();
        let condition = condition(value).map_err(|wrong| wrong.report(ctx, &path, "invalid_condition")).ok();
        conditions.extend(name.zip(condition));
    }
    (conditions.len() == written.len()).then_some(conditions)
}

fn query(
    ctx: &mut CompileContext,
    path: &DocPath,
    written: &[(String, ValueMatch)],
) -> Option<Vec<(String, Condition)>> {
    let mut conditions = Vec::with_capacity(written.len());
    for (name, value) in written {
        match condition(value) {
            Ok(condition) => conditions.push((name.clone(), condition)),
            Err(wrong) => wrong.report(ctx, &path.key(name), "invalid_condition"),
        }
    }
    (conditions.len() == written.len()).then_some(conditions)
}

fn condition(written: &ValueMatch) -> Result<Condition, InvalidValue> {
    match written {
        ValueMatch::Present(wanted) => Ok(Condition::Present(*wanted)),
        ValueMatch::Regex(text) => pattern::regex(text).map(Condition::Regex),
        ValueMatch::Exact(text) if text.trim_ascii() != text => Err(InvalidValue::new(
            "no value begins or ends with a space: they are dropped when a request is read",
            format!("write `{}`", text.trim_ascii()),
        )),
        ValueMatch::Exact(text) => HeaderValue::from_bytes(text.as_bytes())
            .map(Condition::Exact)
            .map_err(|_| InvalidValue::new("the value contains a control character", "write a value without it")),
    }
}
