//! The admin listener: `/metrics`, `/livez`, `/readyz` as plain `http::Request -> http::Response` handlers.
//!
//! | path | answer | `admin.token` |
//! |---|---|---|
//! | `/` | this list | asked for |
//! | `/livez` | 200 whenever the process can answer | open |
//! | `/readyz` | 200 when traffic should be sent here, else 503 with the reasons, as JSON | open, but the reasons are not |
//! | `/metrics` | every metric, in Prometheus' text format | asked for |
//! | [commands](control) by `GET` | what they ask, as JSON | asked for |
//! | [commands](control) by `POST` | what became of them, as JSON | needed: without one they are 403 |
//!
//! Without a token it has no authentication, and therefore listens on loopback only. With one, whatever the table does not
//! call open is 401 (RFC 6750) for whoever does not present it, paths that do not exist included. Health stays open because
//! probes of load balancers and of Kubernetes carry no credentials. Its answers carry the headers that keep a browser from
//! framing, guessing or keeping them.

pub mod control;
mod readiness;

use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use serde_json::json;

use self::control::{Command, Control, Outcome};
pub use self::readiness::Readiness;
use crate::secret::Secret;
use crate::telemetry::metrics::Metrics;

/// What the admin listener answers from.
#[derive(Clone)]
pub struct Admin {
    pub metrics: Arc<Metrics>,
    pub readiness: Arc<Readiness>,
    pub control: Arc<dyn Control>,
    pub door: Door,
}

/// Who stands on the other side.
#[derive(Clone, Debug)]
pub enum Door {
    /// Everyone who reaches the listener: they may look.
    Open,
    /// Whoever presents this token.
    Token(Secret<Vec<u8>>),
    /// Only the process's own user and root, as the socket has made sure.
    Owner,
}

const PATHS: &str =
    "/drain\n/livez\n/metrics\n/readyz\n/reload\n/rollback\n/rollout/keep\n/rollout/revert\n/status\n/upstreams\n";

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
        let path = request.uri().path();
        let authorized = self.authorizes(request);
        if !authorized && !matches!(path, "/livez" | "/readyz") {
            let mut response =
                Answer::new(StatusCode::UNAUTHORIZED, TEXT, "a token is needed\n").respond(request.method());
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            return response;
        }
        let answer: fn(&Admin) -> Answer = match path {
            "/" => |_| Answer::new(StatusCode::OK, TEXT, PATHS),
            "/livez" => |_| Answer::new(StatusCode::OK, TEXT, "ok\n"),
            "/readyz" if authorized => |admin| admin.ready(true),
            "/readyz" => |admin| admin.ready(false),
            "/metrics" => |admin| Answer::new(StatusCode::OK, METRICS, admin.metrics.render()),
            _ => return self.command(request),
        };
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return not_allowed(request.method(), "GET, HEAD");
        }
        answer(self).respond(request.method())
    }

    /// Whether answering `request` may take longer than a look at memory, so that no thread with other duties should.
    pub fn blocks(&self, request: &Request<()>) -> bool {
        Command::named(request.uri()).is_some()
    }

    /// Gives the command that `request` names, if there is one.
    fn command(&self, request: &Request<()>) -> Response<Bytes> {
        let method = request.method();
        let Some((by, command)) = Command::named(request.uri()) else {
            return Answer::new(StatusCode::NOT_FOUND, TEXT, "not found\n").respond(method);
        };
        if by == Method::GET && !matches!(*method, Method::GET | Method::HEAD) {
            return not_allowed(method, "GET, HEAD");
        }
        if by == Method::POST && *method != Method::POST {
            return not_allowed(method, "POST");
        }
        if by == Method::POST && matches!(self.door, Door::Open) {
            return Answer::new(StatusCode::FORBIDDEN, TEXT, "changes need an `admin.token`\n").respond(method);
        }
        let outcome = match command {
            Ok(command) => self.control.handle(command),
            Err(error) => Outcome { status: StatusCode::BAD_REQUEST, body: json!({ "error": error }) },
        };
        Answer::new(outcome.status, JSON, format!("{:#}\n", outcome.body)).respond(method)
    }

    /// Refuses what is no request that could be handled.
    pub fn refuse(&self, status: StatusCode) -> Response<Bytes> {
        let body = format!("{}\n", status.canonical_reason().unwrap_or_default().to_ascii_lowercase());
        Answer::new(status, TEXT, body).respond(&Method::GET)
    }

    /// Whether `request` presents the token, or none is asked for.
    fn authorizes(&self, request: &Request<()>) -> bool {
        let Door::Token(token) = &self.door else { return true };
        let mut values = request.headers().get_all(header::AUTHORIZATION).iter();
        // Of two credentials it could not be said which one counts.
        let (Some(value), None) = (values.next(), values.next()) else { return false };
        value
            .as_bytes()
            .split_first_chunk::<7>()
            .is_some_and(|(scheme, presented)| scheme.eq_ignore_ascii_case(b"bearer ") && token.equals(presented))
    }

    /// The reasons name upstreams, which a stranger need not know.
    fn ready(&self, with_reasons: bool) -> Answer {
        let reasons = self.readiness.reasons();
        let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let mut body = json!({ "ready": reasons.is_empty() });
        if with_reasons {
            body["reasons"] = reasons.into();
            body["notes"] = json!(self.readiness.notes());
        }
        Answer::new(status, JSON, format!("{body}\n"))
    }
}

