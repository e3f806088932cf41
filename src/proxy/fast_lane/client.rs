//! The client's side of an exchange: its connection or stream, its request, and how far the answer has come.

use std::future::poll_fn;
use std::net::SocketAddr;

use http::uri::PathAndQuery;
use http::{StatusCode, Version};
use pingora::Result;

use super::downstream::{After, Downstream};
use super::upload::Upload;
use crate::decision::request::framing::BodyLength;
use crate::proxy::hooks::client_side::{ClientSide, RequestParts};
use crate::proxy::hooks::context::Context;
use crate::proxy::hooks::log;

/// The client's side of one request.
pub(super) struct FastClient<'r, D> {
    pub downstream: D,
    pub request: RequestParts<'r>,
    pub upload: Upload,
    /// The status of the final answer, once it has begun.
    pub answered: Option<StatusCode>,
}

impl<'r, D: Downstream> FastClient<'r, D> {
    /// The side of `request`, which has come by `downstream` with `body` behind its head.
    pub fn new(downstream: D, request: RequestParts<'r>, body: BodyLength) -> Self {
        FastClient { downstream, request, upload: Upload::new(body), answered: None }
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
        poll_fn(|cx| self.downstream.poll_flush(cx)).await
    }

    /// The request has ended: writes its log line.
    pub fn finish(&mut self, ctx: &mut Context) -> After {
        let ended = log::Ended {
            status: self.answered.map(|status| status.as_u16()),
            version: self.request.version,
            body_sent: self.downstream.sent(),
            body_received: self.downstream.received(),
            reusable: self.downstream.is_received(),
        };
        log::record(ended, ctx);
        self.downstream.after()
    }
}

impl<D: Downstream> ClientSide for FastClient<'_, D> {
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

    fn takes_trailers(&self, _origin: Version) -> bool {
        self.downstream.takes_trailers()
    }

    fn local_address(&self) -> Option<SocketAddr> {
        self.downstream.local_address()
    }
}
