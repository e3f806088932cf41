//! StickyConfig sessions.

use std::sync::Arc;

use http::HeaderName;

use crate::config::compile::{CompileContext, numbers};
use crate::config::doc_path::DocPath;
use crate::config::raw;
use crate::config::raw::shape::SecretSource;
use crate::config::raw::upstream::sticky::Lifetime;
use crate::config::snapshot::StickyConfig;
use crate::decision::upstream::sticky::{self, MIN_KEY_BYTES, SameSite};
use crate::secret::Secret;

/// `None` comes with an error.
pub(super) fn sticky(
    ctx: &mut CompileContext,
    path: &DocPath,
    raw: &raw::upstream::sticky::Sticky,
) -> Option<StickyConfig> {
    let name = name(ctx, &path.key("cookie"), &raw.cookie);
    let lifetime = match raw.lifetime {
        None | Some(Lifetime::Session) => None,
        Some(Lifetime::Span(span)) => {
            let written = numbers::span(ctx, &path.key("lifetime"), Some(span), span.0);
            if written.as_secs() == 0 && !written.is_zero() {
                let help = "write a whole second or more, or `session`";
                ctx.error_with_help(&path.key("lifetime"), "out_of_range", "a cookie lives for whole seconds", help);
            }
            Some(written)
        }
    };
    let cookie_path = cookie_path(ctx, &path.key("path"), raw.path.as_deref().unwrap_or("/"));
    let same_site = match raw.same_site {
        raw::upstream::sticky::SameSite::Lax => SameSite::Lax,
        raw::upstream::sticky::SameSite::Strict => SameSite::Strict,
        raw::upstream::sticky::SameSite::None => SameSite::None,
    };
    if same_site == SameSite::None && raw.secure != Some(true) {
        ctx.error_with_help(
            &path.key("same_site"),
            "cookie_needs_secure",
            "browsers refuse a cookie with `SameSite=None` that is not `Secure`",
            "write `secure: true`, or `same_site: lax`",
        );
    }
    prefixed(ctx, path, raw, cookie_path.as_deref());
    let key = match &raw.key {
        None => {
            ctx.warning(
                path,
                "sticky_key_missing",
                "the cookie is signed with a key that ends with the process: after a restart, and on another gateway, clients \
                 move to other endpoints",
                "write a `key`, such as `key: {file: sticky.key}` with the output of `openssl rand -hex 32`",
            );
            None
        }
        Some(source) => Some(Arc::new(key(ctx, &path.key("key"), source)?)),
    };
    Some(StickyConfig {
        cookie: sticky::Sticky { name: name?, lifetime, path: cookie_path?, same_site, secure: raw.secure },
        key,
    })
}

/// A cookie's name is a token (RFC 6265 §4.1.1), as a header's is; but it keeps its case.
fn name(ctx: &mut CompileContext, path: &DocPath, written: &str) -> Option<String> {
    if HeaderName::from_bytes(written.as_bytes()).is_ok() {
        return Some(written.to_owned());
    }
    let message = format!("`{written}` is not the name of a cookie");
    ctx.error_with_help(path, "invalid_cookie_name", message, "write a name such as `route`");
    None
}

/// A cookie's path (RFC 6265 §4.1.1) begins with `/`, as browsers would ignore it otherwise.
fn cookie_path(ctx: &mut CompileContext, path: &DocPath, written: &str) -> Option<String> {
    let plain = written.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b';' | b','));
    if written.starts_with('/') && plain {
        return Some(written.to_owned());
    }
    let message = format!("`{written}` is not the path of a cookie");
    ctx.error_with_help(path, "invalid_path", message, "begin it with `/`, and percent-encode what is not plain");
    None
}

/// Browsers refuse cookies whose name promises more than they keep (RFC 6265bis §4.1.3).
fn prefixed(ctx: &mut CompileContext, path: &DocPath, raw: &raw::upstream::sticky::Sticky, cookie_path: Option<&str>) {
    let lower = raw.cookie.to_ascii_lowercase();
    let host = lower.starts_with("__host-");
    if (host || lower.starts_with("__secure-")) && raw.secure != Some(true)
        || host && cookie_path.is_some_and(|path| path != "/")
    {
        ctx.error_with_help(
            &path.key("cookie"),
            "cookie_needs_secure",
            format!("browsers refuse the cookie `{}` as it is", raw.cookie),
            "write `secure: true`, and for `__Host-` the path `/`; or choose a name without the prefix",
        );
    }
}

fn key(ctx: &mut CompileContext, path: &DocPath, source: &SecretSource) -> Option<Secret<Vec<u8>>> {
    let key = ctx.read_secret(path, source)?;
    if key.expose().len() < MIN_KEY_BYTES {
        ctx.error_with_help(
            path,
            "key_too_short",
            format!("the key has less than {MIN_KEY_BYTES} bytes, so that it might be guessed"),
            "take the output of `openssl rand -hex 32`",
        );
        return None;
    }
    Some(key)
}
