//! Hosts, paths, templates and regular expressions as the file writes them.

use std::collections::HashSet;

use regex::{Regex, RegexBuilder};

use crate::config::compile::CompileContext;
use crate::config::doc_path::DocPath;
use crate::decision::request::host as authority;
use crate::decision::request::path as normal_path;
use crate::decision::rewrite::{Piece, Template};
use crate::decision::route::{EncodedSeparators, HostPattern, Match, PathPattern, Segment};
use crate::diagnostics::nearest;

/// Most segments of a path with parameters: the table descends as deep.
const MAX_SEGMENTS: usize = 64;

/// Most bytes that one compiled regular expression may take.
const MAX_REGEX_BYTES: usize = 1 << 20;

const NORMAL_FORM: &str = "requests are matched in their normal form: no dot segments, no `//`, letters, digits and `-._~` \
                           unescaped, and other escapes in capitals";

/// What is wrong with a value, and what to write instead.
pub(super) struct InvalidValue {
    message: String,
    help: String,
}

impl InvalidValue {
    pub fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        InvalidValue { message: message.into(), help: help.into() }
    }

    pub fn report(self, ctx: &mut CompileContext, path: &DocPath, code: &'static str) {
        ctx.error_with_help(path, code, self.message, self.help);
    }
}

/// `api.example.com` or `*.example.com`.
pub(super) fn host(text: &str) -> Result<HostPattern, InvalidValue> {
    let (name, wildcard) = match text.strip_prefix("*.") {
        Some(name) => (name, true),
        None => (text, false),
    };
    if name.contains('*') {
        let message = format!("`{text}`: `*` stands only at the beginning, for one or more whole labels");
        return Err(InvalidValue::new(message, "write it as `*.example.com`"));
    }
    let found = host_and_port(name)?;
    if let Some(port) = found.port {
        let message = format!("`{text}` names the port {port}, but routes match hosts on any port");
        return Err(InvalidValue::new(message, format!("write `{}`", text.trim_end_matches(&format!(":{port}")))));
    }
    if !wildcard {
        return Ok(HostPattern::Exact(found.host));
    }
    if found.host.starts_with('[') || found.host.parse::<std::net::IpAddr>().is_ok() {
        return Err(InvalidValue::new(
            format!("`{text}`: an address has no labels below it"),
            "write the address alone",
        ));
    }
    Ok(HostPattern::Wildcard(found.host))
}

/// `example.com` or `example.com:8443`, in normal form.
pub(super) fn host_and_port(text: &str) -> Result<authority::Authority, InvalidValue> {
    let help = if text.is_ascii() {
        "write a name such as `api.example.com`, or an address; IPv6 in brackets"
    } else {
        "write international names in punycode, as browsers send them: `xn--bcher-kva.example`"
    };
    authority::parse(text).map_err(|why| InvalidValue::new(format!("`{text}` is not a host: {why}"), help))
}

/// `/exact`, `/with/{parameter}` or `/prefix/*`; with encoded separators only if the route keeps them.
pub(super) fn path(text: &str, kept_separators: bool) -> Result<PathPattern, InvalidValue> {
    let prefix = text.strip_suffix("/*").map(|start| format!("{start}/"));
    let body = prefix.as_deref().unwrap_or(text);
    if body.contains('*') {
        let message = format!("`{text}`: `*` stands only at the end, as the last segment `/*`");
        return Err(InvalidValue::new(message, "for other forms use `{regex: …}`"));
    }
    let segments = segments(text, body)?;
    let mut names = HashSet::new();
    for segment in &segments {
        if let Segment::Parameter(name) = segment
            && !names.insert(name)
        {
            return Err(InvalidValue::new(format!("`{text}` has two parameters `{name}`"), "give each its own name"));
        }
    }
    let parameters = !names.is_empty();
    normal(text, body, &segments.iter().map(literally).collect::<String>(), kept_separators)?;
    match prefix {
        Some(_) if parameters => Err(InvalidValue::new(
            format!("`{text}`: a path with parameters has a fixed number of segments and can't end in `/*`"),
            "use `{regex: …}` instead",
        )),
        Some(prefix) => Ok(PathPattern::Prefix(prefix)),
        None if parameters && segments.len() > MAX_SEGMENTS => Err(InvalidValue::new(
            format!("a path with parameters has at most {MAX_SEGMENTS} segments, this one has {}", segments.len()),
            "use a prefix such as `/v1/*`",
        )),
        None if parameters => Ok(PathPattern::Parameters(segments)),
        None => Ok(PathPattern::Exact(text.to_owned())),
    }
}

