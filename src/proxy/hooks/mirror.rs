//! Copies of admitted requests for another upstream, whose answers nobody sees.
//!
//! A copy is begun when the origin is shown the request, takes the body along as it passes, and goes off in a task of its own
//! once the body is whole. Nothing waits for it: what it can't have at once (a place, room for the body, an endpoint) ends it,
//! and how it ended is a count, nothing else.

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, HOST, TE, TRANSFER_ENCODING};
use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use http::{HeaderName, HeaderValue, Version};
use log::debug;
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::protocols::http::client::HttpSession;
use pingora::proxy::Session;
use pingora::upstreams::peer::{HttpPeer, Peer};
use pingora::{Error, ErrorType, OrErr, Result};

use super::client_side::ClientSide;
use super::forward::UpstreamContext;
use crate::decision::policy::Action;
use crate::decision::upstream::mirror::Mirror;
use crate::proxy::request_id::REQUEST_ID;
use crate::proxy::upstream::mirror::{MirrorSlot, RouteMirror};
use crate::telemetry::metrics::MirrorOutcome;

/// Marks a copy. Nothing that begins with `X-Portcullis-` passes from a client, so that an origin may go by it.
const MARK: HeaderName = HeaderName::from_static("x-portcullis-mirror");

/// What became of a request's copy so far.
#[derive(Default)]
pub enum MirrorProgress {
    /// Nobody has asked whether there is to be one.
    #[default]
    Undecided,
    /// It takes the body along.
    Taking(Box<Copy>),
    /// It is sent, or there is none.
    Over,
}

/// A copy whose body is not whole yet.
pub struct Copy {
    header: RequestHeader,
    body: BytesMut,
    slot: MirrorSlot,
}

/// Begins the copy of a request, if there is to be one, with what the origin is `shown`.
pub fn begin(session: &mut Session, shown: &RequestHeader, ctx: &UpstreamContext<'_>, progress: &mut MirrorProgress) {
    let Some((rules, handle)) = mirror(ctx) else { return };
    match progress {
        MirrorProgress::Undecided => {}
        // The request is tried again, and its body comes again from the beginning.
        MirrorProgress::Taking(copy) => return copy.body.clear(),
        MirrorProgress::Over => return,
    }
    *progress = MirrorProgress::Over;
    let request = session.request();
    if !rules.wants(&ctx.admitted.permit, &ctx.view(request), ctx.tries.upstream, fastrand::u64(..)) {
        return;
    }
    if ctx.authenticates(request) {
        // It would authenticate a connection that other copies go over.
        return;
    }
    if request.fields.content_length().is_some_and(|length| length > rules.body as u64) {
        return handle.metrics.count(MirrorOutcome::TooLarge);
    }
    let Some(slot) = handle.begin(rules.concurrent) else { return handle.metrics.count(MirrorOutcome::Dropped) };
    let copy = Box::new(Copy { header: marked(shown, ctx.request_id), body: BytesMut::new(), slot });
    if session.as_mut().is_body_empty() {
        send(copy, rules, handle, session, ctx);
    } else {
        *progress = MirrorProgress::Taking(copy);
    }
}

/// Takes a piece of the body along, and sends the copy off with the last one.
pub fn tee(
    session: &Session,
    piece: Option<&Bytes>,
    last: bool,
    ctx: &UpstreamContext<'_>,
    progress: &mut MirrorProgress,
) {
    let MirrorProgress::Taking(_) = progress else { return };
    let MirrorProgress::Taking(mut copy) = std::mem::replace(progress, MirrorProgress::Over) else { return };
    let Some((rules, handle)) = mirror(ctx) else { return };
    let piece = piece.map_or(&[][..], |piece| piece);
    if copy.body.len() + piece.len() > rules.body {
        return copy.slot.set_outcome(MirrorOutcome::TooLarge);
    }
    copy.body.extend_from_slice(piece);
    if last {
        send(copy, rules, handle, session, ctx);
    } else {
        *progress = MirrorProgress::Taking(copy);
    }
}

/// The mirror of the request's route.
fn mirror<'a>(ctx: &UpstreamContext<'a>) -> Option<(&'a Mirror, &'a RouteMirror)> {
    let (serving, id) = (ctx.serving, ctx.admitted.route);
    let handle = serving.mirrors[id.0 as usize].as_ref()?;
    let Action::Forward { mirror: Some(mirror), .. } = &serving.route(id).action else { return None };
    Some((mirror, handle))
}

