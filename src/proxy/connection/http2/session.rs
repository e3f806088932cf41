//! An HTTP/2 request for Pingora: an [`Http2Stream`] in the slot that Pingora has for protocols of others.
//!
//! In that slot Pingora leaves two things to the session: it does not reconcile `:authority` with `Host` (what differs was refused
//! before, and [`crate::proxy::hooks::upstream::rewrite`] sets the host that the rules saw), and it takes `te: trailers` off a request
//! to an HTTP/2 origin, which `rewrite` puts back.

use std::future::poll_fn;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::Stream;
use h2::Reason;
use http::HeaderMap;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::Digest;
use pingora::protocols::http::body_buffer::FixedBuffer;
use pingora::protocols::http::custom::CustomMessageWrite;
use pingora::protocols::http::custom::server::Session;
use pingora::protocols::http::{HttpTask, ServerSession};
use pingora::protocols::l4::socket::SocketAddr;
use pingora::{Error, ErrorType, Result};

use super::stream::Http2Stream;
use crate::decision::upstream::retry::KEPT_BODY;
use crate::proxy::connection::answer_pace::AnswerFootprint;

/// One HTTP/2 request as Pingora reads and answers it.
pub struct Http2Session {
    stream: Http2Stream,
    header: RequestHeader,
    /// Of the connection, but with the control of this request.
    digest: Digest,
    /// Of the final answer.
    written: Option<Box<ResponseHeader>>,
    /// What has come of the body, for another try.
    kept: Option<FixedBuffer>,
    empty: bool,
    drain_timeout: Option<Duration>,
}

/// The request with the head `header` for Pingora. `digest` is that of its connection.
pub fn session(mut stream: Http2Stream, header: RequestHeader, digest: Digest) -> ServerSession {
    stream.set_footprint(AnswerFootprint::Full);
    let empty = stream.is_received();
    let session = Http2Session { stream, header, digest, written: None, kept: None, empty, drain_timeout: None };
    ServerSession::new_custom(Box::new(session))
}

impl Http2Session {
    async fn read(&mut self) -> Result<Option<Bytes>> {
        let piece = poll_fn(|cx| self.stream.poll_data(cx)).await?;
        if let (Some(kept), Some(piece)) = (&mut self.kept, &piece) {
            kept.write_to_buffer(piece);
        }
        Ok(piece)
    }

    async fn drain(&mut self) -> Result<()> {
        self.stream.discard();
        while self.read().await?.is_some() {}
        Ok(())
    }

    fn write_head(&mut self, header: Box<ResponseHeader>, end: bool) -> Result<()> {
        let (status, fields) = (header.status, header.headers.clone());
        if status.is_informational() {
            return self.stream.send_interim(status, fields);
        }
        self.stream.send_head(status, fields, end)?;
        self.written.get_or_insert(header);
        Ok(())
    }

    async fn send(&mut self, mut data: Bytes, end: bool) -> Result<()> {
        poll_fn(|cx| self.stream.poll_send(&mut data, end, cx)).await
    }

    /// Passes one step of an answer on. True if the answer ends with it.
    async fn answer(&mut self, task: HttpTask) -> Result<bool> {
        match task {
            HttpTask::Header(header, end) => self.write_head(header, end).map(|()| end),
            HttpTask::Body(data, end) => self.send(data.unwrap_or_default(), end).await.map(|()| end),
            HttpTask::Trailer(Some(trailers)) => self.stream.send_trailers(*trailers).map(|()| true),
            HttpTask::Trailer(None) | HttpTask::Done => Ok(true),
            HttpTask::UpgradedBody(..) => Error::e_explain(ErrorType::InternalError, "a tunnel in an HTTP/2 answer"),
            HttpTask::Failed(e) => Err(e),
        }
    }
}

#[async_trait]
impl Session for Http2Session {
    fn req_header(&self) -> &RequestHeader {
        &self.header
    }

    fn req_header_mut(&mut self) -> &mut RequestHeader {
        &mut self.header
    }

    async fn read_body_bytes(&mut self) -> Result<Option<Bytes>> {
        self.read().await
    }

