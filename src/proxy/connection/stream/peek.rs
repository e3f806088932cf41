//! Which protocol begins, on a listener without TLS that knows both.

use std::io;
use std::time::Duration;

use async_trait::async_trait;
use pingora::protocols::Peek;

use super::{ClientStream, is_blank};
use crate::decision::outcome::{Cause, Denial};
use crate::proxy::connection::http2::flood::PREFACE;
use crate::proxy::connection::read_deadlines::MissedDeadline;

#[async_trait]
impl Peek for ClientStream {
    /// Reads ahead as far as it takes to tell an HTTP/2 preface from anything else. Pingora's own streams would wait for
    /// as many bytes as the preface has, and a short HTTP/1 request would never be answered.
    async fn try_peek(&mut self, buf: &mut [u8]) -> io::Result<bool> {
        if self.is_http2() {
            buf.copy_from_slice(PREFACE);
            return Ok(true);
        }
        let mut peeked = Vec::new();
        let mut deadline = tokio::time::Instant::from_std(self.began) + self.bounds.first_request;
        while peeked.len() < buf.len() && is_beginning_of_preface(&peeked) {
            let mut chunk = [0; 32];
            let room = chunk.len().min(buf.len() - peeked.len());
            let read = tokio::io::AsyncReadExt::read(&mut self.inner, &mut chunk[..room]);
            let drain = self.client.listener.runtime.drain.clone();
            let read = async { tokio::time::timeout_at(deadline, read).await };
            let read = if peeked.is_empty() {
                let drained = drain.idle_over(self.began, Duration::ZERO);
                tokio::select! {
                    biased;
                    read = read => read,
                    () = drained => {
                        self.close_idle();
                        let _ = std::future::poll_fn(|cx| self.poll_close(cx)).await;
                        return Err(io::ErrorKind::ConnectionAborted.into());
                    }
                }
            } else {
                read.await
            };
            let read = match read {
                Ok(read) => read?,
                Err(_) => {
                    let first = peeked.is_empty();
                    self.count(if first { MissedDeadline::FirstRequest } else { MissedDeadline::Head });
                    self.record_cut_head(&peeked, Cause::RequestTimeout, "the request's head was not complete in time");
                    return Err(io::ErrorKind::TimedOut.into());
                }
            };
            if read == 0 {
                self.record_cut_head(&peeked, Cause::ClientClosed, "the client left within its request's head");
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if peeked.is_empty() {
                deadline = tokio::time::Instant::now() + self.bounds.header_time;
            }
            peeked.extend_from_slice(&chunk[..read]);
        }
        buf[..peeked.len()].copy_from_slice(&peeked);
        self.reader.push_ahead(&peeked);
        if peeked == PREFACE {
            self.become_http2();
        }
        Ok(true)
    }
}

impl ClientStream {
    /// Logs a head that ended before it could be told from an HTTP/2 preface; silence is no request.
    fn record_cut_head(&self, head: &[u8], cause: Cause, detail: &'static str) {
        if !is_blank(head) {
            self.client.record_unanswered(head, Denial::new(cause, detail));
        }
    }
}

fn is_beginning_of_preface(bytes: &[u8]) -> bool {
    PREFACE.starts_with(&bytes[..bytes.len().min(PREFACE.len())])
}
