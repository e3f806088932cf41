//! One HTTP/2 request and its answer, with bounds on how slowly its client may give and take.
//!
//! A stream that stalls fails like a request by HTTP/1 does, and other streams of its connection are not touched. What waits for the
//! client is bounded: no more is handed to the library than its window allows ([`max_send_buffer_size`]).
//!
//! An origin that was told a length takes the request for complete once it has so many bytes. So the bytes that complete it are kept
//! back until the client has ended its stream: if more follows, the origin never had the whole.
//!
//! [`max_send_buffer_size`]: h2::server::Builder::max_send_buffer_size

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::header::{CONNECTION, DATE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, Response, StatusCode};
use pingora::protocols::http::date::get_cached_date;
use pingora::{Error, ErrorType, OrErr, Result};

use crate::decision::outcome::{Cause, Denial};
use crate::decision::request::fields::Fields;
use crate::proxy::connection::answer_clock::AnswerDeadline;
use crate::proxy::connection::answer_pace::{AnswerFootprint, AnswerPace};
use crate::proxy::connection::client::ClientConnection;
use crate::proxy::connection::control::RequestControl;
use crate::proxy::connection::http2::frame::error_name;
use crate::proxy::connection::min_rate::{MinRate, TooSlow};
use crate::proxy::connection::timer::Timer;
use crate::proxy::drain::DrainStage;
use crate::proxy::reply::LocalReply;

/// What is handed over at once: a frame of the usual size.
pub const PIECE: usize = 16 << 10;

/// One HTTP/2 request on its way.
pub struct Http2Stream {
    control: Arc<RequestControl>,
    request: RecvStream,
    respond: SendResponse<Bytes>,
    /// Once the final answer has begun.
    answer: Option<SendStream<Bytes>>,
    /// Nothing follows any more.
    ended: bool,
    /// The body of the request was read to its end. Trailers may follow it.
    whole: bool,
    /// Of the request's body; begins with the first read.
    given: Option<MinRate>,
    /// How much of the length that the client has announced is still to come.
    announced: Option<u64>,
    /// The bytes that complete it, while the stream has not ended.
    last: Option<Bytes>,
    received: u64,
    /// Of the answer's body.
    pace: AnswerPace,
    sent: u64,
    origin: AnswerDeadline,
    timer: Timer,
    /// It is known that a drain ends the request; what is done from then on is the ending.
    drained: bool,
}

impl Http2Stream {
    /// The stream of a request that `client` has sent with the fields `fields`.
    pub fn new(
        client: Arc<ClientConnection>,
        fields: &HeaderMap,
        request: RecvStream,
        respond: SendResponse<Bytes>,
    ) -> Self {
        Http2Stream {
            pace: AnswerPace::new(client.listener.runtime.clone(), AnswerFootprint::Fast),
            control: Arc::new(RequestControl::http2(client)),
            request,
            respond,
            answer: None,
            ended: false,
            whole: false,
            given: None,
            announced: Fields::from(fields).content_length(),
            last: None,
            received: 0,
            sent: 0,
            origin: AnswerDeadline::default(),
            timer: Timer::default(),
            drained: false,
        }
    }

    /// The answer is made in this way.
    pub fn set_footprint(&mut self, footprint: AnswerFootprint) {
        self.pace.set_footprint(footprint);
    }

    /// How the steps of the request act on its connection.
    pub fn control(&self) -> &Arc<RequestControl> {
        &self.control
    }

    /// Whether the request has come whole.
    pub fn is_received(&self) -> bool {
        self.last.is_none() && (self.whole || self.request.is_end_stream())
    }

