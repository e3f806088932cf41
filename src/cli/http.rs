//! One HTTP/1.1 request and its answer, by hyper: what `portcullis` asks a running gateway.

use std::io::{self, ErrorKind};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Builder;

/// A complete answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAnswer {
    pub status: StatusCode,
    pub body: Bytes,
}

/// What an exchange may take.
#[derive(Clone, Copy, Debug)]
pub struct ExchangeBounds {
    /// For connecting, the request and the answer together.
    pub timeout: Duration,
    /// For the body of the answer.
    pub max_bytes: usize,
}

/// Sends a request without a body on the connection that `connect` opens, and waits for the answer.
///
/// # Errors
/// The error of `connect`; [`ErrorKind::TimedOut`]; [`ErrorKind::UnexpectedEof`] if the connection ends without an answer;
/// [`ErrorKind::InvalidData`] if the answer is not HTTP or is too long.
pub fn exchange<S>(
    connect: impl Future<Output = io::Result<S>>,
    (method, host, target): (Method, &str, &str),
    bounds: ExchangeBounds,
) -> io::Result<HttpAnswer>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let request = Request::builder()
        .method(method)
        .uri(target)
        .header(header::HOST, host)
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(io::Error::other)?;
    let answer = async {
        let (mut sender, connection) = http1::handshake(TokioIo::new(connect.await?)).await.map_err(explained)?;
        // Its failure is also that of the request.
        tokio::spawn(connection);
        let (head, body) = sender.send_request(request).await.map_err(explained)?.into_parts();
        let body = Limited::new(body, bounds.max_bytes).collect().await;
        let body = body.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?.to_bytes();
        Ok(HttpAnswer { status: head.status, body })
    };
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let timed_out = |_| io::Error::new(ErrorKind::TimedOut, "no answer in time");
    runtime.block_on(async { tokio::time::timeout(bounds.timeout, answer).await.map_err(timed_out)? })
}

fn explained(error: hyper::Error) -> io::Error {
    if error.is_parse() {
        io::Error::new(ErrorKind::InvalidData, "the answer is not HTTP")
    } else if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        io::Error::new(ErrorKind::UnexpectedEof, "the connection was closed without an answer")
    } else {
        io::Error::other(error)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// The result for a server that reads the request, writes `bytes` and closes.
    fn answered(bytes: &'static [u8]) -> io::Result<HttpAnswer> {
        let connect = async move {
            let (client, mut server) = tokio::io::duplex(1 << 20);
            tokio::spawn(async move {
                let _ = server.read(&mut [0; 256]).await;
                let _ = server.write_all(bytes).await;
            });
            Ok(client)
        };
        let bounds = ExchangeBounds { timeout: Duration::from_secs(10), max_bytes: 8 };
        exchange(connect, (Method::GET, "a", "/"), bounds)
    }

    #[test]
    fn an_answer_is_its_status_and_its_body() {
        let answer = answered(b"HTTP/1.1 503 x\r\ncontent-length: 3\r\n\r\nok\n").unwrap();
        assert_eq!((answer.status, &answer.body[..]), (StatusCode::SERVICE_UNAVAILABLE, &b"ok\n"[..]));
        assert_eq!(&answered(b"HTTP/1.0 200 OK\r\n\r\nok").unwrap().body[..], b"ok", "up to the end of the connection");
    }

    #[test]
    fn what_is_no_answer_is_an_error_of_its_own_kind() {
        let kind = |bytes| answered(bytes).unwrap_err().kind();
        assert_eq!(kind(b""), ErrorKind::UnexpectedEof);
        assert_eq!(kind(b"HTTP/1.1 200"), ErrorKind::UnexpectedEof);
        assert_eq!(kind(b"220 mail.example ESMTP\r\n"), ErrorKind::InvalidData);
        assert_eq!(kind(b"\x16\x03\x01"), ErrorKind::InvalidData);
        assert_eq!(kind(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n123456789"), ErrorKind::InvalidData);
    }

    #[test]
    fn a_server_that_sends_nothing_runs_into_the_timeout() {
        let (client, _server) = tokio::io::duplex(1024);
        let bounds = ExchangeBounds { timeout: Duration::from_millis(20), max_bytes: 8 };
        let error = exchange(async { Ok(client) }, (Method::GET, "a", "/"), bounds).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }
}
