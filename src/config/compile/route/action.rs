//! What a route does with a request: `upstream` with `rewrite`, `respond`, or `redirect`.

use http::{HeaderValue, StatusCode, Uri};

use super::pattern::{self, InvalidValue};
use super::{mirror, split};
use crate::config::compile::CompileContext;
use crate::config::doc_path::DocPath;
use crate::config::raw;
use crate::config::raw::access::Access;
use crate::config::raw::route::{Redirect, Respond, Rewrite, Route};
use crate::config::raw::units::Count;
use crate::decision::policy::Action;
use crate::decision::request::Scheme;
use crate::decision::response::FixedAnswer;
use crate::decision::rewrite::{self, PathRewrite, RedirectTarget};
use crate::decision::route::{EncodedSeparators, Match};

/// Compiles what `route` does. `path` is the route's own place, `matches` its compiled `match`.
pub fn action(
    ctx: &mut CompileContext,
    path: &DocPath,
    route: &Route,
    matches: &Match,
    raw: &raw::Config,
) -> Option<Action> {
    let help = "write one of `upstream` (forward), `respond` (a fixed answer) and `redirect`";
    let mut compiled = Vec::new();
    let mut given = Vec::new();
    if let Some(written) = &route.upstream {
        given.push("upstream");
        let to = split::destination(ctx, &path.key("upstream"), written, route.access.as_ref(), raw);
        let mirror = match &route.mirror {
            Some(written) => mirror::mirror(ctx, &path.key("mirror"), written, to.as_ref(), raw).map(Some),
            None => Some(None),
        };
        let rewrite = match &route.rewrite {
            Some(written) => rewrite(ctx, &path.key("rewrite"), written, matches),
            None => Some(rewrite::RewriteRules::default()),
        };
        if let (Some(to), Some(rewrite), Some(mirror)) = (to, rewrite, mirror) {
            compiled.push(Action::Forward { to, rewrite, mirror: mirror.map(Box::new) });
        }
    } else {
        needs_upstream(ctx, path, route);
    }
    if let Some(written) = &route.respond {
        given.push("respond");
        compiled.extend(respond(ctx, &path.key("respond"), written).map(Action::Respond));
    }
    if let Some(written) = &route.redirect {
        given.push("redirect");
        compiled.extend(redirect(ctx, &path.key("redirect"), written, matches).map(Action::Redirect));
    }
    match given.len() {
        1 => compiled.pop().filter(|_| route.upstream.is_some() || (route.rewrite.is_none() && route.mirror.is_none())),
        0 if matches!(route.access, Some(Access::Deny(_))) => Some(Action::Nothing),
        0 => {
            ctx.error_with_help(path, "action_missing", "the route does not say what happens to its requests", help);
            None
        }
        _ => {
            let message = format!("a route does one thing, and this one has `{}`", given.join("` and `"));
            ctx.error_with_help(path, "action_conflict", message, help);
            None
        }
    }
}

/// Reports what makes no sense on a route without an upstream.
fn needs_upstream(ctx: &mut CompileContext, path: &DocPath, route: &Route) {
    let help = "remove it, or add `upstream`";
    if route.rewrite.is_some() {
        let message = "`rewrite` changes what an upstream sees, and this route has none";
        ctx.error_with_help(&path.key("rewrite"), "rewrite_without_upstream", message, help);
    }
    if route.mirror.is_some() {
        let message = "`mirror` copies what goes to an upstream, and this route has none";
        ctx.error_with_help(&path.key("mirror"), "mirror_without_upstream", message, help);
    }
}

fn rewrite(
    ctx: &mut CompileContext,
    path: &DocPath,
    written: &Rewrite,
    matches: &Match,
) -> Option<rewrite::RewriteRules> {
    let mut valid = true;
    let mut report = |ctx: &mut CompileContext, key: &str, wrong: InvalidValue| {
        wrong.report(ctx, &path.key(key), "invalid_rewrite");
        valid = false;
    };
    let kept_separators = matches.encoded_separators == EncodedSeparators::Keep;
    let mut take_prefix = |ctx: &mut CompileContext, key: &str, text: &Option<String>| {
        let prefix = text.as_deref().map(|text| pattern::prefix(text, kept_separators)).transpose();
        prefix.map_err(|wrong| report(ctx, key, wrong)).ok().flatten().unwrap_or_default()
    };
    let strip = take_prefix(ctx, "strip_prefix", &written.strip_prefix);
    let add = take_prefix(ctx, "add_prefix", &written.add_prefix);
    let prefixes = written.strip_prefix.is_some() || written.add_prefix.is_some();
    let path_rewrite = match &written.path {
        Some(_) if prefixes => {
            let message = "`path` replaces the whole path, so that prefixes have nothing to work on";
            report(ctx, "path", InvalidValue::new(message, "write `path` alone, or `strip_prefix` and `add_prefix`"));
            None
        }
        Some(text) => {
            pattern::template(text, matches).map_err(|wrong| report(ctx, "path", wrong)).ok().map(PathRewrite::Template)
        }
        None if strip.is_empty() && add.is_empty() => None,
        None => Some(PathRewrite::Prefix { strip, add }),
    };
    let host = written.host.as_deref().map(pattern::host_and_port).transpose();
    let host = host.map_err(|wrong| report(ctx, "host", wrong)).ok().flatten();
    valid.then(|| rewrite::RewriteRules { path: path_rewrite, host: host.map(|host| host.to_string()) })
}

