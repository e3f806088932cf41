//! Drain: how the process stops taking requests, and leaves as soon as the last one is done.
//!
//! | stage | what happens | until |
//! |---|---|---|
//! | [`Serving`](DrainStage::Serving) | everything | a signal, `POST /drain`, or a successor that has taken over the sockets |
//! | [`Notice`](DrainStage::Notice) | `/readyz` fails, new connections are still accepted; each open one is told at a moment of its own that it is the last: `Connection: close`, or GOAWAY | `process.drain_notice` |
//! | [`Leaving`](DrainStage::Leaving) | what the kernel has queued is accepted and the listeners close; idle connections have `process.drain_idle` left, then they get a FIN; requests go on | `process.drain_streams` |
//! | [`StreamsEnd`](DrainStage::StreamsEnd) | tunnels and answers without an end are ended in order | `process.drain` |
//! | [`Cut`](DrainStage::Cut) | requests that are left are answered 503, or broken off where an answer had begun | a second |
//! | [`Over`](DrainStage::Over) | what is left is dropped, and logged as it is | a second |
//!
//! The process ends in whatever stage the last connection closes. A second signal leads to [`Cut`](DrainStage::Cut) at once.
//!
//! No request is lost over HTTP/2: GOAWAY first says that streams are accepted still, and then which was the last one (RFC 9113
//! §6.8). HTTP/1.1 has nothing like that for an idle connection: a request and the FIN may cross (RFC 9112 §9.5). So the way out
//! is `Connection: close` on an answer wherever there is one to put it on, time for a request that is on its way, and after the
//! FIN a while of reading, so that the client sees an end in order before any byte of an answer and not a reset.
//!
//! [`super::server::drain`] carries it out.

use std::fmt;
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering, fence};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use crate::decision::outcome::{Cause, Denial};

/// How far the drain of this process has come. One a process, shared by everything that serves.
#[derive(Debug)]
pub struct Drain {
    /// The same as in `stages`, for code that only looks.
    stage: AtomicU8,
    stages: watch::Sender<DrainStage>,
    begun: OnceLock<DrainStart>,
    pub(in crate::proxy) notice_ends: OnceLock<Instant>,
    idle_grace: OnceLock<IdleGrace>,
    streams_ended: AtomicBool,
    /// How often it was asked to end at once.
    pub(in crate::proxy) forced: AtomicUsize,
    pub(in crate::proxy) listeners: AtomicUsize,
    cut: AtomicU64,
    /// The addresses on which the process that takes over accepts.
    successor: OnceLock<Vec<SocketAddr>>,
    /// Wakes the task that runs the drain.
    pub(in crate::proxy) changed: Notify,
}

/// See [the module](self).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum DrainStage {
    Serving,
    Notice,
    Leaving,
    StreamsEnd,
    Cut,
    Over,
}

/// Why the process drains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainReason {
    /// A signal, by its name.
    Signal(&'static str),
    /// An operator asked for it.
    Command,
    /// Another process accepts on the same sockets: nobody needs to be told beforehand, and what is queued is its business.
    HandedOver,
}

#[derive(Clone, Copy, Debug)]
struct DrainStart {
    reason: DrainReason,
    at: Instant,
}

/// When the listeners closed, and how long idle connections may stay then.
#[derive(Clone, Copy, Debug)]
struct IdleGrace {
    at: Instant,
    idle: Duration,
}

/// Why the drain ends a request that is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainEnding {
    /// It is a tunnel or an answer without an end, and has had its time.
    Stream,
    /// Time is up for everything.
    Request,
}

impl Default for Drain {
    fn default() -> Self {
        Drain {
            stage: AtomicU8::new(DrainStage::Serving as u8),
            stages: watch::Sender::new(DrainStage::Serving),
            begun: OnceLock::new(),
            notice_ends: OnceLock::new(),
            idle_grace: OnceLock::new(),
            streams_ended: AtomicBool::new(false),
            forced: AtomicUsize::new(0),
            listeners: AtomicUsize::new(0),
            cut: AtomicU64::new(0),
            successor: OnceLock::new(),
            changed: Notify::new(),
        }
    }
}

