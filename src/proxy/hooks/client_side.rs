//! The client's side of an exchange, as the steps of a request see it, whoever reads and writes it.

use std::net::SocketAddr;

use http::request::Parts;
use http::{HeaderName, Method, Version};
use pingora::http::RequestHeader;
use pingora::proxy::Session;

use crate::decision::connection_options;
use crate::decision::request::RawRequest;
use crate::decision::request::connection::ConnectionFacts;
use crate::decision::request::fields::{self, Fields};
use crate::decision::response::is_final;
use crate::faults::HeaderLookup;

/// A request as it was received, borrowed from whatever holds it.
#[derive(Clone, Copy)]
pub struct RequestParts<'a> {
    pub method: &'a Method,
    pub version: Version,
    pub fields: Fields<'a>,
    /// As received.
    pub target: &'a [u8],
    /// `:authority` of HTTP/2, or the authority of an absolute-form target, where the target does not have it.
    pub authority: Option<&'a str>,
}

/// What the steps of a request ask of its client's side.
pub trait ClientSide {
    /// The request.
    fn request(&self) -> RequestParts<'_>;

    /// Whether it has a body, be it empty in the end.
    fn has_body(&mut self) -> bool;

    /// Whether all that has come of the body is kept, so that the request can be sent once more.
    fn keeps_body(&self) -> bool;

    /// Whether a final answer has begun. An interim one (1xx) is not the answer, but 101 is.
    fn is_answered(&self) -> bool;

    /// Whether the request asks for another protocol.
    fn asks_for_upgrade(&self) -> bool;

    /// Whether trailers reach the client from an origin that speaks `origin`.
    fn takes_trailers(&self, origin: Version) -> bool;

    /// The address that the client has connected to.
    fn local_address(&self) -> Option<SocketAddr>;
}

impl<'a> From<&'a RequestHeader> for RequestParts<'a> {
    fn from(request: &'a RequestHeader) -> Self {
        RequestParts {
            method: &request.method,
            version: request.version,
            fields: (&request.headers).into(),
            target: request.raw_path(),
            authority: request.uri.authority().map(|authority| authority.as_str()),
        }
    }
}

impl<'a> From<&'a Parts> for RequestParts<'a> {
    /// Of HTTP/2. CONNECT has no target in this form.
    fn from(request: &'a Parts) -> Self {
        RequestParts {
            method: &request.method,
            version: request.version,
            fields: (&request.headers).into(),
            target: request.uri.path_and_query().map_or(b"/", |target| target.as_str().as_bytes()),
            authority: request.uri.authority().map(|authority| authority.as_str()),
        }
    }
}

impl<'a> RequestParts<'a> {
    /// The request with the connection that it came by.
    pub fn raw(self, connection: &'a ConnectionFacts) -> RawRequest<'a> {
        let RequestParts { method, version, fields, target, authority } = self;
        RawRequest { method, target, authority, fields, version, connection }
    }

    /// Whether the request came by HTTP/2. Pingora knows its session only as one of another protocol's
    /// ([`crate::proxy::connection::http2::session`]).
    pub fn is_http2(self) -> bool {
        self.version == Version::HTTP_2
    }
}

/// Whether the sender of `request` says that it can take trailers (RFC 9110 §10.1.4).
pub fn asks_for_trailers(request: RequestParts<'_>) -> bool {
    connection_options::lists(request.fields.get_all(&fields::TE), b"trailers")
}

impl HeaderLookup for RequestParts<'_> {
    fn value(&self, name: &'static str) -> Option<&[u8]> {
        self.fields.get(&HeaderName::from_static(name).into())
    }
}

impl ClientSide for Session {
    fn request(&self) -> RequestParts<'_> {
        self.req_header().into()
    }

    fn has_body(&mut self) -> bool {
        !self.as_mut().is_body_empty()
    }

    fn keeps_body(&self) -> bool {
        !self.as_ref().retry_buffer_truncated()
    }

    fn is_answered(&self) -> bool {
        self.response_written().is_some_and(|header| is_final(header.status))
    }

    fn asks_for_upgrade(&self) -> bool {
        self.is_upgrade_req()
    }

    fn takes_trailers(&self, origin: Version) -> bool {
        // Pingora passes them on from HTTP/2 to HTTP/2 alone.
        origin == Version::HTTP_2 && self.request().is_http2()
    }

    fn local_address(&self) -> Option<SocketAddr> {
        self.server_addr().and_then(|address| address.as_inet()).copied()
    }
}