    async fn read_body_or_idle(&mut self, no_body_expected: bool) -> Result<Option<Bytes>> {
        if no_body_expected || self.stream.is_received() {
            // Each call follows something that happened, the sending of a part of the answer among it.
            self.stream.moved();
            return Err(poll_fn(|cx| self.stream.poll_ended(cx)).await);
        }
        self.read().await
    }

    async fn drain_request_body(&mut self) -> Result<()> {
        let Some(bound) = self.drain_timeout else { return self.drain().await };
        let late = || Error::explain(ErrorType::ReadTimedout, "reading what is left of a request body");
        tokio::time::timeout(bound, self.drain()).await.unwrap_or_else(|_| Err(late()))
    }

    async fn write_response_header(&mut self, header: Box<ResponseHeader>, end: bool) -> Result<()> {
        self.write_head(header, end)
    }

    async fn write_response_header_ref(&mut self, header: &ResponseHeader, end: bool) -> Result<()> {
        self.write_head(Box::new(header.clone()), end)
    }

    async fn write_body(&mut self, data: Bytes, end: bool) -> Result<()> {
        self.send(data, end).await
    }

    async fn write_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        self.stream.send_trailers(trailers)
    }

    async fn response_duplex_vec(&mut self, tasks: Vec<HttpTask>) -> Result<bool> {
        let mut ended = false;
        for task in tasks {
            ended |= self.answer(task).await?;
        }
        if ended {
            self.stream.finish()?;
        }
        Ok(ended)
    }

    // How slowly the body may come, and the answer be taken, the stream knows.

    fn set_read_timeout(&mut self, _timeout: Option<Duration>) {}

    fn get_read_timeout(&self) -> Option<Duration> {
        None
    }

    fn set_write_timeout(&mut self, _timeout: Option<Duration>) {}

    fn get_write_timeout(&self) -> Option<Duration> {
        None
    }

    fn set_total_drain_timeout(&mut self, timeout: Option<Duration>) {
        self.drain_timeout = timeout;
    }

    fn get_total_drain_timeout(&self) -> Option<Duration> {
        self.drain_timeout
    }

    fn request_summary(&self) -> String {
        // For lines of Pingora's own log, which are suppressed.
        String::new()
    }

    fn response_written(&self) -> Option<&ResponseHeader> {
        self.written.as_deref()
    }

    async fn shutdown(&mut self, code: u32, _context: &str) {
        self.stream.reset(code.into());
    }

    async fn abandon(&mut self, _context: &str) {
        self.stream.reset(Reason::INTERNAL_ERROR);
    }

    fn is_body_done(&mut self) -> bool {
        self.stream.is_received()
    }

    fn is_body_empty(&mut self) -> bool {
        self.empty || self.header.headers.get(http::header::CONTENT_LENGTH).is_some_and(|length| length == "0")
    }

    async fn finish(&mut self) -> Result<()> {
        self.stream.finish()
    }

    fn body_bytes_sent(&self) -> usize {
        self.stream.sent() as usize
    }

    fn body_bytes_read(&self) -> usize {
        self.stream.received() as usize
    }

    fn digest(&self) -> Option<&Digest> {
        Some(&self.digest)
    }

    fn digest_mut(&mut self) -> Option<&mut Digest> {
        Some(&mut self.digest)
    }

    fn client_addr(&self) -> Option<&SocketAddr> {
        self.digest.socket_digest.as_ref()?.peer_addr()
    }

    fn server_addr(&self) -> Option<&SocketAddr> {
        self.digest.socket_digest.as_ref()?.local_addr()
    }

    fn pseudo_raw_h1_request_header(&self) -> Bytes {
        // Of subrequests, which the gateway has none of.
        Bytes::new()
    }

    fn enable_retry_buffering(&mut self) {
        self.kept.get_or_insert_with(|| FixedBuffer::new(KEPT_BODY as usize));
    }

    fn retry_buffer_truncated(&self) -> bool {
        self.kept.as_ref().is_some_and(FixedBuffer::is_truncated)
    }

    fn get_retry_buffer(&self) -> Option<Bytes> {
        let kept = self.kept.as_ref()?;
        if kept.is_truncated() { None } else { kept.get_buffer() }
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
