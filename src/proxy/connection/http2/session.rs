//! One HTTP/2 request as Pingora reads and answers it, with bounds on how slowly its client may give and take.
//!
//! Pingora's own HTTP/2 session waits for ever for a request body. This one stands in its place, in the slot that Pingora has
//! for protocols of others, and passes everything on; only reading has a [`MinRate`], and a write is handed over in pieces, each
//! within the write timeout. So a stalled upload fails like one by HTTP/1 does, is answered 408, and other streams of the
//! connection are not touched.
//!
//! An origin that was told a length takes the request for complete once it has so many bytes. So the bytes that complete it are kept
//! back until the client has ended its stream: if more follows, the origin never had the whole.
//!
//! In that slot Pingora leaves two things to the session: it does not reconcile `:authority` with `Host` (it has refused what
//! differs before, and [`crate::proxy::hooks::upstream::rewrite`] sets the host that the rules saw), and it takes `te: trailers` off a
//! request to an HTTP/2 origin, which `rewrite` puts back.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::Stream;
use http::HeaderMap;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::Digest;
use pingora::protocols::http::custom::CustomMessageWrite;
use pingora::protocols::http::custom::server::Session;
use pingora::protocols::http::v2::server::HttpSession;
use pingora::protocols::http::{HttpTask, ServerSession};
use pingora::protocols::l4::socket::SocketAddr;
use pingora::{Error, ErrorType, Result};

use crate::decision::outcome::{Cause, Denial};
use crate::decision::request::fields::Fields;
use crate::proxy::connection::answer_clock::AnswerDeadline;
use crate::proxy::connection::client::ClientConnection;
use crate::proxy::connection::control::RequestControl;
use crate::proxy::connection::http2::frame::error_name;
use crate::proxy::connection::min_rate::{MinRate, TooSlow};
use crate::proxy::connection::timer::Timer;
use crate::proxy::drain::DrainStage;
use crate::telemetry::metrics::Bound;

/// What is handed over at once, and must be taken by the client within the write timeout: a frame of the usual size. So the
/// slowest reader that is served takes 16 KiB in `bounds.write_idle`.
const PIECE: usize = 16 << 10;

/// One HTTP/2 request, with the bounds of its route.
pub struct PacedSession {
    inner: HttpSession,
    control: Arc<RequestControl>,
    /// The connection's, but with the control of this request.
    digest: Digest,
    /// Of the request body; begins with the first read.
    rate: Option<MinRate>,
    /// How much of the length that the client has announced is still to come.
    announced: Option<u64>,
    /// The bytes that complete it, while the stream has not ended.
    last: Option<Bytes>,
    timer: Timer,
    answer: AnswerDeadline,
    /// Pingora knows that a drain ends the request; what it does from then on is the ending.
    ended: bool,
}

/// Paces the HTTP/2 request `session` of `client`; leaves any other as it is.
pub fn paced(session: ServerSession, client: &Arc<ClientConnection>) -> ServerSession {
    let ServerSession::H2(inner) = session else { return session };
    let Some(proxy) = inner.digest().and_then(|digest| digest.proxy_digest.as_ref()) else {
        return ServerSession::H2(inner);
    };
    let control = Arc::new(RequestControl::http2(client.clone()));
    let digest = Digest {
        ssl_digest: client_digest(&inner, |digest| digest.ssl_digest.clone()),
        timing_digest: Vec::new(),
        proxy_digest: Some(control.clone().into_digest(proxy.response.clone())),
        socket_digest: client_digest(&inner, |digest| digest.socket_digest.clone()),
    };
    let announced = Fields::from(&inner.req_header().headers).content_length();
    let (timer, answer) = Default::default();
    ServerSession::new_custom(Box::new(PacedSession {
        inner,
        control,
        digest,
        rate: None,
        announced,
        last: None,
        timer,
        answer,
        ended: false,
    }))
}