/// Cuts `body` into segments; `text` is what was written.
fn segments(text: &str, body: &str) -> Result<Vec<Segment>, InvalidValue> {
    let Some(rest) = body.strip_prefix('/') else {
        return Err(InvalidValue::new(format!("`{text}` does not begin with `/`"), format!("write `/{text}`")));
    };
    let segment = |segment: &str| match segment.strip_prefix('{').and_then(|s| s.strip_suffix('}')) {
        Some(name) if is_parameter_name(name) => Ok(Segment::Parameter(name.to_owned())),
        None if !segment.contains(['{', '}']) => Ok(Segment::Literal(segment.to_owned())),
        Some(name) if !name.contains(['{', '}']) => Err(InvalidValue::new(
            format!("`{name}` can't name a parameter"),
            "use letters, digits and `_`, beginning with a letter",
        )),
        _ => Err(InvalidValue::new(
            format!("`{segment}`: a parameter is one whole segment"),
            "write for example `/orders/{id}/lines`, or use `{regex: …}`",
        )),
    };
    rest.split('/').map(segment).collect()
}

fn is_parameter_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The segment with its slash; a parameter as a text that is normal anywhere.
fn literally(segment: &Segment) -> String {
    match segment {
        Segment::Literal(text) => format!("/{text}"),
        Segment::Parameter(_) => "/x".to_owned(),
    }
}

/// Checks that `literal`, which is `body` with its parameters replaced, is in normal form.
fn normal(text: &str, body: &str, literal: &str, kept_separators: bool) -> Result<(), InvalidValue> {
    match normal_path::read(literal.as_bytes()) {
        Err(why) => Err(InvalidValue::new(format!("`{text}` is no path that a request can have: {why}"), NORMAL_FORM)),
        Ok(reading) if reading.spelling.encoded_separators && !kept_separators => Err(InvalidValue::new(
            format!("`{text}` contains an encoded separator, and the route does not keep them"),
            "write `/`, or give the route `encoded_separators: keep`",
        )),
        Ok(reading) if reading.path == literal => Ok(()),
        Ok(reading) => {
            let normal = reading.path;
            let help = if literal == body {
                format!("write `{normal}{}`; {NORMAL_FORM}", if text == body { "" } else { "*" })
            } else {
                NORMAL_FORM.to_owned()
            };
            Err(InvalidValue::new(format!("`{text}` is not in normal form, so no request can have it"), help))
        }
    }
}

/// What the loosest origin takes a path of `pattern` for, if that is another path.
pub(super) fn other_reading(pattern: &PathPattern) -> Option<String> {
    let literal = match pattern {
        PathPattern::Exact(path) | PathPattern::Prefix(path) => path.clone(),
        PathPattern::Parameters(segments) => segments.iter().map(literally).collect(),
        PathPattern::Regex(_) => return None,
    };
    normal_path::read(literal.as_bytes()).ok()?.spelling.loosest
}

/// A path without parameters whose trailing slash does not matter, without that slash: `/api/` gives `/api`.
pub(super) fn prefix(text: &str, kept_separators: bool) -> Result<String, InvalidValue> {
    if !text.starts_with('/') {
        return Err(InvalidValue::new(format!("`{text}` does not begin with `/`"), format!("write `/{text}`")));
    }
    if text.contains(['{', '}', '*']) {
        let message = format!("`{text}`: a prefix is taken as it stands, without parameters and `*`");
        return Err(InvalidValue::new(message, "write it as `/api`; for parameters use `path`"));
    }
    normal(text, text, text, kept_separators)?;
    Ok(text.strip_suffix('/').unwrap_or(text).to_owned())
}

