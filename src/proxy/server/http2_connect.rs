//! CONNECT over HTTP/2, refused here because Pingora would answer it before any hook.

use std::time::SystemTime;

use http::HeaderValue;
use http::header::ACCEPT;
use pingora::protocols::http::ServerSession;

use crate::decision::outcome::{Cause, Denial};
use crate::proxy::connection::control::RequestControl;
use crate::proxy::connection::record::begin_record;
use crate::proxy::reply;

/// Answers 405 with the owner's headers, and writes the log line.
pub async fn refuse(mut session: ServerSession) {
    let Some(control) = RequestControl::of(&session) else { return };
    let connection = control.connection();
    let denial = Denial::new(Cause::ConnectRefused, "CONNECT is not supported");
    let serving = connection.listener.runtime.store.load();
    let rules = &serving.snapshot.rules.response;
    let header = session.req_header();
    let target = header.raw_path();
    let mut record = begin_record(connection, header.method.clone(), target, "HTTP/2", SystemTime::now());

    let accept = header.headers.get(ACCEPT).map(HeaderValue::as_bytes);
    let reply = reply::refusal_below_hooks(rules, &denial, accept, &record.request_id, record.scheme);
    record.status = denial.cause.status().as_u16();
    record.bytes_sent = reply.body.len() as u64;
    #[expect(clippy::disallowed_methods, reason = "no proxy session exists yet; the declared headers are set above")]
    let sent = session.write_response_header(Box::new(reply.header)).await;
    if sent.is_ok() {
        let _ = session.write_response_body(reply.body, true).await;
    }
    connection.write_record(record, denial);
}
