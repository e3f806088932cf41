//! The admin listener: `/metrics`, `/livez`, `/readyz` and the [commands](command), as plain `http::Request ->
//! http::Response` handlers, and the HTTP/1 server that calls them ([`connection`]).
//!
//! | path | answer | `admin.token` |
//! |---|---|---|
//! | `/` | this list | required |
//! | `/livez` | 200 whenever the process can answer | not required |
//! | `/readyz` | 200 when traffic should be sent here, else 503 with a code, as JSON | required for every detail, and none without one |
//! | `/metrics` | every metric, in Prometheus' text format | required |
//! | [commands](command) by `GET` | what they read, as JSON | required |
//! | [commands](command) by `POST` | their result, as JSON | required; 403 if none is configured |
//!
//! A listener without `admin.token` has no authentication. It therefore listens on loopback only, and refuses every `POST`:
//! any page in a browser on this machine could send one. With a token, a request for a path that requires it is answered 401
//! (RFC 6750) unless it presents the token, also if the path does not exist. `/livez` and `/readyz` require none because the
//! probes of load balancers and of Kubernetes carry no credentials. Errors are JSON ([`api::AdminError`]). Every answer
//! carries headers that keep a browser from framing it, guessing its type and caching it.

pub mod api;
pub mod command;
pub mod connection;
mod liveness;
mod readiness;

use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use serde::Serialize;

use self::api::{AdminError, ErrorCode, ReadinessReport, Versioned};
use self::command::{AdminCommand, CommandHandler};
pub use self::liveness::Liveness;
pub use self::readiness::Readiness;
use crate::secret::Secret;
use crate::telemetry::metrics::Metrics;

/// Answers the requests of the admin listener, or of the control socket.
#[derive(Clone)]
pub struct AdminHandler {
    pub metrics: Arc<Metrics>,
    pub readiness: Arc<Readiness>,
    pub liveness: Arc<Liveness>,
    pub commands: Arc<dyn CommandHandler>,
    pub auth: AdminAuth,
}

/// How a client of the admin listener or of the control socket is authenticated.
#[derive(Clone, Debug)]
pub enum AdminAuth {
    /// Not at all: it may only read.
    None,
    /// By this token.
    Token(Arc<Secret<Vec<u8>>>),
    /// By the credentials of its process: only the gateway's own user and root reach the control socket.
    PeerCredentials,
}

const PATHS: &str =
    "/drain\n/livez\n/metrics\n/readyz\n/reload\n/rollback\n/rollout/keep\n/rollout/revert\n/status\n/upstreams\n";

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const METRICS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

const ON_EVERY_ANSWER: [(HeaderName, HeaderValue); 5] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

