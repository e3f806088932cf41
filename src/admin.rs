//! The admin listener: `/metrics`, `/livez`, `/readyz` as plain `http::Request -> http::Response` handlers.
//!
//! | path | answer |
//! |---|---|
//! | `/` | this list |
//! | `/livez` | 200 whenever the process can answer |
//! | `/readyz` | 200 when traffic should be sent here, else 503 with the reasons, as JSON |
//! | `/metrics` | every metric, in Prometheus' text format |
//!
//! It has no authentication and therefore listens on loopback only. It reads and never changes anything, and its answers
//! carry the headers that keep a browser from framing, guessing or keeping them.

mod readiness;

use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use serde_json::json;

pub use self::readiness::Readiness;
use crate::telemetry::metrics::Metrics;

/// What the admin listener answers from.
#[derive(Clone, Debug)]
pub struct Admin {
    pub metrics: Arc<Metrics>,
    pub readiness: Arc<Readiness>,
}

const PATHS: &str = "/livez\n/metrics\n/readyz\n";

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const METRICS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

const ON_EVERY_ANSWER: [(HeaderName, HeaderValue); 4] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
];

impl Admin {
    /// Answers `request`. The answer to HEAD has the header of GET's (RFC 9110 §9.3.2) and no body.
    pub fn handle(&self, request: &Request<()>) -> Response<Bytes> {
        let answer: fn(&Admin) -> Answer = match request.uri().path() {
            "/" => |_| Answer::new(StatusCode::OK, TEXT, PATHS),
            "/livez" => |_| Answer::new(StatusCode::OK, TEXT, "ok\n"),
            "/readyz" => Admin::ready,
            "/metrics" => |admin| Answer::new(StatusCode::OK, METRICS, admin.metrics.render()),
            _ => return Answer::new(StatusCode::NOT_FOUND, TEXT, "not found\n").respond(request.method()),
        };
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let refusal = Answer::new(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n");
            let mut response = refusal.respond(request.method());
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        answer(self).respond(request.method())
    }

    fn ready(&self) -> Answer {
        let reasons = self.readiness.reasons();
        let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        Answer::new(status, JSON, format!("{}\n", json!({ "ready": reasons.is_empty(), "reasons": reasons })))
    }
}

struct Answer {
    status: StatusCode,
    content_type: HeaderValue,
    body: Bytes,
}

impl Answer {
    fn new(status: StatusCode, content_type: HeaderValue, body: impl Into<Bytes>) -> Self {
        Answer { status, content_type, body: body.into() }
    }

    fn respond(self, method: &Method) -> Response<Bytes> {
        let length = self.body.len();
        let mut response = Response::new(if method == Method::HEAD { Bytes::new() } else { self.body });
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, self.content_type);
        headers.insert(header::CONTENT_LENGTH, length.into());
        headers.extend(ON_EVERY_ANSWER);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admin() -> Admin {
        Admin { metrics: Arc::default(), readiness: Arc::default() }
    }

    fn ask(admin: &Admin, method: Method, path: &str) -> Response<Bytes> {
        admin.handle(&Request::builder().method(method).uri(path).body(()).unwrap())
    }

    fn body(response: &Response<Bytes>) -> &str {
        std::str::from_utf8(response.body()).unwrap()
    }

    #[test]
    fn every_answer_carries_the_headers() {
        let admin = admin();
        admin.readiness.block("starting");
        for (method, path) in [
            (Method::GET, "/"),
            (Method::GET, "/livez"),
            (Method::GET, "/readyz"),
            (Method::GET, "/metrics"),
            (Method::GET, "/other"),
            (Method::POST, "/metrics"),
            (Method::HEAD, "/livez"),
        ] {
            let response = ask(&admin, method, path);
            for (name, value) in &ON_EVERY_ANSWER {
                let values: Vec<_> = response.headers().get_all(name).iter().collect();
                assert_eq!(values, [value], "{path}");
            }
        }
    }

    #[test]
    fn ready_tells_why_not() {
        let admin = admin();
        admin.readiness.block("upstream orders unresolved");
        admin.readiness.block("draining");
        let response = ask(&admin, Method::GET, "/readyz");
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(body(&response), "{\"ready\":false,\"reasons\":[\"draining\",\"upstream orders unresolved\"]}\n");

        admin.readiness.clear("draining");
        admin.readiness.clear("upstream orders unresolved");
        let response = ask(&admin, Method::GET, "/readyz");
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(body(&response), "{\"ready\":true,\"reasons\":[]}\n");
    }

    #[test]
    fn alive_does_not_depend_on_ready() {
        let admin = admin();
        admin.readiness.block("draining");
        assert_eq!(ask(&admin, Method::GET, "/livez").status(), StatusCode::OK);
    }

    #[test]
    fn head_has_the_length_of_get_and_no_body() {
        let admin = admin();
        let response = ask(&admin, Method::HEAD, "/livez");
        assert_eq!(response.headers()[header::CONTENT_LENGTH], "3");
        assert!(response.body().is_empty());
    }

    #[test]
    fn metrics_are_prometheus_text() {
        let response = ask(&admin(), Method::GET, "/metrics");
        assert_eq!(response.headers()[header::CONTENT_TYPE], METRICS);
        assert!(body(&response).contains("portcullis_build_info{version="));
    }

    #[test]
    fn what_does_not_exist_is_404_and_what_changes_things_is_405() {
        let admin = admin();
        assert_eq!(ask(&admin, Method::DELETE, "/other").status(), StatusCode::NOT_FOUND);
        let response = ask(&admin, Method::POST, "/readyz");
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()[header::ALLOW], "GET, HEAD");
    }

    #[test]
    fn the_list_names_what_is_answered() {
        let admin = admin();
        for path in PATHS.lines() {
            assert_ne!(ask(&admin, Method::GET, path).status(), StatusCode::NOT_FOUND, "{path}");
        }
    }
}
