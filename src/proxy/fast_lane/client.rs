//! The client's side of an exchange: its connection, its request, and how far the answer has come.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;

use http::Version;
use http::header::{CONNECTION, DATE};
use http::uri::PathAndQuery;
use http::{HeaderValue, StatusCode};
use pingora::Result;
use pingora::protocols::http::date::get_cached_date;
use tokio::io::AsyncWrite;

use super::errors::write_error;
use super::upload::Upload;
use crate::decision::connection_options::lists;
use crate::decision::request::fields;
use crate::decision::request::framing::BodyLength;
use crate::decision::response::HeaderSection;
use crate::proxy::connection::ClientStream;
use crate::proxy::hooks::client_side::{ClientSide, RequestParts};
use crate::proxy::hooks::context::Context;
use crate::proxy::hooks::{log, response};

/// What becomes of a connection after a request.
pub(super) enum After {
    /// The next request.
    Next,
    /// It is closed in order.
    Close,
    /// It is dropped.
    Drop,
    /// The request is not for this lane.
    HandOver,
}

/// The client's side of one request.
pub(super) struct FastClient<'r> {
    pub connection: &'r mut ClientStream,
    pub request: RequestParts<'r>,
    pub upload: Upload,
    /// The answer is the connection's last.
    pub closes: bool,
    /// The status of the final answer, once it has begun.
    pub answered: Option<StatusCode>,
    /// Bytes of the answer's body that were sent.
    pub body_sent: u64,
    /// What ends the body of an answer that is broken off in order.
    pub end_of_body: &'static [u8],
}

impl<'r> FastClient<'r> {
    pub fn new(connection: &'r mut ClientStream, request: RequestParts<'r>, body: BodyLength) -> Self {
        FastClient {
            connection,
            request,
            upload: Upload::new(body),
            closes: !keeps_alive(request),
            answered: None,
            body_sent: 0,
            end_of_body: b"",
        }
    }

    /// Keeps the target for the log line of a request that has no normal form.
    pub fn note_target(&self, ctx: &mut Context) {
        if ctx.request().is_none()
            && let Some(claim) = &mut ctx.claim
        {
            claim.target = PathAndQuery::try_from(self.request.target).ok();
        }
    }

    /// Sends what is gathered.
    ///
    /// # Errors
    /// The client takes nothing.
    pub async fn flush(&mut self) -> Result<()> {
        poll_fn(|cx| Pin::new(&mut *self.connection).poll_flush(cx)).await.map_err(write_error)
    }

    /// Says when the answer was given, and whether it is the connection's last.
    pub fn seal_connection(&mut self, fields: &mut impl HeaderSection, ctx: &Context) {
        if response::is_last(ctx) || !self.upload.is_received() {
            self.closes = true;
        }
        fields.set(&DATE, &get_cached_date());
        let option = if self.closes { "close" } else { "keep-alive" };
        fields.set(&CONNECTION, &HeaderValue::from_static(option));
    }

    /// The request has ended: writes its log line.
    pub fn finish(&mut self, ctx: &mut Context) -> After {
        let ended = log::Ended {
            status: self.answered.map(|status| status.as_u16()),
            version: self.request.version,
            body_sent: self.body_sent,
            body_received: self.upload.received(),
            reusable: self.upload.is_received(),
        };
        log::record(ended, ctx);
        if self.closes || !self.upload.is_received() { After::Close } else { After::Next }
    }
}

impl ClientSide for FastClient<'_> {
    fn request(&self) -> RequestParts<'_> {
        self.request
    }

    fn has_body(&mut self) -> bool {
        self.upload.has_body()
    }

    fn keeps_body(&self) -> bool {
        self.upload.keeps_body()
    }

    fn is_answered(&self) -> bool {
        self.answered.is_some()
    }

    fn asks_for_upgrade(&self) -> bool {
        // Such requests are the full lane's.
        false
    }

    fn local_address(&self) -> Option<SocketAddr> {
        self.connection.local_address()
    }
}

/// Whether the client may send another request on the connection (RFC 9112 §9.3).
fn keeps_alive(request: RequestParts<'_>) -> bool {
    let says = |option: &[u8]| lists(request.fields.get_all(&fields::CONNECTION), option);
    !says(b"close") && (request.version == Version::HTTP_11 || says(b"keep-alive"))
}
