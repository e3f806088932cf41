//! `error_pages`: for which refusals, and with which text.

use std::collections::HashSet;
use std::sync::Arc;

use http::HeaderValue;

use super::super::CompileContext;
use crate::config::doc_path::DocPath;
use crate::config::raw::response::ErrorPage;
use crate::config::raw::shape::Entries;
use crate::decision::outcome::Cause;
use crate::decision::response::page::{Page, PageField, PageKey, Pages, placeholders};
use crate::diagnostics::did_you_mean;

/// Largest page in bytes. Pages stay in memory, and are sent to whoever is refused, as often as they ask.
const MAX_PAGE: usize = 256 << 10;

const DEFAULT_TYPE: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// Reads the pages of a level into `pages`, over those that it inherits.
pub fn read(ctx: &mut CompileContext, path: &DocPath, entries: &Entries<ErrorPage>, pages: &mut Pages) {
    let mut seen = HashSet::new();
    for (written, raw) in &entries.0 {
        let path = path.key(written);
        let key = key(ctx, &path, written);
        let page = page(ctx, &path, raw);
        let Some(key) = key else { continue };
        if !seen.insert(key) {
            ctx.error(&path, "error_page_repeated", format!("`{written}` has two pages"));
        }
        if let Some(page) = page {
            pages.insert(key, Arc::new(page));
        }
    }
}

fn key(ctx: &mut CompileContext, path: &DocPath, written: &str) -> Option<PageKey> {
    let key = PageKey::parse(written);
    match key {
        None => {
            let known = Cause::ALL.iter().map(|cause| cause.code()).chain(["default", "4xx", "5xx"]);
            let otherwise = "write a status such as `404`, `4xx`, `5xx`, a cause such as `rate_exceeded`, or `default`";
            ctx.error_with_help(
                path,
                "error_page_key_unknown",
                format!("`{written}` is no status of an error, class, or cause"),
                did_you_mean(written, known, otherwise),
            );
        }
        Some(PageKey::Cause(cause)) if cause.shown() != cause => {
            let message = format!("nobody is told of `{written}`, so this page is never shown");
            ctx.warning(path, "error_page_unused", message, format!("write the page for `{}`", cause.shown()));
        }
        Some(PageKey::Status(status)) if Cause::ALL.iter().all(|cause| cause.status() != status) => ctx.warning(
            path,
            "error_page_unused",
            format!("the gateway never answers with {written} itself, so this page is never shown"),
            "leave it out; answers of the origin keep their own bodies",
        ),
        Some(_) => {}
    }
    key
}

fn page(ctx: &mut CompileContext, path: &DocPath, raw: &ErrorPage) -> Option<Page> {
    let content_type = content_type(ctx, path, raw.content_type.as_deref());
    let (place, text) = match (&raw.body, &raw.file) {
        (Some(body), None) => (path.key("body"), body.clone()),
        (None, Some(file)) => {
            let place = path.key("file");
            let content = ctx.read_file(&place, file)?;
            let Ok(text) = String::from_utf8(content) else {
                ctx.error_with_help(
                    &place,
                    "error_page_not_text",
                    format!("`{file}` is not UTF-8 text"),
                    "save it as UTF-8",
                );
                return None;
            };
            (place, text)
        }
        (both, _) => {
            let given = if both.is_some() { "both `body` and `file`" } else { "neither `body` nor `file`" };
            ctx.error_with_help(path, "error_page_source", format!("the page has {given}"), "give exactly one of them");
            return None;
        }
    };
    if text.len() > MAX_PAGE {
        ctx.error_with_help(
            &place,
            "error_page_too_large",
            format!("the page has {} bytes, and at most {MAX_PAGE} (256KiB) are kept", text.len()),
            "link to images and styles instead of including them",
        );
        return None;
    }
    let mut warned = HashSet::new();
    for (_, name) in placeholders(&text) {
        if !PageField::NAMES.contains(&name) && warned.insert(name) {
            let otherwise =
                "a page may use `{status}`, `{code}`, `{title}` and `{request_id}`; anything else stays as it is";
            ctx.warning(
                &place,
                "placeholder_unknown",
                format!("`{{{name}}}` is not filled in"),
                did_you_mean(name, PageField::NAMES, otherwise),
            );
        }
    }
    Some(Page::new(content_type?, &text))
}

fn content_type(ctx: &mut CompileContext, path: &DocPath, written: Option<&str>) -> Option<HeaderValue> {
    let Some(written) = written else { return Some(DEFAULT_TYPE) };
    let essence = written.split(';').next().unwrap_or("").trim_end();
    let token =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b));
    let valid = essence.split_once('/').is_some_and(|(kind, subtype)| token(kind) && token(subtype));
    let value = HeaderValue::from_str(written).ok().filter(|_| valid);
    if value.is_none() {
        ctx.error_with_help(
            &path.key("content_type"),
            "content_type_invalid",
            format!("{written:?} is not a media type"),
            "write for example `text/html; charset=utf-8`",
        );
    }
    value
}
