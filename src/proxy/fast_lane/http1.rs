//! The client's side of an HTTP/1 request.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll, ready};

use http::header::TRANSFER_ENCODING;
use http::{HeaderValue, Method, StatusCode, Version};
use pingora::{Error, Result};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::downstream::{After, Downstream};
use super::errors::{client_gone, client_lost, malformed_body, write_error};
use super::upload::{PIECE_BYTES, push_chunk_size};
use crate::decision::connection_options::lists;
use crate::decision::outcome::{Cause, Denial};
use crate::decision::request::chunked::Chunks;
use crate::decision::request::fields;
use crate::decision::request::framing::BodyLength;
use crate::decision::response::HeaderSection;
use crate::decision::response::byte_head::ByteHead;
use crate::decision::response::origin_body::OriginBody;
use crate::proxy::connection::ClientStream;
use crate::proxy::hooks::client_side::{RequestParts, asks_for_trailers};
use crate::proxy::hooks::context::Context;
use crate::proxy::hooks::request::drainable;
use crate::proxy::hooks::response;
use crate::proxy::reply::{LocalReply, push_head, push_status_line};

/// An HTTP/1 connection, for one request.
pub(super) struct Http1Downstream<'c> {
    connection: &'c mut ClientStream,
    /// HTTP/1.0.
    old: bool,
    /// What of the request's body is to come.
    rest: BodyRest,
    received: u64,
    /// The answer is the connection's last.
    closes: bool,
    /// The client takes trailers (RFC 9110 §10.1.4).
    trailers: bool,
    /// The body of the answer goes in chunks.
    chunked: bool,
    /// What is to come of the chunk that was begun.
    chunk: usize,
    ended: bool,
    sent: u64,
}

enum BodyRest {
    Nothing,
    Length(u64),
    Chunked(Chunks),
}

impl<'c> Http1Downstream<'c> {
    /// The side of `request`, which has come by `connection` with `body` behind its head. `last`: none may follow.
    pub fn new(connection: &'c mut ClientStream, request: RequestParts<'_>, body: BodyLength, last: bool) -> Self {
        Http1Downstream {
            connection,
            old: request.version == Version::HTTP_10,
            rest: match body {
                BodyLength::None | BodyLength::Length(0) => BodyRest::Nothing,
                BodyLength::Length(length) => BodyRest::Length(length),
                BodyLength::Chunked => BodyRest::Chunked(Chunks::default()),
            },
            received: 0,
            closes: last || !keeps_alive(request),
            trailers: request.version == Version::HTTP_11 && asks_for_trailers(request),
            chunked: false,
            chunk: 0,
            ended: false,
            sent: 0,
        }
    }

    /// Reads what is left of the request's body, and drops it.
    fn poll_drain(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<()>> {
        while !self.is_received() {
            let mut room = [MaybeUninit::uninit(); PIECE_BYTES];
            ready!(self.poll_body(&mut ReadBuf::uninit(&mut room), cx))?;
        }
        Poll::Ready(Ok(()))
    }
}

impl Downstream for Http1Downstream<'_> {
    fn poll_body<'b>(&'b mut self, room: &'b mut ReadBuf<'_>, cx: &mut TaskContext<'_>) -> Poll<Result<&'b [u8]>> {
        ready!(Pin::new(&mut *self.connection).poll_read(cx, room)).map_err(client_lost)?;
        let bytes = room.filled_mut();
        if bytes.is_empty() {
            return Poll::Ready(Err(client_gone("the client left within its body")));
        }
        let data = match &mut self.rest {
            // The connection gives nothing of another message.
            BodyRest::Nothing => 0,
            BodyRest::Length(left) => {
                *left = left.saturating_sub(bytes.len() as u64);
                if *left == 0 {
                    self.rest = BodyRest::Nothing;
                }
                bytes.len()
            }
            BodyRest::Chunked(chunks) => {
                let (_, data) = chunks.decode(bytes).map_err(malformed_body)?;
                if chunks.is_done() {
                    self.rest = BodyRest::Nothing;
                }
                data
            }
        };
        self.received += data as u64;
        Poll::Ready(Ok(&bytes[..data]))
    }

    fn is_received(&self) -> bool {
        matches!(self.rest, BodyRest::Nothing)
    }

    fn received(&self) -> u64 {
        self.received
    }

    fn poll_ended(&mut self, idle: bool, cx: &mut TaskContext<'_>) -> Poll<Box<Error>> {
        if !idle || !self.is_received() {
            // The rest of the body is the client's next bytes: they are read when the origin takes them.
            return self.connection.poll_ended(cx).map(client_lost);
        }
        // What the client sends ahead stays with its connection.
        let mut room = [MaybeUninit::uninit(); 4096];
        let mut ahead = ReadBuf::uninit(&mut room);
        ready!(Pin::new(&mut *self.connection).poll_read(cx, &mut ahead))
            .map_or_else(|e| Poll::Ready(client_lost(e)), |()| Poll::Ready(client_gone("the client left")))
    }

