//! The owner's own error pages: split at their placeholders when loaded, filled in when a request is refused.

use std::fmt::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};

use super::content::ResponseBody;
use crate::decision::outcome::Cause;

/// The pages of one level, inheritance already resolved.
#[derive(Clone, Debug, Default)]
pub struct Pages(Vec<(PageKey, Arc<Page>)>);

/// Which refusals a page is for. The first that fits in this order is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PageKey {
    Cause(Cause),
    Status(StatusCode),
    /// The first digit of the status: 4 or 5.
    Class(u16),
    Default,
}

impl PageKey {
    /// Reads a key as written: a cause's code, `404`, `4xx` or `default`.
    pub fn parse(text: &str) -> Option<PageKey> {
        match text {
            "default" => return Some(PageKey::Default),
            "4xx" => return Some(PageKey::Class(4)),
            "5xx" => return Some(PageKey::Class(5)),
            _ => {}
        }
        if let Some(cause) = Cause::from_code(text) {
            return Some(PageKey::Cause(cause));
        }
        let status: StatusCode = text.parse().ok()?;
        (status.is_client_error() || status.is_server_error()).then_some(PageKey::Status(status))
    }
}

impl fmt::Display for PageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PageKey::Cause(cause) => f.write_str(cause.code()),
            PageKey::Status(status) => f.write_str(status.as_str()),
            PageKey::Class(digit) => write!(f, "{digit}xx"),
            PageKey::Default => f.write_str("default"),
        }
    }
}

impl Pages {
    /// Every page with what it is for.
    pub fn iter(&self) -> impl Iterator<Item = (PageKey, &Page)> {
        self.0.iter().map(|(key, page)| (*key, &**page))
    }

    /// Adds a page, in place of one with the same key.
    pub fn insert(&mut self, key: PageKey, page: Arc<Page>) {
        match self.0.iter_mut().find(|(known, _)| *known == key) {
            Some(entry) => entry.1 = page,
            None => self.0.push((key, page)),
        }
    }

    /// The page for `cause`: by its code, its status, its class, or the default.
    pub fn find(&self, cause: Cause) -> Option<&Page> {
        if self.0.is_empty() {
            return None;
        }
        let status = cause.status();
        let keys =
            [PageKey::Cause(cause), PageKey::Status(status), PageKey::Class(status.as_u16() / 100), PageKey::Default];
        keys.iter().find_map(|wanted| self.0.iter().find(|(key, _)| key == wanted)).map(|(_, page)| &**page)
    }
}

/// A page, split at its placeholders.
#[derive(Debug, PartialEq)]
pub struct Page {
    content_type: HeaderValue,
    escape: Escape,
    parts: Box<[PagePart]>,
}

#[derive(Debug, PartialEq)]
enum PagePart {
    Text(Box<str>),
    Field(PageField),
}

/// What a page may fill in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageField {
    /// The status as a number.
    Status,
    /// The cause's name.
    Code,
    /// What went wrong, in words for strangers.
    Title,
    /// The id under which the log has the request.
    RequestId,
}

impl PageField {
    /// What a page writes between braces.
    pub const NAMES: [&str; 4] = ["status", "code", "title", "request_id"];

    fn from_name(name: &str) -> Option<PageField> {
        match name {
            "status" => Some(PageField::Status),
            "code" => Some(PageField::Code),
            "title" => Some(PageField::Title),
            "request_id" => Some(PageField::RequestId),
            _ => None,
        }
    }
}

/// The values of one refusal.
#[derive(Clone, Copy, Debug)]
pub struct PageValues<'a> {
    pub cause: Cause,
    pub request_id: &'a str,
}

impl Page {
    /// Reads the `{field}` places of `text`; other text between braces stays as it is.
    pub fn new(content_type: HeaderValue, text: &str) -> Page {
        let mut parts = Vec::new();
        let mut rest = 0;
        for (at, name) in placeholders(text) {
            let Some(field) = PageField::from_name(name) else { continue };
            if at > rest {
                parts.push(PagePart::Text(text[rest..at].into()));
            }
            parts.push(PagePart::Field(field));
            rest = at + name.len() + 2;
        }
        if rest < text.len() {
            parts.push(PagePart::Text(text[rest..].into()));
        }
        Page { escape: Escape::for_type(&content_type), content_type, parts: parts.into() }
    }

    /// What kind of text it is.
    pub fn content_type(&self) -> &HeaderValue {
        &self.content_type
    }

    /// The page with its placeholders filled in, escaped as its type needs it.
    pub fn render(&self, values: PageValues<'_>) -> ResponseBody {
        let mut content = String::with_capacity(self.parts.iter().map(PagePart::size_hint).sum());
        for part in &self.parts {
            match part {
                PagePart::Text(text) => content.push_str(text),
                PagePart::Field(PageField::Status) => content.push_str(values.cause.status().as_str()),
                PagePart::Field(PageField::Code) => content.push_str(values.cause.code()),
                PagePart::Field(PageField::Title) => self.escape.push(&mut content, values.cause.title()),
                PagePart::Field(PageField::RequestId) => self.escape.push(&mut content, values.request_id),
            }
        }
        ResponseBody { content_type: self.content_type.clone(), content: Bytes::from(content) }
    }
}

