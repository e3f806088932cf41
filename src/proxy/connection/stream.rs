//! The stream that Pingora reads and writes in place of the socket.

mod http2;
mod peek;

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::SslDigest;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Shutdown, SocketDigest, Ssl, Stream, TimingDigest,
    UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::farewell::{Farewell, LINGER, PARTING};
use super::h2_seal::Sealer;
use super::h2_watch::{Overdue, Watch};
use super::incoming::Incoming;
use super::outgoing::Outgoing;
use super::patience::{Awaited, Late, Patience};
use super::{ConnectionInfo, Phase};
use crate::config::snapshot::Bounds;
use crate::decision::outcome::{Cause, Denial};
use crate::decision::rules::Pacing;
use crate::proxy::drain::Ending;

/// How much of a head is remembered, for the log line of a request that is never parsed.
const HEAD_MEMORY: usize = 512;

/// What a request line has besides the target: method, version, spaces; and the empty line that ends the head.
const REQUEST_LINE_REST: usize = 64;

/// A client connection as Pingora sees it.
pub struct Connection {
    inner: Stream,
    info: Arc<ConnectionInfo>,
    digest: Arc<ProxyDigest>,
    bounds: Bounds,
    incoming: Incoming,
    patience: Patience,
    /// The beginning of the head that Pingora has, for the log line of a request that Pingora refuses itself.
    head: Vec<u8>,
    outgoing: Outgoing,
    /// A refusal was put in place of Pingora's answer; whatever Pingora writes now is dropped.
    replaced: bool,
    farewell: Option<Farewell>,
    /// Why reading has failed for good. Every further read fails with it.
    failed: Option<Denial>,
    /// An HTTP/2 connection is ended: what Pingora still writes is dropped.
    cut_off: bool,
    /// These two exist on an HTTP/2 connection.
    sealer: Option<Sealer>,
    watch: Option<Box<Watch>>,
}

impl Connection {
    pub fn new(inner: Stream, info: Arc<ConnectionInfo>) -> Self {
        let serving = info.listener.shared.store.load();
        let bounds = serving.snapshot.bounds;
        let read = &serving.snapshot.rules.read;
        let max_line = read.max_uri + REQUEST_LINE_REST;
        let incoming = Incoming::new(max_line, max_line + read.max_header_bytes);
        drop(serving);
        let http2 = matches!(inner.selected_alpn_proto(), Some(ALPN::H2));
        let answer = Pacing { idle: Some(bounds.write_idle), rate: bounds.answer_rate };
        let mut connection = Connection {
            inner,
            digest: info_digest(&info),
            bounds,
            incoming,
            patience: Patience::default(),
            head: Vec::new(),
            outgoing: Outgoing::new(answer, info.listener.shared.metrics.clone()),
            info,
            replaced: false,
            farewell: None,
            failed: None,
            cut_off: false,
            sealer: None,
            watch: None,
        };
        if http2 {
            connection.become_http2();
        }
        connection
    }

    /// Takes note of what is handed over to Pingora.
    fn handed_over(&mut self, bytes: &[u8]) {
        match self.info.phase() {
            Phase::Idle if !bytes.is_empty() => {
                self.info.set_phase(Phase::Head);
                self.head.clear();
                self.head.extend_from_slice(&bytes[..bytes.len().min(HEAD_MEMORY)]);
                self.patience.message_began();
            }
            _ => self.patience.moved(bytes.len()),
        }
    }

    /// What the client is waited for.
    fn awaited(&self) -> Awaited {
        match self.info.phase() {
            _ if self.incoming.awaits_head() => match self.incoming.partial_head() {
                [] => Awaited::Request,
                _ => Awaited::Head,
            },
            Phase::Claimed if self.incoming.awaits_body() => Awaited::Body,
            _ => Awaited::Nothing,
        }
    }

    /// Ends the wait for a client that took too long.
    fn too_late(&mut self, cx: &mut Context<'_>, late: Late) -> Poll<io::Result<()>> {
        self.count(late);
        if late == Late::Parting {
            self.part();
            return self.poll_farewell(cx);
        }
        if late == Late::Head && !is_blank(self.incoming.partial_head()) {
            return self.refuse(cx, Denial::new(Cause::RequestTimeout, "the request's head was not complete in time"));
        }
        if matches!(late, Late::Body(_)) {
            return self.fail(Denial::new(Cause::RequestTimeout, "the request's body came too slowly"));
        }
        // No request was begun: the connection ends as if the client had ended it.
        Poll::Ready(Ok(()))
    }

    fn count(&self, late: Late) {
        if let Some(bound) = late.bound() {
            self.info.listener.shared.metrics.bound_hit(bound);
        }
    }

