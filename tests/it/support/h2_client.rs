//! An HTTP/2 client: by prior knowledge (h2c) or over TLS by ALPN.

use std::future::poll_fn;
use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use http::Request;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use super::client::{Response, Tls};
use super::wait::DEADLINE;

/// One HTTP/2 connection.
pub struct H2 {
    runtime: Runtime,
    sender: SendRequest<Bytes>,
}

impl H2 {
    /// HTTP/2 with prior knowledge on a plain connection.
    #[track_caller]
    pub fn prior_knowledge(address: SocketAddr) -> H2 {
        H2::try_prior_knowledge(address).expect("HTTP/2 with prior knowledge")
    }

    pub fn try_prior_knowledge(address: SocketAddr) -> Result<H2, h2::Error> {
        let runtime = runtime();
        let sender = runtime.block_on(in_time(async {
            let stream = TcpStream::connect(address).await.expect("a connection");
            handshake(stream).await
        }))?;
        Ok(H2 { runtime, sender })
    }

    /// With prior knowledge on a connection that something was sent on already.
    #[track_caller]
    pub fn prior_knowledge_over(socket: std::net::TcpStream) -> H2 {
        let runtime = runtime();
        let sender = runtime.block_on(in_time(async { handshake(asynchronous(socket)).await }));
        H2 { runtime, sender: sender.expect("HTTP/2 with prior knowledge") }
    }

    /// HTTP/2 over TLS, offered by ALPN; panics when the server does not pick it.
    #[track_caller]
    pub fn tls(address: SocketAddr, server_name: &str, root: &rustls::pki_types::CertificateDer<'static>) -> H2 {
        H2::tls_over(super::client::open(address).expect("a connection"), server_name, root)
    }

    /// Like [`H2::tls`], on a connection that something was sent on already.
    #[track_caller]
    pub fn tls_over(
        socket: std::net::TcpStream,
        server_name: &str,
        root: &rustls::pki_types::CertificateDer<'static>,
    ) -> H2 {
        let tls = Tls::new(server_name, root).alpn("h2").alpn("http/1.1");
        let runtime = runtime();
        let sender = runtime.block_on(in_time(async {
            let stream = asynchronous(socket);
            let connector = tokio_rustls::TlsConnector::from(tls.config());
            let stream = connector.connect(tls.name(), stream).await.expect("a TLS handshake");
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]), "HTTP/2 was not picked by ALPN");
            handshake(stream).await.expect("an HTTP/2 handshake")
        }));
        H2 { runtime, sender }
    }

    #[track_caller]
    pub fn get(&mut self, url: &str) -> Response {
        self.request("GET", url, &[], b"").expect("an answer")
    }

    /// One request and its answer, or how the stream was refused.
    pub fn request(
        &mut self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Response, h2::Error> {
        let request = request(method, url, headers);
        let body = Bytes::copy_from_slice(body);
        let sender = self.sender.clone();
        self.runtime.block_on(in_time(exchange(sender, request, body)))
    }

    /// Begins a request whose body never ends; its answer, or how the stream was refused.
    pub fn begin(&mut self, method: &str, url: &str, piece: &[u8]) -> Result<Response, h2::Error> {
        let mut sender = self.sender.clone();
        let request = request(method, url, &[]);
        let piece = Bytes::copy_from_slice(piece);
        self.runtime.block_on(in_time(async {
            poll_fn(|cx| sender.poll_ready(cx)).await?;
            let (answer, mut stream) = sender.send_request(request, false)?;
            stream.send_data(piece, false)?;
            collect(answer).await
        }))
    }

    /// Sends `count` GET requests before it reads any answer.
    #[track_caller]
    pub fn get_together(&mut self, url: &str, headers: &[(&str, &str)], count: usize) -> Vec<Response> {
        let sender = self.sender.clone();
        self.runtime.block_on(in_time(async {
            let tasks: Vec<_> = (0..count)
                .map(|_| tokio::spawn(exchange(sender.clone(), request("GET", url, headers), Bytes::new())))
                .collect();
            let mut answers = Vec::new();
            for task in tasks {
                answers.push(task.await.expect("no panic").expect("an answer"));
            }
            answers
        }))
    }

    /// Sends a GET request for each URL with its headers before it reads any answer.
    #[track_caller]
    pub fn get_each(&mut self, requests: &[(&str, &[(&str, &str)])]) -> Vec<Result<Response, h2::Error>> {
        let sender = self.sender.clone();
        self.runtime.block_on(in_time(async {
            let tasks: Vec<_> = requests
                .iter()
                .map(|(url, headers)| {
                    tokio::spawn(exchange(sender.clone(), request("GET", url, headers), Bytes::new()))
                })
                .collect();
            let mut answers = Vec::new();
            for task in tasks {
                answers.push(task.await.expect("no panic"));
            }
            answers
        }))
    }

    /// Sends a request and gives it up at once.
    pub fn cancel(&mut self, url: &str) {
        let mut sender = self.sender.clone();
        self.runtime.block_on(in_time(async {
            poll_fn(|cx| sender.poll_ready(cx)).await.expect("a usable connection");
            let (answer, mut stream) = sender.send_request(request("GET", url, &[]), true).expect("a valid request");
            tokio::task::yield_now().await;
            stream.send_reset(h2::Reason::CANCEL);
            drop(answer);
            // Lets the connection's task write the reset.
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }));
    }
}

/// To be called within a runtime.
fn asynchronous(socket: std::net::TcpStream) -> TcpStream {
    socket.set_nonblocking(true).expect("an open socket");
    TcpStream::from_std(socket).expect("a runtime")
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("an answer in time")
}

async fn handshake<S>(stream: S) -> Result<SendRequest<Bytes>, h2::Error>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = h2::client::handshake(stream).await?;
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(sender)
}

fn request(method: &str, url: &str, headers: &[(&str, &str)]) -> Request<()> {
    let mut builder = Request::builder().method(method).uri(url).version(http::Version::HTTP_2);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(()).expect("a request that the client can express")
}

async fn exchange(mut sender: SendRequest<Bytes>, request: Request<()>, body: Bytes) -> Result<Response, h2::Error> {
    poll_fn(|cx| sender.poll_ready(cx)).await?;
    let (answer, mut stream) = sender.send_request(request, body.is_empty())?;
    if !body.is_empty() {
        // A server that refuses early resets the stream; its answer is what matters.
        let _ = stream.send_data(body, true);
    }
    collect(answer).await
}

async fn collect(answer: ResponseFuture) -> Result<Response, h2::Error> {
    let (head, mut stream) = answer.await?.into_parts();
    let mut body = Vec::new();
    while let Some(piece) = stream.data().await {
        let piece = match piece {
            Ok(piece) => piece,
            // RFC 9113 §8.1: after a complete answer a server may reset the stream to stop an unread request body.
            Err(error) if error.reason() == Some(h2::Reason::NO_ERROR) => break,
            Err(error) => return Err(error),
        };
        let _ = stream.flow_control().release_capacity(piece.len());
        body.extend_from_slice(&piece);
    }
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    Ok(Response {
        status: head.status.as_u16(),
        version: "HTTP/2".into(),
        headers: head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        body,
    })
}
