//! What arrives on an HTTP/1 connection, one message at a time.
//!
//! Pingora gets a request's head when it is complete and has one reading ([`HeadReader`]), then the body as far as its own
//! framing goes, and nothing of the next message before this one is answered. So no parser decides where a message ends but
//! this one, and what a client sends ahead waits for its turn.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pingora::protocols::Stream;
use tokio::io::{AsyncRead, ReadBuf};

use crate::decision::outcome::{Cause, Denial};
use crate::decision::request::chunked::Chunks;
use crate::decision::request::framing::BodyLength;
use crate::decision::request::head::{HeadReader, TargetPlace};
use crate::decision::request::target;

/// Reads messages off a connection.
pub(super) struct MessageReader {
    /// Read from the socket, and not handed over yet.
    ahead: Vec<u8>,
    /// How many bytes at the front of `ahead` may be handed over.
    released: usize,
    expect: MessagePart,
    /// Longest request line and longest head that can still be within the bounds of the file.
    max_line: usize,
    max_head: usize,
    /// What a client may send ahead of its turn.
    max_ahead: usize,
    /// Whether a target with a character that should have been escaped is refused.
    strict_target: bool,
}

/// What may pass of the bytes at hand.
struct PassingBytes {
    count: usize,
    /// A target among them that is to be escaped first.
    raw_target: Option<TargetPlace>,
}

/// What the next byte belongs to.
enum MessagePart {
    Head(HeadReader),
    BodyPart(BodyPart),
    /// The message is complete, and not answered yet.
    Nothing,
    /// A tunnel, or HTTP/2: bytes pass as they are.
    Raw,
}

enum BodyPart {
    Length(u64),
    Chunked(Chunks),
}

impl MessageReader {
    pub fn new(max_line: usize, max_head: usize, max_ahead: usize, strict_target: bool) -> Self {
        let expect = MessagePart::Head(HeadReader::new(strict_target));
        MessageReader { ahead: Vec::new(), released: 0, expect, max_line, max_head, max_ahead, strict_target }
    }

