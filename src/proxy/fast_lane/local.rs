//! Answers that the gateway makes itself, and what becomes of a request that failed.

use pingora::{Error, Result};

use super::client::FastClient;
use super::downstream::{After, Downstream};
use crate::proxy::hooks::context::Context;
use crate::proxy::hooks::error::{denial_of, derived};
use crate::proxy::hooks::response;
use crate::proxy::reply::LocalReply;

impl<D: Downstream> FastClient<'_, D> {
    /// Answers the request with `reply`.
    pub async fn answer(&mut self, reply: LocalReply, ctx: &mut Context) -> After {
        match self.send(reply, ctx).await {
            Ok(()) => self.finish(ctx),
            Err(e) => self.fail(&e, ctx).await,
        }
    }

    /// Sends an answer of the gateway's own.
    async fn send(&mut self, mut reply: LocalReply, ctx: &mut Context) -> Result<()> {
        response::seal(self.request, &mut reply.fields, ctx);
        // A refused or fixed answer holds no place while the client sends what nobody reads.
        ctx.places.clear();
        self.answered = Some(reply.status);
        self.downstream.reply(self.request, reply, ctx).await
    }

    /// Answers a request that failed, if the client can still be answered.
    pub async fn fail(&mut self, e: &Error, ctx: &mut Context) -> After {
        // What carries a denial was found out by whoever failed; from other errors the cause is derived.
        let denial = denial_of(e).cloned().unwrap_or_else(|| derived(e, ctx));
        self.downstream.set_last();
        if self.answered.is_some() || denial.cause.is_client_lost() {
            ctx.end_with(denial.clone(), false);
            let after = self.downstream.break_off(&denial).await;
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
