//! The HTTP/1 server of the admin listener and of the control socket, by hyper.
//!
//! A client may be a stranger, so that a connection is short: one request, with a head of [`MAX_HEAD_BYTES`] at most and
//! without a body. The caller bounds its time and the number of connections.

use std::convert::Infallible;
use std::future::{poll_fn, ready};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, Version, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::api::ErrorCode;
use super::{AdminHandler, is_probe};

/// Longest head of a request, its target included. Prometheus sends less than 1 KiB.
const MAX_HEAD_BYTES: usize = 16 << 10;
const MAX_HEADERS: usize = 64;
/// How much of what arrives after the answer is read: closing a connection with unread bytes resets it, and the client might
/// lose the answer (RFC 9112 §9.6).
const LINGER_BYTES: u64 = 64 << 10;

/// How far a connection is, in the order in which it can best be done without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum ConnectionPhase {
    /// It was answered, and has not been closed by its client.
    Answered,
    /// It has not sent a whole request.
    Silent,
    /// A request is being answered.
    Asked,
    /// The same for `/livez` or `/readyz`.
    Probe,
}

/// The phase of a connection, for those who look from outside.
#[derive(Debug)]
pub struct PhaseCell(AtomicU8);

impl Default for PhaseCell {
    fn default() -> Self {
        PhaseCell(AtomicU8::new(ConnectionPhase::Silent as u8))
    }
}

impl PhaseCell {
    pub fn get(&self) -> ConnectionPhase {
        use ConnectionPhase::{Answered, Asked, Probe, Silent};
        let phase = self.0.load(Ordering::Relaxed);
        [Answered, Silent, Asked, Probe].into_iter().find(|known| *known as u8 == phase).unwrap_or(Silent)
    }

    fn set(&self, phase: ConnectionPhase) {
        self.0.store(phase as u8, Ordering::Relaxed);
    }
}

/// Reads one request from `stream` and answers it. The connection ends with the answer. `phase` tells how far it is.
///
/// # Errors
/// When reading or writing fails, and when the connection ends within the request.
pub async fn serve_one(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    admin: &Arc<AdminHandler>,
    phase: &PhaseCell,
) -> io::Result<()> {
    let accepted = AtomicBool::new(false);
    let service = service_fn(|request: Request<Incoming>| {
        accepted.store(true, Ordering::Relaxed);
        let probe = is_probe(request.uri().path());
        phase.set(if probe { ConnectionPhase::Probe } else { ConnectionPhase::Asked });
        // The body is never read: a request that has one is refused.
        Box::pin(answer(admin, request.map(|_| ())))
    });
    let stream = OwnAnswersOnly { stream, accepted: &accepted };
    let mut connection = server().serve_connection(TokioIo::new(stream), service);
    let ended = poll_fn(|cx| connection.poll_without_shutdown(cx)).await;
    let mut stream = connection.into_parts().io.into_inner().stream;
    match ended {
        Ok(()) => {}
        Err(error) if error.is_parse_too_large() => refuse(&mut stream, ErrorCode::HeadTooLarge).await?,
        Err(error) if error.is_parse() => refuse(&mut stream, ErrorCode::RequestMalformed).await?,
        Err(error) => return Err(io::Error::other(error)),
    }
    phase.set(ConnectionPhase::Answered);
    stream.shutdown().await?;
    tokio::io::copy(&mut stream.take(LINGER_BYTES), &mut tokio::io::sink()).await.map(|_| ())
}

fn server() -> http1::Builder {
    let mut server = http1::Builder::new();
    server.keep_alive(false).half_close(true).max_buf_size(MAX_HEAD_BYTES).max_headers(MAX_HEADERS);
    // The caller bounds the time of the whole connection, which includes the head.
    server.header_read_timeout(None);
    server
}

async fn answer(admin: &Arc<AdminHandler>, request: Request<()>) -> io::Result<Response<Full<Bytes>>> {
    let answer = match check(&request) {
        Err(code) => super::refuse(code, words(code)),
        Ok(()) if admin.blocks(&request) => {
            let admin = admin.clone();
            tokio::task::spawn_blocking(move || admin.handle(&request)).await.map_err(io::Error::other)?
        }
        Ok(()) => admin.handle(&request),
    };
    Ok(answer.map(Full::new))
}

/// What hyper leaves to its user.
fn check(request: &Request<()>) -> Result<(), ErrorCode> {
    let headers = request.headers();
    // RFC 9112 §3.2
    if request.version() == Version::HTTP_11 && headers.get_all(header::HOST).iter().count() != 1 {
        return Err(ErrorCode::RequestMalformed);
    }
    let empty = headers.get_all(header::CONTENT_LENGTH).iter().all(|length| length == "0");
    if headers.contains_key(header::TRANSFER_ENCODING) || !empty {
        return Err(ErrorCode::BodyRefused);
    }
    Ok(())
}

const fn words(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::BodyRefused => "requests have no body here",
        ErrorCode::HeadTooLarge => "the head of the request is too large",
        _ => "this is not an HTTP/1 request that can be handled",
    }
}

