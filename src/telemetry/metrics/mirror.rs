//! Counters of mirrored requests by outcome.

use std::sync::Arc;

use prometheus::{IntCounter, IntCounterVec};

/// The outcome of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MirrorOutcome {
    /// The answer was read to its end, with any status.
    Answered,
    /// No endpoint, no connection, or an answer that broke off.
    Failed,
    /// The answer took longer than `timeout`.
    Timeout,
    /// `concurrent` copies were in flight.
    Dropped,
    /// The body was larger than `body`.
    TooLarge,
    /// The request ended before its body was complete, or the process ended.
    Abandoned,
}

impl MirrorOutcome {
    /// Every outcome, in the order of the type.
    pub const ALL: [MirrorOutcome; 6] = [
        MirrorOutcome::Answered,
        MirrorOutcome::Failed,
        MirrorOutcome::Timeout,
        MirrorOutcome::Dropped,
        MirrorOutcome::TooLarge,
        MirrorOutcome::Abandoned,
    ];

    /// The value of the label.
    pub const fn as_str(self) -> &'static str {
        match self {
            MirrorOutcome::Answered => "answered",
            MirrorOutcome::Failed => "failed",
            MirrorOutcome::Timeout => "timeout",
            MirrorOutcome::Dropped => "dropped",
            MirrorOutcome::TooLarge => "too_large",
            MirrorOutcome::Abandoned => "abandoned",
        }
    }
}

/// The copies of one route, by outcome.
#[derive(Clone, Debug)]
pub struct MirrorMetrics(Arc<[IntCounter; MirrorOutcome::ALL.len()]>);

impl MirrorMetrics {
    pub(super) fn new(route: &str, family: &IntCounterVec) -> Self {
        MirrorMetrics(Arc::new(MirrorOutcome::ALL.map(|outcome| family.with_label_values(&[route, outcome.as_str()]))))
    }

    /// Counts a copy that ended or was not made.
    pub fn count(&self, outcome: MirrorOutcome) {
        self.0[outcome as usize].inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_those_of_the_type() {
        for (position, outcome) in MirrorOutcome::ALL.iter().enumerate() {
            assert_eq!(*outcome as usize, position);
        }
    }
}