/// Why the library has ended the connection that a request came by, where `e` says so. The request may hear of it before the
/// GOAWAY has left.
pub fn connection_end(e: &Error) -> Option<Denial> {
    let error = e.root_cause().downcast_ref::<h2::Error>().filter(|error| error.is_library() && error.is_go_away())?;
    let code = error.reason().map_or(0, u32::from);
    Some(Denial::new(Cause::Http2ConnectionError, error_name(code)))
}

/// What has gone wrong with the body of a request, if it was the client's breach of HTTP/2 that the library answers with a reset.
fn blame(e: Box<Error>) -> Box<Error> {
    let breach = e
        .root_cause()
        .downcast_ref::<h2::Error>()
        .is_some_and(|e| e.is_library() && e.is_reset() && e.reason() == Some(h2::Reason::PROTOCOL_ERROR));
    if !breach {
        return e;
    }
    let denial = Denial::new(Cause::MalformedRequest, "the body or its trailers break HTTP/2 (RFC 9113 §8.1.1)");
    Error::because(ErrorType::H2Error, "reading a request body", denial).into_down()
}

fn client_digest<T>(session: &HttpSession, part: impl FnOnce(&Digest) -> Option<T>) -> Option<T> {
    session.digest().and_then(part)
}

impl PacedSession {
    /// Reads a piece of the request body. What completes the announced length comes last of all, with the end of the stream. May be
    /// dropped and called again.
    async fn read_body(&mut self) -> Result<Option<Bytes>> {
        loop {
            let Some(piece) = self.read_in_time().await? else { return Ok(self.last.take()) };
            if let Some(left) = &mut self.announced {
                *left = left.saturating_sub(piece.len() as u64);
                if *left == 0 && !piece.is_empty() && !self.inner.is_body_done() {
                    self.last = Some(piece);
                    continue;
                }
            }
            return Ok(Some(piece));
        }
    }

    /// Reads a piece of the request body, while the client is fast enough. May be dropped and called again: waiting goes on.
    async fn read_in_time(&mut self) -> Result<Option<Bytes>> {
        let control = &*self.control;
        let rate = self.rate.get_or_insert_with(|| MinRate::new(control.pacing()));
        let (timer, ended) = (&mut self.timer, &mut self.ended);
        let mut read = pin!(self.inner.read_body_bytes());
        let read = poll_fn(|cx| {
            if let Poll::Ready(read) = read.as_mut().poll(cx) {
                return Poll::Ready(Some(read));
            }
            if let Some(end) = end_once(control, ended) {
                return Poll::Ready(Some(Err(end)));
            }
            match rate.wait(Instant::now()) {
                Some(due) => timer.poll(due, cx).map(|()| None),
                None => Poll::Pending,
            }
        });
        let Some(read) = read.await else {
            let slow = rate.too_slow(Instant::now()).unwrap_or(TooSlow::Rate);
            control.connection().listener.runtime.metrics.bound_hit(slow.body_bound());
            let denial = Denial::new(Cause::RequestTimeout, "the request's body came too slowly");
            return Err(Error::because(ErrorType::ReadTimedout, "reading a request body", denial).into_down());
        };
        let read = read.map_err(blame)?;
        rate.moved(read.as_ref().map_or(0, Bytes::len), Instant::now);
        Ok(read)
    }

    /// Hands `data` over in pieces that the client must take in time.
    async fn write_in_time(&mut self, mut data: Bytes, end: bool) -> Result<()> {
        loop {
            let piece = data.split_to(data.len().min(PIECE));
            let last = data.is_empty();
            let written = {
                let mut write = pin!(self.inner.write_body(piece, end && last));
                let (control, ended) = (&*self.control, &mut self.ended);
                // Only time that is up for everything ends that: an answer without an end has its own end between two pieces.
                poll_fn(|cx| poll_until_end(cx, write.as_mut(), DrainStage::Cut, control, ended)).await
            };
            if let Err(e) = &written
                && *e.etype() == ErrorType::WriteTimedout
            {
                self.control.connection().listener.runtime.metrics.bound_hit(Bound::WriteIdle);
            }
            written?;
            if let Some(rate) = &mut self.rate {
                // Whoever takes an answer is there, though it has nothing to say: streams of gRPC are often one-sided.
                rate.restart();
            }
            if last {
                return Ok(());
            }
        }
    }

