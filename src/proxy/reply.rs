//! Answers that the gateway makes itself: refusals, fixed answers, redirects.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, DATE, LOCATION};
use http::{HeaderValue, StatusCode};
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::protocols::http::date::get_cached_date;

use super::request_id::{REQUEST_ID, request_id_value};
use crate::decision::limit::{Limit, rate_limit_headers};
use crate::decision::outcome::Denial;
use crate::decision::pipeline::ReplyContent;
use crate::decision::request::Scheme;
use crate::decision::response::byte_head::ByteHead;
use crate::decision::response::{FixedAnswer, HeaderSection, ResponseRules, grpc, refusal_body, refusal_headers};

/// An answer without the declared headers.
pub struct LocalReply {
    pub status: StatusCode,
    pub fields: ByteHead<'static>,
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
    let mut reply = new(denial.cause.status(), body.content_type, body.content);
    let status = denial.limit.as_ref().map(|status| rate_limit_headers(&limits[status.limit.0 as usize], status));
    for (name, value) in refusal_headers(denial, status.into_iter().flatten()) {
        // A refusal may carry several challenges.
        reply.fields.append_owned(name, value);
    }
    reply
}

/// The answer that refuses a gRPC call, of the form Trailers-Only: one block of fields that ends the stream. Its HTTP status
/// is 200, as the protocol wants it; the refusal stands in `grpc-status`.
pub fn grpc_refusal(denial: &Denial, limits: &[Limit]) -> LocalReply {
    let mut reply = LocalReply { status: StatusCode::OK, fields: ByteHead::new(), body: Bytes::new() };
    let status = denial.limit.as_ref().map(|status| rate_limit_headers(&limits[status.limit.0 as usize], status));
    let own = [
        (CONTENT_TYPE, grpc::CONTENT_TYPE),
        (grpc::STATUS, HeaderValue::from(denial.cause.grpc_status() as u16)),
        (grpc::MESSAGE, HeaderValue::from_static(denial.cause.title())),
    ];
    for (name, value) in own.into_iter().chain(refusal_headers(denial, status.into_iter().flatten())) {
        reply.fields.append_owned(name, value);
    }
    reply
}

/// What a route answers itself.
pub fn of_route(content: ReplyContent) -> LocalReply {
    match content {
        ReplyContent::Fixed(FixedAnswer { status, content_type, body }) => new(status, content_type, body),
        ReplyContent::Redirect { status, location } => {
            let mut reply = new(status, HeaderValue::from_static("text/plain; charset=utf-8"), Bytes::new());
            reply.fields.append_owned(LOCATION, location);
            reply
        }
    }
}

fn new(status: StatusCode, content_type: HeaderValue, body: Bytes) -> LocalReply {
    let mut fields = ByteHead::new();
    if !body.is_empty() {
        fields.append_owned(CONTENT_TYPE, content_type);
    }
    // RFC 9110 §8.6: no Content-Length with 204.
    if status != StatusCode::NO_CONTENT {
        fields.append_owned(CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    LocalReply { status, fields, body }
}

impl LocalReply {
    /// Its head, as Pingora sends it.
    ///
    /// # Errors
    /// If Pingora knows no such status or field.
    pub fn header(&self) -> Result<ResponseHeader> {
        let mut header = ResponseHeader::build(self.status, Some(self.fields.lines().count()))?;
        for (name, value) in &self.fields.to_map() {
            header.append_header(name, value)?;
        }
        Ok(header)
    }
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
    rules.apply(None, &mut reply.fields);
    rules.suit_connection(scheme, &mut reply.fields);
    reply.fields.set(&REQUEST_ID, &request_id_value(request_id));
    reply
}

/// [`refusal_below_hooks`] in HTTP/1 wire form. Ends the connection.
pub fn http1_refusal(rules: &ResponseRules, denial: &Denial, request_id: &str, scheme: Scheme) -> Vec<u8> {
    let LocalReply { status, fields, body } = refusal_below_hooks(rules, denial, None, request_id, scheme);
    let mut bytes = Vec::with_capacity(512 + body.len());
    push_head(&mut bytes, status, fields, true);
    bytes.extend_from_slice(&body);
    bytes
}

/// Appends the head of an HTTP/1 answer, with the date, and whether the connection `closes` behind it.
pub fn push_head(out: &mut Vec<u8>, status: StatusCode, mut fields: ByteHead<'_>, closes: bool) {
    fields.set(&DATE, &get_cached_date());
    fields.set(&CONNECTION, &HeaderValue::from_static(if closes { "close" } else { "keep-alive" }));
    push_status_line(out, status);
    fields.write_fields(out);
}

/// Appends the line that begins an HTTP/1 answer.
pub fn push_status_line(out: &mut Vec<u8>, status: StatusCode) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or("").as_bytes());
    out.extend_from_slice(b"\r\n");
}
