//! The flood detector of an HTTP/2 connection with a clock, and the end of a connection that was retired.

use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use log::debug;

use super::connection_error::Http2ConnectionError;
use super::flood::{FloodBounds, FloodDetector, FloodViolation};
use super::frame::error_name;
use crate::decision::outcome::{Cause, Denial};
use crate::decision::request::ReadRules;
use crate::proxy::connection::client::ClientConnection;
use crate::proxy::connection::timer::Timer;
use crate::proxy::drain::DrainStage;

/// In a drain: how long nothing may move on a connection on which nothing is asked. A round trip, for the acknowledgement of a
/// PING (RFC 9113 §6.8) and for windows that the last answers wait for, with a wide margin.
const DRAIN_QUIET: Duration = Duration::from_secs(1);

/// Tells when a connection must end, and says so in the metrics and the program log.
pub struct Http2Monitor {
    flood: FloodDetector,
    timer: Timer,
    /// How long a client may stay after GOAWAY while no request is open.
    grace: Duration,
    /// After GOAWAY: when it is checked next whether the client has gone.
    leaving: Option<Instant>,
    /// Whether anything moved since it was looked at last.
    moved: bool,
    /// The same of answers alone: requests end when their answers are handed over, and what is left of those leaves later.
    answering: bool,
}

/// Why an HTTP/2 connection ends.
pub enum Http2End {
    Violation(FloodViolation),
    /// A drain has sent GOAWAY, no request is open and nothing moves.
    Drained,
}

impl Http2Monitor {
    /// Of the connection of `client`, which began at `began`.
    pub fn new(client: &ClientConnection, began: Instant) -> Self {
        let serving = client.listener.runtime.store.load();
        let bounds = &serving.snapshot.bounds;
        let flood_bounds = FloodBounds {
            first_request: bounds.first_request,
            header_time: bounds.header_time,
            // A little more than a body may rest: a request whose frame does not end is to be answered before the connection ends.
            frame_time: serving.longest_body_idle.map(|idle| idle + idle / 4),
            // Twice what is accepted: the block that is only a little too long is answered 431.
            header_block: 2 * max_header_list(&serving.snapshot.rules.read),
            resets: bounds.http2_resets,
            control_frames: bounds.http2_control_frames,
        };
        let flood = FloodDetector::new(flood_bounds, began);
        let grace = bounds.header_time;
        Http2Monitor { flood, timer: Timer::default(), grace, leaving: None, moved: false, answering: false }
    }

    /// Takes note of what the client sent.
    pub fn received(&mut self, bytes: &[u8], client: &ClientConnection) -> Result<(), FloodViolation> {
        self.moved = true;
        if client.ignores_goaway() {
            return Err(FloodViolation::IgnoresGoaway);
        }
        self.flood.received(bytes, Instant::now())
    }

    /// Takes note of what leaves.
    pub fn sent(&mut self, bytes: &[u8], client: &ClientConnection) {
        self.moved = true;
        if let Some(violation) = self.flood.sent(bytes, Instant::now) {
            report_violation(violation, client);
        }
        if self.flood.take_answered() {
            self.answering = true;
            client.answer_moved();
        }
        if let Some(code) = self.flood.library_error() {
            client.end_with(Denial::new(Cause::Http2ConnectionError, error_name(code)));
        }
    }

    /// Ready when the client has let something incomplete wait for too long. To be called when nothing more arrives.
    pub fn poll_end(&mut self, cx: &mut Context<'_>, client: &ClientConnection) -> Poll<Http2End> {
        let drains = client.listener.runtime.drain.stage() >= DrainStage::Leaving;
        let grace = if drains { DRAIN_QUIET } else { self.grace };
        if client.is_retired() {
            let look = Instant::now() + grace;
            self.leaving = Some(self.leaving.map_or(look, |leaving| leaving.min(look)));
        }
        while let Some(due) = [self.flood.due(), self.leaving].into_iter().flatten().min() {
            ready!(self.timer.poll(due, cx));
            let now = Instant::now().max(due);
            if let Some(violation) = self.flood.overdue(now) {
                return Poll::Ready(Http2End::Violation(violation));
            }
            if self.leaving.is_none_or(|leaving| leaving > now) {
                break;
            }
            let moved = std::mem::take(&mut self.moved);
            let answering = std::mem::take(&mut self.answering);
            if client.open_requests() == 0 && !answering && !(drains && moved) {
                return Poll::Ready(if drains {
                    Http2End::Drained
                } else {
                    Http2End::Violation(FloodViolation::IgnoresGoaway)
                });
            }
            self.leaving = Some(now + grace);
        }
        Poll::Pending
    }

    /// What to send before the connection is ended over `violation`.
    pub fn goaway(&self, violation: FloodViolation, client: &ClientConnection) -> Vec<u8> {
        report_violation(violation, client);
        self.last_frame(violation.code(), violation.reason())
    }

    /// What to send before the connection is ended over `error`.
    pub fn goaway_over(&self, error: Http2ConnectionError, client: &ClientConnection) -> Vec<u8> {
        report(error.reason(), client);
        self.last_frame(error.code(), error.reason())
    }

    /// A GOAWAY; nothing in the middle of a frame.
    fn last_frame(&self, code: u32, reason: &str) -> Vec<u8> {
        if self.flood.may_interject() { self.flood.goaway(code, reason) } else { Vec::new() }
    }
}

fn report_violation(violation: FloodViolation, client: &ClientConnection) {
    client.listener.runtime.metrics.bound_hit(violation.bound());
    report(violation.reason(), client);
}

/// Says why the connection ends: to the program log, and to the requests that end with it.
fn report(reason: &'static str, client: &ClientConnection) {
    client.end_with(Denial::new(Cause::Http2ConnectionError, reason));
    debug!("HTTP/2 connection of {} on listener {} ended: {reason}", client.facts.peer, client.listener.name);
}

/// The longest header list that can be within the bounds, as RFC 9113 §6.5.2 counts: 32 bytes a field more, and the target
/// is a field too. A Cookie counts as one field however it is split (RFC 9113 §8.2.3): as many crumbs as there may be fields have
/// their own names and 32 bytes.
pub fn max_header_list(read: &ReadRules) -> usize {
    let crumbs = ("cookie".len() + 32) * read.max_header_count;
    read.max_header_bytes + read.max_uri + 32 * read.max_header_count + crumbs
}
