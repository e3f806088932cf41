//! Answers that the gateway makes itself, and what becomes of a request that failed.

use std::future::poll_fn;

use http::Method;
use pingora::{Error, Result};

use super::client::{After, FastClient};
use super::errors::write_error;
use crate::decision::outcome::Cause;
use crate::proxy::header_editor::ResponseHeaderEditor;
use crate::proxy::hooks::context::Context;
use crate::proxy::hooks::error::{denial_of, derived};
use crate::proxy::hooks::request::drainable;
use crate::proxy::hooks::response;
use crate::proxy::reply::{LocalReply, http1_message};

impl FastClient<'_> {
    /// Answers the request with `reply`.
    pub async fn answer(&mut self, reply: LocalReply, ctx: &mut Context) -> After {
        match self.send(reply, ctx).await {
            Ok(()) => self.finish(ctx),
            Err(e) => self.fail(&e, ctx).await,
        }
    }

    /// Sends an answer of the gateway's own, and reads what is left of a short body, so that the connection can be kept.
    async fn send(&mut self, mut reply: LocalReply, ctx: &mut Context) -> Result<()> {
        response::seal(self.request, &mut ResponseHeaderEditor(&mut reply.header), ctx);
        // A refused or fixed answer holds no place while the client sends what nobody reads.
        ctx.places.clear();
        let drain = !self.closes && !self.upload.is_received() && drainable(self.request);
        self.closes |= (!self.upload.is_received() && !drain) || response::is_last(ctx);
        let status = reply.header.status;
        let with_body = *self.request.method != Method::HEAD;
        let message = http1_message(reply, self.closes, with_body);
        self.answered = Some(status);
        self.connection.send(&message.bytes).await.map_err(write_error)?;
        self.body_sent = message.body as u64;
        if drain {
            let drained = poll_fn(|cx| self.upload.poll_drain(self.connection, cx));
            let drained = tokio::time::timeout(ctx.serving.snapshot.bounds.body_idle, drained).await;
            self.closes |= !matches!(drained, Ok(Ok(())));
        }
        Ok(())
    }

    /// Answers a request that failed, if the client can still be answered.
    pub async fn fail(&mut self, e: &Error, ctx: &mut Context) -> After {
        // What carries a denial was found out by whoever failed; from other errors the cause is derived.
        let denial = denial_of(e).cloned().unwrap_or_else(|| derived(e, ctx));
        self.closes = true;
        let cause = denial.cause;
        if self.answered.is_some() || cause.is_client_lost() {
            ctx.end_with(denial, false);
            let after = match cause {
                Cause::StreamEnded if self.connection.send(self.end_of_body).await.is_ok() => After::Close,
                _ if cause.is_client_lost() => After::Drop,
                _ => {
                    // What was broken off is sent as far as it came, and not ended as if it were whole.
                    let _ = self.connection.send(b"").await;
                    After::Drop
                }
            };
            self.finish(ctx);
            return after;
        }
        let reply = response::refusal(self.request, ctx, denial);
        let sent = self.send(reply, ctx).await;
        // The line first: the client may take a while to leave.
        self.finish(ctx);
        if sent.is_ok() { After::Close } else { After::Drop }
    }
}
