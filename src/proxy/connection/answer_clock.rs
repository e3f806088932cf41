//! How long an origin may take, for a request whose time Pingora can't tell from its client's.
//!
//! Each party pays for its own time. Pingora's one timeout for reading an answer runs while the client still sends the request,
//! so that it is off for requests with a body. The clock here starts when the request was sent whole. From then on the gateway
//! waits for nothing of the client but its leaving, and it is this wait that ends when the origin's time is over: it fails
//! with the denial, on HTTP/1 and HTTP/2 alike, and the hooks find out whose fault it is ([`AnswerClock::take_timed_out`]).

use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::timer::Timer;
use crate::decision::outcome::{Cause, Denial};

/// The clock of one request, which its hooks set.
#[derive(Debug, Default)]
pub struct AnswerClock {
    runs: AtomicBool,
    timed_out: AtomicBool,
    limits: Mutex<AnswerLimits>,
}

/// What an origin is allowed.
#[derive(Clone, Copy, Debug, Default)]
struct AnswerLimits {
    /// Since when, at the earliest.
    since: Option<Instant>,
    /// The longest silence.
    silence: Option<Duration>,
    /// When the header of its answer is due.
    header: Option<Instant>,
}

/// Watches an [`AnswerClock`] for the connection or stream of the request.
#[derive(Default)]
pub(super) struct AnswerDeadline {
    /// Since when nothing was sent to the client.
    quiet_since: Option<Instant>,
    timer: Timer,
}

impl AnswerClock {
    /// The origin has the whole request at `now`. Nothing may come from it for `silence` at most, and the header of its answer
    /// is due at `header`.
    pub fn start(&self, now: Instant, silence: Option<Duration>, header: Option<Instant>) {
        *self.limits.lock() = AnswerLimits { since: Some(now), silence, header };
        self.runs.store(silence.is_some() || header.is_some(), Ordering::Release);
    }

    /// The header of the answer has come.
    pub fn header_came(&self) {
        if self.runs.load(Ordering::Acquire) {
            let mut limits = self.limits.lock();
            limits.header = None;
            self.runs.store(limits.silence.is_some(), Ordering::Release);
        }
    }

    /// The origin is not waited for any more.
    pub fn stop(&self) {
        self.runs.store(false, Ordering::Release);
    }

    /// Whether the origin's time was over. Says so once.
    pub fn take_timed_out(&self) -> bool {
        self.timed_out.swap(false, Ordering::AcqRel)
    }
}

impl AnswerDeadline {
    /// Ready with the reason when the origin has taken too long. The next call waits anew, as for another try.
    pub fn poll(&mut self, clock: &AnswerClock, cx: &mut Context<'_>) -> Poll<Denial> {
        if !clock.runs.load(Ordering::Acquire) {
            self.quiet_since = None;
            return Poll::Pending;
        }
        let limits = *clock.limits.lock();
        let now = Instant::now();
        let quiet_since = *self.quiet_since.get_or_insert(now);
        let since = limits.since.map_or(quiet_since, |since| since.max(quiet_since));
        let silent =
            limits.silence.map(|silence| (since + silence, "nothing came from the origin for `timeouts.response`"));
        let late = limits.header.map(|due| (due, "no answer within `try_timeout` or `timeouts.request`"));
        let Some((due, why)) = silent.into_iter().chain(late).min() else { return Poll::Pending };
        self.timer.poll(due, cx).map(|()| {
            clock.stop();
            clock.timed_out.store(true, Ordering::Release);
            Denial::new(Cause::UpstreamTimeout, why)
        })
    }

    /// Something of the answer was sent to the client: what held it up before was not the origin.
    pub fn moved(&mut self) {
        self.quiet_since = None;
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn now() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    #[tokio::test]
    async fn the_origin_has_its_time_from_the_whole_request_on() {
        let (clock, mut deadline) = (AnswerClock::default(), AnswerDeadline::default());
        let polled = poll_fn(|cx| Poll::Ready(deadline.poll(&clock, cx))).await;
        assert!(polled.is_pending(), "no request was sent yet");
        clock.start(now(), Some(Duration::from_millis(20)), None);
        let denial = poll_fn(|cx| deadline.poll(&clock, cx)).await;
        assert_eq!(
            (denial.cause, clock.take_timed_out(), clock.take_timed_out()),
            (Cause::UpstreamTimeout, true, false)
        );
    }

    #[tokio::test]
    async fn the_header_is_due_though_the_silence_may_last_longer_and_not_once_it_came() {
        let (clock, mut deadline) = (AnswerClock::default(), AnswerDeadline::default());
        clock.start(now(), Some(3600 * SECOND), Some(now()));
        let denial = poll_fn(|cx| deadline.poll(&clock, cx)).await;
        assert!(denial.detail.contains("try_timeout"), "{}", denial.detail);
        clock.start(now(), None, Some(now()));
        clock.header_came();
        assert!(poll_fn(|cx| Poll::Ready(deadline.poll(&clock, cx))).await.is_pending());
    }
}
