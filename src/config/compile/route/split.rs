//! Compile: where a route's requests go, by `upstream`.

#[cfg(test)]
mod tests;

use std::collections::HashSet;

use http::HeaderName;

use super::condition;
use super::pattern::InvalidValue;
use crate::config::compile::CompileContext;
use crate::config::doc_path::DocPath;
use crate::config::raw;
use crate::config::raw::access::Access;
use crate::config::raw::matching::ValueMatch;
use crate::config::raw::split as written;
use crate::decision::ids::UpstreamId;
use crate::decision::request::fields::FieldName;
use crate::decision::upstream::share::Share;
use crate::decision::upstream::split::{Destination, Side, Split, SplitField, StickyBy, When};
use crate::diagnostics::nearest;

/// Compiles the `upstream` of a route, which is at `path`.
pub(super) fn destination(
    ctx: &mut CompileContext,
    path: &DocPath,
    written: &written::Destination,
    access: Option<&Access>,
    raw: &raw::Config,
) -> Option<Destination> {
    match written {
        written::Destination::Upstream(name) => upstream(ctx, path, name, raw).map(Destination::One),
        written::Destination::Split(written) => {
            split(ctx, path, written, access, raw).map(|split| Destination::Split(Box::new(split)))
        }
    }
}

/// The upstream called `name`, which is written at `path`.
pub(super) fn upstream(ctx: &mut CompileContext, path: &DocPath, name: &str, raw: &raw::Config) -> Option<UpstreamId> {
    let mut names = raw.upstreams.0.iter().map(|(known, _)| known.as_str());
    if let Some(index) = names.clone().position(|known| known == name) {
        return Some(UpstreamId(index as u32));
    }
    if ctx.lacks("upstreams", name) {
        return None;
    }
    let help = match nearest(name, names.clone()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if names.next().is_none() => {
            format!("declare it: `upstreams: {{{name}: {{endpoints: [\"host:port\"]}}}}`")
        }
        None => {
            let known: Vec<_> = raw.upstreams.0.iter().map(|(known, _)| known.as_str()).take(10).collect();
            format!("declared are `{}`", known.join("`, `"))
        }
    };
    ctx.error_with_help(path, "unknown_upstream", format!("there is no upstream `{name}`"), help);
    None
}

fn split(
    ctx: &mut CompileContext,
    path: &DocPath,
    written: &written::Split,
    access: Option<&Access>,
    raw: &raw::Config,
) -> Option<Split> {
    let list = path.key("split");
    let whole = is_whole(ctx, &list, &written.split);
    let sticky_by = sticky_by(ctx, &path.key("sticky_by"), &written.sticky_by, access);
    let mut sides = Vec::with_capacity(written.split.len());
    for (index, side) in written.split.iter().enumerate() {
        sides.extend(self::side(ctx, &list.index(index), side, raw));
    }
    let rest = written.split.iter().position(|side| side.share.is_none())?;
    if !whole || sides.len() != written.split.len() {
        return None;
    }
    let falls_back = written.when_unavailable == written::WhenUnavailable::Rest;
    Some(Split { rest: sides[rest].upstream, sides, sticky_by: sticky_by?, falls_back })
}