    /// Bytes of the request's body that have come.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Bytes of the answer's body that were handed over.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Reads a piece of the request's body, `None` at its end. What completes the announced length comes last of all, with the end of
    /// the stream.
    ///
    /// # Errors
    /// The client's: it left, took too long, or broke HTTP/2. Or a drain ends the request.
    pub fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        loop {
            let Some(piece) = ready!(self.poll_piece(cx))? else {
                self.whole = true;
                return Poll::Ready(Ok(self.last.take()));
            };
            if let Some(left) = &mut self.announced {
                *left = left.saturating_sub(piece.len() as u64);
                if *left == 0 && !piece.is_empty() && !self.request.is_end_stream() {
                    self.last = Some(piece);
                    continue;
                }
            }
            return Poll::Ready(Ok(Some(piece)));
        }
    }

    /// Drops what was read of the request's body and kept back.
    pub fn discard(&mut self) {
        self.last = None;
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        let rate = self.given.get_or_insert_with(|| MinRate::new(self.control.pacing()));
        let read = match self.request.poll_data(cx) {
            Poll::Ready(read) => read.transpose().map_err(body_error)?,
            Poll::Pending => {
                if let Some(end) = end_once(&self.control, DrainStage::StreamsEnd, &mut self.drained) {
                    return Poll::Ready(Err(end));
                }
                let Some(due) = rate.wait(Instant::now()) else { return Poll::Pending };
                ready!(self.timer.poll(due, cx));
                let slow = rate.too_slow(due).unwrap_or(TooSlow::Rate);
                self.control.connection().listener.runtime.metrics.bound_hit(slow.body_bound());
                let denial = Denial::new(Cause::RequestTimeout, "the request's body came too slowly");
                let late = Error::because(ErrorType::ReadTimedout, "reading a request body", denial);
                return Poll::Ready(Err(late.into_down()));
            }
        };
        let count = read.as_ref().map_or(0, Bytes::len);
        rate.moved(count, Instant::now);
        self.received += count as u64;
        // What can't be given back is that of a stream which is not counted any more.
        let _ = self.request.flow_control().release_capacity(count);
        Poll::Ready(Ok(read))
    }

    /// Ready with the reason when the request is not to be served any longer: its client has left, a drain ends it, or the origin has
    /// taken too long.
    pub fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<Box<Error>> {
        let reset = match &mut self.answer {
            Some(answer) => answer.poll_reset(cx),
            None => self.respond.poll_reset(cx),
        };
        match reset {
            Poll::Ready(Ok(reason)) => {
                let gone = Error::explain(ErrorType::H2Error, format!("the client ended its stream: {reason}"));
                return Poll::Ready(gone.into_down());
            }
            Poll::Ready(Err(e)) => {
                return Poll::Ready(Error::because(ErrorType::H2Error, "waiting for the origin", e).into_down());
            }
            Poll::Pending => {}
        }
        if let Some(end) = end_once(&self.control, DrainStage::StreamsEnd, &mut self.drained) {
            return Poll::Ready(end);
        }
        self.origin
            .poll(self.control.answer(), cx)
            .map(|denial| Error::because(ErrorType::ReadTimedout, "waiting for the origin", denial).into_down())
    }

    /// Something happened for which the origin was not waited for.
    pub fn moved(&mut self) {
        self.origin.moved();
    }

    /// Answers with `reply`. Where its body is empty, one frame has all of it: gRPC clients look for their status in the last one.
    ///
    /// # Errors
    /// As those of [`Http2Stream::poll_send`].
    pub async fn answer(&mut self, reply: LocalReply) -> Result<()> {
        let LocalReply { status, fields, mut body } = reply;
        self.send_head(status, fields.to_map(), body.is_empty())?;
        poll_fn(|cx| self.poll_send(&mut body, true, cx)).await
    }

    /// Sends an interim answer (RFC 9110 §15.2).
    ///
    /// # Errors
    /// The client left.
    pub fn send_interim(&mut self, status: StatusCode, fields: HeaderMap) -> Result<()> {
        let head = head(status, fields);
        self.respond.send_informational(head).or_err(ErrorType::WriteError, WRITING).map_err(|e| e.into_down())
    }

    /// Begins the answer. Fields of an HTTP/1 connection are left out (RFC 9113 §8.2.2).
    ///
    /// # Errors
    /// The client left.
    pub fn send_head(&mut self, status: StatusCode, fields: HeaderMap, end: bool) -> Result<()> {
        if self.ended || self.answer.is_some() {
            return Ok(());
        }
        let mut head = head(status, fields);
        head.headers_mut().insert(DATE, get_cached_date());
        let sent = self.respond.send_response(head, end).or_err(ErrorType::WriteError, WRITING);
        self.answer = Some(sent.map_err(|e| e.into_down())?);
        self.ended = end;
        self.origin.moved();
        Ok(())
    }

    /// Hands `data` over as far as the client's window allows. Ready when all of it is; `end`: the stream ends with it.
    ///
    /// # Errors
    /// The client left, or takes too little. Or a drain ends the request.
    pub fn poll_send(&mut self, data: &mut Bytes, end: bool, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let Some(answer) = self.answer.as_mut().filter(|_| !self.ended) else { return Poll::Ready(Ok(())) };
        loop {
            if data.is_empty() {
                if end {
                    self.finish()?;
                }
                return Poll::Ready(Ok(()));
            }
            let wanted = data.len().min(PIECE);
            answer.reserve_capacity(wanted);
            let mut room = answer.capacity();
            if room == 0 {
                room = match answer.poll_capacity(cx) {
                    Poll::Ready(Some(room)) => {
                        room.or_err(ErrorType::WriteError, WRITING).map_err(|e| e.into_down())?
                    }
                    Poll::Ready(None) => {
                        return Poll::Ready(Err(
                            Error::explain(ErrorType::WriteError, "the stream has ended").into_down()
                        ));
                    }
                    Poll::Pending => return self.poll_too_slow(cx),
                };
            }
            let piece = data.split_to(room.min(wanted));
            if piece.is_empty() {
                continue;
            }
            let (count, last) = (piece.len(), end && data.is_empty());
            answer.send_data(piece, last).or_err(ErrorType::WriteError, WRITING).map_err(|e| e.into_down())?;
            self.sent += count as u64;
            self.pace.moved(count);
            self.origin.moved();
            if let Some(rate) = &mut self.given {
                // Whoever takes an answer is there, though it has nothing to say: streams of gRPC are often one-sided.
                rate.restart();
            }
            if last {
                self.ended = true;
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Ready when the client has taken too little for too long, or time is up for everything.
    fn poll_too_slow(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        // An answer without an end has its own end between two pieces.
        if let Some(end) = end_once(&self.control, DrainStage::Cut, &mut self.drained) {
            return Poll::Ready(Err(end));
        }
        // What the kernel holds is the connection's.
        let denial = ready!(self.pace.poll_too_slow(cx, || 0));
        Poll::Ready(Err(Error::because(ErrorType::WriteTimedout, WRITING, denial).into_down()))
    }

    /// Ends the answer with `trailers`.
    ///
    /// # Errors
    /// The client left.
    pub fn send_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        let Some(answer) = self.answer.as_mut().filter(|_| !self.ended) else { return Ok(()) };
        self.ended = true;
        answer.send_trailers(trailers).or_err(ErrorType::WriteError, WRITING).map_err(|e| e.into_down())
    }

    /// Ends an answer that has begun, if it has not ended.
    ///
    /// # Errors
    /// The client left.
    pub fn finish(&mut self) -> Result<()> {
        let Some(answer) = self.answer.as_mut().filter(|_| !self.ended) else { return Ok(()) };
        self.ended = true;
        answer.send_data(Bytes::new(), true).or_err(ErrorType::WriteError, WRITING).map_err(|e| e.into_down())
    }

    /// Breaks the answer off, unless it has ended: the client must not take what it has for the whole.
    pub fn reset(&mut self, reason: Reason) {
        if !self.ended {
            self.ended = true;
            self.respond.send_reset(reason);
        }
    }
}

const WRITING: &str = "writing to the client";

fn head(status: StatusCode, mut fields: HeaderMap) -> Response<()> {
    let names = [TRANSFER_ENCODING.as_str(), CONNECTION.as_str(), UPGRADE.as_str(), "keep-alive", "proxy-connection"];
    for name in names {
        fields.remove(name);
    }
    let mut head = Response::new(());
    *head.status_mut() = status;
    *head.headers_mut() = fields;
    head
}

/// The error with which a drain ends the request, if it does from the stage `from` on; given once.
fn end_once(control: &RequestControl, from: DrainStage, drained: &mut bool) -> Option<Box<Error>> {
    if control.drain_stage() < from {
        return None;
    }
    let ending = control.ending().filter(|_| !*drained)?;
    *drained = true;
    Some(Error::because(ErrorType::ConnectionClosed, "the gateway drains", ending.denial()).into_down())
}

/// Why the library has ended the connection that a request came by, where `e` says so. The request may hear of it before the
/// GOAWAY has left.
pub fn connection_end(e: &Error) -> Option<Denial> {
    let error = e.root_cause().downcast_ref::<h2::Error>().filter(|error| error.is_library() && error.is_go_away())?;
    let code = error.reason().map_or(0, u32::from);
    Some(Denial::new(Cause::Http2ConnectionError, error_name(code)))
}

/// What has gone wrong with the body of a request. The client's breach of HTTP/2, which the library answers with a reset, is told
/// from its leaving.
fn body_error(e: h2::Error) -> Box<Error> {
    if e.is_library() && e.is_reset() && e.reason() == Some(Reason::PROTOCOL_ERROR) {
        let denial = Denial::new(Cause::MalformedRequest, "the body or its trailers break HTTP/2 (RFC 9113 §8.1.1)");
        return Error::because(ErrorType::H2Error, "reading a request body", denial).into_down();
    }
    Error::because(ErrorType::ReadError, "reading a request body", e).into_down()
}