/// What the origin is shown, as a copy with an id of its own.
fn marked(shown: &RequestHeader, request_id: &HeaderValue) -> RequestHeader {
    let mut header = shown.clone();
    let id = HeaderValue::from_bytes(&[request_id.as_bytes(), b"-mirror"].concat());
    // Neither can fail: the names are constants, and an id with plain characters behind it is as good a value.
    let _ = header.insert_header(MARK, HeaderValue::from_static("1"));
    let _ = header.insert_header(REQUEST_ID, id.unwrap_or(HeaderValue::from_static("mirror")));
    header
}

/// Sends the whole copy in a task of its own. Requests don't hold on to it, and neither does the process when it drains.
fn send(copy: Box<Copy>, rules: &Mirror, handle: &RouteMirror, session: &Session, ctx: &UpstreamContext<'_>) {
    let Copy { mut header, body, mut slot } = *copy;
    slot.set_outcome(MirrorOutcome::Failed);
    let (permit, view) = (&ctx.admitted.permit, ctx.view(session.request()));
    let upstream = ctx.serving.upstream(rules.upstream);
    let Some(endpoint) = upstream.state.choose_for_copy(permit, &view, fastrand::u64(..), ctx.started) else { return };
    let client = ctx.admitted.request.client;
    let peer =
        upstream.peer.to(endpoint.address, || ctx.control.connection().announced(session.local_address(), client));
    if frame(&mut header, body.len()).is_err() {
        return;
    }
    let (connector, timeout) = (handle.connector(), rules.timeout);
    tokio::spawn(async move {
        slot.set_outcome(MirrorOutcome::Abandoned);
        let exchanged = tokio::time::timeout(timeout, exchange(&connector, &peer, header, body.freeze())).await;
        slot.set_outcome(match exchanged {
            Ok(Ok(())) => MirrorOutcome::Answered,
            Ok(Err(e)) => {
                debug!("a copy for {} failed: {e}", endpoint.name);
                MirrorOutcome::Failed
            }
            Err(_) => MirrorOutcome::Timeout,
        });
    });
}

/// Says the length of the body, which is whole. Whatever the origin was told of it is no longer so.
fn frame(header: &mut RequestHeader, length: usize) -> Result<()> {
    let framed = header.remove_header(&TRANSFER_ENCODING).is_some() | header.remove_header(&CONTENT_LENGTH).is_some();
    if framed || length > 0 {
        header.insert_header(CONTENT_LENGTH, length)?;
    }
    Ok(())
}

/// Sends the request and reads the answer to its end.
async fn exchange(connector: &Connector, peer: &HttpPeer, mut header: RequestHeader, body: Bytes) -> Result<()> {
    let (mut session, _) = connector.get_http_session(peer).await?;
    match &session {
        HttpSession::H2(_) => as_http2(&mut header, peer.is_tls())?,
        HttpSession::H1(_) | HttpSession::Custom(()) => as_http1(&mut header),
    }
    session.set_write_timeout(peer.options.write_timeout);
    session.set_read_timeout(peer.options.read_timeout);
    session.write_request_header(Box::new(header)).await?;
    if !body.is_empty() {
        session.write_request_body(body, true).await?;
    }
    session.finish_request_body().await?;
    loop {
        session.read_response_header().await?;
        let interim = session.response_header().is_some_and(|header| header.status.is_informational());
        // HTTP/2 passes over interim answers itself, and can't be asked twice.
        if !interim || !matches!(session, HttpSession::H1(_)) {
            break;
        }
    }
    while session.read_response_body().await?.is_some() {}
    connector.release_http_session(session, peer, peer.idle_timeout()).await;
    Ok(())
}

fn as_http1(header: &mut RequestHeader) {
    if header.version == Version::HTTP_2 {
        header.set_version(Version::HTTP_11);
    }
    // A hop's own (RFC 9110 §10.1.4), which only HTTP/2 carries on by itself.
    header.remove_header(&TE);
}

/// HTTP/2 has the host in its target (RFC 9113 §8.3.1).
fn as_http2(header: &mut RequestHeader, tls: bool) -> Result<()> {
    header.set_version(Version::HTTP_2);
    let host = header.remove_header(&HOST);
    let authority = host.as_ref().and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let authority = authority.or_else(|| header.uri.authority().cloned());
    let Some(authority) = authority else {
        return Error::e_explain(ErrorType::InvalidHTTPHeader, "HTTP/2 needs a host, and HTTP/1.0 brought none");
    };
    let path = header.uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    let scheme = if tls { Scheme::HTTPS } else { Scheme::HTTP };
    let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build();
    header.set_uri(uri.or_err(ErrorType::InvalidHTTPHeader, "a target that HTTP/2 can't say")?);
    Ok(())
}
