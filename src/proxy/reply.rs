//! Answers that the gateway makes itself: refusals, fixed answers, redirects.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, DATE, LOCATION};
use http::{HeaderValue, StatusCode};
use pingora::http::ResponseHeader;
use pingora::protocols::http::date::get_cached_date;

use super::header_editor::ResponseHeaderEditor;
use super::request_id::{REQUEST_ID, request_id_value};
use crate::decision::limit::{Limit, rate_limit_headers};
use crate::decision::outcome::Denial;
use crate::decision::pipeline::ReplyContent;
use crate::decision::request::Scheme;
use crate::decision::response::{FixedAnswer, ResponseRules, grpc, refusal_body, refusal_headers};

/// An answer without the declared headers.
pub struct LocalReply {
    pub header: ResponseHeader,
    pub body: Bytes,
}

/// The answer that refuses a request.
pub fn refusal(
    rules: &ResponseRules,
    denial: &Denial,
    limits: &[Limit],
    accept: Option<&[u8]>,
    request_id: &str,
) -> LocalReply {
    let body = refusal_body(rules, denial, accept, request_id);
    let mut reply = new(denial.cause.status(), &body.content_type, body.content);
    let status = denial.limit.as_ref().map(|status| rate_limit_headers(&limits[status.limit.0 as usize], status));
    for (name, value) in refusal_headers(denial, status.into_iter().flatten()) {
        // Appended: a refusal may carry several challenges.
        let _ = reply.header.append_header(name, value);
    }
    reply
}

/// The answer that refuses a gRPC call, of the form Trailers-Only: one block of fields that ends the stream. Its HTTP status
/// is 200, as the protocol wants it; the refusal stands in `grpc-status`.
pub fn grpc_refusal(denial: &Denial, limits: &[Limit]) -> LocalReply {
    let mut reply = new(StatusCode::OK, &grpc::CONTENT_TYPE, Bytes::new());
    reply.header.remove_header(&CONTENT_LENGTH);
    let status = denial.limit.as_ref().map(|status| rate_limit_headers(&limits[status.limit.0 as usize], status));
    let own = [
        (CONTENT_TYPE, grpc::CONTENT_TYPE),
        (grpc::STATUS, HeaderValue::from(denial.cause.grpc_status() as u16)),
        (grpc::MESSAGE, HeaderValue::from_static(denial.cause.title())),
    ];
    for (name, value) in own.into_iter().chain(refusal_headers(denial, status.into_iter().flatten())) {
        let _ = reply.header.append_header(name, value);
    }
    reply
}

/// What a route answers itself.
pub fn of_route(content: ReplyContent) -> LocalReply {
    match content {
        ReplyContent::Fixed(FixedAnswer { status, content_type, body }) => new(status, &content_type, body),
        ReplyContent::Redirect { status, location } => {
            let mut reply = new(status, &HeaderValue::from_static("text/plain; charset=utf-8"), Bytes::new());
            let _ = reply.header.insert_header(LOCATION, location);
            reply
        }
    }
}

fn new(status: StatusCode, content_type: &HeaderValue, body: Bytes) -> LocalReply {
    // Capacity for the usual security headers: growing the map later costs more than the room.
    let mut header = ResponseHeader::build(status, Some(12)).unwrap_or_else(|_| internal());
    if !body.is_empty() {
        let _ = header.insert_header(CONTENT_TYPE, content_type.clone());
    }
    // RFC 9110 §8.6: no Content-Length with 204.
    if status != StatusCode::NO_CONTENT {
        let _ = header.insert_header(CONTENT_LENGTH, body.len());
    }
    LocalReply { header, body }
}

fn internal() -> ResponseHeader {
    ResponseHeader::build(StatusCode::INTERNAL_SERVER_ERROR, None).expect("BUG: 500 is a valid status")
}

/// A refusal with the declared headers, for answers given below the hooks, where no route is known. `scheme` is that of the
/// connection.
pub fn refusal_below_hooks(
    rules: &ResponseRules,
    denial: &Denial,
    accept: Option<&[u8]>,
    request_id: &str,
    scheme: Scheme,
) -> LocalReply {
    let mut reply = refusal(rules, denial, &[], accept, request_id);
    let mut header = ResponseHeaderEditor(&mut reply.header);
    rules.apply(None, &mut header);
    rules.suit_connection(scheme, &mut header);
    let _ = reply.header.insert_header(REQUEST_ID, request_id_value(request_id));
    reply
}

/// [`refusal_below_hooks`] in HTTP/1 wire form. Ends the connection.
pub fn http1_refusal(rules: &ResponseRules, denial: &Denial, request_id: &str, scheme: Scheme) -> Vec<u8> {
    http1_message(refusal_below_hooks(rules, denial, None, request_id, scheme), true, true).bytes
}

/// An answer in HTTP/1 wire form.
pub struct Http1Message {
    pub bytes: Vec<u8>,
    /// Length of the body among them.
    pub body: usize,
}

/// `reply` in HTTP/1 wire form, with the date, and whether the connection `closes` behind it.
pub fn http1_message(mut reply: LocalReply, closes: bool, with_body: bool) -> Http1Message {
    let _ = reply.header.insert_header(DATE, get_cached_date());
    let _ = reply.header.insert_header(CONNECTION, if closes { "close" } else { "keep-alive" });
    let status = reply.header.status;
    let body = if with_body { &*reply.body } else { b"" };
    let mut bytes = Vec::with_capacity(512 + body.len());
    push_status_line(&mut bytes, status);
    reply.header.header_to_h1_wire(&mut bytes);
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    Http1Message { bytes, body: body.len() }
}

/// Appends the line that begins an HTTP/1 answer.
pub fn push_status_line(out: &mut Vec<u8>, status: StatusCode) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or("").as_bytes());
    out.extend_from_slice(b"\r\n");
}
