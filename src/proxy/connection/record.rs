//! The log line of a request: begun here for every request, and written here for those that no hook sees.

use std::time::{Duration, SystemTime};

use http::Method;

use super::client::ClientConnection;
use super::http2::header_block::MalformedRequest;
use crate::decision::outcome::{Cause, Denial};
use crate::proxy::reply;
use crate::proxy::request_id::new_request_id;
use crate::telemetry::record::{RecordedDecision, RequestRecord};

/// A record of what is known when a request begins.
pub fn begin_record(
    connection: &ClientConnection,
    method: Method,
    target: &[u8],
    protocol: &'static str,
    time: SystemTime,
) -> RequestRecord {
    let target = without_authority(target);
    let (path, query) = match target.iter().position(|b| *b == b'?') {
        Some(at) => (&target[..at], Some(&target[at + 1..])),
        None => (target, None),
    };
    let facts = &connection.facts;
    RequestRecord {
        time,
        duration: Duration::ZERO,
        request_id: new_request_id(),
        listener: facts.listener.clone(),
        client: facts.peer.ip(),
        peer: facts.peer,
        via: connection.via,
        protocol,
        lane: None,
        scheme: facts.scheme(),
        tls: facts.tls.as_ref().map(|tls| tls.version),
        method,
        host: String::new(),
        path: String::from_utf8_lossy(path).into_owned(),
        query: query.map(|query| String::from_utf8_lossy(query).into_owned()),
        user_agent: None,
        referer: None,
        status: 0,
        bytes_sent: 0,
        bytes_received: 0,
        route: None,
        generation: 0,
        decision: RecordedDecision::Deny,
        cause: None,
        detail: None,
        would_deny: None,
        principal: None,
        upstream: None,
    }
}

impl ClientConnection {
    /// The answer, with the declared headers, that refuses an HTTP/1 head which began with `head`. Writes the log line.
    pub(super) fn refuse_head(&self, denial: Denial, head: &[u8]) -> Vec<u8> {
        let serving = self.listener.runtime.store.load();
        let mut record = self.record_head(head);
        record.status = denial.cause.status().as_u16();
        let wire = reply::http1_refusal(&serving.snapshot.rules.response, &denial, &record.request_id, record.scheme);
        self.write_record(record, denial);
        wire
    }

    /// Logs an HTTP/1 request that can't be answered any more.
    pub(super) fn record_unanswered(&self, head: &[u8], denial: Denial) {
        self.write_record(self.record_head(head), denial);
    }

    /// Logs a malformed HTTP/2 request, whose stream is reset.
    pub(super) fn record_malformed(&self, request: &MalformedRequest<'_>) {
        let field = |name: &[u8]| request.fields.get(name).unwrap_or_default();
        let line = [field(b":method"), b" ", field(b":path")].concat();
        let mut record = self.record_head(&line);
        record.protocol = "HTTP/2";
        self.write_record(record, Denial::new(Cause::MalformedRequest, request.why));
    }

    /// Logs an HTTP/2 request of which nothing could be read.
    pub(super) fn record_unreadable(&self, why: &'static str) {
        let mut record = self.record_head(b"");
        record.protocol = "HTTP/2";
        self.write_record(record, Denial::new(Cause::MalformedRequest, why));
    }

    fn record_head(&self, head: &[u8]) -> RequestRecord {
        let (method, target) = request_line(head);
        begin_record(self, method, target, "HTTP/1.1", SystemTime::now())
    }

    /// Completes and writes the record of a request that no hook sees, and counts it.
    pub fn write_record(&self, mut record: RequestRecord, denial: Denial) {
        let Denial { cause, detail, .. } = denial;
        record.decision = if cause.is_refusal() { RecordedDecision::Deny } else { RecordedDecision::Fail };
        let runtime = &self.listener.runtime;
        runtime.drain.failed(cause);
        record.cause = Some(cause);
        record.detail = Some(detail);
        let serving = runtime.store.load();
        record.generation = serving.generation;
        serving.no_route.record(&record);
        if let Some(bound) = cause.bound() {
            runtime.metrics.bound_hit(bound);
        }
        serving.access_log.record(record);
    }
}

/// An absolute target without scheme and authority, which may hold a password.
fn without_authority(target: &[u8]) -> &[u8] {
    let Some(scheme) = target.windows(3).take(8).position(|window| window == b"://") else { return target };
    let rest = &target[scheme + 3..];
    rest.iter().position(|byte| matches!(byte, b'/' | b'?')).map_or(b"/", |path| &rest[path..])
}

/// Method and target of a head that may be cut off or malformed, as far as they can be told.
fn request_line(head: &[u8]) -> (Method, &[u8]) {
    let line = head.split(|b| matches!(b, b'\r' | b'\n')).next().unwrap_or_default();
    let mut words = line.split(|b| *b == b' ').filter(|word| !word.is_empty());
    // Only what looks like a method and a target: anything else may be a credential that arrived out of place.
    let method = words.next().filter(|word| word.len() <= 16 && word.iter().all(u8::is_ascii_uppercase));
    let target = words.next().filter(|word| method.is_some() && matches!(word.first(), Some(b'/' | b'*')));
    // Method can hold no empty one; this is what the log shows for absent values.
    let method = method.unwrap_or(b"-");
    (Method::from_bytes(method).unwrap_or(Method::GET), target.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_line_is_read_as_far_as_it_goes() {
        assert_eq!(request_line(b"GET /a?b HTTP/1.1\r\nHost"), (Method::GET, &b"/a?b"[..]));
        assert_eq!(request_line(b"GET"), (Method::GET, &b""[..]));
        assert_eq!(request_line(b"\x16\x03\x01").0.as_str(), "-");
        assert_eq!(request_line(b"").1, b"");
    }
}
