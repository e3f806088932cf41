//! The stream that Pingora reads and writes in place of the socket.

use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::SslDigest;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream, TimingDigest,
    UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::h2_seal::{Scan, Sealer};
use super::outgoing::{GATHER, Outgoing};
use super::{ConnectionInfo, Phase};
use crate::decision::outcome::{Cause, Denial};
use crate::decision::rules::defaults;
use crate::telemetry::metrics::Bound;

/// How much of a head is remembered, for the log line of a request that is never parsed.
const HEAD_MEMORY: usize = 512;

/// What a request line has besides the target: method, version, spaces; and the empty line that ends the head.
const REQUEST_LINE_REST: usize = 64;

/// The same for HTTP/2, whose frames are all copied on their way through the sealer. Above [`GATHER`], so that a write always
/// finds room.
const HTTP2_GATHER: usize = 4 * GATHER;

/// How an HTTP/2 connection begins (RFC 9113 §3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fn is_beginning_of_preface(bytes: &[u8]) -> bool {
    HTTP2_PREFACE.starts_with(&bytes[..bytes.len().min(HTTP2_PREFACE.len())])
}

/// A client connection as Pingora sees it.
pub struct Connection {
    inner: Stream,
    info: Arc<ConnectionInfo>,
    digest: Arc<ProxyDigest>,
    /// Runs while a head is incomplete.
    head_deadline: Option<Pin<Box<Sleep>>>,
    header_time: Duration,
    /// The beginning of the current head.
    head: Vec<u8>,
    /// Bytes and lines that have arrived since the current head began.
    head_bytes: usize,
    head_lines: usize,
    /// Longest head that can still be within the bounds of the file.
    max_head_bytes: usize,
    /// Bytes of the HTTP/2 preface that are still to come.
    preface_left: usize,
    /// Bytes that were read to see which protocol begins, and are to be read again.
    peeked: Vec<u8>,
    outgoing: Outgoing,
    /// A refusal was put in place of Pingora's answer; whatever Pingora writes now is dropped.
    replaced: bool,
    sealer: Option<Sealer>,
}

impl Connection {
    pub fn new(inner: Stream, info: Arc<ConnectionInfo>) -> Self {
        let serving = info.listener.shared.store.load();
        let bounds = serving.snapshot.bounds;
        let read = &serving.snapshot.rules.read;
        let max_head_bytes = read.max_uri + read.max_header_bytes + REQUEST_LINE_REST;
        drop(serving);
        let http2 = matches!(inner.selected_alpn_proto(), Some(ALPN::H2));
        let mut connection = Connection {
            inner,
            digest: info_digest(&info),
            head_deadline: None,
            header_time: bounds.header_time,
            head: Vec::new(),
            head_bytes: 0,
            head_lines: 0,
            max_head_bytes,
            preface_left: 0,
            peeked: Vec::new(),
            outgoing: Outgoing::new(bounds.write_idle, info.listener.shared.metrics.clone()),
            info,
            replaced: false,
            sealer: None,
        };
        if http2 {
            connection.become_http2();
        }
        connection
    }

    fn become_http2(&mut self) {
        self.info.set_phase(Phase::Http2);
        self.sealer = Some(Sealer::default());
        self.preface_left = HTTP2_PREFACE.len();
    }

    /// Takes note of what arrived. A denial if it can't become a request.
    fn arrived(&mut self, bytes: &[u8]) -> Result<(), Denial> {
        match self.info.phase() {
            // Empty lines before a request line are to be ignored (RFC 9112 §2.2).
            Phase::Idle if bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n')) => {}
            Phase::Idle => {
                self.head.clear();
                self.head_bytes = 0;
                self.head_lines = 0;
                self.info.set_phase(Phase::Head);
                self.remember(bytes);
                // TLS on a plain port, most often: Pingora would wait for the end of a head that never comes.
                if !matches!(bytes[0], b'A'..=b'Z' | b'a'..=b'z' | b'\r' | b'\n') {
                    return Err(Denial::new(Cause::MalformedRequest, "what arrived does not begin an HTTP request"));
                }
            }
            Phase::Head => {
                // Pingora came back for more, so all that came before belongs to the head.
                if self.head_bytes > self.max_head_bytes {
                    let detail = format!("the head is longer than {} bytes", self.max_head_bytes);
                    return Err(Denial::new(Cause::HeadersTooLarge, detail));
                }
                self.remember(bytes);
            }
            Phase::Http2 => self.preface_left = self.preface_left.saturating_sub(bytes.len()),
            _ => {}
        }
        Ok(())
    }

