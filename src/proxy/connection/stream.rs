//! The stream that Pingora reads and writes in place of the socket.

mod http2;
mod message;
mod peek;

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use async_trait::async_trait;
use pingora::http::ResponseHeader;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::SslDigest;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Shutdown, SocketDigest, Ssl, Stream, TimingDigest,
    UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::answer_clock::AnswerDeadline;
use super::answer_pace::{AnswerFootprint, AnswerPace};
use super::answer_writer::AnswerWriter;
use super::client::ClientConnection;
use super::control::{RequestControl, RequestPhase};
use super::http2::header_block::HeaderBlockReader;
use super::http2::monitor::Http2Monitor;
use super::lingering_close::{LingerEnd, LingeringClose, MAX_LINGER_RETIRED};
use super::message_reader::MessageReader;
use super::read_deadlines::{AwaitedInput, MissedDeadline, ReadDeadlines};
use crate::decision::bounds::Bounds;
use crate::decision::outcome::{Cause, Denial};
use crate::proxy::drain::DrainEnding;

/// How much of a head is remembered, for the log line of a request that is never parsed.
const HEAD_MEMORY: usize = 512;

/// What a request line has besides the target: method, version, spaces; and the empty line that ends the head.
const REQUEST_LINE_REST: usize = 64;

/// A client connection as Pingora sees it.
pub struct ClientStream {
    inner: Stream,
    client: Arc<ClientConnection>,
    control: Arc<RequestControl>,
    digest: Arc<ProxyDigest>,
    bounds: Bounds,
    began: Instant,
    reader: MessageReader,
    deadlines: ReadDeadlines,
    answer: AnswerDeadline,
    /// The beginning of the head that Pingora has, for the log line of a request that Pingora refuses itself.
    head: Vec<u8>,
    writer: AnswerWriter,
    /// A refusal was put in place of Pingora's answer; whatever Pingora writes now is dropped.
    replaced: bool,
    lingering_close: Option<LingeringClose>,
    /// The client has ended its side, and waits for an answer.
    half_closed: bool,
    /// Why reading has failed for good. Every further read fails with it.
    failed: Option<Denial>,
    /// An HTTP/2 connection is ended: what Pingora still writes is dropped.
    cut_off: bool,
    /// These exist on an HTTP/2 connection.
    monitor: Option<Box<Http2Monitor>>,
    blocks: Option<Box<HeaderBlockReader>>,
}

impl ClientStream {
    pub fn new(inner: Stream, client: Arc<ClientConnection>) -> Self {
        let serving = client.listener.runtime.store.load();
        let bounds = serving.snapshot.bounds;
        let read = &serving.snapshot.rules.read;
        let max_line = read.max_uri + REQUEST_LINE_REST;
        let reader = MessageReader::new(
            max_line,
            max_line + read.max_header_bytes,
            bounds.read_ahead as usize,
            read.strict_target,
        );
        drop(serving);
        let http2 = matches!(inner.selected_alpn_proto(), Some(ALPN::H2));
        let pace = AnswerPace::new(client.listener.runtime.clone(), AnswerFootprint::Full);
        let control = Arc::new(RequestControl::http1(client.clone()));
        let began = Instant::now();
        // The digest's response header belongs to a use of Pingora's that we don't have.
        let unused = ResponseHeader::build_no_case(200, Some(0)).expect("BUG: 200 is a valid status");
        let unused = Box::new(unused);
        let mut connection = ClientStream {
            inner,
            digest: control.clone().into_digest(unused),
            control,
            bounds,
            began,
            reader,
            deadlines: ReadDeadlines::new(began),
            answer: AnswerDeadline::default(),
            head: Vec::new(),
            writer: AnswerWriter::new(pace, client.close_mode().clone()),
            client,
            replaced: false,
            lingering_close: None,
            half_closed: false,
            failed: None,
            cut_off: false,
            monitor: None,
            blocks: None,
        };
        if http2 {
            connection.become_http2();
        }
        connection
    }

    /// Takes note of what is handed over to Pingora.
    fn handed_over(&mut self, bytes: &[u8]) {
        match self.control.phase() {
            RequestPhase::Idle if !bytes.is_empty() => {
                self.control.set_phase(RequestPhase::Head);
                self.head.clear();
                self.head.extend_from_slice(&bytes[..bytes.len().min(HEAD_MEMORY)]);
                self.deadlines.message_began();
            }
            _ => self.deadlines.moved(bytes.len()),
        }
    }

    /// What the client is waited for.
    fn awaited(&self) -> AwaitedInput {
        match self.control.phase() {
            _ if self.reader.awaits_head() => match self.reader.partial_head() {
                [] => AwaitedInput::Request,
                _ => AwaitedInput::Head,
            },
            RequestPhase::Claimed if self.reader.awaits_body() => AwaitedInput::Body,
            _ => AwaitedInput::Nothing,
        }
    }