/// Whether every request has a side: reports what is missing, or there twice.
fn is_whole(ctx: &mut CompileContext, list: &DocPath, sides: &[written::Side]) -> bool {
    let before = ctx.errors();
    let mut rests = sides.iter().enumerate().filter(|(_, side)| side.share.is_none());
    if rests.next().is_none() {
        let message = "no side takes what the others leave";
        ctx.error_with_help(list, "split_without_rest", message, "leave `share` away from one of them: it is the rest");
    }
    for (index, _) in rests {
        let message = "there is a side without `share` already, which is the rest";
        let help = "give this one a `share`, which is `0%` if only its `when` brings it requests";
        ctx.error_with_help(&list.index(index), "split_rest_twice", message, help);
    }
    let mut shares = sides.iter().filter_map(|side| side.share).map(share);
    if shares.try_fold(Share::NONE, Share::plus).is_none() {
        let message = "the shares are more than 100% together";
        ctx.error_with_help(list, "split_over_whole", message, "lower one of them; what they leave, the rest takes");
    }
    let mut known = HashSet::new();
    for (index, side) in sides.iter().enumerate() {
        if !known.insert(side.upstream.as_str()) {
            let message = format!("`{}` is a side of this split already", side.upstream);
            let help = "write one side with both shares and the conditions of both";
            ctx.error_with_help(&list.index(index).key("upstream"), "split_side_twice", message, help);
        }
    }
    if let [side] = sides
        && ctx.errors() == before
    {
        let help = format!("write `upstream: {}`, or add a side", side.upstream);
        ctx.warning(list, "split_of_one", "a split with one side sends every request there", help);
    }
    ctx.errors() == before
}

fn side(ctx: &mut CompileContext, path: &DocPath, side: &written::Side, raw: &raw::Config) -> Option<Side> {
    let upstream = upstream(ctx, &path.key("upstream"), &side.upstream, raw);
    let mut when = Vec::with_capacity(side.when.len());
    for (index, condition) in side.when.iter().enumerate() {
        let path = path.key("when").index(index);
        when.extend(self::when(ctx, condition).map_err(|wrong| wrong.report(ctx, &path, "invalid_condition")).ok());
    }
    let complete = when.len() == side.when.len();
    Some(Side { upstream: upstream?, share: side.share.map(share).unwrap_or_default(), when }).filter(|_| complete)
}

/// The share in the terms of decisions.
pub(super) fn share(share: raw::units::Share) -> Share {
    Share::millionths(share.millionths)
}

fn when(ctx: &mut CompileContext, written: &written::When) -> Result<When, InvalidValue> {
    let field = match (&written.header, &written.cookie) {
        (Some(name), None) => SplitField::Header(header(ctx, name)?),
        (None, Some(name)) => SplitField::Cookie(cookie(name)?),
        _ => {
            let message = "a condition looks at one thing, a header or a cookie";
            return Err(InvalidValue::new(message, "write for example `{header: x-canary, value: \"1\"}`"));
        }
    };
    let condition = condition(written.value.as_ref().unwrap_or(&ValueMatch::Present(true)))?;
    Ok(When { field, condition })
}

fn sticky_by(
    ctx: &mut CompileContext,
    path: &DocPath,
    written: &written::StickyBy,
    access: Option<&Access>,
) -> Option<Option<StickyBy>> {
    let key = match written {
        written::StickyBy::None => return Some(None),
        written::StickyBy::ClientAddress => Ok(StickyBy::ClientAddress),
        written::StickyBy::Header(name) => header(ctx, name).map(StickyBy::Header),
        written::StickyBy::Cookie(name) => cookie(name).map(StickyBy::Cookie),
        written::StickyBy::Principal if access == Some(&Access::Public) => Err(InvalidValue::new(
            "callers stay on their side by principal, and a public route recognises nobody",
            "write `sticky_by: client_address`, or give the route an `identity`",
        )),
        written::StickyBy::Principal => Ok(StickyBy::Principal),
    };
    key.map_err(|wrong| wrong.report(ctx, path, "invalid_sticky_key")).ok().map(Some)
}

fn header(ctx: &mut CompileContext, name: &str) -> Result<FieldName, InvalidValue> {
    HeaderName::from_bytes(name.as_bytes())
        .map(|name| ctx.field(name))
        .map_err(|_| InvalidValue::new(format!("`{name}` is not a header name"), "use letters, digits and `-`"))
}

/// The name of a cookie is a token (RFC 6265 §4.1.1), as that of a header is, but tells capitals apart.
fn cookie(name: &str) -> Result<String, InvalidValue> {
    HeaderName::from_bytes(name.as_bytes())
        .map(|_| name.to_owned())
        .map_err(|_| InvalidValue::new(format!("`{name}` is not a cookie's name"), "use letters, digits, `-` and `_`"))
}