    /// Passes one step of an answer on. True if the answer ends with it.
    async fn answer(&mut self, task: HttpTask) -> Result<bool> {
        match task {
            HttpTask::Header(header, end) => {
                self.inner.write_response_header(header, end).map_err(|e| e.into_down())?;
                Ok(end)
            }
            HttpTask::Body(data, end) => {
                if let Some(data) = data.filter(|data| !data.is_empty()) {
                    self.write_in_time(data, end).await.map_err(|e| e.into_down())?;
                }
                Ok(end)
            }
            HttpTask::Trailer(Some(trailers)) => self.inner.write_trailers(*trailers).map(|()| true),
            HttpTask::Trailer(None) | HttpTask::Done => Ok(true),
            HttpTask::UpgradedBody(..) => Error::e_explain(ErrorType::InternalError, "a tunnel in an HTTP/2 answer"),
            HttpTask::Failed(e) => Err(e),
        }
    }
}

/// Polls `step` of a request, and ends it when a drain does, from the stage `from` on: the request's task is polled with every
/// stage ([`crate::proxy::drain`]).
fn poll_until_end<T>(
    cx: &mut Context<'_>,
    step: Pin<&mut impl Future<Output = Result<T>>>,
    from: DrainStage,
    control: &RequestControl,
    ended: &mut bool,
) -> Poll<Result<T>> {
    match step.poll(cx) {
        Poll::Pending if control.drain_stage() >= from => {
            end_once(control, ended).map_or(Poll::Pending, |end| Poll::Ready(Err(end)))
        }
        poll => poll,
    }
}

/// The error with which a drain ends the request, if it does; given once.
fn end_once(control: &RequestControl, ended: &mut bool) -> Option<Box<Error>> {
    let ending = control.ending().filter(|_| !*ended)?;
    *ended = true;
    Some(Error::because(ErrorType::ConnectionClosed, "the gateway drains", ending.denial()).into_down())
}

#[async_trait]
impl Session for PacedSession {
    fn req_header(&self) -> &RequestHeader {
        self.inner.req_header()
    }

    fn req_header_mut(&mut self) -> &mut RequestHeader {
        self.inner.req_header_mut()
    }

    async fn read_body_bytes(&mut self) -> Result<Option<Bytes>> {
        self.read_body().await
    }

    async fn read_body_or_idle(&mut self, no_body_expected: bool) -> Result<Option<Bytes>> {
        if no_body_expected || self.is_body_done() {
            let mut idle = pin!(self.inner.read_body_or_idle(true));
            let (control, answer, ended) = (&*self.control, &mut self.answer, &mut self.ended);
            // Each call follows something that happened, the sending of a part of the answer among it.
            answer.moved();
            return poll_fn(|cx| {
                let idle = poll_until_end(cx, idle.as_mut(), DrainStage::StreamsEnd, control, ended);
                match idle.is_pending().then(|| answer.poll(control.answer(), cx)) {
                    Some(Poll::Ready(denial)) => {
                        let late = Error::because(ErrorType::ReadTimedout, "waiting for the origin", denial);
                        Poll::Ready(Err(late.into_down()))
                    }
                    _ => idle,
                }
            })
            .await;
        }
        self.read_body().await
    }

    async fn drain_request_body(&mut self) -> Result<()> {
        self.last = None;
        self.inner.drain_request_body().await
    }

    async fn write_response_header(&mut self, header: Box<ResponseHeader>, end: bool) -> Result<()> {
        self.inner.write_response_header(header, end)
    }