    /// Takes no further request: what is left is to close in order. To Pingora it looks as if the client left.
    fn part(&mut self) {
        self.replaced = true;
        self.info.set_phase(Phase::Closing);
    }

    /// Ends what a drain does not wait for any longer. `None`: it goes on.
    fn poll_ending(&mut self, cx: &mut Context<'_>) -> Option<Poll<io::Result<()>>> {
        let ending = self.info.ending()?;
        Some(match self.info.phase() {
            Phase::Claimed => self.fail(ending.denial()),
            Phase::Tunnel => {
                // As if the client had ended it, so that Pingora closes both sides in order.
                self.info.set_phase(Phase::TunnelEnded);
                Poll::Ready(Ok(()))
            }
            Phase::TunnelEnded => Poll::Ready(Ok(())),
            Phase::Idle if !is_blank(self.incoming.partial_head()) => self.refuse(cx, ending.denial()),
            Phase::Idle => {
                self.part();
                self.poll_farewell(cx)
            }
            Phase::Head | Phase::Closing | Phase::Http2 => return None,
        })
    }

    /// The same, for a client that does not take what it is sent.
    fn poll_taken<T>(&mut self, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match self.info.ending() {
            Some(ending @ Ending::Request) if poll.is_pending() && self.failed.is_none() => {
                Poll::Ready(Err(self.end(io::ErrorKind::ConnectionAborted, ending.denial())))
            }
            _ => poll,
        }
    }

    /// What arrived is no request, or no body of one.
    fn malformed(&mut self, cx: &mut Context<'_>, denial: Denial) -> Poll<io::Result<()>> {
        if self.info.phase() == Phase::Idle {
            return self.refuse(cx, denial);
        }
        self.fail(denial)
    }

    /// Ends the request at hand: reading fails, with `denial` as the source of the error.
    fn fail(&mut self, denial: Denial) -> Poll<io::Result<()>> {
        Poll::Ready(Err(self.end(io::ErrorKind::InvalidData, denial)))
    }

    /// The error that ends the request at hand and carries `denial` to the hooks.
    fn end(&mut self, kind: io::ErrorKind, denial: Denial) -> io::Error {
        self.failed = Some(denial.clone());
        io::Error::new(kind, denial)
    }

    /// Refuses a head that Pingora never sees. To Pingora it looks as if the client left.
    fn refuse(&mut self, cx: &mut Context<'_>, denial: Denial) -> Poll<io::Result<()>> {
        let head = self.incoming.partial_head();
        let answer = self.info.seal(denial, &head[..head.len().min(HEAD_MEMORY)]);
        self.close_with(&answer);
        self.poll_farewell(cx)
    }

    /// Puts a sealed refusal in place of the answer that Pingora gives before any hook.
    fn replace(&mut self, answer: &[u8]) {
        let denial = match answer.get(9..12) {
            Some(b"405") => Denial::new(Cause::ConnectRefused, "CONNECT is not supported"),
            _ => Denial::new(Cause::MalformedRequest, "the request's head could not be parsed"),
        };
        let answer = self.info.seal(denial, &self.head);
        self.close_with(&answer);
    }

    /// Nothing else than `answer` will be sent on this connection.
    fn close_with(&mut self, answer: &[u8]) {
        self.outgoing.extend(answer);
        self.replaced = true;
        self.info.set_phase(Phase::Closing);
    }

    /// Sends what is gathered, and closes in a way that lets the client read it.
    fn poll_farewell(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        // On HTTP/2 this is also how a connection ends that had as many requests as it may have.
        let parts = self.info.parts() || self.sealer.is_some();
        if self.incoming.is_settled() && !parts {
            return self.outgoing.poll_shutdown(&mut self.inner, cx);
        }
        let linger = if parts { PARTING } else { LINGER };
        self.farewell.get_or_insert_with(|| Farewell::new(linger)).poll(&mut self.inner, cx).map(Ok)
    }

    /// Sends what is gathered.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outgoing.poll_send(&mut self.inner, cx)
    }
}

fn info_digest(info: &Arc<ConnectionInfo>) -> Arc<ProxyDigest> {
    // The digest is the only thing that both an HTTP/1 session and an HTTP/2 stream carry from their connection; its
    // response header belongs to a use of Pingora's that we don't have.
    let unused = pingora::http::ResponseHeader::build_no_case(200, Some(0)).expect("BUG: 200 is a valid status");
    Arc::new(ProxyDigest::new(Box::new(unused), Some(Box::new(info.clone()))))
}

