//! What a route does: forward, answer, or redirect.

use http::{HeaderValue, StatusCode, Uri};

use crate::config::compile::{Context, DocPath};
use crate::config::load::words::nearest;
use crate::config::raw;
use crate::config::raw::route::{Redirect, Respond, Rewrite, Route};
use crate::config::raw::units::Count;
use crate::decision::request::{Scheme, path as read_path};
use crate::decision::response::Fixed;
use crate::decision::rewrite::{self, PathRewrite, Piece, Target, Template};
use crate::decision::route::{Match, PathPattern, Segment};
use crate::decision::rules::{Action, UpstreamId};

/// The one action of a route. `None` only if something was reported.
pub fn action(ctx: &mut Context, path: &DocPath, route: &Route, matches: &Match, raw: &raw::Config) -> Option<Action> {
    let rewrite = match &route.rewrite {
        Some(rewrite) => self::rewrite(ctx, &path.key("rewrite"), rewrite, matches),
        None => Some(rewrite::Rules::default()),
    };
    if route.rewrite.is_some() && route.upstream.is_none() {
        ctx.error(&path.key("rewrite"), "rewrite_without_upstream", "there is no origin that would see the rewrite");
    }
    match (&route.upstream, &route.respond, &route.redirect) {
        (Some(name), None, None) => {
            let upstream = upstream(ctx, &path.key("upstream"), name, raw)?;
            Some(Action::Forward { upstream, upstream_name: name.as_str().into(), rewrite: rewrite? })
        }
        (None, Some(respond), None) => fixed(ctx, &path.key("respond"), respond).map(Action::Respond),
        (None, None, Some(redirect)) => {
            self::redirect(ctx, &path.key("redirect"), redirect, matches).map(Action::Redirect)
        }
        (None, None, None) => {
            let help = "add one of `upstream`, `respond` and `redirect`";
            ctx.error_with_help(path, "action_missing", "the route does not say what to do with a request", help);
            None
        }
        _ => {
            let message = "a route does exactly one of `upstream`, `respond` and `redirect`";
            ctx.error(path, "action_ambiguous", message);
            None
        }
    }
}

fn upstream(ctx: &mut Context, path: &DocPath, name: &str, raw: &raw::Config) -> Option<UpstreamId> {
    let index = raw.upstreams.0.iter().position(|(known, _)| known == name);
    if index.is_none() {
        let message = format!("there is no upstream `{name}`");
        match nearest(name, raw.upstreams.0.iter().map(|(known, _)| known.as_str())) {
            Some(near) => ctx.error_with_help(path, "unknown_upstream", message, format!("did you mean `{near}`?")),
            None => ctx.error(path, "unknown_upstream", message),
        }
    }
    Some(UpstreamId(u32::try_from(index?).ok()?))
}

fn fixed(ctx: &mut Context, path: &DocPath, respond: &Respond) -> Option<Fixed> {
    let status =
        status(ctx, &path.key("status"), respond.status, 200, |code| (200..=599).contains(&code), "200 to 599");
    let content_type = respond.content_type.as_deref().unwrap_or("text/plain; charset=utf-8");
    let content_type = header_value(ctx, &path.key("content_type"), content_type);
    let body = respond.body.clone().unwrap_or_default();
    let status = status?;
    if !body.is_empty()
        && matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED | StatusCode::RESET_CONTENT)
    {
        ctx.error(&path.key("body"), "invalid_body", format!("an answer with status {} has no body", status.as_u16()));
        return None;
    }
    Some(Fixed { status, content_type: content_type?, body: body.into() })
}

fn redirect(ctx: &mut Context, path: &DocPath, raw: &Redirect, matches: &Match) -> Option<rewrite::Redirect> {
    let allowed = |code| matches!(code, 301 | 302 | 303 | 307 | 308);
    let status = status(ctx, &path.key("status"), raw.status, 308, allowed, "301, 302, 303, 307 or 308");
    let target = match &raw.to {
        Some(to) => whole_target(ctx, path, raw, to),
        None => parts(ctx, path, raw, matches),
    };
    Some(rewrite::Redirect { status: status?, target: target? })
}

fn whole_target(ctx: &mut Context, path: &DocPath, raw: &Redirect, to: &str) -> Option<Target> {
    if raw.scheme.is_some() || raw.host.is_some() || raw.path.is_some() || raw.keep_query.is_some() {
        let help = "drop `to`, or drop the parts";
        ctx.error_with_help(path, "redirect_ambiguous", "`to` is the whole target, so its parts have no effect", help);
    }
    let to_path = path.key("to");
    let valid = match to.parse::<Uri>() {
        Ok(uri) => uri.scheme().is_some() || (to.starts_with('/') && !to.starts_with("//")),
        Err(_) => false,
    };
    if !valid {
        let help = "write a URL such as `https://www.example.com/`, or a path";
        ctx.error_with_help(&to_path, "invalid_target", format!("`{to}` is not a target"), help);
        return None;
    }
    header_value(ctx, &to_path, to).map(Target::Fixed)
}

