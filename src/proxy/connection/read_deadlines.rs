//! How long a connection waits for its client to send.

use std::task::{Context, Poll};
use std::time::Instant;

use super::min_rate::{MinRate, TooSlow};
use super::timer::Timer;
use crate::decision::bounds::Bounds;
use crate::decision::pacing::Pacing;
use crate::telemetry::metrics::Bound;

/// What a client is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AwaitedInput {
    /// The first byte of a request.
    Request,
    /// The rest of a head.
    Head,
    /// More of a body.
    Body,
    /// It is not waited for.
    Nothing,
}

/// What did not come in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MissedDeadline {
    FirstRequest,
    NextRequest,
    Head,
    Body(TooSlow),
    /// A request, on a connection that a drain closes.
    DrainIdle,
}

/// The deadlines of one connection. The clock is asked only when there is nothing to read.
pub(super) struct ReadDeadlines {
    /// What has been waited for, since when.
    waiting: Option<(AwaitedInput, Instant)>,
    /// Of the body at hand, once it was waited for.
    body: Option<MinRate>,
    /// Whether a request has come.
    had_request: bool,
    timer: Timer,
}

impl ReadDeadlines {
    /// Those of a connection that began at `began`: its first request is due from then on.
    pub fn new(began: Instant) -> Self {
        let (body, timer) = Default::default();
        ReadDeadlines { waiting: Some((AwaitedInput::Request, began)), body, had_request: false, timer }
    }

    /// Ready when the client took too long with what is awaited of it. `pacing` is asked once a body. `drain_idle`: when
    /// a drain closes the connection that has waited for a request since that moment.
    pub fn poll(
        &mut self,
        awaited: AwaitedInput,
        bounds: &Bounds,
        pacing: impl FnOnce() -> Pacing,
        drain_idle: impl FnOnce(Instant) -> Option<Instant>,
        cx: &mut Context<'_>,
    ) -> Poll<MissedDeadline> {
        if awaited == AwaitedInput::Nothing {
            self.waiting = None;
            return Poll::Pending;
        }
        let now = Instant::now();
        if awaited == AwaitedInput::Body {
            let rate = self.body.get_or_insert_with(|| MinRate::new(pacing()));
            let Some(due) = rate.wait(now) else { return Poll::Pending };
            if let Some(slow) = rate.too_slow(now) {
                return Poll::Ready(MissedDeadline::Body(slow));
            }
            // What the timer says is looked at with a clock read afterwards.
            return self
                .timer
                .poll(due, cx)
                .map(|()| MissedDeadline::Body(rate.too_slow(due).unwrap_or(TooSlow::Idle)));
        }
        let since = match self.waiting {
            Some((before, since)) if before == awaited => since,
            _ => now,
        };
        self.waiting = Some((awaited, since));
        let (missed, time) = match awaited {
            AwaitedInput::Head => (MissedDeadline::Head, bounds.header_time),
            _ if self.had_request => (MissedDeadline::NextRequest, bounds.keepalive),
            _ => (MissedDeadline::FirstRequest, bounds.first_request),
        };
        let due = since + time;
        let (due, missed) = match drain_idle(since) {
            Some(closes) if awaited == AwaitedInput::Request && closes < due => (closes, MissedDeadline::DrainIdle),
            _ => (due, missed),
        };
        self.timer.poll(due, cx).map(|()| missed)
    }

    /// A head was complete.
    pub fn message_began(&mut self) {
        self.had_request = true;
        self.waiting = None;
        self.body = None;
    }

    /// Bytes of a body have come.
    pub fn moved(&mut self, bytes: usize) {
        if let Some(rate) = &mut self.body {
            rate.moved(bytes, Instant::now);
        }
    }
}

impl MissedDeadline {
    /// The bound of the file that bites, if one does.
    pub fn bound(self) -> Option<Bound> {
        match self {
            MissedDeadline::FirstRequest => Some(Bound::FirstRequest),
            MissedDeadline::NextRequest => Some(Bound::Keepalive),
            MissedDeadline::Head => Some(Bound::HeaderTime),
            MissedDeadline::Body(slow) => Some(slow.body_bound()),
            MissedDeadline::DrainIdle => None,
        }
    }
}