    /// Ends the wait for a client that took too long.
    fn too_late(&mut self, cx: &mut Context<'_>, missed: MissedDeadline) -> Poll<io::Result<()>> {
        self.count(missed);
        if missed == MissedDeadline::DrainIdle {
            self.close_idle();
            return self.poll_close(cx);
        }
        if missed == MissedDeadline::Head && !is_blank(self.reader.partial_head()) {
            return self.refuse(cx, Denial::new(Cause::RequestTimeout, "the request's head was not complete in time"));
        }
        if matches!(missed, MissedDeadline::Body(_)) {
            return self.fail(Denial::new(Cause::RequestTimeout, "the request's body came too slowly"));
        }
        // No request was begun: the connection ends as if the client had ended it.
        Poll::Ready(Ok(()))
    }

    /// Reads of the message at hand. The end of a client's side is held back while the client waits for its answer, where its
    /// route says that it may.
    fn poll_message(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<Result<(), Denial>>> {
        let waits = self.control.phase() == RequestPhase::Claimed
            && !self.reader.awaits_body()
            && self.control.answers_half_closed();
        if self.half_closed && waits {
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let read = self.reader.poll_read(&mut self.inner, cx, buf);
        if waits && matches!(read, Poll::Ready(Ok(Ok(())))) && buf.filled().len() == before {
            self.half_closed = true;
            return Poll::Pending;
        }
        read
    }

    fn count(&self, missed: MissedDeadline) {
        if let Some(bound) = missed.bound() {
            self.client.listener.runtime.metrics.bound_hit(bound);
        }
    }

    /// Takes no further request: what is left is to close in order. To Pingora it looks as if the client left.
    fn close_idle(&mut self) {
        self.replaced = true;
        self.control.set_phase(RequestPhase::Closing);
    }

    /// Ends what a drain does not wait for any longer. `None`: it goes on.
    fn poll_ending(&mut self, cx: &mut Context<'_>) -> Option<Poll<io::Result<()>>> {
        let ending = self.control.ending()?;
        Some(match self.control.phase() {
            RequestPhase::Claimed => self.fail(ending.denial()),
            RequestPhase::Tunnel => {
                // As if the client had ended it, so that Pingora closes both sides in order.
                self.control.set_phase(RequestPhase::TunnelEnded);
                Poll::Ready(Ok(()))
            }
            RequestPhase::TunnelEnded => Poll::Ready(Ok(())),
            RequestPhase::Idle if !is_blank(self.reader.partial_head()) => self.refuse(cx, ending.denial()),
            RequestPhase::Idle => {
                self.close_idle();
                self.poll_close(cx)
            }
            RequestPhase::Head | RequestPhase::Closing | RequestPhase::Http2 => return None,
        })
    }

    /// The same, for a client that does not take what it is sent.
    fn poll_taken<T>(&mut self, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match self.control.ending() {
            Some(ending @ DrainEnding::Request) if poll.is_pending() && self.failed.is_none() => {
                Poll::Ready(Err(self.end(io::ErrorKind::ConnectionAborted, ending.denial())))
            }
            _ => poll,
        }
    }

    /// What arrived is no request, or no body of one.
    fn malformed(&mut self, cx: &mut Context<'_>, denial: Denial) -> Poll<io::Result<()>> {
        if self.control.phase() == RequestPhase::Idle {
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
        let head = self.reader.partial_head();
        let answer = self.client.refuse_head(denial, &head[..head.len().min(HEAD_MEMORY)]);
        self.close_with(&answer);
        self.poll_close(cx)
    }

    /// Puts a refusal with the declared headers in place of the answer that Pingora gives before any hook.
    fn replace(&mut self) {
        // It answers by itself for two reasons.
        let denial = if self.head.starts_with(b"CONNECT ") {
            Denial::new(Cause::ConnectRefused, "CONNECT is not supported")
        } else {
            Denial::new(Cause::MalformedRequest, "the request's head could not be parsed")
        };
        let answer = self.client.refuse_head(denial, &self.head);
        self.close_with(&answer);
    }

    /// Nothing else than `answer` will be sent on this connection.
    fn close_with(&mut self, answer: &[u8]) {
        self.writer.gathered().extend_from_slice(answer);
        self.replaced = true;
        self.control.set_phase(RequestPhase::Closing);
    }

    /// Sends what is gathered, and closes in a way that lets the client read it.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        // On HTTP/2 this is also how a connection ends that had as many requests as it may have.
        let retires = self.client.is_closing() || self.is_http2();
        if self.reader.is_settled() && !retires {
            return self.writer.poll_shutdown(&mut self.inner, cx);
        }
        let linger = if retires { MAX_LINGER_RETIRED } else { self.bounds.lingering_time };
        let max_bytes = self.bounds.lingering_bytes;
        let closing = self.lingering_close.get_or_insert_with(|| LingeringClose::new(linger, max_bytes));
        if ready!(closing.poll(&mut self.inner, cx)) == LingerEnd::Stuck {
            self.client.close_mode().reset_if_stuck();
        }
        Poll::Ready(Ok(()))
    }

    /// Sends what is gathered.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer.poll_send(&mut self.inner, cx)
    }
}

/// Empty lines before a request line are no request (RFC 9112 §2.2).
fn is_blank(head: &[u8]) -> bool {
    head.iter().all(|byte| matches!(byte, b'\r' | b'\n'))
}

impl AsyncRead for ClientStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.replaced {
            return this.poll_close(cx);
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
        if this.blocks.is_some() {
            return this.poll_read_http2(cx, buf);
        }
        match this.control.phase() {
            RequestPhase::Idle => this.reader.next_message(),
            RequestPhase::Tunnel => this.reader.become_raw(),
            _ => {}
        }
        let before = buf.filled().len();
        match this.poll_message(cx, buf) {
            Poll::Ready(Ok(Ok(()))) => {
                this.handed_over(&buf.filled()[before..]);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Ok(Err(denial))) => this.malformed(cx, denial),
            Poll::Ready(Err(e)) => Poll::Ready(Err(e)),
            Poll::Pending => {
                let awaited = this.awaited();
                let (control, drain) = (&this.control, &this.client.listener.runtime.drain);
                if let Poll::Ready(missed) =
                    this.deadlines.poll(awaited, &this.bounds, || control.pacing(), |since| drain.idle_until(since), cx)
                {
                    return this.too_late(cx, missed);
                }
                if awaited == AwaitedInput::Nothing
                    && let Poll::Ready(denial) = this.answer.poll(this.control.answer(), cx)
                {
                    // Another try may follow, so that reading goes on afterwards.
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, denial)));
                }
                // Pingora waits, so nothing follows that could still be gathered: a slow answer must not wait with it.
                if !this.writer.is_flushed() {
                    let _ = this.writer.poll_flush(&mut this.inner, cx)?;
                }
                Poll::Pending
            }
        }
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.is_http2() {
            return this.poll_write_http2(cx, bytes);
        }
        if this.control.phase() == RequestPhase::Head {
            // What Pingora answers before any hook has seen the request.
            this.replace();
        }
        if this.replaced {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = this.writer.poll_write(&mut this.inner, cx, bytes);
        this.answer.moved();
        this.poll_taken(written)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = this.writer.poll_flush(&mut this.inner, cx);
        if this.is_http2() { flushed } else { this.poll_taken(flushed) }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.is_http2() && this.client.is_retired() && !this.cut_off {
            // Its last frames (window updates, the acknowledgement of a PING) may still be on their way.
            return this.poll_close(cx);
        }
        this.writer.poll_shutdown(&mut this.inner, cx)
    }
}