    fn set_last(&mut self) {
        self.closes = true;
    }

    fn frame(&mut self, status: StatusCode, body: &OriginBody, fields: &mut ByteHead<'_>, ctx: &Context) {
        self.chunked = matches!(body, OriginBody::Chunked(_));
        if self.old {
            self.chunked = false;
            self.closes |= response::frame_for_http10(status, fields, ctx);
        } else if *body == OriginBody::UntilClose {
            // The client learns by chunks where it ends, and keeps its connection.
            fields.set(&TRANSFER_ENCODING, &HeaderValue::from_static("chunked"));
            self.chunked = true;
        }
    }

    fn begin(&mut self, status: StatusCode, fields: ByteHead<'_>, _body: &OriginBody, ctx: &Context) -> Result<()> {
        self.closes |= response::is_last(ctx) || !self.is_received();
        self.connection.gather(|out| push_head(out, status, fields, self.closes));
        Ok(())
    }

    fn send_interim(&mut self, status: StatusCode, fields: ByteHead<'_>, ctx: &Context) -> Result<()> {
        self.closes |= response::is_last(ctx);
        if !self.old {
            // HTTP/1.0 knows no interim answers (RFC 9110 §15.2).
            self.connection.gather(|out| {
                push_status_line(out, status);
                fields.write_fields(out);
            });
        }
        Ok(())
    }

    fn poll_write(&mut self, data: &[u8], _last: bool, cx: &mut TaskContext<'_>) -> Poll<Result<usize>> {
        if self.chunked && self.chunk == 0 {
            self.connection.gather(|out| push_chunk_size(out, data.len()));
            self.chunk = data.len();
        }
        let count = ready!(Pin::new(&mut *self.connection).poll_write(cx, data)).map_err(write_error)?;
        if count == 0 {
            return Poll::Ready(Err(write_error(io::ErrorKind::WriteZero.into())));
        }
        self.sent += count as u64;
        if self.chunked {
            self.chunk -= count;
            if self.chunk == 0 {
                self.connection.gather(|out| out.extend_from_slice(b"\r\n"));
            }
        }
        Poll::Ready(Ok(count))
    }

    fn end(&mut self, trailers: ByteHead<'_>) -> Result<()> {
        if self.chunked && self.trailers && !trailers.is_empty() {
            self.connection.gather(|out| {
                out.extend_from_slice(b"0\r\n");
                trailers.write_fields(out);
            });
        } else if self.chunked {
            self.connection.gather(|out| out.extend_from_slice(b"0\r\n\r\n"));
        }
        self.ended = true;
        Ok(())
    }

    fn takes_trailers(&self) -> bool {
        self.trailers
    }

    fn poll_flush(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<()>> {
        Pin::new(&mut *self.connection).poll_flush(cx).map_err(write_error)
    }

    fn sent(&self) -> u64 {
        self.sent
    }

    async fn reply(&mut self, request: RequestParts<'_>, reply: LocalReply, ctx: &Context) -> Result<()> {
        let drain = !self.closes && !self.is_received() && drainable(request);
        self.closes |= (!self.is_received() && !drain) || response::is_last(ctx);
        let LocalReply { status, fields, body } = reply;
        let body = if *request.method == Method::HEAD { &b""[..] } else { &body };
        self.connection.gather(|out| push_head(out, status, fields, self.closes));
        self.connection.send(body).await.map_err(write_error)?;
        self.sent = body.len() as u64;
        if drain {
            let bound = ctx.serving.snapshot.bounds.body_idle;
            let drained = tokio::time::timeout(bound, poll_fn(|cx| self.poll_drain(cx))).await;
            self.closes |= !matches!(drained, Ok(Ok(())));
        }
        Ok(())
    }

    async fn break_off(&mut self, denial: &Denial) -> After {
        if denial.cause == Cause::StreamEnded {
            // Nothing in the middle of a chunk.
            let end = if self.chunked && !self.ended && self.chunk == 0 { &b"0\r\n\r\n"[..] } else { b"" };
            if self.connection.send(end).await.is_ok() {
                return After::Close;
            }
        }
        if !denial.cause.is_client_lost() {
            // What was broken off is sent as far as it came, and not ended as if it were whole.
            let _ = self.connection.send(b"").await;
        }
        After::Drop
    }

    fn after(&self) -> After {
        if self.closes || !self.is_received() { After::Close } else { After::Next }
    }

    fn local_address(&self) -> Option<SocketAddr> {
        self.connection.local_address()
    }
}

/// Whether the client may send another request on the connection (RFC 9112 §9.3).
fn keeps_alive(request: RequestParts<'_>) -> bool {
    let says = |option: &[u8]| lists(request.fields.get_all(&fields::CONNECTION), option);
    !says(b"close") && (request.version == Version::HTTP_11 || says(b"keep-alive"))
}
