//! Hosts, paths and regular expressions of a route.

use regex::{Regex, RegexBuilder};

use crate::config::compile::{Context, DocPath};
use crate::config::raw::route::Path;
use crate::decision::request::{host as read_host, path as read_path};
use crate::decision::route::{HostPattern, PathPattern, Segment};

/// Compiled size of one regular expression in bytes: enough for any sensible path, too little to hurt.
const REGEX_BYTES: usize = 1 << 20;

pub fn host(ctx: &mut Context, path: &DocPath, text: &str) -> Option<HostPattern> {
    let (wildcard, name) = match text.strip_prefix("*.") {
        Some(parent) => (true, parent),
        None => (false, text),
    };
    match read_host::parse(name) {
        Ok(authority) if authority.port.is_some() => {
            ctx.error_with_help(path, "invalid_host", format!("`{text}` names a port"), "a host matches on every port");
            None
        }
        Ok(authority) if wildcard => Some(HostPattern::Wildcard(authority.host)),
        Ok(authority) => Some(HostPattern::Exact(authority.host)),
        Err(_) if name.contains('*') => {
            let help = "write `*.example.com` for every name below example.com, or a list of names";
            ctx.error_with_help(path, "invalid_host", format!("`{text}` has a wildcard within the name"), help);
            None
        }
        Err(_) if !name.is_ascii() => {
            let help = "write it as clients send it, in punycode: `xn--…`";
            ctx.error_with_help(path, "invalid_host", format!("`{text}` is not ASCII"), help);
            None
        }
        Err(denial) => {
            ctx.error(path, "invalid_host", format!("`{text}`: {}", denial.detail));
            None
        }
    }
}

pub fn path_pattern(ctx: &mut Context, path: &DocPath, raw: &Path) -> Option<PathPattern> {
    let text = match raw {
        Path::Regex(text) => return regex(ctx, &path.key("regex"), text).map(PathPattern::Regex),
        Path::Pattern(text) => text.as_str(),
    };
    if !text.starts_with('/') {
        ctx.error_with_help(
            path,
            "invalid_path",
            format!("`{text}` does not begin with a slash"),
            format!("write `/{text}`"),
        );
        return None;
    }
    if text.contains('{') || text.contains('}') {
        return parameters(ctx, path, text);
    }
    if let Some(prefix) = text.strip_suffix("/*") {
        let prefix = format!("{prefix}/");
        return normal(ctx, path, &prefix).then_some(PathPattern::Prefix(prefix));
    }
    if text.contains('*') {
        let help = "`/*` at the end matches everything below; for anything else use `{regex: …}`";
        ctx.error_with_help(path, "invalid_path", format!("`{text}` has a `*` that is not its last segment"), help);
        return None;
    }
    normal(ctx, path, text).then(|| PathPattern::Exact(text.to_owned()))
}

/// Patterns are matched against the normal form of a path, so that one in another form would never match.
fn normal(ctx: &mut Context, path: &DocPath, text: &str) -> bool {
    match read_path::normalise(text.as_bytes()) {
        Ok(form) if form == text => true,
        Ok(form) => {
            let message = format!("`{text}` is not in normal form, and would never match");
            ctx.error_with_help(path, "invalid_path", message, format!("write `{form}`"));
            false
        }
        Err(why) => {
            ctx.error(path, "invalid_path", format!("`{text}` can never match: {why}"));
            false
        }
    }
}

fn parameters(ctx: &mut Context, path: &DocPath, text: &str) -> Option<PathPattern> {
    let mut segments = Vec::new();
    let mut names = Vec::new();
    for part in text[1..].split('/') {
        if let Some(name) = part.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            let valid = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if !valid {
                let message = format!("`{part}` is no parameter: a name has letters, digits and underscores");
                ctx.error(path, "invalid_path", message);
                return None;
            }
            if names.contains(&name) {
                ctx.error(path, "invalid_path", format!("the parameter `{name}` stands twice in `{text}`"));
                return None;
            }
            names.push(name);
            segments.push(Segment::Parameter(name.to_owned()));
        } else if part.contains(['{', '}', '*']) {
            let help = "a parameter is one whole segment, such as `/orders/{id}`; for anything else use `{regex: …}`";
            ctx.error_with_help(path, "invalid_path", format!("`{part}` mixes a pattern with other text"), help);
            return None;
        } else {
            segments.push(Segment::Literal(part.to_owned()));
        }
    }
    // The literals as a path of their own must be normal; a parameter stands for any segment.
    let example: String = segments
        .iter()
        .map(|segment| match segment {
            Segment::Literal(literal) => format!("/{literal}"),
            Segment::Parameter(_) => "/x".to_owned(),
        })
        .collect();
    normal(ctx, path, &example).then_some(PathPattern::Parameters(segments))
}

/// Compiles `text` so that it must match the whole value.
pub fn regex(ctx: &mut Context, path: &DocPath, text: &str) -> Option<Regex> {
    // On its own first, so that an unbalanced group can't close the anchored one.
    let alone = RegexBuilder::new(text).size_limit(REGEX_BYTES).build();
    match alone.and_then(|_| RegexBuilder::new(&format!("^(?:{text})$")).size_limit(REGEX_BYTES).build()) {
        Ok(regex) => Some(regex),
        Err(error) => {
            let reason = error.to_string().lines().last().unwrap_or_default().trim().to_owned();
            ctx.error(path, "invalid_regex", format!("`{text}` is not a regular expression: {reason}"));
            None
        }
    }
}