/// A path into which the parameters of every path of `matched` can be filled.
pub(super) fn template(text: &str, matched: &Match) -> Result<Template, InvalidValue> {
    if !text.starts_with('/') {
        return Err(InvalidValue::new(format!("`{text}` does not begin with `/`"), format!("write `/{text}`")));
    }
    let kept_separators = matched.encoded_separators == EncodedSeparators::Keep;
    // What a parameter holds may begin and end with a separator, which dots beside it would turn into dot segments.
    let placeholder = if kept_separators { "%2F" } else { "x" };
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, after)) = after.split_once('}') else {
            return Err(InvalidValue::new(format!("`{text}` has a `{{` without `}}`"), "write parameters as `{name}`"));
        };
        literal.push_str(before);
        // What is put in is a whole segment of a normal path. Behind a dot it could make a dot segment.
        if literal.rsplit('/').next().is_some_and(|segment| segment.starts_with('.')) {
            let message = format!("`{text}`: a segment that begins with a dot can't hold a parameter");
            return Err(InvalidValue::new(message, "put the dot behind the parameter, or into a segment of its own"));
        }
        if !before.is_empty() {
            pieces.push(Piece::Literal(before.to_owned()));
        }
        pieces.push(Piece::Parameter(parameter(name, matched)?));
        literal.push_str(placeholder);
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Literal(rest.to_owned()));
    }
    literal.push_str(rest);
    normal(text, text, &literal, kept_separators)?;
    Ok(Template(pieces))
}

/// The position of the parameter `name`, which must be the same in every path of `matched`.
fn parameter(name: &str, matched: &Match) -> Result<usize, InvalidValue> {
    let mut known = Vec::new();
    let mut positions = HashSet::new();
    for path in &matched.paths {
        let names = parameter_names(path);
        positions.insert(names.iter().position(|known| *known == name));
        known.extend(names);
    }
    let mut positions = positions.into_iter();
    match (positions.next().flatten(), positions.next()) {
        (Some(position), None) => return Ok(position),
        (_, Some(_)) => {
            return Err(InvalidValue::new(
                format!("the parameter `{name}` is not the same one in every path of `match`"),
                "give every path the parameters that are used, in the same order, or split the route",
            ));
        }
        (None, None) => {}
    }
    let help = match nearest(name, known.iter().copied()) {
        Some(meant) => format!("did you mean `{{{meant}}}`?"),
        None if known.is_empty() => "give `match.path` a parameter, such as `/orders/{id}`".to_owned(),
        None => format!("the parameters are `{}`", known.join("`, `")),
    };
    Err(InvalidValue::new(format!("no path of `match` has a parameter `{name}`"), help))
}

fn parameter_names(path: &PathPattern) -> Vec<&str> {
    match path {
        PathPattern::Parameters(segments) => segments
            .iter()
            .filter_map(|segment| match segment {
                Segment::Parameter(name) => Some(name.as_str()),
                Segment::Literal(_) => None,
            })
            .collect(),
        PathPattern::Exact(_) | PathPattern::Prefix(_) | PathPattern::Regex(_) => Vec::new(),
    }
}

/// A regular expression for the whole text.
pub(super) fn regex(text: &str) -> Result<Regex, InvalidValue> {
    let compile = |text: &str| RegexBuilder::new(text).size_limit(MAX_REGEX_BYTES).build();
    // Alone first, so that `a)|(?:b` can't break out of the anchors.
    compile(text).and_then(|_| compile(&format!("^(?:{text})$"))).map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => InvalidValue::new(
            format!("the regular expression takes more than {} KiB once compiled", MAX_REGEX_BYTES >> 10),
            "make it smaller: large repetitions such as `{1,1000}` and Unicode classes weigh most",
        ),
        // The message draws the expression over several lines; the last one says what is wrong.
        error => {
            let message = error.to_string();
            let why = message.lines().last().unwrap_or_default().trim_start_matches("error: ");
            InvalidValue::new(
                format!("`{text}` is not a regular expression: {why}"),
                "see https://docs.rs/regex/#syntax",
            )
        }
    })
}
