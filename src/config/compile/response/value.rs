//! Values of response headers: what HTTP can carry, and what browsers understand where a mistake would protect nothing.

use http::{HeaderName, HeaderValue};

use super::super::CompileContext;
use crate::config::doc_path::DocPath;
use crate::decision::response::framing::{directives, policies, words};
use crate::diagnostics::{did_you_mean, slip};

/// Reads the value `text` of the header `name`, written `written`.
pub fn read(
    ctx: &mut CompileContext,
    path: &DocPath,
    name: &HeaderName,
    written: &str,
    text: &str,
) -> Option<HeaderValue> {
    // `HeaderValue` would take bytes above ASCII, which receivers read in different ways (RFC 9110 §5.5).
    let Some(value) = HeaderValue::from_str(text).ok().filter(|_| text.is_ascii()) else {
        let (why, help) = if text.contains(['\r', '\n']) {
            ("a line break, which would end the header", "in YAML, `>-` folds lines without leaving a break at the end")
        } else {
            ("a character that is not visible ASCII", "write ASCII; encode anything else as the header's standard says")
        };
        ctx.error_with_help(path, "header_value_invalid", format!("the value of `{written}` has {why}"), help);
        return None;
    };
    match name.as_str() {
        "x-frame-options" => x_frame_options(ctx, path, text),
        "x-content-type-options" => x_content_type_options(ctx, path, text),
        "strict-transport-security" => strict_transport_security(ctx, path, text),
        "content-security-policy" | "content-security-policy-report-only" => policy(ctx, path, text),
        _ => {}
    }
    Some(value)
}

/// A second `X-Frame-Options` makes browsers distrust both, or take the stricter, each in its own way (HTML §7.8).
pub fn refuse_append(ctx: &mut CompileContext, path: &DocPath, name: &HeaderName) {
    if name == http::header::X_FRAME_OPTIONS {
        ctx.error_with_help(
            path,
            "x_frame_options_appended",
            "X-Frame-Options has one value, and browsers differ on what a second one means",
            "use `set`, or `framing`",
        );
    }
}

fn x_frame_options(ctx: &mut CompileContext, path: &DocPath, text: &str) {
    if text.eq_ignore_ascii_case("DENY") || text.eq_ignore_ascii_case("SAMEORIGIN") {
        return;
    }
    let first = text.split_ascii_whitespace().next().unwrap_or("");
    if first.eq_ignore_ascii_case("ALLOW-FROM") {
        let origin = text.split_ascii_whitespace().nth(1).unwrap_or("https://portal.example.com");
        ctx.error_with_help(
            path,
            "x_frame_options_obsolete",
            "browsers ignore ALLOW-FROM, so with it anyone may frame the answers",
            format!("write `framing: [\"{origin}\"]` instead"),
        );
    } else {
        let otherwise = "write DENY or SAMEORIGIN, or use `framing`";
        ctx.error_with_help(
            path,
            "x_frame_options_invalid",
            format!("`{text}` is not a value of X-Frame-Options, and browsers ignore what they don't know"),
            did_you_mean(text, ["DENY", "SAMEORIGIN"], otherwise),
        );
    }
}

fn x_content_type_options(ctx: &mut CompileContext, path: &DocPath, text: &str) {
    if !text.eq_ignore_ascii_case("nosniff") {
        ctx.error_with_help(
            path,
            "x_content_type_options_invalid",
            format!("`{text}` is not a value of X-Content-Type-Options, and browsers ignore what they don't know"),
            "write `nosniff`, the only value that there is",
        );
    }
}

/// RFC 6797 §6.1: `max-age` is required, no directive may come twice.
fn strict_transport_security(ctx: &mut CompileContext, path: &DocPath, text: &str) {
    if let Err(why) = check_transport_security(text) {
        ctx.error_with_help(
            path,
            "strict_transport_security_invalid",
            format!("Strict-Transport-Security {why}, so browsers ignore it"),
            "write `max-age=31536000; includeSubDomains`, with the time in seconds",
        );
    }
}

fn check_transport_security(text: &str) -> Result<(), String> {
    let mut seen: Vec<String> = Vec::new();
    for directive in text.split(';').map(str::trim).filter(|directive| !directive.is_empty()) {
        let (name, value) = match directive.split_once('=') {
            Some((name, value)) => (name.trim_end().to_ascii_lowercase(), Some(value.trim_start())),
            None => (directive.to_ascii_lowercase(), None),
        };
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(format!("has a malformed directive `{directive}`"));
        }
        if name == "max-age" {
            let seconds = value.unwrap_or("");
            let quoted = seconds.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            let seconds = quoted.unwrap_or(seconds);
            if seconds.is_empty() || !seconds.bytes().all(|b| b.is_ascii_digit()) {
                return Err(format!("has a `max-age` that is not a number of seconds (`{directive}`)"));
            }
        } else if name == "includesubdomains" && value.is_some() {
            return Err("gives `includeSubDomains` a value".to_owned());
        }
        if seen.contains(&name) {
            return Err(format!("has `{name}` twice"));
        }
        seen.push(name);
    }
    if seen.iter().any(|name| name == "max-age") { Ok(()) } else { Err("lacks `max-age`".to_owned()) }
}

/// A character of a token (RFC 9110 §5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Directives of CSP3 and the specifications that extend it.
const POLICY_DIRECTIVES: [&str; 28] = [
    "base-uri",
    "block-all-mixed-content",
    "child-src",
    "connect-src",
    "default-src",
    "fenced-frame-src",
    "font-src",
    "form-action",
    "frame-ancestors",
    "frame-src",
    "img-src",
    "manifest-src",
    "media-src",
    "object-src",
    "prefetch-src",
    "report-to",
    "report-uri",
    "require-trusted-types-for",
    "sandbox",
    "script-src",
    "script-src-attr",
    "script-src-elem",
    "style-src",
    "style-src-attr",
    "style-src-elem",
    "trusted-types",
    "upgrade-insecure-requests",
    "worker-src",
];

fn policy(ctx: &mut CompileContext, path: &DocPath, text: &str) {
    for directive in policies(text.as_bytes()).flat_map(directives) {
        let Some(name) = words(directive).next() else { continue };
        let name = String::from_utf8_lossy(name);
        if POLICY_DIRECTIVES.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
            continue;
        }
        let malformed = !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let meant = slip(&name, POLICY_DIRECTIVES);
        if !malformed && meant.is_none() {
            continue;
        }
        let help = match meant {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "a policy is `directive source source; directive source`, such as `default-src 'self'`".to_owned(),
        };
        ctx.warning(
            path,
            "policy_directive_unknown",
            format!("`{name}` is no directive, and browsers ignore it"),
            help,
        );
    }
}