    fn remember(&mut self, bytes: &[u8]) {
        self.head_bytes += bytes.len();
        self.head_lines += bytes.iter().filter(|byte| **byte == b'\n').count();
        let room = HEAD_MEMORY.saturating_sub(self.head.len());
        self.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// Logs a head that ended before it could be told from an HTTP/2 preface; silence is no request.
    fn lost_while_peeking(&self, denial: Denial) {
        if !self.peeked.is_empty() {
            self.info.lost(&self.peeked, denial);
        }
    }

    /// Whether the head took too long. Called when a read found nothing, so that a head that arrives whole costs no timer.
    fn head_overdue(&mut self, cx: &mut Context<'_>) -> bool {
        let awaits = match self.info.phase() {
            Phase::Head => true,
            Phase::Http2 => self.preface_left > 0,
            _ => false,
        };
        if !awaits {
            self.head_deadline = None;
            return false;
        }
        let time = self.header_time;
        let deadline = self.head_deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(time)));
        deadline.as_mut().poll(cx).is_ready()
    }

    /// Puts a sealed refusal in place of the answer that Pingora gives before any hook.
    fn replace(&mut self, answer: &[u8]) {
        let denial = match answer.get(9..12) {
            Some(b"405") => Denial::new(Cause::ConnectRefused, "CONNECT is not supported"),
            // Pingora's parser has its own bound, and answers 400 like for any other head that it can't parse.
            _ if self.head_lines > defaults::HARD_MAX_HEADER_COUNT => {
                let detail = format!("more than {} header fields", defaults::HARD_MAX_HEADER_COUNT);
                Denial::new(Cause::HeadersTooMany, detail)
            }
            _ => Denial::new(Cause::MalformedRequest, "the request's head could not be parsed"),
        };
        self.refuse(denial);
    }

    /// Queues a sealed refusal; nothing else will be sent on this connection.
    fn refuse(&mut self, denial: Denial) {
        let answer = self.info.seal(denial, &self.head);
        self.outgoing.extend(&answer);
        self.replaced = true;
        self.info.set_phase(Phase::Closing);
    }

    /// Refuses a head that Pingora would go on waiting for: the answer leaves as far as the socket takes it now, and
    /// Pingora is told that the connection broke.
    fn refuse_now(&mut self, cx: &mut Context<'_>, denial: Denial) -> Poll<io::Result<()>> {
        let reason = io::Error::new(io::ErrorKind::InvalidData, denial.cause.code());
        self.refuse(denial);
        if self.poll_send(cx).is_ready() {
            let _ = Pin::new(&mut self.inner).poll_flush(cx);
        }
        Poll::Ready(Err(reason))
    }

    /// Sends what is gathered.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outgoing.poll_send(&mut self.inner, cx)
    }

    fn poll_write_http2(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.outgoing.len() >= GATHER {
            ready!(self.poll_send(cx))?;
        }
        let mut total = 0;
        for buf in bufs {
            // A client that reads slowly must not make this buffer grow: take what fits, and be asked again.
            let room = HTTP2_GATHER.saturating_sub(self.outgoing.len());
            let part = &buf[..buf.len().min(room)];
            self.gather_http2(part);
            total += part.len();
            if part.len() < buf.len() {
                break;
            }
        }
        Poll::Ready(Ok(total))
    }

    fn gather_http2(&mut self, mut bytes: &[u8]) {
        let Some(sealer) = &mut self.sealer else { return };
        let serving = self.info.listener.shared.store.load();
        while !bytes.is_empty() {
            match sealer.scan(bytes, &serving.h2_fields) {
                Scan::Pass(count) => {
                    self.outgoing.extend(&bytes[..count]);
                    bytes = &bytes[count..];
                    sealer.wrote(count);
                }
                Scan::Replace { consumed, bytes: replacement, sealed } => {
                    self.outgoing.extend(replacement);
                    bytes = &bytes[consumed..];
                    if let Some(sealed) = sealed {
                        self.info.sealed_http2(sealed.status);
                    }
                }
            }
        }
    }
}

