//! What a refused stranger gets: a body in the form that it reads, and the headers that belong to the cause.
//!
//! Both come from the [`Cause`] alone; [`Denial::detail`], the true reason, is for the log.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue};
use smallvec::SmallVec;

use super::accept::prefers_html;
use super::content::ResponseBody;
use super::page::{Escape, PageValues};
use super::rules::ResponseRules;
use crate::decision::limit::retry_after_seconds;
use crate::decision::outcome::{Cause, Denial};

/// `Proxy-Status` (RFC 9209).
const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// The body that tells a stranger about `denial`: the owner's page, a small HTML page for browsers, or problem+json.
///
/// An owner's page is sent whatever `accept` says, as RFC 9110 §12.4.1 allows: it is the only one there is.
pub fn refusal_body(rules: &ResponseRules, denial: &Denial, accept: Option<&[u8]>, request_id: &str) -> ResponseBody {
    let cause = denial.cause.shown();
    if let Some(page) = rules.pages().find(cause) {
        return page.render(PageValues { cause, request_id });
    }
    if prefers_html(accept) { html(cause, request_id) } else { problem(cause, request_id) }
}

/// The headers that `denial` itself calls for, to be followed by the declared ones: the challenge of a 401, the methods
/// of a 405, when to come back, which failure beyond the gateway it was. `rate_limit` are the RateLimit fields of the
/// limit that refused, if one did.
pub fn refusal_headers(
    denial: &Denial,
    rate_limit: impl IntoIterator<Item = (HeaderName, HeaderValue)>,
) -> SmallVec<[(HeaderName, HeaderValue); 6]> {
    let mut headers = SmallVec::new();
    // Without it, a cache may keep a 404, 405, 414 or 501 for others (RFC 9110 §15.1).
    headers.push((CACHE_CONTROL, HeaderValue::from_static("no-store")));
    if let Some(challenge) = &denial.challenge {
        headers.push((WWW_AUTHENTICATE, challenge.clone()));
    }
    if let Some(methods) = &denial.allow {
        headers.push((ALLOW, methods.clone()));
    }
    if let Some(wait) = denial.retry_after {
        headers.push((RETRY_AFTER, HeaderValue::from(retry_after_seconds(wait))));
    }
    if let Some(error) = denial.cause.proxy_status() {
        let status = HeaderValue::try_from(["portcullis; error=", error].concat());
        headers.push((PROXY_STATUS, status.expect("BUG: the registry holds tokens of RFC 9209")));
    }
    headers.extend(rate_limit);
    headers
}

/// A problem of RFC 9457, with the extension members `code` and `request_id`.
fn problem(cause: Cause, request_id: &str) -> ResponseBody {
    let status = cause.status();
    let mut problem = String::with_capacity(256);
    problem.push_str("{\"type\":\"about:blank\",\"title\":\"");
    Escape::Json.push(&mut problem, cause.title());
    problem.push_str("\",\"status\":");
    problem.push_str(status.as_str());
    problem.push_str(",\"code\":\"");
    problem.push_str(cause.code());
    problem.push_str("\",\"request_id\":\"");
    Escape::Json.push(&mut problem, request_id);
    problem.push_str("\"}");
    ResponseBody { content_type: HeaderValue::from_static("application/problem+json"), content: Bytes::from(problem) }
}

