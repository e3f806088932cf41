//! The guard of an HTTP/2 connection, with a clock.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use log::debug;

use super::ConnectionInfo;
use super::h2_guard::{Abuse, Guard, GuardBounds};
use super::timer::Timer;
use crate::proxy::drain::Stage;
use crate::proxy::server::listener::header_list;

/// In a drain: how long nothing may move on a connection on which nothing is asked. A round trip, for the acknowledgement of a
/// PING (RFC 9113 §6.8) and for windows that the last answers wait for, and much patience.
const QUIET: Duration = Duration::from_secs(1);

/// Tells when a connection must end, and says so in the metrics and the program log.
pub(super) struct Watch {
    guard: Guard,
    timer: Timer,
    /// How long a client may stay that was told to go elsewhere, while nothing is asked.
    patience: Duration,
    /// When it is looked again whether the client has gone; from the time on when it was told.
    leaving: Option<Instant>,
    /// Whether anything moved since it was looked at last.
    moved: bool,
}

/// What an HTTP/2 connection came to that is not the client's doing alone.
pub(super) enum Overdue {
    Abuse(Abuse),
    /// A drain has told the client to go, nothing is asked and nothing moves: there is nothing to wait for.
    Quiet,
}

impl Watch {
    pub fn new(info: &ConnectionInfo) -> Self {
        let serving = info.listener.shared.store.load();
        let bounds = &serving.snapshot.bounds;
        let guard = GuardBounds {
            header_time: bounds.header_time,
            // A little more than a body may rest: a request whose frame does not end is to be answered before the connection ends.
            frame_time: serving.longest_body_idle.map(|idle| idle + idle / 4),
            // Twice what is accepted: the block that is only a little too long is answered 431.
            header_block: 2 * header_list(&serving.snapshot.rules.read),
            resets: bounds.http2_resets,
            control_frames: bounds.http2_control_frames,
        };
        let guard = Guard::new(guard, Instant::now());
        Watch { guard, timer: Timer::default(), patience: bounds.header_time, leaving: None, moved: false }
    }

    /// Takes note of what the client sent.
    pub fn received(&mut self, bytes: &[u8], info: &ConnectionInfo) -> Result<(), Abuse> {
        self.moved = true;
        if info.overstays() {
            return Err(Abuse::Overstays);
        }
        self.guard.received(bytes, Instant::now())
    }

    /// Takes note of what leaves.
    pub fn sent(&mut self, bytes: &[u8], info: &ConnectionInfo) {
        self.moved = true;
        if let Some(abuse) = self.guard.sent(bytes, Instant::now) {
            report(abuse, info);
        }
    }

    /// Ready when the client has let something incomplete wait for too long. To be called when nothing more arrives.
    pub fn poll_overdue(&mut self, cx: &mut Context<'_>, info: &ConnectionInfo) -> Poll<Overdue> {
        let drains = info.listener.shared.drain.stage() >= Stage::Leaving;
        let patience = if drains { QUIET } else { self.patience };
        if info.is_retired() {
            let look = Instant::now() + patience;
            self.leaving = Some(self.leaving.map_or(look, |leaving| leaving.min(look)));
        }
        while let Some(due) = [self.guard.due(), self.leaving].into_iter().flatten().min() {
            ready!(self.timer.poll(due, cx));
            let now = Instant::now().max(due);
            if let Some(abuse) = self.guard.overdue(now) {
                return Poll::Ready(Overdue::Abuse(abuse));
            }
            if self.leaving.is_none_or(|leaving| leaving > now) {
                break;
            }
            let moved = std::mem::take(&mut self.moved);
            if info.open_requests() == 0 && !(drains && moved) {
                return Poll::Ready(if drains { Overdue::Quiet } else { Overdue::Abuse(Abuse::Overstays) });
            }
            self.leaving = Some(now + patience);
        }
        Poll::Pending
    }

    /// What to send before the connection is ended over `abuse`: nothing in the middle of a frame.
    pub fn last_words(&self, abuse: Abuse, info: &Arc<ConnectionInfo>) -> Vec<u8> {
        report(abuse, info);
        if self.guard.may_interject() { self.guard.goaway(abuse) } else { Vec::new() }
    }
}

fn report(abuse: Abuse, info: &ConnectionInfo) {
    info.listener.shared.metrics.bound_hit(abuse.bound());
    debug!("HTTP/2 connection of {} on listener {} ended: {}", info.peer, info.listener.name, abuse.reason());
}