fn info_digest(info: &Arc<ConnectionInfo>) -> Arc<ProxyDigest> {
    // The digest is the only thing that both an HTTP/1 session and an HTTP/2 stream carry from their connection; its
    // response header belongs to a use of Pingora's that we don't have.
    let unused = pingora::http::ResponseHeader::build_no_case(200, Some(0)).expect("BUG: 200 is a valid status");
    Arc::new(ProxyDigest::new(Box::new(unused), Some(Box::new(info.clone()))))
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let read = if this.peeked.is_empty() {
            Pin::new(&mut this.inner).poll_read(cx, buf)
        } else {
            let count = this.peeked.len().min(buf.remaining());
            buf.put_slice(&this.peeked[..count]);
            this.peeked.drain(..count);
            Poll::Ready(Ok(()))
        };
        match read {
            Poll::Ready(Ok(())) => match this.arrived(&buf.filled()[before..]) {
                Ok(()) => Poll::Ready(Ok(())),
                Err(denial) => this.refuse_now(cx, denial),
            },
            Poll::Pending if this.head_overdue(cx) => {
                this.info.listener.shared.metrics.bound_hit(Bound::HeaderTime);
                if this.info.phase() == Phase::Http2 {
                    // No request was begun, and nothing in HTTP/1 can be said here.
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
                this.refuse_now(cx, Denial::new(Cause::RequestTimeout, "the request's head was not complete in time"))
            }
            Poll::Pending => {
                // Pingora waits, so nothing follows that could still be gathered: a slow answer must not wait with it.
                if this.sealer.is_none() && !this.outgoing.is_empty() && this.poll_send(cx)?.is_ready() {
                    let _ = Pin::new(&mut this.inner).poll_flush(cx);
                }
                Poll::Pending
            }
            other => other,
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
            this.replace(bytes);
        }
        if this.replaced {
            return Poll::Ready(Ok(bytes.len()));
        }
        this.outgoing.poll_write(&mut this.inner, cx, bytes)
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
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(sealer) = &mut this.sealer {
            this.outgoing.extend(sealer.finish());
        }
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.inner).poll_shutdown(cx)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.info.phase() == Phase::Head {
            self.info.lost(&self.head, Denial::new(Cause::ClientClosed, "the client left within the request's head"));
        }
    }
}

#[async_trait]
impl Shutdown for Connection {
    async fn shutdown(&mut self) {
        // What is gathered must leave before the connection closes, and a client that takes nothing must not keep it.
        let _ = tokio::io::AsyncWriteExt::flush(self).await;
        self.inner.shutdown().await;
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

#[async_trait]
impl Peek for Connection {
    /// Reads ahead as far as it takes to tell an HTTP/2 preface from anything else. Pingora's own streams would wait for
    /// as many bytes as the preface has, and a short HTTP/1 request would never be answered.
    async fn try_peek(&mut self, buf: &mut [u8]) -> io::Result<bool> {
        let deadline = tokio::time::Instant::now() + self.header_time;
        while self.peeked.len() < buf.len() && is_beginning_of_preface(&self.peeked) {
            let mut chunk = [0; 32];
            let room = chunk.len().min(buf.len() - self.peeked.len());
            let read = tokio::io::AsyncReadExt::read(&mut self.inner, &mut chunk[..room]);
            let read = match tokio::time::timeout_at(deadline, read).await {
                Ok(read) => read?,
                Err(_) => {
                    self.lost_while_peeking(Denial::new(
                        Cause::RequestTimeout,
                        "the request's head was not complete in time",
                    ));
                    return Err(io::ErrorKind::TimedOut.into());
                }
            };
            if read == 0 {
                self.lost_while_peeking(Denial::new(Cause::ClientClosed, "the client left within the request's head"));
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.peeked.extend_from_slice(&chunk[..read]);
        }
        let count = self.peeked.len().min(buf.len());
        buf[..count].copy_from_slice(&self.peeked[..count]);
        if self.peeked == HTTP2_PREFACE {
            self.become_http2();
        }
        Ok(true)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("peer", &self.info.peer).field("phase", &self.info.phase()).finish()
    }
}