impl Drop for ClientStream {
    fn drop(&mut self) {
        let left = |head| {
            let gone = || Denial::new(Cause::ClientClosed, "the client left within its request's head");
            self.client.record_unanswered(head, self.control.ending().map_or_else(gone, DrainEnding::denial));
        };
        match self.control.phase() {
            RequestPhase::Head => left(&self.head),
            RequestPhase::Idle if !is_blank(self.reader.partial_head()) => {
                let head = self.reader.partial_head();
                left(&head[..head.len().min(HEAD_MEMORY)]);
            }
            _ => {}
        }
    }
}

#[async_trait]
impl Shutdown for ClientStream {
    async fn shutdown(&mut self) {
        if !self.is_http2() {
            let _ = std::future::poll_fn(|cx| self.poll_close(cx)).await;
            return;
        }
        let _ = tokio::io::AsyncWriteExt::shutdown(self).await;
    }
}

impl UniqueID for ClientStream {
    fn id(&self) -> UniqueIDType {
        self.inner.id()
    }
}

impl Ssl for ClientStream {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.inner.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.inner.selected_alpn_proto()
    }
}

impl GetTimingDigest for ClientStream {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        // Nobody reads it, and a list for each request costs.
        Vec::new()
    }
}

impl GetProxyDigest for ClientStream {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        Some(self.digest.clone())
    }
}

impl GetSocketDigest for ClientStream {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.inner.get_socket_digest()
    }
}

impl fmt::Debug for ClientStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientStream")
            .field("peer", &self.client.facts.peer)
            .field("phase", &self.control.phase())
            .finish()
    }
}