impl Drain {
    /// Begins to drain. The first reason counts; false if it had begun before. From any thread.
    pub fn begin(&self, reason: DrainReason) -> bool {
        let first = self.begun.set(DrainStart { reason, at: Instant::now() }).is_ok();
        self.changed.notify_one();
        first
    }

    /// Ends the wait for what is left: what isn't done is cut. Asked again, it is dropped.
    pub fn force(&self) {
        self.forced.fetch_add(1, Ordering::SeqCst);
        self.changed.notify_one();
    }

    /// Why the process drains, if it does.
    pub fn reason(&self) -> Option<DrainReason> {
        self.begun.get().map(|begun| begun.reason)
    }

    /// For how long it has drained.
    pub fn elapsed(&self) -> Option<Duration> {
        self.begun.get().map(|begun| begun.at.elapsed())
    }

    /// How far it has come.
    pub fn stage(&self) -> DrainStage {
        match self.stage.load(Ordering::Relaxed) {
            0 => DrainStage::Serving,
            1 => DrainStage::Notice,
            2 => DrainStage::Leaving,
            3 => DrainStage::StreamsEnd,
            4 => DrainStage::Cut,
            _ => DrainStage::Over,
        }
    }

    /// Turns with every stage.
    pub fn stages(&self) -> watch::Receiver<DrainStage> {
        self.stages.subscribe()
    }

    /// Requests that did not finish because the process ended.
    pub fn cut(&self) -> u64 {
        self.cut.load(Ordering::Relaxed)
    }

    /// Takes note of why a request failed.
    pub fn failed(&self, cause: Cause) {
        if cause == Cause::ShutDown {
            self.cut.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a listener until the value is dropped.
    pub fn listener(self: &std::sync::Arc<Self>) -> ListenerOpen {
        self.listeners.fetch_add(1, Ordering::SeqCst);
        ListenerOpen(self.clone())
    }

    /// The process that takes over accepts on the addresses `listens`. To be called before the drain begins.
    pub fn handed_over(&self, listens: Vec<SocketAddr>) {
        let _ = self.successor.set(listens);
    }

    /// Whether what the kernel has queued on the listener at `address` is ours to serve: nobody else accepts there.
    pub fn owns_queue(&self, address: SocketAddr) -> bool {
        let taken = || self.successor.get().is_none_or(|listens| listens.contains(&address));
        self.reason() != Some(DrainReason::HandedOver) || !taken()
    }

    /// A request or connection has ended, or something else has changed that the drain depends on.
    pub fn look_again(&self) {
        // The drain enters a stage and then counts: one of the two sees what the other did.
        fence(Ordering::SeqCst);
        if self.stage() != DrainStage::Serving {
            self.changed.notify_one();
        }
    }

    /// Whether, and why, a request has to end now. `endless`: it is a tunnel, or its answer has no end.
    pub fn ending(&self, endless: bool) -> Option<DrainEnding> {
        // Asked with every read: nearly always the first comparison answers.
        match self.stage() {
            DrainStage::Serving | DrainStage::Notice | DrainStage::Leaving => None,
            DrainStage::StreamsEnd => endless.then_some(DrainEnding::Stream),
            DrainStage::Cut | DrainStage::Over if endless && self.streams_ended.load(Ordering::Relaxed) => {
                Some(DrainEnding::Stream)
            }
            DrainStage::Cut | DrainStage::Over => Some(DrainEnding::Request),
        }
    }

    /// When a connection that has waited for a request since `since` is to be closed, once the listeners are: after
    /// `process.drain_idle` from then, or from when it began to wait.
    pub fn idle_until(&self, since: Instant) -> Option<Instant> {
        self.waits_until(since, Duration::ZERO)
    }

    /// The same for whatever takes `least` at least.
    fn waits_until(&self, since: Instant, least: Duration) -> Option<Instant> {
        if self.stage() < DrainStage::Leaving {
            return None;
        }
        let IdleGrace { at, idle } = *self.idle_grace.get()?;
        Some(if self.stage() >= DrainStage::Cut { at } else { at.max(since) + idle.max(least) })
    }

    /// Returns when a connection that has waited since `since` is to be closed; after `least` at the earliest.
    pub async fn idle_over(&self, since: Instant, least: Duration) {
        let mut stages = self.stages();
        loop {
            let due = self.waits_until(since, least);
            let turned = stages.changed();
            match due {
                Some(due) => tokio::select! {
                    () = tokio::time::sleep_until(due.into()) => return,
                    _ = turned => {}
                },
                None => {
                    let _ = turned.await;
                }
            }
        }
    }

    /// Closes the listeners. Idle connections have `idle` left.
    pub(in crate::proxy) fn leave(&self, idle: Duration) {
        let _ = self.idle_grace.set(IdleGrace { at: Instant::now(), idle });
        self.enter(DrainStage::Leaving);
    }

    pub(in crate::proxy) fn enter(&self, stage: DrainStage) {
        if stage == DrainStage::StreamsEnd {
            self.streams_ended.store(true, Ordering::SeqCst);
        }
        self.stage.store(stage as u8, Ordering::SeqCst);
        self.stages.send_replace(stage);
        fence(Ordering::SeqCst);
    }
}

/// A listener that still accepts.
#[derive(Debug)]
pub struct ListenerOpen(std::sync::Arc<Drain>);

impl Drop for ListenerOpen {
    fn drop(&mut self) {
        self.0.listeners.fetch_sub(1, Ordering::SeqCst);
        self.0.look_again();
    }
}

impl DrainEnding {
    /// For the answer, if there is one still, and the log.
    pub fn denial(self) -> Denial {
        match self {
            DrainEnding::Stream => {
                Denial::new(Cause::StreamEnded, "the gateway drains, and `process.drain_streams` is over")
            }
            DrainEnding::Request => Denial::new(Cause::ShutDown, "the gateway ended before the request was done"),
        }
    }
}

impl fmt::Display for DrainReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DrainReason::Signal(name) => name,
            DrainReason::Command => "asked to",
            DrainReason::HandedOver => "the sockets are handed over",
        })
    }
}