/// Stands for a request that could not be parsed, so that hyper writes the answer to it too.
const SUBSTITUTE: &[u8] = b"GET / HTTP/1.1\r\nhost: admin\r\n\r\n";

/// Refuses a request that could not be parsed. hyper answers such a request by itself, but without the headers that every
/// answer must carry; [`OwnAnswersOnly`] discards that answer.
async fn refuse(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), code: ErrorCode) -> io::Result<()> {
    let answer = |_: Request<Incoming>| ready(Ok::<_, Infallible>(super::refuse(code, words(code)).map(Full::new)));
    let substituted = TokioIo::new(tokio::io::join(SUBSTITUTE, stream));
    let served = server().serve_connection(substituted, service_fn(answer)).without_shutdown().await;
    served.map(|_| ()).map_err(io::Error::other)
}

/// A stream that discards what is written before a request was accepted.
struct OwnAnswersOnly<'a, S> {
    stream: S,
    accepted: &'a AtomicBool,
}

impl<S: AsyncRead + Unpin> AsyncRead for OwnAnswersOnly<'_, S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for OwnAnswersOnly<'_, S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.accepted.load(Ordering::Relaxed) {
            Pin::new(&mut self.stream).poll_write(cx, bytes)
        } else {
            Poll::Ready(Ok(bytes.len()))
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::admin::AdminAuth;
    use crate::admin::api::{AdminError, CommandAnswer};
    use crate::admin::command::{AdminCommand, CommandHandler};

    struct NoCommands;

    impl CommandHandler for NoCommands {
        fn handle(&self, _: AdminCommand) -> Result<CommandAnswer, AdminError> {
            Err(AdminError::new(ErrorCode::HandoverRunning, "not here"))
        }
    }

    /// Everything that is answered to a client that sends `bytes` and then waits.
    async fn answered(bytes: &[u8]) -> String {
        let admin = Arc::new(AdminHandler {
            metrics: Arc::default(),
            readiness: Arc::default(),
            liveness: Arc::default(),
            commands: Arc::new(NoCommands),
            auth: AdminAuth::PeerCredentials,
        });
        let (mut client, gateway) = tokio::io::duplex(1 << 20);
        client.write_all(bytes).await.unwrap();
        let served = tokio::spawn(async move { serve_one(gateway, &admin, &PhaseCell::default()).await });
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        drop(client);
        let _ = served.await.unwrap();
        answer
    }

    #[track_caller]
    fn expect(answer: &str, status: u16) {
        let reason = StatusCode::from_u16(status).unwrap().canonical_reason().unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} {reason}\r\n")), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
        for header in ["connection: close\r\n", "x-frame-options: DENY\r\n", "content-length: ", "date: "] {
            assert_eq!(answer.matches(header).count(), 1, "{header} in {answer}");
        }
    }

    #[tokio::test]
    async fn one_request_is_answered_and_the_connection_ends() {
        let request = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n";
        let answer = answered(request).await;
        expect(&answer, 200);
        assert!(answer.ends_with("\r\n\r\nok\n"), "{answer}");
        // A second request on the connection is not read.
        expect(&answered(&request.repeat(2)).await, 200);
        expect(&answered(b"POST /drain HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").await, 409);
    }

    #[tokio::test]
    async fn the_answer_to_head_has_the_length_and_no_body() {
        let answer = answered(b"HEAD /livez HTTP/1.1\r\nHost: a\r\n\r\n").await;
        expect(&answer, 200);
        assert!(answer.contains("content-length: 3\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
    }

    #[tokio::test]
    async fn what_is_no_request_without_a_body_is_refused_with_the_headers_of_every_answer() {
        let long = format!("GET / HTTP/1.1\r\nHost: a\r\nA: {}\r\n\r\n", "b".repeat(MAX_HEAD_BYTES));
        let target = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "b".repeat(1 << 17));
        let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(MAX_HEADERS));
        for (request, status) in [
            ("GET / HTTP/1.1\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nA b\r\n\r\n", 400),
            ("\u{16}\u{3}\u{1}\r\n\r\n", 400),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
            ("POST /drain HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n", 413),
            ("POST /drain HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 413),
            (&long, 431),
            (&target, 431),
            (&many, 431),
        ] {
            let answer = answered(request.as_bytes()).await;
            expect(&answer, status);
            assert!(answer.contains("\"code\": \""), "{answer}");
        }
    }

    #[tokio::test]
    async fn what_ends_before_its_head_does_is_not_answered() {
        let (mut client, gateway) = tokio::io::duplex(1024);
        client.write_all(b"GET / HTTP/1.1\r\nHost:").await.unwrap();
        client.shutdown().await.unwrap();
        let admin = AdminHandler {
            metrics: Arc::default(),
            readiness: Arc::default(),
            liveness: Arc::default(),
            commands: Arc::new(NoCommands),
            auth: AdminAuth::None,
        };
        assert!(serve_one(gateway, &Arc::new(admin), &PhaseCell::default()).await.is_err());
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"");
    }
}
