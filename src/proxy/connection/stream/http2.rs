//! What is different on an HTTP/2 connection: every frame is looked at on its way in and out.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncWrite, ReadBuf};

use super::ClientStream;
use crate::proxy::connection::control::RequestPhase;
use crate::proxy::connection::http2::connection_error::Http2ConnectionError;
use crate::proxy::connection::http2::flood::{FloodViolation, PREFACE};
use crate::proxy::connection::http2::header_block::HeaderBlockReader;
use crate::proxy::connection::http2::monitor::{Http2End, Http2Monitor, max_header_list};

impl ClientStream {
    /// The client speaks HTTP/2.
    pub(super) fn become_http2(&mut self) {
        self.control.set_phase(RequestPhase::Http2);
        self.reader.become_raw();
        self.monitor = Some(Box::new(Http2Monitor::new(&self.client, self.began)));
        let serving = self.client.listener.runtime.store.load();
        let read = &serving.snapshot.rules.read;
        let blocks = HeaderBlockReader::new(PREFACE.len(), max_header_list(read), read.strict_target);
        self.blocks = Some(Box::new(blocks));
    }

    /// Reads frames as the header blocks among them allow.
    pub(super) fn poll_read_http2(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let (Some(monitor), Some(blocks)) = (&mut self.monitor, &mut self.blocks) else {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        };
        loop {
            if blocks.has_output() {
                blocks.hand_over(buf.remaining(), |bytes| buf.put_slice(bytes));
                return Poll::Ready(Ok(()));
            }
            if blocks.is_paused() {
                match blocks.take(&[], &mut |request| self.client.record_malformed(&request)) {
                    Ok(_) => continue,
                    Err(error) => return self.end_http2_over(cx, error),
                }
            }
            let before = buf.filled().len();
            match self.reader.poll_read(&mut self.inner, cx, buf) {
                Poll::Ready(Ok(Ok(()))) => {}
                Poll::Ready(Ok(Err(denial))) => return self.fail(denial),
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                Poll::Pending => {
                    return match ready!(monitor.poll_end(cx, &self.client)) {
                        Http2End::Violation(violation) => self.end_http2(cx, violation),
                        // As if the client had left: nothing of it is lost.
                        Http2End::Drained => Poll::Ready(Ok(())),
                    };
                }
            }
            let arrived = &buf.filled()[before..];
            if arrived.is_empty() {
                return Poll::Ready(Ok(()));
            }
            if let Err(violation) = monitor.received(arrived, &self.client) {
                return self.end_http2(cx, violation);
            }
            match blocks.take(arrived, &mut |request| self.client.record_malformed(&request)) {
                Ok(passed) => buf.set_filled(before + passed),
                Err(error) => {
                    buf.set_filled(before);
                    return self.end_http2_over(cx, error);
                }
            }
            if buf.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Ends an HTTP/2 connection over what its client does.
    pub(super) fn end_http2(&mut self, cx: &mut Context<'_>, violation: FloodViolation) -> Poll<io::Result<()>> {
        let goaway = self.monitor.as_ref().map(|monitor| monitor.goaway(violation, &self.client));
        self.cut_off_with(cx, &goaway.unwrap_or_default(), violation.reason())
    }

    /// Ends an HTTP/2 connection over a connection error.
    fn end_http2_over(&mut self, cx: &mut Context<'_>, error: Http2ConnectionError) -> Poll<io::Result<()>> {
        if error == Http2ConnectionError::Compression {
            self.client.record_unreadable(error.reason());
        }
        let goaway = self.monitor.as_ref().map(|monitor| monitor.goaway_over(error, &self.client));
        self.cut_off_with(cx, &goaway.unwrap_or_default(), error.reason())
    }

    /// Ends the connection, as far as the socket takes `goaway` now.
    fn cut_off_with(&mut self, cx: &mut Context<'_>, goaway: &[u8], reason: &'static str) -> Poll<io::Result<()>> {
        self.writer.gathered().extend_from_slice(goaway);
        self.cut_off = true;
        // What the client has made no room for is not worth keeping.
        self.client.close_mode().reset_if_stuck();
        if self.poll_send(cx).is_ready() {
            let _ = Pin::new(&mut self.inner).poll_flush(cx);
        }
        Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, reason)))
    }

    /// Writes frames, and takes note of them.
    pub(super) fn poll_write_http2(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.cut_off {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = ready!(self.writer.poll_write(&mut self.inner, cx, bytes))?;
        if let Some(monitor) = &mut self.monitor {
            monitor.sent(&bytes[..written], &self.client);
        }
        Poll::Ready(Ok(written))
    }
}
