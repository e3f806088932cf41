//! A request's head as it was received: slices of it, and what its request line says.

use http::{Method, Version};

use crate::decision::request::fields::{FieldNames, FieldTable, Fields};
use crate::decision::request::framing::{BodyFraming, BodyLength};
use crate::proxy::hooks::client_side::RequestParts;

/// A head that has one reading ([`crate::decision::request::head`]), taken apart.
pub(super) struct ReceivedRequest<'h> {
    method: Method,
    version: Version,
    target: &'h [u8],
    fields: FieldTable<'h>,
    pub body: BodyLength,
}

impl<'h> ReceivedRequest<'h> {
    /// Takes `head` apart. `None` for what is no such head.
    pub fn read(head: &'h [u8], names: &FieldNames) -> Option<Self> {
        // An empty line before the request line is ignored (RFC 9112 §2.2).
        let head = head.strip_prefix(b"\r\n").unwrap_or(head);
        let end = memchr::memchr(b'\n', head)?;
        let mut words = head[..end].trim_ascii_end().split(|byte| *byte == b' ');
        let (method, target) = (Method::from_bytes(words.next()?).ok()?, words.next()?);
        let version = match words.next()? {
            b"HTTP/1.1" => Version::HTTP_11,
            b"HTTP/1.0" => Version::HTTP_10,
            _ => return None,
        };
        let fields = FieldTable::read(&head[end + 1..], names);
        let body = BodyFraming::of(Fields::from(&fields), version).ok()?;
        Some(ReceivedRequest { method, version, target, fields, body })
    }

    /// The request as the steps read it.
    pub fn parts(&self) -> RequestParts<'_> {
        RequestParts {
            method: &self.method,
            version: self.version,
            fields: (&self.fields).into(),
            target: self.target,
            authority: None,
        }
    }
}

/// What follows the head of an HTTP/2 request, which has `ended` with it or not.
pub(super) fn http2_body(request: RequestParts<'_>, ended: bool) -> BodyLength {
    match request.fields.content_length() {
        _ if ended => BodyLength::None,
        Some(length) => BodyLength::Length(length),
        None => BodyLength::Chunked,
    }
}