impl AdminHandler {
    /// Answers `request`. The answer to HEAD is that to GET: the server leaves its body out (RFC 9110 §9.3.2).
    pub fn handle(&self, request: &Request<()>) -> Response<Bytes> {
        let path = request.uri().path();
        if matches!(self.auth, AdminAuth::None) && !is_asked_by_address(request) {
            return refuse(
                ErrorCode::HostMisdirected,
                "without `admin.token`, ask by an IP address or `localhost`, and not from a web page",
            );
        }
        let authorized = self.authorizes(request);
        if !authorized && !is_probe(path) {
            let mut response = refuse(ErrorCode::TokenRequired, "a token is required (`Authorization: Bearer`)");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            return response;
        }
        let answer: fn(&AdminHandler) -> Response<Bytes> = match path {
            "/" => |_| respond(StatusCode::OK, TEXT, PATHS),
            "/livez" if self.liveness.is_alive() => |_| respond(StatusCode::OK, TEXT, "ok\n"),
            "/livez" => |_| respond(StatusCode::SERVICE_UNAVAILABLE, TEXT, "a thread that serves has stopped\n"),
            "/readyz" if authorized && !matches!(self.auth, AdminAuth::None) => |admin| admin.ready(true),
            "/readyz" => |admin| admin.ready(false),
            "/metrics" => |admin| respond(StatusCode::OK, METRICS, admin.metrics.render()),
            _ => return self.command(request),
        };
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return not_allowed("GET, HEAD");
        }
        answer(self)
    }

    /// Whether the answer to `request` may take longer than a look at memory, so that it belongs on a thread of its own.
    pub fn blocks(&self, request: &Request<()>) -> bool {
        AdminCommand::parse(request.uri()).is_some()
    }

    /// Carries out the command that `request` names, if it names one.
    fn command(&self, request: &Request<()>) -> Response<Bytes> {
        let method = request.method();
        let Some((expected, command)) = AdminCommand::parse(request.uri()) else {
            return refuse(ErrorCode::PathUnknown, "there is no such path");
        };
        if expected == Method::GET && !matches!(*method, Method::GET | Method::HEAD) {
            return not_allowed("GET, HEAD");
        }
        if expected == Method::POST && *method != Method::POST {
            return not_allowed("POST");
        }
        if expected == Method::POST && matches!(self.auth, AdminAuth::None) {
            return refuse(ErrorCode::ChangesForbidden, "changes require an `admin.token`");
        }
        match command.and_then(|command| self.commands.handle(command)) {
            Ok(answer) => respond_json(answer.status(), &Versioned::new(answer)),
            Err(error) => respond_json(error.code.status(), &Versioned::new(error)),
        }
    }

    /// Whether `request` presents the token, or none is required.
    fn authorizes(&self, request: &Request<()>) -> bool {
        let AdminAuth::Token(token) = &self.auth else { return true };
        let mut values = request.headers().get_all(header::AUTHORIZATION).iter();
        // Of two credentials it could not be said which one counts.
        let (Some(value), None) = (values.next(), values.next()) else { return false };
        value
            .as_bytes()
            .split_first_chunk::<7>()
            .is_some_and(|(scheme, presented)| scheme.eq_ignore_ascii_case(b"bearer ") && token.equals(presented))
    }

    /// The notes may quote the configuration, and are therefore only for authenticated clients.
    fn ready(&self, with_details: bool) -> Response<Bytes> {
        let reasons = self.readiness.reasons();
        let (ready, code) = (reasons.is_empty(), reasons.first().cloned());
        let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let (reasons, notes) = if with_details { (Some(reasons), Some(self.readiness.notes())) } else { (None, None) };
        let body = serde_json::to_string(&ReadinessReport { ready, code, reasons, notes });
        respond(status, JSON, body.expect("BUG: a report of strings is JSON") + "\n")
    }
}

/// Whether `path` is one that load balancers and supervisors ask for.
fn is_probe(path: &str) -> bool {
    matches!(path, "/livez" | "/readyz")
}

/// Whether `request` names its host as an address or as `localhost`, and comes from no page of another origin.
fn is_asked_by_address(request: &Request<()>) -> bool {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    // Every browser sends one.
    let Some(host) = hosts.next() else { return true };
    let (Ok(host), None) = (host.to_str(), hosts.next()) else { return false };
    let Ok(authority) = host.parse::<http::uri::Authority>() else { return false };
    let name = authority.host();
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>().is_ok();
    let origin = request.headers().get(header::ORIGIN).map(HeaderValue::as_bytes);
    let own = origin.is_none_or(|origin| origin.strip_prefix(b"http://") == Some(host.as_bytes()));
    (address || name.eq_ignore_ascii_case("localhost")) && own
}

/// An error as an answer.
fn refuse(code: ErrorCode, error: &str) -> Response<Bytes> {
    respond_json(code.status(), &Versioned::new(AdminError::new(code, error)))
}

