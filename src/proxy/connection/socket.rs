//! The socket of a client, and how it is closed.
//!
//! A socket that is closed in order keeps what its client has not taken in the kernel, for minutes, megabytes of it: what is right
//! for an answer that is still being read is wrong for a client that was cut because it does not read. It is also how an answer
//! ends that has no other end (RFC 9112 §6.3), so that one that was broken off would look whole. In both cases the connection is
//! reset instead: the kernel drops what it holds, and the client sees an error.

use std::fmt;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use pingora::protocols::l4::ext::get_tcp_info;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
    UniqueIDType,
};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

/// A client's TCP connection.
pub struct ClientSocket {
    stream: TcpStream,
    digest: Arc<SocketDigest>,
    close: CloseMode,
}

/// What becomes of bytes that the client has not taken when its socket is closed. Shared by the socket and whoever finds out.
#[derive(Clone, Default)]
pub struct CloseMode(Arc<AtomicU8>);

/// The kernel goes on sending them.
const IN_ORDER: u8 = 0;
/// They are dropped if some were never sent: the client does not read.
const RESET_IF_STUCK: u8 = 1;
/// The connection is reset in any case.
const RESET: u8 = 2;

/// Bytes that the kernel holds because the other side has made no room for them.
pub(super) fn unsent(descriptor: RawFd) -> u32 {
    get_tcp_info(descriptor).map_or(0, |info| info.tcpi_notsent_bytes)
}

impl CloseMode {
    /// The client may have stopped reading: nothing that it has not made room for is kept.
    pub fn reset_if_stuck(&self) {
        self.0.fetch_max(RESET_IF_STUCK, Ordering::Relaxed);
    }

    /// The client is to see that the connection broke off, or is known not to read.
    pub fn reset(&self) {
        self.0.store(RESET, Ordering::Relaxed);
    }

    /// What was sent is whole after all.
    pub fn in_order(&self) {
        self.0.store(IN_ORDER, Ordering::Relaxed);
    }
}

impl ClientSocket {
    /// The socket that was accepted, with what is known of its addresses.
    pub fn new(stream: TcpStream, digest: SocketDigest) -> Self {
        ClientSocket { stream, digest: Arc::new(digest), close: CloseMode::default() }
    }

    /// How the socket will be closed.
    pub fn close_mode(&self) -> CloseMode {
        self.close.clone()
    }
}

impl Drop for ClientSocket {
    fn drop(&mut self) {
        let resets = match self.close.0.load(Ordering::Relaxed) {
            IN_ORDER => false,
            RESET_IF_STUCK => unsent(self.stream.as_raw_fd()) > 0,
            _ => true,
        };
        if resets {
            // With a time of zero, closing resets the connection and frees its buffers (RFC 9293 §3.9.1.5, socket(7)).
            let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
    }
}

impl AsyncRead for ClientSocket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for ClientSocket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[async_trait]
impl Shutdown for ClientSocket {
    async fn shutdown(&mut self) {
        let _ = self.stream.shutdown().await;
    }
}

impl UniqueID for ClientSocket {
    fn id(&self) -> UniqueIDType {
        self.stream.as_raw_fd()
    }
}

impl Ssl for ClientSocket {}

impl Peek for ClientSocket {}

impl GetTimingDigest for ClientSocket {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for ClientSocket {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for ClientSocket {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(self.digest.clone())
    }
}

impl fmt::Debug for ClientSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSocket").field("stream", &self.stream).finish_non_exhaustive()
    }
}
