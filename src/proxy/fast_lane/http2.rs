//! The client's side of an HTTP/2 request.

use std::io;
use std::net::SocketAddr;
use std::task::{Context as TaskContext, Poll, ready};

use bytes::Bytes;
use h2::Reason;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use pingora::{Error, Result};
use tokio::io::ReadBuf;

use super::downstream::{After, Downstream};
use super::errors::write_error;
use crate::decision::outcome::{Cause, Denial};
use crate::decision::response::HeaderSection;
use crate::decision::response::byte_head::ByteHead;
use crate::decision::response::grpc::{self, is_grpc};
use crate::decision::response::origin_body::OriginBody;
use crate::proxy::connection::http2::stream::{Http2Stream, PIECE};
use crate::proxy::hooks::client_side::RequestParts;
use crate::proxy::hooks::context::Context;
use crate::proxy::reply::LocalReply;

/// An HTTP/2 stream.
pub(super) struct Http2Downstream<'s> {
    stream: &'s mut Http2Stream,
    local_address: Option<SocketAddr>,
    /// The data that was read last.
    data: Bytes,
    /// On its way to the client, and what of it was given for that.
    piece: Bytes,
    /// The answer is one of gRPC.
    grpc: bool,
}

impl<'s> Http2Downstream<'s> {
    /// The side of the request that `stream` has brought. Its client has connected to `local_address`.
    pub fn new(stream: &'s mut Http2Stream, local_address: Option<SocketAddr>) -> Self {
        Http2Downstream { stream, local_address, data: Bytes::new(), piece: Bytes::new(), grpc: false }
    }
}

impl Downstream for Http2Downstream<'_> {
    fn poll_body<'b>(&'b mut self, _room: &'b mut ReadBuf<'_>, cx: &mut TaskContext<'_>) -> Poll<Result<&'b [u8]>> {
        self.data = ready!(self.stream.poll_data(cx))?.unwrap_or_default();
        Poll::Ready(Ok(&self.data))
    }

    fn is_received(&self) -> bool {
        self.stream.is_received()
    }

    fn received(&self) -> u64 {
        self.stream.received()
    }

    fn poll_ended(&mut self, _idle: bool, cx: &mut TaskContext<'_>) -> Poll<Box<Error>> {
        self.stream.poll_ended(cx)
    }

    fn set_last(&mut self) {
        // The connection has other streams.
    }

    fn frame(&mut self, _status: StatusCode, _body: &OriginBody, _fields: &mut ByteHead<'_>, _ctx: &Context) {
        // Frames tell where the body ends (RFC 9113 §8.1).
    }

    fn begin(&mut self, status: StatusCode, fields: ByteHead<'_>, body: &OriginBody, _ctx: &Context) -> Result<()> {
        self.grpc = is_grpc(fields.values(&CONTENT_TYPE).next());
        self.stream.send_head(status, fields.to_map(), body.is_done())
    }

    fn send_interim(&mut self, status: StatusCode, fields: ByteHead<'_>, _ctx: &Context) -> Result<()> {
        self.stream.send_interim(status, fields.to_map())
    }

    fn poll_write(&mut self, data: &[u8], last: bool, cx: &mut TaskContext<'_>) -> Poll<Result<usize>> {
        if self.piece.is_empty() {
            self.piece = Bytes::copy_from_slice(&data[..data.len().min(PIECE)]);
        }
        let before = self.piece.len();
        let last = last && before == data.len();
        let sent = self.stream.poll_send(&mut self.piece, last, cx)?;
        match before - self.piece.len() {
            0 if sent.is_ready() => Poll::Ready(Err(write_error(io::ErrorKind::WriteZero.into()))),
            0 => Poll::Pending,
            count => Poll::Ready(Ok(count)),
        }
    }

    fn end(&mut self, trailers: ByteHead<'_>) -> Result<()> {
        if trailers.is_empty() { self.stream.finish() } else { self.stream.send_trailers(trailers.to_map()) }
    }

    fn takes_trailers(&self) -> bool {
        true
    }

    fn poll_flush(&mut self, _cx: &mut TaskContext<'_>) -> Poll<Result<()>> {
        // The task of the connection sends what it is handed.
        Poll::Ready(Ok(()))
    }

    fn sent(&self) -> u64 {
        self.stream.sent()
    }

    async fn reply(&mut self, request: RequestParts<'_>, mut reply: LocalReply, _ctx: &Context) -> Result<()> {
        if *request.method == Method::HEAD {
            reply.body = Bytes::new();
        }
        self.stream.answer(reply).await
    }

    async fn break_off(&mut self, denial: &Denial) -> After {
        if denial.cause == Cause::StreamEnded {
            // A gRPC client is told to come back.
            let ended = if self.grpc { self.stream.send_trailers(status(denial)) } else { self.stream.finish() };
            if let Err(e) = ended {
                log::debug!("a stream could not be ended in order: {e}");
            }
        }
        self.stream.reset(Reason::INTERNAL_ERROR);
        After::Drop
    }

    fn after(&self) -> After {
        After::Next
    }

    fn local_address(&self) -> Option<SocketAddr> {
        self.local_address
    }
}

/// The trailers that say why a gRPC call has failed.
fn status(denial: &Denial) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert(grpc::STATUS, HeaderValue::from(denial.cause.grpc_status() as u16));
    trailers.insert(grpc::MESSAGE, HeaderValue::from_static(denial.cause.title()));
    trailers
}
