//! An admitted request, exchanged with an origin: one try after the other, each on a connection of the pool or a new one.

use std::future::poll_fn;
use std::mem::MaybeUninit;
use std::task::{Context as TaskContext, Poll};

use http::header::{
    CONNECTION, CONTENT_LENGTH, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderName, HeaderValue, Version};
use pingora::protocols::Stream;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType, Result};
use tokio::io::ReadBuf;

use super::client::FastClient;
use super::connector::OriginConnector;
use super::download::Download;
use super::downstream::Downstream;
use super::errors::{invalid_head, origin_closed, read_error};
use crate::decision::connection_options::{self, nominated};
use crate::decision::request::fields;
use crate::decision::response::byte_head::ByteHead;
use crate::decision::response::origin_body::OriginBody;
use crate::decision::response::{HeaderSection, is_final, origin_head};
use crate::faults::{self, FaultPlace};
use crate::proxy::hooks::client_side::asks_for_trailers;
use crate::proxy::hooks::context::Context;
use crate::proxy::hooks::guard::guarded;
use crate::proxy::hooks::origin_answer::OriginAnswer;
use crate::proxy::hooks::retry::MAX_TRIES;
use crate::proxy::hooks::{origin_connection, response, retry, upstream, upstream_response};

/// Fields of a request that end at this hop (RFC 9110 §7.6.1), beside those that `Connection` names.
const HOP_BY_HOP: [HeaderName; 10] = [
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("http2-settings"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    CONNECTION,
];

/// Sends the request on and passes the answer back, trying again as the rules say.
///
/// # Errors
/// Why the last try failed.
pub(super) async fn forward(
    client: &mut FastClient<'_, impl Downstream>,
    ctx: &mut Context,
    connector: &OriginConnector,
) -> Result<()> {
    read_empty_body(client).await?;
    ctx.upstream()?.tries.own_clock = true;
    let mut tries = 0;
    loop {
        tries += 1;
        match one_try(client, ctx, connector).await {
            Err(e) if e.retry() && tries < MAX_TRIES => {}
            ended => return ended,
        }
    }
}

/// Reads the body of a request that says it has none, to its end: an origin that gets the head takes it for the whole request, so
/// nothing may follow.
async fn read_empty_body(client: &mut FastClient<'_, impl Downstream>) -> Result<()> {
    while !client.upload.has_body() && !client.downstream.is_received() {
        let mut room = [MaybeUninit::uninit(); 64];
        poll_fn(|cx| client.downstream.poll_body(&mut ReadBuf::uninit(&mut room), cx).map_ok(drop)).await?;
    }
    Ok(())
}

async fn one_try(
    client: &mut FastClient<'_, impl Downstream>,
    ctx: &mut Context,
    connector: &OriginConnector,
) -> Result<()> {
    if let Some(wait) = ctx.upstream()?.tries.wait.take() {
        tokio::time::sleep(wait).await;
    }
    let peer = guarded(ctx, |ctx| upstream::choose(client, ctx.upstream()?))??;
    let (origin, reused) = match connector.connect(&peer).await {
        Ok(connected) => connected,
        Err(e) => return Err(retry::connect_failed(client, ctx.upstream()?, e).into_up()),
    };
    match exchange(client, ctx, origin, reused).await {
        Ok(reusable) => {
            if let Some(origin) = reusable {
                connector.release(origin, &peer);
            }
            // The connection is in the pool before the client has the end of its answer, and may send the next request.
            client.flush().await
        }
        Err(e) => Err(failed(client, ctx, &peer, e, reused)),
    }
}

fn failed(
    client: &mut FastClient<'_, impl Downstream>,
    ctx: &mut Context,
    peer: &HttpPeer,
    e: Box<Error>,
    reused: bool,
) -> Box<Error> {
    // That the origin took no more explains that it has not answered.
    let gone = matches!(e.etype(), ErrorType::ConnectionClosed | ErrorType::ReadError);
    let e = match client.upload.take_failure() {
        Some(cause) if gone && *e.esource() == ErrorSource::Upstream => cause,
        _ => e,
    };
    match ctx.upstream() {
        Ok(upstream) => retry::exchange_failed(peer, client, upstream, e, reused),
        Err(bug) => bug,
    }
}

/// Exchanges the request on `origin`. Gives the connection back if it can be used again.
async fn exchange(
    client: &mut FastClient<'_, impl Downstream>,
    ctx: &mut Context,
    mut origin: Stream,
    reused: bool,
) -> Result<Option<Stream>> {
    origin_connection::connected(reused, origin.id(), ctx.upstream()?)?;
    guarded(ctx, |ctx| show(client, ctx))??;
    let mut download = Download::new();
    let mut keeps_alive = false;
    while client.answered.is_none() {
        poll_fn(|cx| poll_head(client, ctx, &mut origin, &mut download, cx)).await?;
        keeps_alive = guarded(ctx, |ctx| pass_head(client, ctx, &mut download))??;
        if client.answered.is_none() {
            // The client may wait for an interim answer before it sends its body (RFC 9110 §10.1.1).
            client.flush().await?;
        }
    }
    poll_fn(|cx| poll_relay(client, ctx, &mut origin, &mut download, cx)).await?;
    origin_connection::answer_ended(&ctx.upstream()?);
    Ok((keeps_alive && client.upload.is_whole() && download.is_received()).then_some(origin))
}

/// Writes the head that the origin gets.
fn show(client: &mut FastClient<'_, impl Downstream>, ctx: &mut Context) -> Result<()> {
    let request = client.request;
    let mut shown = ByteHead::of_fields(request.fields.lines());
    for name in nominated(request.fields.get_all(&fields::CONNECTION)).filter(|name| name != CONTENT_LENGTH) {
        shown.remove(&name);
    }
    for name in &HOP_BY_HOP {
        shown.remove(name);
    }
    if client.upload.is_chunked() {
        shown.append(&TRANSFER_ENCODING, &HeaderValue::from_static("chunked"));
    }
    let target = upstream::rewrite(request, Version::HTTP_11, &mut shown, &mut ctx.upstream()?)?;
    let target = target.as_ref().map_or(request.target, |target| target.as_bytes());
    if request.version != Version::HTTP_10 && asks_for_trailers(request) {
        // The gateway can take what its client can (RFC 9110 §10.1.4).
        shown.append(&TE, &HeaderValue::from_static("trailers"));
        shown.append(&CONNECTION, &HeaderValue::from_static("TE"));
    }
    client.upload.begin(|out| {
        out.extend_from_slice(request.method.as_str().as_bytes());
        out.push(b' ');
        out.extend_from_slice(target);
        out.extend_from_slice(b" HTTP/1.1\r\n");
        shown.write_fields(out);
    });
    Ok(())
}

/// Ready when a head of the origin has come whole.
fn poll_head(
    client: &mut FastClient<'_, impl Downstream>,
    ctx: &mut Context,
    origin: &mut Stream,
    download: &mut Download,
    cx: &mut TaskContext<'_>,
) -> Poll<Result<()>> {
    loop {
        client.upload.advance(&mut client.downstream, origin, ctx, cx)?;
        let buffer = &mut download.buffer;
        if !buffer.is_empty()
            && origin_head::is_whole(buffer.unused_mut(), &mut download.searched).map_err(invalid_head)?
        {
            return Poll::Ready(Ok(()));
        }
        match buffer.poll_fill(origin, cx) {
            Poll::Ready(Ok(0)) => {
                return Poll::Ready(Err(origin_closed("the origin closed the connection before its answer")));
            }
            Poll::Ready(Ok(_)) => {}
            Poll::Ready(Err(e)) => return Poll::Ready(Err(read_error(e))),
            Poll::Pending => {
                look(client, cx)?;
                return Poll::Pending;
            }
        }
    }
}

/// Looks whether anything ends the wait for the origin: its own time, the client's leaving, or a drain.
fn look(client: &mut FastClient<'_, impl Downstream>, cx: &mut TaskContext<'_>) -> Result<()> {
    if let Some(timeout) = client.upload.take_timeout() {
        return Err(timeout);
    }
    match client.downstream.poll_ended(client.upload.is_done(), cx) {
        Poll::Pending => Ok(()),
        Poll::Ready(e) => Err(e),
    }
}

/// Judges the head at the front of the buffer, and gives the client what it is to get of it. Says whether the origin keeps its
/// connection.
fn pass_head(client: &mut FastClient<'_, impl Downstream>, ctx: &mut Context, download: &mut Download) -> Result<bool> {
    let request = client.request;
    let read = origin_head::read(download.buffer.unused_mut()).map_err(invalid_head)?;
    let (head, mut fields) = read.ok_or_else(|| invalid_head("the head of the answer does not end"))?;
    let body = origin_head::framing(request.method, head.status, &mut fields).map_err(invalid_head)?;
    let keeps_alive = keeps_alive(head.version, &fields) && body != OriginBody::UntilClose;
    let answer = OriginAnswer { status: head.status, version: head.version, fields: &mut fields };
    upstream_response::accept(client, answer, ctx.upstream()?)?;
    faults::panic_at(FaultPlace::Response, request);
    response::note_stream(head.status, &fields, ctx);
    if is_final(head.status) {
        client.downstream.frame(head.status, &body, &mut fields, ctx);
        response::seal_proxied(request, head.status, &mut fields, ctx)?;
        client.answered = Some(head.status);
        client.downstream.begin(head.status, fields, &body, ctx)?;
        download.begin(body);
    } else {
        client.downstream.send_interim(head.status, fields, ctx)?;
    }
    download.buffer.consume(head.length);
    download.searched = 0;
    Ok(keeps_alive)
}

/// Whether the origin keeps its connection after an answer (RFC 9112 §9.3). One of HTTP/1.0 with a transfer coding is not trusted
/// to (§6.1).
fn keeps_alive(version: Version, fields: &impl HeaderSection) -> bool {
    let says = |option: &[u8]| connection_options::lists(fields.values(&CONNECTION), option);
    match version {
        Version::HTTP_11 => !says(b"close"),
        _ => says(b"keep-alive") && !says(b"close") && !fields.contains(&TRANSFER_ENCODING),
    }
}

/// Passes both bodies on. Ready when the client's connection has the whole answer.
fn poll_relay(
    client: &mut FastClient<'_, impl Downstream>,
    ctx: &mut Context,
    origin: &mut Stream,
    download: &mut Download,
    cx: &mut TaskContext<'_>,
) -> Poll<Result<()>> {
    client.upload.advance(&mut client.downstream, origin, ctx, cx)?;
    let relayed = download.poll(&mut client.downstream, origin, ctx.response_rules(), cx);
    if relayed.is_pending() && !download.waits_for_client {
        // Nothing follows that could still be gathered: a slow answer must not wait with it.
        let _ = client.downstream.poll_flush(cx)?;
        look(client, cx)?;
    }
    relayed
}
