//! How slowly a client may take an answer, and how much of it may wait meanwhile.
//!
//! The kernel takes bytes for a client, up to 4 MiB, and then none until a third of them is sent. A client that takes its answer all
//! the time may need minutes for that, so that it is looked at what the kernel still holds.
//!
//! An answer is not read any further while its client takes nothing, so that each holds a stated amount of memory at most. What all of
//! them hold together is counted while they wait. Beyond the bound for that, who begins to wait has [`PATIENCE`] instead of
//! `bounds.write_idle`.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use super::min_rate::{MinRate, TooSlow};
use super::timer::Timer;
use crate::decision::outcome::{Cause, Denial};
use crate::decision::pacing::Pacing;
use crate::proxy::runtime::Runtime;
use crate::telemetry::metrics::{Bound, GaugeGuard};

/// How long an answer may wait for its client beyond the bound: longer than a packet that was lost and sent again.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often it is looked at what the kernel holds, within the time that an answer may wait. The time runs from the look at which
/// something had moved last: a client that takes nothing any more is cut a quarter of it late at most.
const LOOKS: u32 = 4;

/// The most that one answer holds while its client takes nothing, beside what the kernel does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerFootprint {
    /// The gateway's own exchange: a buffer for reading, and what waits to be written.
    Fast,
    /// Pingora's: blocks of 64 KiB, four in a channel and four in a batch, with those that are being read and written.
    Full,
}

/// The pace of one answer after the other.
pub struct AnswerPace {
    runtime: Arc<Runtime>,
    rate: MinRate,
    footprint: AnswerFootprint,
    waiting: Option<WaitingAnswer>,
    timer: Timer,
}

struct WaitingAnswer {
    _held: GaugeGuard,
    /// When its patience ends, because the bound was reached.
    ends: Option<Instant>,
    /// What the kernel held when it was looked at last.
    queued: u32,
    next_look: Instant,
    between_looks: Duration,
}

impl AnswerFootprint {
    const fn bytes(self) -> i64 {
        match self {
            AnswerFootprint::Fast => 128 << 10,
            AnswerFootprint::Full => 1 << 20,
        }
    }
}

impl AnswerPace {
    pub fn new(runtime: Arc<Runtime>, footprint: AnswerFootprint) -> Self {
        let bounds = &runtime.store.load().snapshot.bounds;
        let rate = MinRate::new(Pacing { idle: Some(bounds.write_idle), rate: bounds.answer_rate });
        AnswerPace { runtime, rate, footprint, waiting: None, timer: Timer::default() }
    }

    /// The answers to come are made in another way.
    pub fn set_footprint(&mut self, footprint: AnswerFootprint) {
        self.footprint = footprint;
    }

    /// The client has taken `bytes`.
    pub fn moved(&mut self, bytes: usize) {
        self.rate.moved(bytes, Instant::now);
        self.waiting = None;
    }

    /// Ready with the reason when the client, which is waited for, has taken too little for too long. `queued` tells what the kernel
    /// holds for it: what it sends of that counts as taken, but does not give an answer beyond the bound more patience.
    pub fn poll_too_slow(&mut self, cx: &mut Context<'_>, queued: impl Fn() -> u32) -> Poll<Denial> {
        loop {
            let now = Instant::now();
            let waiting =
                self.waiting.get_or_insert_with(|| WaitingAnswer::new(&self.runtime, self.footprint, queued(), now));
            let Some(due) = self.rate.wait(now).into_iter().chain(waiting.ends).min() else { return Poll::Pending };
            let look = due.min(waiting.next_look);
            ready!(self.timer.poll(look, cx));
            waiting.next_look = look + waiting.between_looks;
            let held = std::mem::replace(&mut waiting.queued, queued());
            let taken = held.saturating_sub(waiting.queued);
            if taken > 0 {
                self.rate.moved(taken as usize, Instant::now);
            } else if look == due {
                self.runtime.metrics.bound_hit(match self.rate.too_slow(due) {
                    None => Bound::AnswerMemory,
                    Some(TooSlow::Rate) => Bound::AnswerRate,
                    Some(TooSlow::Idle) => Bound::WriteIdle,
                });
                return Poll::Ready(Denial::new(Cause::ClientTooSlow, "the client took too little of the answer"));
            }
        }
    }
}

impl WaitingAnswer {
    fn new(runtime: &Runtime, footprint: AnswerFootprint, queued: u32, now: Instant) -> Self {
        let bounds = &runtime.store.load().snapshot.bounds;
        let held = runtime.metrics.hold_answer(footprint.bytes());
        let beyond = u64::try_from(runtime.metrics.answer_memory()).is_ok_and(|held| held > bounds.answer_memory);
        let between_looks = if beyond { PATIENCE } else { bounds.write_idle } / LOOKS;
        WaitingAnswer {
            _held: held,
            ends: beyond.then(|| now + PATIENCE),
            queued,
            next_look: now + between_looks,
            between_looks,
        }
    }
}
