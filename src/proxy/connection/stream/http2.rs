//! What is different on an HTTP/2 connection: every frame is looked at on its way in and out.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

use super::ClientStream;
use crate::proxy::connection::answer_writer::GATHER;
use crate::proxy::connection::control::RequestPhase;
use crate::proxy::connection::http2::flood::FloodViolation;
use crate::proxy::connection::http2::header_injection::{InjectorOutput, ResponseHeaderInjector};
use crate::proxy::connection::http2::monitor::Http2Monitor;

/// Most bytes that are gathered: all frames are copied on their way through the injector. Above [`GATHER`], so that a write always
/// finds room.
const HTTP2_GATHER: usize = 4 * GATHER;

impl ClientStream {
    /// The client speaks HTTP/2.
    pub(super) fn become_http2(&mut self) {
        self.control.set_phase(RequestPhase::Http2);
        self.reader.become_raw();
        self.injector = Some(ResponseHeaderInjector::default());
        self.monitor = Some(Box::new(Http2Monitor::new(&self.client, self.began)));
    }

    /// Ends an HTTP/2 connection, as far as the socket takes the GOAWAY now.
    pub(super) fn end_http2(&mut self, cx: &mut Context<'_>, violation: FloodViolation) -> Poll<io::Result<()>> {
        if let Some(monitor) = &self.monitor {
            let goaway = monitor.goaway(violation, &self.client);
            self.writer.extend(&goaway);
        }
        self.cut_off = true;
        if self.poll_send(cx).is_ready() {
            let _ = Pin::new(&mut self.inner).poll_flush(cx);
        }
        Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, violation.reason())))
    }

    /// Gathers what Pingora writes, and sends what is gathered when it is enough.
    pub(super) fn poll_write_http2(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.cut_off {
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        if self.writer.len() >= GATHER {
            ready!(self.poll_send(cx))?;
        }
        let mut total = 0;
        for buf in bufs {
            // A client that reads slowly must not make this buffer grow: take what fits, and be asked again.
            let room = HTTP2_GATHER.saturating_sub(self.writer.len());
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
        let (Some(injector), Some(monitor)) = (&mut self.injector, &mut self.monitor) else { return };
        let serving = self.client.listener.runtime.store.load();
        let fields = if self.client.facts.tls.is_some() { &serving.h2_fields } else { &serving.h2c_fields };
        while !bytes.is_empty() {
            match injector.scan(bytes, fields) {
                InjectorOutput::Pass(count) => {
                    self.writer.extend(&bytes[..count]);
                    monitor.sent(&bytes[..count], &self.client);
                    bytes = &bytes[count..];
                    injector.wrote(count);
                }
                InjectorOutput::Replace { consumed, bytes: replacement, completed } => {
                    self.writer.extend(replacement);
                    monitor.sent(replacement, &self.client);
                    bytes = &bytes[consumed..];
                    if let Some(completed) = completed {
                        self.client.record_library_answer(completed.status);
                    }
                }
            }
        }
    }
}