impl PagePart {
    fn size_hint(&self) -> usize {
        match self {
            PagePart::Text(text) => text.len(),
            PagePart::Field(_) => 48,
        }
    }
}

/// Everything in `text` that looks like a placeholder, known or not, with the offset of its brace: `{` lower-case letters
/// and underscores `}`. Style sheets and JSON use braces otherwise.
pub fn placeholders(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.match_indices('{').filter_map(|(at, _)| {
        let rest = &text[at + 1..];
        let end = rest.bytes().position(|b| !b.is_ascii_lowercase() && b != b'_')?;
        (end > 0 && rest.as_bytes()[end] == b'}').then(|| (at, &rest[..end]))
    })
}

/// How a value is made harmless in the page's language.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Escape {
    Plain,
    Markup,
    Json,
}

impl Escape {
    /// Whether a value with `byte` may have to be escaped.
    fn is_special(self, byte: u8) -> bool {
        match self {
            Escape::Plain => false,
            Escape::Markup => matches!(byte, b'&' | b'<' | b'>' | b'"' | b'\''),
            Escape::Json => matches!(byte, b'"' | b'\\' | 0..=0x1f),
        }
    }

    fn for_type(content_type: &HeaderValue) -> Escape {
        let essence = content_type.to_str().unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        let subtype = essence.split_once('/').map_or("", |(_, subtype)| subtype);
        if subtype == "html" || subtype == "xml" || subtype.ends_with("+xml") {
            Escape::Markup
        } else if subtype == "json" || subtype.ends_with("+json") {
            Escape::Json
        } else {
            Escape::Plain
        }
    }

    pub(super) fn push(self, content: &mut String, value: &str) {
        if !value.bytes().any(|byte| self.is_special(byte)) {
            return content.push_str(value);
        }
        for c in value.chars() {
            match (self, c) {
                (Escape::Markup, '&') => content.push_str("&amp;"),
                (Escape::Markup, '<') => content.push_str("&lt;"),
                (Escape::Markup, '>') => content.push_str("&gt;"),
                (Escape::Markup, '"') => content.push_str("&quot;"),
                (Escape::Markup, '\'') => content.push_str("&#39;"),
                (Escape::Json, '"' | '\\') => content.extend(['\\', c]),
                (Escape::Json, '\0'..='\x1f') => {
                    let _ = write!(content, "\\u{:04x}", u32::from(c));
                }
                _ => content.push(c),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(content_type: &'static str, text: &str, request_id: &str) -> String {
        let page = Page::new(HeaderValue::from_static(content_type), text);
        let body = page.render(PageValues { cause: Cause::HostInvalid, request_id });
        String::from_utf8(body.content.to_vec()).unwrap()
    }

    #[test]
    fn placeholders_are_filled_in() {
        assert_eq!(
            rendered("text/plain", "{status}{code}: {title} ({request_id})!", "r<1>"),
            "400host_invalid: The request's host is not valid (r<1>)!"
        );
    }

    #[test]
    fn unknown_placeholders_and_other_braces_stay() {
        let text = "p { color: red } {unknown} {{status} {} {status";
        assert_eq!(rendered("text/plain", text, ""), "p { color: red } {unknown} {400 {} {status");
        let names: Vec<_> = placeholders(text).map(|(_, name)| name).collect();
        assert_eq!(names, ["unknown", "status"]);
    }

    #[test]
    fn values_are_escaped_in_markup() {
        assert_eq!(
            rendered("text/HTML; charset=utf-8", "<b>{title} {request_id}", "<&\">"),
            "<b>The request&#39;s host is not valid &lt;&amp;&quot;&gt;"
        );
        assert_eq!(rendered("application/xhtml+xml", "{request_id}", "<"), "&lt;");
    }

    #[test]
    fn values_are_escaped_in_json() {
        let json = rendered("application/problem+json", r#"{"id": "{request_id}"}"#, "a\"\\\n");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap()["id"], "a\"\\\n");
    }

    #[test]
    fn the_most_particular_page_is_taken() {
        let page = |text| Arc::new(Page::new(HeaderValue::from_static("text/plain"), text));
        let mut pages = Pages::default();
        let found = |pages: &Pages, cause| {
            pages.find(cause).map(|p| p.render(PageValues { cause, request_id: "" }).content).unwrap_or_default()
        };
        assert_eq!(found(&pages, Cause::RateExceeded), "");
        for (key, text) in [("default", "any"), ("4xx", "class"), ("429", "status"), ("rate_exceeded", "cause")] {
            pages.insert(PageKey::parse(key).unwrap(), page(text));
            assert_eq!(found(&pages, Cause::RateExceeded), text);
        }
        assert_eq!(found(&pages, Cause::ConcurrencyExceeded), "status");
        assert_eq!(found(&pages, Cause::HostMissing), "class");
        assert_eq!(found(&pages, Cause::InternalError), "any");
        pages.insert(PageKey::Default, page("newer"));
        assert_eq!(found(&pages, Cause::InternalError), "newer");
    }

    #[test]
    fn keys_are_statuses_of_errors_classes_causes_or_default() {
        for wrong in ["200", "301", "600", "40", "4XX", "3xx", "", "rate"] {
            assert_eq!(PageKey::parse(wrong), None, "{wrong}");
        }
    }
}
