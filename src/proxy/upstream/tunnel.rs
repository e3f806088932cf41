//! The upstream side of a tunnel (WebSocket): a connection that gives the origin's answer away at the right time, and
//! that may not be silent for ever.
//!
//! **Order.** Pingora forwards a request with two halves of one task. The upstream half waits for whatever comes first: the
//! next piece of the request, or the origin's answer. A request that asks for an upgrade has no body, so its first piece is
//! its end. When the 101 is read before that end, Pingora takes the end for the end of the tunnel and closes it at once
//! (cloudflare/pingora#946). So the connection holds back what the origin says until the request's end has been handled,
//! which shows below as a flush: the head is written and flushed before either half runs, then the body filter announces
//! the end, and the only flush that can follow is the one that completes the request. The order holds over TLS too:
//! a flush of the TLS stream always ends in a flush of the connection below it, and the handshake is over before the
//! request's head is written. It does not depend on who is polled first, on the runtime, or on the load.
//!
//! **Silence.** Pingora has one timeout for each direction, so that a tunnel in which only one side talks would be cut.
//! Both directions pass here, so one clock watches them both: `timeouts.response` until the origin has accepted the
//! tunnel, `bounds.tunnel_idle` from then on.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora::connectors::l4::Connect;
use pingora::protocols::ALPN;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

/// How far a request for a tunnel has come. Shared by the request's hooks and its connection.
#[derive(Debug)]
pub struct Tunnel {
    stage: AtomicU8,
    timed_out: AtomicBool,
    /// Of the task that reads what is held back, or waits for the origin.
    reader: Mutex<Option<Waker>>,
    /// Longest silence before the origin has accepted the tunnel.
    response: Duration,
    /// Longest silence after that.
    idle: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
enum TunnelStage {
    /// The connection is being made; nothing is held back or timed.
    Connecting,
    /// The request's head is on its way. Nothing of the answer is read.
    Asking,
    /// The end of the request is on its way to the connection. Nothing of the answer is read.
    Ending,
    /// The request is complete: its answer may be read.
    Asked,
    /// The origin has accepted.
    Open,
}

impl Tunnel {
    /// Makes `peer` one for a tunnel: a connection of its own, never pooled, which speaks HTTP/1.
    pub fn through(peer: &mut HttpPeer, response: Duration, idle: Duration) -> Arc<Tunnel> {
        let tunnel = Arc::new(Tunnel {
            stage: AtomicU8::new(TunnelStage::Connecting as u8),
            timed_out: AtomicBool::new(false),
            reader: Mutex::new(None),
            response,
            idle,
        });
        // A tunnel over HTTP/2 (RFC 8441) is beyond Pingora; with ALPN the origin may still be asked for HTTP/1.
        peer.options.alpn = ALPN::H1;
        // The connection watches its own silence.
        peer.options.read_timeout = None;
        // Pingora tells pooled connections by their descriptor, which this one does not show: it can't be found again in
        // the pool, and leaves it at once.
        peer.options.idle_timeout = Some(Duration::from_millis(1));
        peer.group_key = fastrand::u64(..);
        let inner = peer.options.custom_l4.take();
        let connect = peer.options.connection_timeout;
        peer.options.custom_l4 = Some(Arc::new(TunnelConnector { tunnel: tunnel.clone(), inner, timeout: connect }));
        tunnel
    }

    /// The head is about to be written. `upgrade`: it still asks for an upgrade.
    pub fn asking(&self, upgrade: bool) {
        self.advance(if upgrade { TunnelStage::Asking } else { TunnelStage::Asked });
    }

    /// The request's end is about to be handed to the connection.
    pub fn request_ended(&self) {
        if self.stage() == TunnelStage::Asking as u8 {
            self.advance(TunnelStage::Ending);
        }
    }

    /// The origin has accepted the tunnel.
    pub fn opened(&self) {
        self.advance(TunnelStage::Open);
    }

    /// Whether the connection was ended because nothing moved on it for too long.
    pub fn timed_out(&self) -> bool {
        self.timed_out.load(Ordering::Acquire)
    }

    fn stage(&self) -> u8 {
        self.stage.load(Ordering::Acquire)
    }

    fn advance(&self, stage: TunnelStage) {
        self.stage.store(stage as u8, Ordering::Release);
        // The reader may wait for this, or have a longer deadline than it should have from now on.
        if let Some(reader) = self.reader.lock().take() {
            reader.wake();
        }
    }

    fn wait(&self, cx: &Context<'_>) {
        *self.reader.lock() = Some(cx.waker().clone());
    }