    /// Reads as the client's next message allows. `Ready(Ok(Err(…)))`: what arrived is no request.
    ///
    /// Nothing read, as always, means the end of the stream.
    pub fn poll_read(
        &mut self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<Result<(), Denial>>> {
        loop {
            if self.released > 0 {
                self.hand_over(buf);
                return Poll::Ready(Ok(Ok(())));
            }
            match self.release() {
                Ok(()) if self.released > 0 => continue,
                Ok(()) => {}
                Err(denial) => return Poll::Ready(Ok(Err(denial))),
            }
            if matches!(self.expect, MessagePart::Nothing) && self.ahead.len() >= self.max_ahead {
                // Woken when the message is answered, by the task that answers.
                return Poll::Pending;
            }
            let before = buf.filled().len();
            ready!(Pin::new(&mut *stream).poll_read(cx, buf))?;
            let arrived = &buf.filled()[before..];
            if arrived.is_empty() {
                return Poll::Ready(Ok(Ok(())));
            }
            if !self.ahead.is_empty() {
                self.ahead.extend_from_slice(arrived);
                buf.set_filled(before);
                continue;
            }
            // Nearly always everything that arrived may pass at once, and need not be copied.
            let passing = match self.expect.take(arrived) {
                Ok(PassingBytes { count, raw_target: None }) => count,
                Ok(passing) => {
                    self.ahead.extend_from_slice(arrived);
                    buf.set_filled(before);
                    match self.escape(passing) {
                        Ok(()) => continue,
                        Err(denial) => return Poll::Ready(Ok(Err(denial))),
                    }
                }
                Err(denial) => {
                    // Kept for the log line.
                    self.ahead.extend_from_slice(arrived);
                    buf.set_filled(before);
                    return Poll::Ready(Ok(Err(denial)));
                }
            };
            self.ahead.extend_from_slice(&arrived[passing..]);
            buf.set_filled(before + passing);
            if passing > 0 {
                return Poll::Ready(Ok(Ok(())));
            }
        }
    }

    /// Puts `bytes` before what is read next.
    pub fn push_ahead(&mut self, bytes: &[u8]) {
        self.ahead.extend_from_slice(bytes);
    }

    /// Takes back the head that was handed over last: it is handed over once more.
    pub fn give_back(&mut self, head: &[u8]) {
        self.ahead.splice(0..0, head.iter().copied());
        self.released = head.len();
    }

    /// The message at hand is answered: what follows is the next one.
    pub fn next_message(&mut self) {
        if self.released == 0 && matches!(self.expect, MessagePart::Nothing) {
            self.expect = MessagePart::Head(HeadReader::new(self.strict_target));
        }
    }

    /// What follows passes as it is.
    pub fn become_raw(&mut self) {
        self.expect = MessagePart::Raw;
    }

    /// Whether a request's head is due or arriving, and none of it is handed over yet.
    pub fn awaits_head(&self) -> bool {
        self.released == 0 && matches!(self.expect, MessagePart::Head(_))
    }

    /// Whether the body of a request is not complete.
    pub fn awaits_body(&self) -> bool {
        matches!(self.expect, MessagePart::BodyPart(_))
    }

    /// Whether nothing is under way: the last message is complete, and nothing came after it.
    pub fn is_settled(&self) -> bool {
        matches!(self.expect, MessagePart::Nothing | MessagePart::Raw) && self.ahead.is_empty()
    }

    /// What has arrived of a head that is not complete.
    pub fn partial_head(&self) -> &[u8] {
        if self.awaits_head() { &self.ahead } else { b"" }
    }

    /// Releases what may pass of the bytes at hand.
    fn release(&mut self) -> Result<(), Denial> {
        if self.ahead.is_empty() {
            return Ok(());
        }
        let passing = self.expect.take(&self.ahead)?;
        self.escape(passing)?;
        if self.released == 0
            && let MessagePart::Head(reader) = &self.expect
        {
            // An empty line may come before the request line.
            if !reader.has_request_line() && self.ahead.len() > self.max_line {
                let detail = format!("the request line is longer than {} bytes", self.max_line);
                return Err(Denial::new(Cause::UriTooLong, detail));
            }
            if self.ahead.len() > self.max_head {
                let detail = format!("the head is longer than {} bytes", self.max_head);
                return Err(Denial::new(Cause::HeadersTooLarge, detail));
            }
        }
        Ok(())
    }

    /// Releases `passing`, the first of the bytes at hand, with the escapes that its target lacks.
    fn escape(&mut self, passing: PassingBytes) -> Result<(), Denial> {
        let PassingBytes { mut count, raw_target } = passing;
        if let Some(TargetPlace { start, end }) = raw_target {
            let mut encoded = Vec::with_capacity(2 * (end - start));
            target::encode(&self.ahead[start..end], &mut encoded);
            if encoded.len() > self.max_line.min(target::HARD_MAX_TARGET) {
                return Err(Denial::new(Cause::UriTooLong, "the request target is too long with its escapes"));
            }
            count += encoded.len() - (end - start);
            self.ahead.splice(start..end, encoded);
        }
        self.released = count;
        Ok(())
    }

    fn hand_over(&mut self, buf: &mut ReadBuf<'_>) {
        let count = self.released.min(buf.remaining());
        buf.put_slice(&self.ahead[..count]);
        self.released -= count;
        if count == self.ahead.len() {
            // Given back whole, so that idle connections stay small.
            self.ahead = Vec::new();
        } else {
            self.ahead.drain(..count);
        }
    }
}

impl MessagePart {
    /// How many of `bytes`, the next ones, may pass. What comes after them has to wait.
    fn take(&mut self, bytes: &[u8]) -> Result<PassingBytes, Denial> {
        let mut raw_target = None;
        let count = match self {
            MessagePart::Raw => bytes.len(),
            MessagePart::Nothing => 0,
            MessagePart::Head(reader) => {
                let Some(head) = reader.read(bytes)? else { return Ok(PassingBytes { count: 0, raw_target }) };
                raw_target = head.raw_target;
                *self = match head.framing {
                    BodyLength::None | BodyLength::Length(0) => MessagePart::Nothing,
                    BodyLength::Length(length) => MessagePart::BodyPart(BodyPart::Length(length)),
                    BodyLength::Chunked => MessagePart::BodyPart(BodyPart::Chunked(Chunks::default())),
                };
                // A body that is wrong from its beginning is refused once the head has passed, and its request is known.
                head.length
            }
            MessagePart::BodyPart(BodyPart::Length(left)) => {
                let count = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= count as u64;
                if *left == 0 {
                    *self = MessagePart::Nothing;
                }
                count
            }
            MessagePart::BodyPart(BodyPart::Chunked(chunks)) => {
                let count = chunks.follow(bytes)?;
                if chunks.is_done() {
                    *self = MessagePart::Nothing;
                }
                count
            }
        };
        Ok(PassingBytes { count, raw_target })
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn no_more_is_read_ahead_than_the_bound() {
        let (mut client, server) = tokio::io::duplex(1 << 20);
        let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        client.write_all(request.repeat(1000).as_bytes()).await.unwrap();

        let mut stream: Stream = Box::new(server);
        let mut reader = MessageReader::new(1 << 10, 1 << 10, 100, false);
        let mut cx = Context::from_waker(Waker::noop());
        let mut room = [0; 64];
        let mut read = Vec::new();
        loop {
            let mut buf = ReadBuf::new(&mut room);
            match reader.poll_read(&mut stream, &mut cx, &mut buf) {
                Poll::Ready(Ok(Ok(()))) => read.extend_from_slice(buf.filled()),
                Poll::Ready(other) => panic!("{other:?}"),
                Poll::Pending => break,
            }
        }
        assert_eq!(String::from_utf8_lossy(&read), request, "the next one waits for the answer");
        assert!((100..200).contains(&reader.ahead.len()), "{}", reader.ahead.len());
    }
}