fn respond(ctx: &mut CompileContext, path: &DocPath, written: &Respond) -> Option<FixedAnswer> {
    let body = written.body.clone().unwrap_or_default();
    let status = status(written.status, 200).filter(|status| status.as_u16() >= 200);
    match status {
        None => ctx.error_with_help(
            &path.key("status"),
            "invalid_status",
            "a fixed answer has a final status, from 200 to 599",
            "write for example `status: 200`",
        ),
        Some(status) if matches!(status.as_u16(), 204 | 205 | 304) && !body.is_empty() => ctx.error_with_help(
            &path.key("body"),
            "invalid_body",
            format!("an answer with status {} has no body", status.as_u16()),
            "remove the body, or use `status: 200`",
        ),
        Some(_) => {}
    }
    let bodiless = status.is_some_and(|status| matches!(status.as_u16(), 204 | 205 | 304));
    let content_type = match written.content_type.as_deref() {
        None => Some(HeaderValue::from_static("text/plain; charset=utf-8")),
        Some(text) => HeaderValue::from_str(text).ok().filter(|_| text.contains('/') && text.trim_ascii() == text),
    };
    if content_type.is_none() {
        let message = "the content type is not a media type";
        ctx.error_with_help(
            &path.key("content_type"),
            "invalid_content_type",
            message,
            "write for example `text/html`",
        );
    }
    if bodiless && !body.is_empty() {
        return None;
    }
    Some(FixedAnswer { status: status?, content_type: content_type?, body: body.into() })
}

fn redirect(
    ctx: &mut CompileContext,
    path: &DocPath,
    written: &Redirect,
    matches: &Match,
) -> Option<rewrite::Redirect> {
    let status = status(written.status, 308).filter(|status| matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308));
    if status.is_none() {
        let message = "a redirect has the status 301, 302, 303, 307 or 308";
        let help = "308 and 307 keep the method, for good and for now; 303 turns it into GET";
        ctx.error_with_help(&path.key("status"), "invalid_status", message, help);
    }
    let mut valid = true;
    let mut report = |ctx: &mut CompileContext, key: &str, wrong: InvalidValue| {
        wrong.report(ctx, &path.key(key), "invalid_redirect");
        valid = false;
    };
    let parts = [
        ("scheme", written.scheme.is_some()),
        ("host", written.host.is_some()),
        ("path", written.path.is_some()),
        ("keep_query", written.keep_query.is_some()),
    ];
    if let Some(to) = &written.to {
        for (key, _) in parts.into_iter().filter(|(_, given)| *given) {
            let message = format!("`to` is the whole target, so that `{key}` has no effect");
            report(ctx, key, InvalidValue::new(message, "write `to` alone, or the parts without `to`"));
        }
        let target = fixed_target(to).map_err(|wrong| report(ctx, "to", wrong)).ok();
        return valid.then_some(rewrite::Redirect { status: status?, target: RedirectTarget::Fixed(target?) });
    }
    if !parts[..3].iter().any(|(_, given)| *given) {
        let message = "the redirect does not say where to";
        ctx.error_with_help(path, "invalid_redirect", message, "write `to`, or any of `scheme`, `host` and `path`");
        return None;
    }
    let scheme = match written.scheme.as_deref() {
        None => None,
        Some("http") => Some(Scheme::Http),
        Some("https") => Some(Scheme::Https),
        Some(other) => {
            report(
                ctx,
                "scheme",
                InvalidValue::new(format!("`{other}` is not a scheme of the web"), "write http or https"),
            );
            None
        }
    };
    let host = written.host.as_deref().map(pattern::host_and_port).transpose();
    let host = host.map_err(|wrong| report(ctx, "host", wrong)).ok().flatten().map(|host| host.to_string());
    let template = written.path.as_deref().map(|text| pattern::template(text, matches)).transpose();
    let path = template.map_err(|wrong| report(ctx, "path", wrong)).ok().flatten();
    let keep_query = written.keep_query.unwrap_or(true);
    valid.then_some(rewrite::Redirect {
        status: status?,
        target: RedirectTarget::Parts { scheme, host, path, keep_query },
    })
}

/// An http URL, or a path on the same host.
fn fixed_target(text: &str) -> Result<HeaderValue, InvalidValue> {
    let help = "write a URL such as `https://www.example.com/`, or a path such as `/new`";
    let wrong = |why: &str| InvalidValue::new(format!("`{text}` is not a target for a redirect: {why}"), help);
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(wrong("it contains a space, a control character or a letter that must be percent-encoded"));
    }
    if text.starts_with("//") || text.starts_with("/\\") {
        return Err(wrong("browsers take two slashes for the beginning of a host"));
    }
    if !text.starts_with('/') {
        let url: Uri = text.parse().map_err(|_| wrong("it is not a valid URL"))?;
        if !matches!(url.scheme_str(), Some("http" | "https")) {
            return Err(wrong("it is neither an http nor an https URL"));
        }
        let authority = url.authority().map_or("", |authority| authority.as_str());
        crate::decision::request::host::parse(authority).map_err(|why| wrong(why.as_str()))?;
    }
    HeaderValue::from_str(text).map_err(|_| wrong("it can't stand in a header"))
}

fn status(written: Option<Count>, default: u16) -> Option<StatusCode> {
    let number = written.map_or(Some(default), |count| u16::try_from(count.0).ok())?;
    StatusCode::from_u16(number).ok().filter(|_| number < 600)
}