/// A page that needs nothing: no style, script or image, so that it reads the same under any policy of the owner.
fn html(cause: Cause, request_id: &str) -> ResponseBody {
    let mut page = String::with_capacity(512);
    let status = cause.status();
    page.push_str("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    page.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>");
    Escape::Markup.push(&mut page, cause.title());
    page.push_str("</title>\n</head>\n<body>\n<h1>");
    Escape::Markup.push(&mut page, cause.title());
    page.push_str("</h1>\n<p>Status ");
    page.push_str(status.as_str());
    page.push_str(", <code>");
    page.push_str(cause.code());
    page.push_str("</code></p>\n<p>Request <code>");
    Escape::Markup.push(&mut page, request_id);
    page.push_str("</code></p>\n</body>\n</html>\n");
    ResponseBody { content_type: HeaderValue::from_static("text/html; charset=utf-8"), content: Bytes::from(page) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::decision::response::Operations;
    use crate::decision::response::page::{Page, PageKey, Pages};

    const SECRET: &str = "key 7 of the set at https://id.internal";

    fn text(body: &ResponseBody) -> &str {
        std::str::from_utf8(&body.content).unwrap()
    }

    fn body(accept: &'static str, request_id: &str) -> ResponseBody {
        let denial = Denial::new(Cause::HostInvalid, SECRET);
        refusal_body(&ResponseRules::default(), &denial, Some(accept.as_bytes()), request_id)
    }

    #[test]
    fn programs_get_a_problem() {
        let body = body("*/*", "id\"1");
        assert_eq!(body.content_type, "application/problem+json");
        assert_eq!(
            serde_json::from_slice::<serde_json::Value>(&body.content).unwrap(),
            serde_json::json!({
                "type": "about:blank", "title": "The request's host is not valid", "status": 400,
                "code": "host_invalid", "request_id": "id\"1",
            })
        );
    }

    #[test]
    fn browsers_get_a_page_that_loads_nothing() {
        let body = body("text/html", "<script>");
        assert_eq!(body.content_type, "text/html; charset=utf-8");
        let page = text(&body);
        assert!(page.contains("<h1>The request&#39;s host is not valid</h1>") && page.contains("&lt;script&gt;"));
        for needs in ["<script", "<style", "style=", "src=", "href="] {
            assert!(!page.contains(needs), "{needs}");
        }
    }

    #[test]
    fn the_owners_page_comes_first() {
        let mut pages = Pages::default();
        let page = Page::new(HeaderValue::from_static("text/plain"), "no: {code} {request_id}");
        pages.insert(PageKey::Class(4), Arc::new(page));
        let rules = ResponseRules::new(Operations::default(), None, pages);
        let denial = Denial::new(Cause::ScopeMissing, SECRET);
        let body = refusal_body(&rules, &denial, Some(b"text/html"), "7");
        assert_eq!((text(&body), body.content_type.as_bytes()), ("no: scope_missing 7", &b"text/plain"[..]));
    }

    #[test]
    fn the_true_reason_stays_inside() {
        for &cause in Cause::ALL {
            let denial = Denial::new(cause, SECRET);
            for accept in [None, Some(&b"text/html"[..])] {
                let body = refusal_body(&ResponseRules::default(), &denial, accept, "7");
                assert!(!text(&body).contains("id.internal"), "{cause}");
            }
            assert!(!format!("{:?}", refusal_headers(&denial, [])).contains("id.internal"), "{cause}");
        }
    }

    #[test]
    fn the_wait_is_rounded_up_and_never_zero() {
        for (wait, seconds) in [(0, "1"), (1, "1"), (1000, "1"), (1001, "2"), (59_999, "60")] {
            let mut denial = Denial::new(Cause::RateExceeded, "");
            denial.retry_after = Some(Duration::from_millis(wait));
            let headers = refusal_headers(&denial, []);
            assert!(headers.iter().any(|(name, value)| name == RETRY_AFTER && value == seconds), "{wait}");
        }
        let mut denial = Denial::new(Cause::RateExceeded, "");
        denial.retry_after = Some(Duration::MAX);
        refusal_headers(&denial, []);
    }

    #[test]
    fn each_cause_brings_its_headers() {
        let mut denial = Denial::new(Cause::UpstreamConnectFailed, "");
        denial.challenge = Some(HeaderValue::from_static("Bearer"));
        denial.allow = Some(HeaderValue::from_static("GET"));
        let limit = (HeaderName::from_static("ratelimit"), HeaderValue::from_static("\"a\";r=0"));
        let headers = refusal_headers(&denial, [limit]);
        let written: Vec<_> = headers.iter().map(|(n, v)| format!("{n}: {}", v.to_str().unwrap())).collect();
        assert_eq!(
            written,
            [
                "cache-control: no-store",
                "www-authenticate: Bearer",
                "allow: GET",
                "proxy-status: portcullis; error=connection_refused",
                "ratelimit: \"a\";r=0",
            ]
        );
        for &cause in Cause::ALL {
            refusal_headers(&Denial::new(cause, ""), []);
        }
    }
}
