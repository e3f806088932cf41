//! HTTP/2 message by message: an origin whose streams a test drives, and a client whose streams it drives too.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::client::SendRequest;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::client::Tls;
use super::wait::DEADLINE;

type Script =
    dyn Fn(Request<RecvStream>, SendResponse<Bytes>) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync;

/// Listens as long as the runtime that it was started on lives.
pub struct H2Script {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl H2Script {
    /// Runs `script` for each stream. With prior knowledge when `tls` is `None`.
    pub async fn start<F, S>(tls: Option<Arc<rustls::ServerConfig>>, script: S) -> H2Script
    where
        F: Future<Output = ()> + Send + 'static,
        S: Fn(Request<RecvStream>, SendResponse<Bytes>) -> F + Send + Sync + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener");
        let connections = Arc::new(AtomicUsize::new(0));
        let script: Arc<Script> = Arc::new(move |request, respond| Box::pin(script(request, respond)));
        let count = connections.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let (tls, script) = (tls.clone(), script.clone());
                tokio::spawn(async move {
                    let _ = stream.set_nodelay(true);
                    match tls {
                        None => serve(stream, script).await,
                        Some(tls) => {
                            if let Ok(stream) = TlsAcceptor::from(tls).accept(stream).await {
                                serve(stream, script).await;
                            }
                        }
                    }
                });
            }
        });
        H2Script { address, connections }
    }

    /// How many connections were opened so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, script: Arc<Script>) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::spawn(script(request, respond));
    }
}

/// Runs a test that talks on both sides at once.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(in_time(test))
}

/// Fails what does not come in time.
pub async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("an end in time")
}

/// A client's connection, by prior knowledge, or over TLS by ALPN.
pub async fn connect(address: SocketAddr, tls: Option<&Tls>) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(address).await.expect("a connection");
    let _ = stream.set_nodelay(true);
    match tls {
        None => handshake(stream).await,
        Some(tls) => {
            let connector = TlsConnector::from(tls.config());
            handshake(connector.connect(tls.name(), stream).await.expect("a TLS handshake")).await
        }
    }
}

async fn handshake(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> SendRequest<Bytes> {
    let (sender, connection) = h2::client::handshake(stream).await.expect("an HTTP/2 handshake");
    tokio::spawn(async move {
        let _ = connection.await;
    });
    sender
}

/// A request that is under way.
pub struct Call {
    pub answer: h2::client::ResponseFuture,
    pub body: SendStream<Bytes>,
}

/// Begins a request; `end`: it has no body.
pub async fn begin(sender: &SendRequest<Bytes>, request: Request<()>, end: bool) -> Call {
    let mut sender = sender.clone();
    poll_fn(|cx| sender.poll_ready(cx)).await.expect("a usable connection");
    let (answer, body) = sender.send_request(request, end).expect("a valid request");
    Call { answer, body }
}

/// The next piece of a body; `None` at its end.
pub async fn next(body: &mut RecvStream) -> Option<Result<Bytes, h2::Error>> {
    let piece = in_time(body.data()).await?;
    if let Ok(piece) = &piece {
        let _ = body.flow_control().release_capacity(piece.len());
    }
    Some(piece)
}

/// Reads exactly `bytes`, in however many pieces they come.
pub async fn expect(body: &mut RecvStream, bytes: &[u8]) {
    let mut read = Vec::new();
    while read.len() < bytes.len() {
        read.extend_from_slice(&next(body).await.expect("more of the body").expect("no reset"));
    }
    assert_eq!(read, bytes, "{}", String::from_utf8_lossy(&read));
}

/// What is left of a body and its trailers.
pub async fn rest(body: &mut RecvStream) -> Result<(Vec<u8>, Option<HeaderMap>), h2::Error> {
    let mut read = Vec::new();
    while let Some(piece) = next(body).await {
        read.extend_from_slice(&piece?);
    }
    Ok((read, in_time(body.trailers()).await?))
}

/// An answer's head.
pub fn head(status: u16, fields: &[(&'static str, &str)]) -> Response<()> {
    let mut builder = Response::builder().status(status);
    for (name, value) in fields {
        builder = builder.header(*name, *value);
    }
    builder.body(()).expect("a valid answer")
}

/// Fields as trailers.
pub fn trailers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let pairs = fields.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    pairs.collect()
}