    async fn write_response_header_ref(&mut self, header: &ResponseHeader, end: bool) -> Result<()> {
        self.inner.write_response_header_ref(header, end)
    }

    async fn write_body(&mut self, data: Bytes, end: bool) -> Result<()> {
        self.write_in_time(data, end).await
    }

    async fn write_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        self.inner.write_trailers(trailers)
    }

    async fn response_duplex_vec(&mut self, tasks: Vec<HttpTask>) -> Result<bool> {
        let mut ended = false;
        for task in tasks {
            ended |= self.answer(task).await?;
        }
        if ended {
            self.inner.finish().map_err(|e| e.into_down())?;
        }
        Ok(ended)
    }

    // The request's control says how slowly its body may come.

    fn set_read_timeout(&mut self, _timeout: Option<Duration>) {}

    fn get_read_timeout(&self) -> Option<Duration> {
        None
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) {
        self.inner.set_write_timeout(timeout);
    }

    fn get_write_timeout(&self) -> Option<Duration> {
        self.inner.get_write_timeout()
    }

    fn set_total_drain_timeout(&mut self, timeout: Option<Duration>) {
        self.inner.set_total_drain_timeout(timeout);
    }

    fn get_total_drain_timeout(&self) -> Option<Duration> {
        self.inner.get_total_drain_timeout()
    }

    fn request_summary(&self) -> String {
        self.inner.request_summary()
    }

    fn response_written(&self) -> Option<&ResponseHeader> {
        self.inner.response_written()
    }

    async fn shutdown(&mut self, code: u32, _context: &str) {
        self.inner.shutdown_with_reason(code.into());
    }

    /// The client must not take what it has for the whole answer.
    async fn abandon(&mut self, _context: &str) {
        self.inner.shutdown();
    }

    fn is_body_done(&mut self) -> bool {
        self.last.is_none() && self.inner.is_body_done()
    }

    fn is_body_empty(&mut self) -> bool {
        self.inner.is_body_empty()
    }

    async fn finish(&mut self) -> Result<()> {
        self.inner.finish()
    }

    fn body_bytes_sent(&self) -> usize {
        self.inner.body_bytes_sent()
    }

    fn body_bytes_read(&self) -> usize {
        self.inner.body_bytes_read()
    }

    fn digest(&self) -> Option<&Digest> {
        Some(&self.digest)
    }

    fn digest_mut(&mut self) -> Option<&mut Digest> {
        Some(&mut self.digest)
    }

    fn client_addr(&self) -> Option<&SocketAddr> {
        self.inner.client_addr()
    }

    fn server_addr(&self) -> Option<&SocketAddr> {
        self.inner.server_addr()
    }

    fn pseudo_raw_h1_request_header(&self) -> Bytes {
        self.inner.pseudo_raw_h1_request_header()
    }

    fn enable_retry_buffering(&mut self) {
        self.inner.enable_retry_buffering();
    }

    fn retry_buffer_truncated(&self) -> bool {
        self.inner.retry_buffer_truncated()
    }

    fn get_retry_buffer(&self) -> Option<Bytes> {
        // What is kept back is in the buffer already, and is yet to be read from here.
        let kept = self.last.as_ref().map_or(0, Bytes::len);
        self.inner.get_retry_buffer().map(|sent| sent.slice(..sent.len().saturating_sub(kept)))
    }

    // Messages beside requests and answers: HTTP/2 has none.

    async fn finish_custom(&mut self) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_reader(
        &mut self,
    ) -> Option<Box<dyn Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>> {
        None
    }

    fn restore_custom_message_reader(
        &mut self,
        _reader: Box<dyn Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>,
    ) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_writer(&mut self) -> Option<Box<dyn CustomMessageWrite>> {
        None
    }

    fn restore_custom_message_writer(&mut self, _writer: Box<dyn CustomMessageWrite>) -> Result<()> {
        Ok(())
    }
}