fn not_allowed(method: &Method, allowed: &'static str) -> Response<Bytes> {
    let mut response = Answer::new(StatusCode::METHOD_NOT_ALLOWED, TEXT, format!("only {allowed}\n")).respond(method);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
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

    struct Echo;

    impl Control for Echo {
        fn handle(&self, command: Command) -> Outcome {
            Outcome { status: StatusCode::OK, body: format!("{command:?}").into() }
        }
    }

    fn admin() -> Admin {
        Admin { metrics: Arc::default(), readiness: Arc::default(), control: Arc::new(Echo), door: Door::Open }
    }

    fn guarded() -> Admin {
        Admin { door: Door::Token(Secret::new(b"0123456789abcdef".to_vec())), ..admin() }
    }

    fn ask_with(admin: &Admin, path: &str, authorization: &[&str]) -> Response<Bytes> {
        let mut request = Request::builder().uri(path);
        for value in authorization {
            request = request.header(header::AUTHORIZATION, *value);
        }
        admin.handle(&request.body(()).unwrap())
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
        assert_eq!(
            body(&response),
            "{\"ready\":false,\"reasons\":[\"draining\",\"upstream orders unresolved\"],\"notes\":{}}\n"
        );

        admin.readiness.clear("draining");
        admin.readiness.clear("upstream orders unresolved");
        let response = ask(&admin, Method::GET, "/readyz");
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(body(&response), "{\"ready\":true,\"reasons\":[],\"notes\":{}}\n");
    }

    #[test]
    fn everything_but_health_asks_for_the_token() {
        let admin = guarded();
        for path in ["/", "/metrics", "/other"] {
            for wrong in [
                &[][..],
                &["Bearer 0123456789abcde"],
                &["Bearer 0123456789abcdeff"],
                &["Bearer  0123456789abcdef"],
                &["Basic 0123456789abcdef"],
                &["0123456789abcdef"],
                &["Bearer 0123456789abcdef", "Bearer 0123456789abcdef"],
            ] {
                let response = ask_with(&admin, path, wrong);
                assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{path} {wrong:?}");
                assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer");
                assert_eq!(response.headers()[header::X_FRAME_OPTIONS], "DENY");
            }
        }
        assert_eq!(ask(&admin, Method::POST, "/metrics").status(), StatusCode::UNAUTHORIZED);
        assert_eq!(ask_with(&admin, "/metrics", &["Bearer 0123456789abcdef"]).status(), StatusCode::OK);
        assert_eq!(ask_with(&admin, "/", &["bearer 0123456789abcdef"]).status(), StatusCode::OK);
    }

    #[test]
    fn health_is_open_and_tells_strangers_no_reasons() {
        let admin = guarded();
        admin.readiness.block("upstream orders unresolved");
        assert_eq!(ask(&admin, Method::GET, "/livez").status(), StatusCode::OK);
        let response = ask(&admin, Method::GET, "/readyz");
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(body(&response), "{\"ready\":false}\n");
        let response = ask_with(&admin, "/readyz", &["Bearer 0123456789abcdef"]);
        assert!(body(&response).contains("upstream orders unresolved"));
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
