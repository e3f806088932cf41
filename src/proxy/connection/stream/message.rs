//! An HTTP/1 connection as it is used without Pingora: a head at a time, and writes that are gathered.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pingora::protocols::GetSocketDigest;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::ClientStream;
use crate::proxy::connection::answer_pace::AnswerFootprint;
use crate::proxy::connection::client::ClientConnection;
use crate::proxy::connection::control::{RequestControl, RequestPhase};
use crate::proxy::connection::worker_buffer::WorkerBuffer;

/// What is read of a head at once.
const PIECE_BYTES: usize = 16 << 10;

impl ClientStream {
    /// The head of the next request, which has one reading. `None`: there is no further one, and whoever sent something else was
    /// answered.
    pub async fn read_head(&mut self) -> Option<WorkerBuffer> {
        self.writer.set_footprint(AnswerFootprint::Fast);
        let mut head = WorkerBuffer::default();
        loop {
            let read: io::Result<usize> = poll_fn(|cx| {
                let mut room = [MaybeUninit::uninit(); PIECE_BYTES];
                let mut buf = ReadBuf::uninit(&mut room);
                ready!(Pin::new(&mut *self).poll_read(cx, &mut buf))?;
                head.bytes_mut().extend_from_slice(buf.filled());
                Poll::Ready(Ok(buf.filled().len()))
            })
            .await;
            if !read.is_ok_and(|count| count > 0) {
                return None;
            }
            // Nothing else is handed over before the head has come whole.
            if head.ends_with(b"\r\n\r\n") {
                return Some(head);
            }
        }
    }

    /// Ready with the reason when a drain, or the origin's clock, ends the request at hand. Reads nothing of the client.
    pub fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if let Some(Poll::Ready(Err(e))) = self.poll_ending(cx) {
            return Poll::Ready(e);
        }
        self.answer.poll(self.control.answer(), cx).map(|denial| io::Error::new(io::ErrorKind::TimedOut, denial))
    }

    /// Gives the head back that was read last: the next reader gets it.
    pub fn give_back(&mut self, head: &[u8]) {
        self.reader.give_back(head);
        self.writer.set_footprint(AnswerFootprint::Full);
        self.control.set_phase(RequestPhase::Idle);
    }

    /// Sends what `write` appends with whatever is sent next.
    pub fn gather(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if !self.replaced {
            write(self.writer.gathered());
            self.answer.moved();
        }
    }

    /// Sends `bytes` with what is gathered.
    ///
    /// # Errors
    /// The client takes nothing, or left.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut sent = 0;
        poll_fn(|cx| {
            while sent < bytes.len() {
                match ready!(Pin::new(&mut *self).poll_write(cx, &bytes[sent..]))? {
                    0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    count => sent += count,
                }
            }
            Pin::new(&mut *self).poll_flush(cx)
        })
        .await
    }

    /// Closes the connection in a way that lets the client read what was sent.
    pub async fn close(&mut self) {
        let _ = poll_fn(|cx| self.poll_close(cx)).await;
    }

    /// How the steps of the request at hand act on the connection.
    pub fn control(&self) -> &Arc<RequestControl> {
        &self.control
    }

    /// What is known of the client.
    pub fn client(&self) -> &Arc<ClientConnection> {
        &self.client
    }

    /// Whether the client speaks HTTP/2.
    pub fn is_http2(&self) -> bool {
        self.blocks.is_some()
    }

    /// The address that the client has connected to.
    pub fn local_address(&self) -> Option<SocketAddr> {
        self.get_socket_digest()?.local_addr()?.as_inet().copied()
    }
}