/// Empty lines before a request line are no request (RFC 9112 §2.2).
fn is_blank(head: &[u8]) -> bool {
    head.iter().all(|byte| matches!(byte, b'\r' | b'\n'))
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.replaced {
            return this.poll_farewell(cx);
        }
        if let Some(denial) = &this.failed {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, denial.clone())));
        }
        if this.cut_off {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        if let Some(ended) = this.poll_ending(cx) {
            return ended;
        }
        match this.info.phase() {
            Phase::Idle => this.incoming.next_message(),
            Phase::Tunnel => this.incoming.become_raw(),
            _ => {}
        }
        let before = buf.filled().len();
        match this.incoming.poll_read(&mut this.inner, cx, buf) {
            Poll::Ready(Ok(Ok(()))) => {
                let arrived = &buf.filled()[before..];
                if let Some(watch) = &mut this.watch
                    && let Err(abuse) = watch.received(arrived, &this.info)
                {
                    return this.leave_http2(cx, abuse);
                }
                this.handed_over(arrived);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Ok(Err(denial))) => this.malformed(cx, denial),
            Poll::Ready(Err(e)) => Poll::Ready(Err(e)),
            Poll::Pending if this.watch.is_some() => {
                match this.watch.as_mut().map(|watch| watch.poll_overdue(cx, &this.info)) {
                    Some(Poll::Ready(Overdue::Abuse(abuse))) => this.leave_http2(cx, abuse),
                    // As if the client had left: nothing of it is lost.
                    Some(Poll::Ready(Overdue::Quiet)) => Poll::Ready(Ok(())),
                    _ => Poll::Pending,
                }
            }
            Poll::Pending => {
                let awaited = this.awaited();
                let info = &this.info;
                let parting = |since| info.listener.shared.drain.idle_until(since);
                if let Poll::Ready(late) = this.patience.poll(awaited, &this.bounds, || info.pacing(), parting, cx) {
                    return this.too_late(cx, late);
                }
                // Pingora waits, so nothing follows that could still be gathered: a slow answer must not wait with it.
                if !this.outgoing.is_flushed() {
                    let _ = this.outgoing.poll_flush(&mut this.inner, cx)?;
                }
                Poll::Pending
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.sealer.is_some() {
            return this.poll_write_http2(cx, &[IoSlice::new(bytes)]);
        }
        if this.info.phase() == Phase::Head {
            // The status line of Pingora's answer, which comes in one piece.
            this.replace(bytes);
        }
        if this.replaced {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = this.outgoing.poll_write(&mut this.inner, cx, bytes);
        this.poll_taken(written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.sealer.is_some() {
            return this.poll_write_http2(cx, bufs);
        }
        let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| buf);
        Pin::new(this).poll_write(cx, first)
    }

    fn is_write_vectored(&self) -> bool {
        self.sealer.is_some()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = this.outgoing.poll_flush(&mut this.inner, cx);
        if this.sealer.is_some() { flushed } else { this.poll_taken(flushed) }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(sealer) = &mut this.sealer {
            this.outgoing.extend(sealer.finish());
            if this.info.is_retired() && !this.cut_off {
                // Its last frames (window updates, the acknowledgement of a PING) may still be on their way.
                return this.poll_farewell(cx);
            }
        }
        this.outgoing.poll_shutdown(&mut this.inner, cx)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let left = |head| {
            let gone = || Denial::new(Cause::ClientClosed, "the client left within its request's head");
            self.info.lost(head, self.info.ending().map_or_else(gone, Ending::denial));
        };
        match self.info.phase() {
            Phase::Head => left(&self.head),
            Phase::Idle if !is_blank(self.incoming.partial_head()) => {
                let head = self.incoming.partial_head();
                left(&head[..head.len().min(HEAD_MEMORY)]);
            }
            _ => {}
        }
    }
}

#[async_trait]
impl Shutdown for Connection {
    async fn shutdown(&mut self) {
        if self.sealer.is_none() {
            let _ = std::future::poll_fn(|cx| self.poll_farewell(cx)).await;
            return;
        }
        let _ = tokio::io::AsyncWriteExt::shutdown(self).await;
    }
}

impl UniqueID for Connection {
    fn id(&self) -> UniqueIDType {
        self.inner.id()
    }
}

impl Ssl for Connection {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.inner.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.inner.selected_alpn_proto()
    }
}

impl GetTimingDigest for Connection {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        // Nobody reads it, and a list for each request costs.
        Vec::new()
    }
}

impl GetProxyDigest for Connection {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        Some(self.digest.clone())
    }
}

impl GetSocketDigest for Connection {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.inner.get_socket_digest()
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("peer", &self.info.peer).field("phase", &self.info.phase()).finish()
    }
}
