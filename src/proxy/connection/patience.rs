//! How long a connection waits for its client to send.

use std::task::{Context, Poll};
use std::time::Instant;

use super::pace::{Pace, TooSlow};
use super::timer::Timer;
use crate::decision::bounds::Bounds;
use crate::decision::rules::Pacing;
use crate::telemetry::metrics::Bound;

/// What a client is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Awaited {
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
pub(super) enum Late {
    FirstRequest,
    NextRequest,
    Head,
    Body(TooSlow),
    /// A request before the connection parts in a drain.
    Parting,
}

/// The deadlines of one connection. The clock is asked only when there is nothing to read.
#[derive(Default)]
pub(super) struct Patience {
    /// What has been waited for, since when.
    waiting: Option<(Awaited, Instant)>,
    /// Of the body at hand, once it was waited for.
    body: Option<Pace>,
    /// Whether a request has come.
    acquainted: bool,
    timer: Timer,
}

impl Patience {
    /// Ready when the client took too long with what is awaited of it. `pacing` is asked once a body. `parting`: when the
    /// connection parts that has waited for a request since that moment.
    pub fn poll(
        &mut self,
        awaited: Awaited,
        bounds: &Bounds,
        pacing: impl FnOnce() -> Pacing,
        parting: impl FnOnce(Instant) -> Option<Instant>,
        cx: &mut Context<'_>,
    ) -> Poll<Late> {
        if awaited == Awaited::Nothing {
            self.waiting = None;
            return Poll::Pending;
        }
        let now = Instant::now();
        if awaited == Awaited::Body {
            let pace = self.body.get_or_insert_with(|| Pace::new(pacing()));
            let Some(due) = pace.wait(now) else { return Poll::Pending };
            if let Some(slow) = pace.too_slow(now) {
                return Poll::Ready(Late::Body(slow));
            }
            // What the timer says is looked at with a clock read afterwards.
            return self.timer.poll(due, cx).map(|()| Late::Body(pace.too_slow(due).unwrap_or(TooSlow::Idle)));
        }
        let since = match self.waiting {
            Some((before, since)) if before == awaited => since,
            _ => now,
        };
        self.waiting = Some((awaited, since));
        let (late, patience) = match awaited {
            Awaited::Head => (Late::Head, bounds.header_time),
            _ if self.acquainted => (Late::NextRequest, bounds.keepalive),
            _ => (Late::FirstRequest, bounds.first_request),
        };
        let due = since + patience;
        let (due, late) = match parting(since) {
            Some(parts) if awaited == Awaited::Request && parts < due => (parts, Late::Parting),
            _ => (due, late),
        };
        self.timer.poll(due, cx).map(|()| late)
    }

    /// A head was complete.
    pub fn message_began(&mut self) {
        self.acquainted = true;
        self.waiting = None;
        self.body = None;
    }

    /// Bytes of a body have come.
    pub fn moved(&mut self, bytes: usize) {
        if let Some(pace) = &mut self.body {
            pace.moved(bytes, Instant::now);
        }
    }
}

impl Late {
    /// The bound of the file that bites, if one does.
    pub fn bound(self) -> Option<Bound> {
        match self {
            Late::FirstRequest => Some(Bound::FirstRequest),
            Late::NextRequest => Some(Bound::Keepalive),
            Late::Head => Some(Bound::HeaderTime),
            Late::Body(slow) => Some(slow.body_bound()),
            Late::Parting => None,
        }
    }
}