fn not_allowed(allowed: &'static str) -> Response<Bytes> {
    let mut response = refuse(ErrorCode::MethodNotAllowed, &format!("the methods of this path are: {allowed}"));
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

fn respond_json(status: StatusCode, body: &impl Serialize) -> Response<Bytes> {
    let body = serde_json::to_string_pretty(body).expect("BUG: the answers are structs, lists and strings");
    respond(status, JSON, body + "\n")
}

fn respond(status: StatusCode, content_type: HeaderValue, body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.extend(ON_EVERY_ANSWER);
    response
}

#[cfg(test)]
mod tests {
    use super::api::{CommandAnswer, RollbackResult};
    use super::*;

    /// Refuses roll-outs and agrees to everything else.
    struct TestCommands;

    impl CommandHandler for TestCommands {
        fn handle(&self, command: AdminCommand) -> Result<CommandAnswer, AdminError> {
            match command {
                AdminCommand::EndRollout { .. } => Err(AdminError::new(ErrorCode::RolloutMissing, "no roll-out")),
                _ => Ok(CommandAnswer::Rollback(RollbackResult { generation: 7 })),
            }
        }
    }

    fn admin() -> AdminHandler {
        let commands = Arc::new(TestCommands);
        AdminHandler {
            metrics: Arc::default(),
            readiness: Arc::default(),
            liveness: Arc::default(),
            commands,
            auth: AdminAuth::None,
        }
    }

    fn guarded() -> AdminHandler {
        AdminHandler { auth: AdminAuth::Token(Arc::new(Secret::new(b"0123456789abcdef".to_vec()))), ..admin() }
    }

    fn ask_with(admin: &AdminHandler, path: &str, authorization: &[&str]) -> Response<Bytes> {
        let mut request = Request::builder().uri(path);
        for value in authorization {
            request = request.header(header::AUTHORIZATION, *value);
        }
        admin.handle(&request.body(()).unwrap())
    }

    fn ask(admin: &AdminHandler, method: Method, path: &str) -> Response<Bytes> {
        admin.handle(&Request::builder().method(method).uri(path).body(()).unwrap())
    }

    fn body(response: &Response<Bytes>) -> &str {
        std::str::from_utf8(response.body()).unwrap()
    }

    #[test]
    fn a_web_page_can_not_ask_an_open_listener() {
        let ask = |admin: &AdminHandler, host: &str, origin: Option<&str>| {
            let mut request = Request::builder().uri("/metrics").header(header::HOST, host);
            if let Some(origin) = origin {
                request = request.header(header::ORIGIN, origin);
            }
            admin.handle(&request.body(()).unwrap()).status().as_u16()
        };
        for host in ["127.0.0.1:9", "[::1]:9", "localhost", "LocalHost:9", "10.1.2.3"] {
            assert_eq!(ask(&admin(), host, None), 200, "{host}");
            assert_eq!(ask(&admin(), host, Some(&format!("http://{host}"))), 200, "{host}");
            assert_eq!(ask(&admin(), host, Some("https://evil.example")), 421, "{host}");
            assert_eq!(ask(&admin(), host, Some("null")), 421, "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example:9", "localhost.evil.example", "", "1 2"] {
            assert_eq!(ask(&admin(), host, None), 421, "{host}");
            // Who has the token is no web page.
            assert_eq!(ask(&guarded(), host, None), 401, "{host}");
        }
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
        let admin = AdminHandler { auth: AdminAuth::PeerCredentials, ..admin() };
        admin.readiness.block("starting");
        admin.readiness.block("draining");
        let response = ask(&admin, Method::GET, "/readyz");
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(
            body(&response),
            "{\"ready\":false,\"code\":\"draining\",\"reasons\":[\"draining\",\"starting\"],\"notes\":{}}\n"
        );

        admin.readiness.clear("draining");
        admin.readiness.clear("starting");
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
        admin.readiness.block("starting");
        assert_eq!(ask(&admin, Method::GET, "/livez").status(), StatusCode::OK);
        let response = ask(&admin, Method::GET, "/readyz");
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        let code_alone = "{\"ready\":false,\"code\":\"starting\"}\n";
        assert_eq!(body(&response), code_alone);
        let response = ask_with(&admin, "/readyz", &["Bearer 0123456789abcdef"]);
        assert!(body(&response).contains("\"reasons\":[\"starting\"]"));
        // No token is no secret.
        let open = AdminHandler { auth: AdminAuth::None, ..admin };
        assert_eq!(body(&ask(&open, Method::GET, "/readyz")), code_alone);
    }

    #[test]
    fn alive_does_not_depend_on_ready() {
        let admin = admin();
        admin.readiness.block("draining");
        assert_eq!(ask(&admin, Method::GET, "/livez").status(), StatusCode::OK);
    }

    #[test]
    fn a_command_is_answered_with_its_result_or_its_error_and_the_version_of_both() {
        let admin = AdminHandler { auth: AdminAuth::PeerCredentials, ..admin() };
        let response = ask(&admin, Method::POST, "/rollback");
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(body(&response), "{\n  \"api\": 1,\n  \"generation\": 7\n}\n");
        let response = ask(&admin, Method::POST, "/rollout/keep");
        assert_eq!(response.status(), StatusCode::CONFLICT);
        let error: Versioned<AdminError> = serde_json::from_str(body(&response)).unwrap();
        assert_eq!((error.api, error.answer.code), (1, ErrorCode::RolloutMissing));
    }

    #[test]
    fn a_listener_without_a_token_changes_nothing() {
        let response = ask(&admin(), Method::POST, "/rollback");
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        assert!(body(&response).contains("changes_forbidden"));
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