fn parts(ctx: &mut Context, path: &DocPath, raw: &Redirect, matches: &Match) -> Option<Target> {
    if raw.scheme.is_none() && raw.host.is_none() && raw.path.is_none() {
        let help = "give `to`, or at least one of `scheme`, `host` and `path`";
        ctx.error_with_help(path, "redirect_loop", "the redirect points to the request itself", help);
        return None;
    }
    let scheme = match raw.scheme.as_deref() {
        None => None,
        Some("http") => Some(Scheme::Http),
        Some("https") => Some(Scheme::Https),
        Some(other) => {
            ctx.error(&path.key("scheme"), "invalid_scheme", format!("`{other}` is neither `http` nor `https`"));
            return None;
        }
    };
    if let Some(host) = &raw.host {
        authority(ctx, &path.key("host"), host)?;
    }
    let template = match &raw.path {
        Some(text) => Some(self::template(ctx, &path.key("path"), text, matches)?),
        None => None,
    };
    Some(Target::Parts { scheme, host: raw.host.clone(), path: template, keep_query: raw.keep_query.unwrap_or(true) })
}

fn rewrite(ctx: &mut Context, path: &DocPath, raw: &Rewrite, matches: &Match) -> Option<rewrite::Rules> {
    if let Some(host) = &raw.host {
        authority(ctx, &path.key("host"), host)?;
    }
    let rewrite = match (&raw.path, &raw.strip_prefix, &raw.add_prefix) {
        (Some(text), None, None) => Some(PathRewrite::Template(template(ctx, &path.key("path"), text, matches)?)),
        (Some(_), _, _) => {
            ctx.error(path, "rewrite_ambiguous", "`path` is the whole path, so the prefixes have no effect");
            return None;
        }
        (None, None, None) => None,
        (None, strip, add) => {
            let strip = prefix(ctx, &path.key("strip_prefix"), strip.as_deref());
            let add = prefix(ctx, &path.key("add_prefix"), add.as_deref());
            Some(PathRewrite::Prefix { strip: strip?, add: add? })
        }
    };
    Some(rewrite::Rules { path: rewrite, host: raw.host.clone() })
}

/// A prefix of whole segments, without its final slash.
fn prefix(ctx: &mut Context, path: &DocPath, text: Option<&str>) -> Option<String> {
    let Some(text) = text else { return Some(String::new()) };
    let normal = read_path::normalise(text.as_bytes()).is_ok_and(|form| form == text);
    if !normal {
        let message = format!("`{text}` is not a path in normal form, such as `/api`");
        ctx.error(path, "invalid_path", message);
        return None;
    }
    Some(text.trim_end_matches('/').to_owned())
}

fn template(ctx: &mut Context, path: &DocPath, text: &str, matches: &Match) -> Option<Template> {
    let mut pieces = Vec::new();
    let mut example = String::new();
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let Some(length) = rest[open..].find('}') else {
            ctx.error(path, "invalid_path", format!("a parameter in `{text}` is not closed"));
            return None;
        };
        let name = &rest[open + 1..open + length];
        let index = parameter(ctx, path, name, matches)?;
        pieces.push(Piece::Literal(rest[..open].to_owned()));
        pieces.push(Piece::Parameter(index));
        example.push_str(&rest[..open]);
        example.push('x');
        rest = &rest[open + length + 1..];
    }
    pieces.push(Piece::Literal(rest.to_owned()));
    pieces.retain(|piece| !matches!(piece, Piece::Literal(text) if text.is_empty()));
    example.push_str(rest);
    if !read_path::normalise(example.as_bytes()).is_ok_and(|form| form == example) {
        ctx.error(path, "invalid_path", format!("`{text}` is not a path in normal form"));
        return None;
    }
    Some(Template(pieces))
}

/// The position of parameter `name`, which must be the same in every path of the match.
fn parameter(ctx: &mut Context, path: &DocPath, name: &str, matches: &Match) -> Option<usize> {
    let positions = matches.paths.iter().map(|pattern| match pattern {
        PathPattern::Parameters(segments) => {
            let mut names = segments.iter().filter_map(|segment| match segment {
                Segment::Parameter(name) => Some(name.as_str()),
                Segment::Literal(_) => None,
            });
            names.position(|known| known == name)
        }
        _ => None,
    });
    let mut positions = positions.collect::<Vec<_>>();
    positions.dedup();
    if let [Some(position)] = positions[..] {
        return Some(position);
    }
    let message = format!("the parameter `{name}` does not stand, at the same position, in every path of the match");
    ctx.error(path, "unknown_parameter", message);
    None
}

fn authority(ctx: &mut Context, path: &DocPath, text: &str) -> Option<()> {
    match crate::decision::request::host::parse(text) {
        Ok(_) => Some(()),
        Err(denial) => {
            ctx.error(path, "invalid_host", format!("`{text}`: {}", denial.detail));
            None
        }
    }
}

fn status(
    ctx: &mut Context,
    path: &DocPath,
    raw: Option<Count>,
    default: u16,
    allowed: impl Fn(u16) -> bool,
    expected: &str,
) -> Option<StatusCode> {
    let code = raw.map_or(Some(default), |count| u16::try_from(count.0).ok());
    let status = code.filter(|code| allowed(*code)).and_then(|code| StatusCode::from_u16(code).ok());
    if status.is_none() {
        ctx.error(path, "invalid_status", format!("the status must be {expected}"));
    }
    status
}

fn header_value(ctx: &mut Context, path: &DocPath, text: &str) -> Option<HeaderValue> {
    let value = HeaderValue::from_str(text).ok();
    if value.is_none() {
        ctx.error(path, "invalid_value", format!("`{text}` can't stand in a header"));
    }
    value
}
