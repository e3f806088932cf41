//! What is different on an HTTP/2 connection: every frame is looked at on its way in and out.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

use super::Connection;
use crate::proxy::connection::Phase;
use crate::proxy::connection::h2_guard::Abuse;
use crate::proxy::connection::h2_seal::{Scan, Sealer};
use crate::proxy::connection::h2_watch::Watch;
use crate::proxy::connection::outgoing::GATHER;

/// Most bytes that are gathered: all frames are copied on their way through the sealer. Above [`GATHER`], so that a write always
/// finds room.
const HTTP2_GATHER: usize = 4 * GATHER;

impl Connection {
    /// The client speaks HTTP/2.
    pub(super) fn become_http2(&mut self) {
        self.info.set_phase(Phase::Http2);
        self.incoming.become_raw();
        self.sealer = Some(Sealer::default());
        self.watch = Some(Box::new(Watch::new(&self.info)));
    }

    /// Ends an HTTP/2 connection, as far as the socket takes the last words now.
    pub(super) fn leave_http2(&mut self, cx: &mut Context<'_>, abuse: Abuse) -> Poll<io::Result<()>> {
        if let Some(watch) = &self.watch {
            let last_words = watch.last_words(abuse, &self.info);
            self.outgoing.extend(&last_words);
        }
        self.cut_off = true;
        if self.poll_send(cx).is_ready() {
            let _ = Pin::new(&mut self.inner).poll_flush(cx);
        }
        Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, abuse.reason())))
    }

    /// Gathers what Pingora writes, and sends what is gathered when it is enough.
    pub(super) fn poll_write_http2(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.cut_off {
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        if self.outgoing.len() >= GATHER {
            ready!(self.poll_send(cx))?;
        }
        let mut total = 0;
        for buf in bufs {
            // A client that reads slowly must not make this buffer grow: take what fits, and be asked again.
            let room = HTTP2_GATHER.saturating_sub(self.outgoing.len());
            let part = &buf[..buf.len().min(room)];
            self.gather_http2(part);
            total += part.len();
            if part.len() < buf.len() {
                break;
            }
        }
        Poll::Ready(Ok(total))
    }

    fn gather_http2(&mut self, mut bytes: &[u8]) {
        let (Some(sealer), Some(watch)) = (&mut self.sealer, &mut self.watch) else { return };
        let serving = self.info.listener.shared.store.load();
        while !bytes.is_empty() {
            match sealer.scan(bytes, &serving.h2_fields) {
                Scan::Pass(count) => {
                    self.outgoing.extend(&bytes[..count]);
                    watch.sent(&bytes[..count], &self.info);
                    bytes = &bytes[count..];
                    sealer.wrote(count);
                }
                Scan::Replace { consumed, bytes: replacement, sealed } => {
                    self.outgoing.extend(replacement);
                    watch.sent(replacement, &self.info);
                    bytes = &bytes[consumed..];
                    if let Some(sealed) = sealed {
                        self.info.sealed_http2(sealed.status);
                    }
                }
            }
        }
    }
}