    fn holds_back(&self) -> bool {
        (TunnelStage::Asking as u8..TunnelStage::Asked as u8).contains(&self.stage())
    }

    /// How long the connection may be silent now.
    fn bound(&self) -> Option<Duration> {
        match self.stage() {
            stage if stage == TunnelStage::Connecting as u8 => None,
            stage if stage == TunnelStage::Open as u8 => Some(self.idle),
            _ => Some(self.response),
        }
    }
}

/// Connects as the peer would have been connected to, and puts the connection into a [`TunnelSocket`].
struct TunnelConnector {
    tunnel: Arc<Tunnel>,
    inner: Option<Arc<dyn Connect + Send + Sync>>,
    timeout: Option<Duration>,
}

#[async_trait]
impl Connect for TunnelConnector {
    async fn connect(&self, address: &SocketAddr) -> Result<Stream> {
        let connect = async {
            match (&self.inner, address.as_inet()) {
                (Some(inner), _) => Ok(Box::new(inner.connect(address).await?) as Box<dyn TunnelIo>),
                (None, Some(inet)) => {
                    let stream = TcpStream::connect(inet).await.map_err(connect_error)?;
                    // What is written is written whole: waiting for more would only delay it.
                    let _ = stream.set_nodelay(true);
                    Ok(Box::new(stream) as Box<dyn TunnelIo>)
                }
                (None, None) => Error::e_explain(ErrorType::ConnectError, "a tunnel goes to an IP address"),
            }
        };
        let stream = match self.timeout {
            None => connect.await?,
            Some(timeout) => tokio::time::timeout(timeout, connect)
                .await
                .map_err(|_| Error::explain(ErrorType::ConnectTimedout, "connecting for a tunnel"))??,
        };
        let socket = TunnelSocket { stream, tunnel: self.tunnel.clone(), moved: Instant::now(), deadline: None };
        Ok(Stream::from(VirtualSocketStream::new(Box::new(socket))))
    }
}

impl fmt::Debug for TunnelConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TunnelConnector").field("tunnel", &self.tunnel).finish_non_exhaustive()
    }
}

fn connect_error(error: io::Error) -> Box<Error> {
    let kind = match error.kind() {
        io::ErrorKind::ConnectionRefused => ErrorType::ConnectRefused,
        io::ErrorKind::TimedOut => ErrorType::ConnectTimedout,
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => ErrorType::ConnectNoRoute,
        _ => ErrorType::ConnectError,
    };
    Error::because(kind, "connecting for a tunnel", error)
}

/// What bytes go over: a TCP connection, or what another connector made.
trait TunnelIo: AsyncRead + AsyncWrite + fmt::Debug + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + fmt::Debug + Send + Sync + Unpin> TunnelIo for T {}

/// The connection of one tunnel.
#[derive(Debug)]
struct TunnelSocket {
    stream: Box<dyn TunnelIo>,
    tunnel: Arc<Tunnel>,
    /// When a byte last passed in either direction.
    moved: Instant,
    /// Runs while a read waits.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl TunnelSocket {
    /// Ready when nothing has moved for too long.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(bound) = self.tunnel.bound() else { return Poll::Pending };
        let due = self.moved + bound;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        if deadline.deadline() > due {
            deadline.as_mut().reset(due);
        }
        while deadline.as_mut().poll(cx).is_ready() {
            if deadline.deadline() >= due {
                return Poll::Ready(());
            }
            // Something has moved since the clock was set: setting it anew only here spares a timer for each byte.
            deadline.as_mut().reset(due);
        }
        Poll::Pending
    }
}

impl AsyncRead for TunnelSocket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // Before the stage is looked at, so that no change of it is missed.
        this.tunnel.wait(cx);
        if !this.tunnel.holds_back() {
            let read = Pin::new(&mut this.stream).poll_read(cx, buf);
            if read.is_ready() {
                this.moved = Instant::now();
                return read;
            }
        }
        if this.poll_silence(cx).is_ready() {
            this.tunnel.timed_out.store(true, Ordering::Release);
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "nothing moved for too long")));
        }
        Poll::Pending
    }
}

impl AsyncWrite for TunnelSocket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        if written.is_ready() {
            this.moved = Instant::now();
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(cx);
        if flushed.is_ready() && this.tunnel.stage() == TunnelStage::Ending as u8 {
            this.tunnel.advance(TunnelStage::Asked);
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

impl VirtualSocket for TunnelSocket {
    fn set_socket_option(&self, _option: VirtualSockOpt) -> io::Result<()> {
        Ok(())
    }
}
