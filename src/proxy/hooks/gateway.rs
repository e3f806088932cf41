//! The one `ProxyHttp`: each hook is a line that names what happens in it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Version};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::protocols::Digest;
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, Result};

use super::client_side::ClientSide;
use super::context::Context;
use super::guard::{guarded, guarded_async};
use super::origin_answer::OriginAnswer;
use super::{
    error, log, mirror, origin_connection, request, response, response_body, retry, upstream, upstream_response,
};
use crate::decision::pipeline::Decision;
use crate::decision::response::trailers;
use crate::faults::{self, FaultPlace};
use crate::proxy::connection::http2::header_block;
use crate::proxy::header_editor::{RequestHeaderEditor, ResponseHeaderEditor};
use crate::proxy::reply;
use crate::proxy::runtime::Runtime;

/// Enforces on Pingora's hooks what `decision` decides.
pub struct Gateway {
    shared: Arc<Runtime>,
}

impl Gateway {
    pub fn new(shared: Arc<Runtime>) -> Self {
        Gateway { shared }
    }
}

#[async_trait]
impl ProxyHttp for Gateway {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        Context::new(self.shared.clone())
    }

    // The default would register an empty compression module, which costs every request.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn request_filter(&self, session: &mut Session, ctx: &mut Context) -> Result<bool> {
        guarded(ctx, |ctx| request::begin(session, ctx))?;
        faults::panic_at(FaultPlace::Task, session.request());
        faults::stall(session.request());
        let decision = match session.req_header().uri.scheme_str().and_then(header_block::refusal_of) {
            Some(refusal) => Ok(ctx.settle(Decision::Refuse(refusal.denial()))),
            None => guarded_async(request::decide(session.request(), None, ctx)).await,
        };
        let decision = decision.or_else(|panicked| panicked.fail(ctx))?;
        request::follow_route(ctx);
        match decision {
            Ok(None) => return request::read_empty_body(session).await.map(|()| false),
            Ok(Some(content)) => response::answer(session, ctx, reply::of_route(content)).await,
            Err(denial) => response::refuse(session, ctx, denial).await,
        }
        // What can fail in answering is the client.
        .map_err(|e| e.into_down())
        .map(|()| true)
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut Context,
    ) -> Result<()> {
        if session.was_upgraded() {
            // What flows in a tunnel is no request body.
            return Ok(());
        }
        if end_of_stream && body.as_ref().is_some_and(Bytes::is_empty) {
            // HTTP/2 may end a body with an empty frame. As a chunk for an HTTP/1 origin it would be the last one, after
            // which Pingora writes the last one: five bytes that the origin takes for the beginning of the next request.
            *body = None;
        }
        guarded(ctx, |ctx| {
            let (mut upstream, copy) = ctx.mirrored()?;
            if end_of_stream
                && let Some(current) = &upstream.current
                && let Some(tunnel) = &current.tunnel
            {
                tunnel.request_ended();
            }
            request::bound_body(&mut upstream, body.as_ref().map_or(0, |bytes| bytes.len()))?;
            mirror::tee(session, body.as_ref(), end_of_stream, &upstream, copy);
            if end_of_stream {
                origin_connection::request_sent(&mut upstream);
            }
            Ok(())
        })?
    }

    async fn upstream_peer(&self, session: &mut Session, ctx: &mut Context) -> Result<Box<HttpPeer>> {
        if let Some(wait) = ctx.upstream()?.tries.wait.take() {
            tokio::time::sleep(wait).await;
        }
        guarded(ctx, |ctx| upstream::choose(session, ctx.upstream()?))?
    }

    fn fail_to_connect(&self, session: &mut Session, _peer: &HttpPeer, ctx: &mut Context, e: Box<Error>) -> Box<Error> {
        match ctx.upstream() {
            Ok(upstream) => retry::connect_failed(session, upstream, e),
            Err(bug) => bug,
        }
    }

    async fn connected_to_upstream(
        &self,
        _session: &mut Session,
        reused: bool,
        _peer: &HttpPeer,
        fd: std::os::fd::RawFd,
        _digest: Option<&Digest>,
        ctx: &mut Context,
    ) -> Result<()> {
        origin_connection::connected(reused, fd, ctx.upstream()?)
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        upstream_request: &mut RequestHeader,
        ctx: &mut Context,
    ) -> Result<()> {
        guarded(ctx, |ctx| {
            let version = upstream_request.version;
            let mut shown = RequestHeaderEditor(upstream_request);
            let target = upstream::rewrite(session.request(), version, &mut shown, &mut ctx.upstream()?)?;
            if let Some(target) = target {
                upstream_request.set_raw_path(target.as_bytes())?;
            }
            let (upstream, copy) = ctx.mirrored()?;
            mirror::begin(session, upstream_request, &upstream, copy);
            Ok(())
        })?
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        upstream_response: &mut ResponseHeader,
        ctx: &mut Context,
    ) -> Result<()> {
        guarded(ctx, |ctx| {
            let (status, version) = (upstream_response.status, upstream_response.version);
            let mut fields = ResponseHeaderEditor(upstream_response);
            let answer = OriginAnswer { status, version, fields: &mut fields };
            upstream_response::accept(session, answer, ctx.upstream()?)?;
            // A version says what the sender of the message can do, and is no part of what is passed on (RFC 9112 §2.3). A phrase
            // is for people, and HTTP/2 has none (§4): the status has one of its own.
            upstream_response.set_version(Version::HTTP_11);
            upstream_response.set_reason_phrase(None)
        })?
    }

    fn upstream_response_trailer_filter(
        &self,
        _session: &mut Session,
        trailers: &mut HeaderMap,
        ctx: &mut Context,
    ) -> Result<()> {
        guarded(ctx, |ctx| trailers::strip(trailers, ctx.response_rules()))
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        upstream_response: &mut ResponseHeader,
        ctx: &mut Context,
    ) -> Result<()> {
        guarded(ctx, |ctx| {
            response::begin(session, upstream_response, ctx);
            response::part(session, ctx);
            faults::panic_at(FaultPlace::Response, session.request());
            let status = upstream_response.status;
            response::seal_proxied(session.request(), status, &mut ResponseHeaderEditor(upstream_response), ctx)
        })?
    }

    fn response_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut Context,
    ) -> Result<Option<Duration>> {
        if end_of_stream && let Ok(upstream) = ctx.upstream() {
            origin_connection::answer_ended(&upstream);
        }
        // Most answers have no stage: they pay for this look.
        if ctx.response_body.is_some() {
            guarded(ctx, |ctx| response_body::filter(body, ctx))?;
        }
        Ok(None)
    }

    fn error_while_proxy(
        &self,
        peer: &HttpPeer,
        session: &mut Session,
        e: Box<Error>,
        ctx: &mut Context,
        client_reused: bool,
    ) -> Box<Error> {
        match ctx.upstream() {
            Ok(upstream) => retry::exchange_failed(peer, session, upstream, e, client_reused),
            Err(bug) => bug,
        }
    }

    async fn fail_to_proxy(&self, session: &mut Session, e: &Error, ctx: &mut Context) -> FailToProxy {
        let error_code = error::answer(session, e, ctx).await;
        // Never reused, since the session's keepalive is off by now; but only what Pingora may reuse it closes in order,
        // so that a client whose upload is refused can read why. What was broken off must not be ended as if it were whole.
        FailToProxy { error_code, can_reuse_downstream: error_code != 0 }
    }

    async fn logging(&self, session: &mut Session, _e: Option<&Error>, ctx: &mut Context) {
        log::finish(session, ctx);
    }

    // The access log holds one line for each request with its cause; Pingora's own lines would repeat it, with the query.
    fn suppress_error_log(&self, _session: &Session, _ctx: &Context, _error: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _session: &Session,
        _ctx: &Context,
        _error: &Error,
        _context: ProxyWarnLogContext,
    ) -> bool {
        true
    }
}