impl DrainStage {
    /// For status and logs.
    pub const fn name(self) -> &'static str {
        match self {
            DrainStage::Serving => "serving",
            DrainStage::Notice => "notice",
            DrainStage::Leaving => "leaving",
            DrainStage::StreamsEnd => "streams_end",
            DrainStage::Cut => "cut",
            DrainStage::Over => "over",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_counts() {
        let drain = Drain::default();
        assert!(drain.begin(DrainReason::Command));
        assert!(!drain.begin(DrainReason::Signal("SIGTERM")));
        assert_eq!(drain.reason(), Some(DrainReason::Command));
    }

    #[test]
    fn streams_end_before_requests_and_a_hurried_drain_cuts_both() {
        let ended = |stages: &[DrainStage]| {
            let drain = Drain::default();
            stages.iter().for_each(|stage| drain.enter(*stage));
            (drain.ending(true), drain.ending(false))
        };
        use DrainEnding::{Request, Stream};
        assert_eq!(ended(&[DrainStage::Notice, DrainStage::Leaving]), (None, None));
        assert_eq!(ended(&[DrainStage::Leaving, DrainStage::StreamsEnd]), (Some(Stream), None));
        assert_eq!(
            ended(&[DrainStage::Leaving, DrainStage::StreamsEnd, DrainStage::Cut]),
            (Some(Stream), Some(Request))
        );
        assert_eq!(ended(&[DrainStage::Leaving, DrainStage::Cut]), (Some(Request), Some(Request)));
    }

    #[test]
    fn an_idle_connection_has_its_grace_from_whatever_came_last() {
        let (drain, grace) = (Drain::default(), Duration::from_secs(1));
        let before = Instant::now();
        assert_eq!(drain.idle_until(before), None);
        drain.leave(grace);
        let closed = drain.idle_grace.get().unwrap().at;
        assert_eq!(drain.idle_until(before), Some(closed + grace));
        assert_eq!(drain.waits_until(before, 2 * grace), Some(closed + 2 * grace));
        let later = closed + Duration::from_secs(5);
        assert_eq!(drain.idle_until(later), Some(later + grace));
        drain.enter(DrainStage::Cut);
        assert_eq!(drain.idle_until(later), Some(closed));
    }
}
