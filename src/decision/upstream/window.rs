//! Requests and failures of the last while, counted in two halves of the window, each in one number.
//!
//! A half that is over is kept until the next one is over too, so that what is looked back at is between one half and the
//! whole of the window, and counting is one atomic exchange.

/// Answers within a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// All of them.
    pub requests: u64,
    /// Those that were failures.
    pub failures: u64,
}

const COUNT_BITS: u32 = 20;
const COUNT_MAX: u64 = (1 << COUNT_BITS) - 1;
const HALF_MASK: u64 = (1 << 24) - 1;

/// Which of the two numbers counts in the half window `half`.
pub fn slot(half: u64) -> usize {
    (half & 1) as usize
}

/// `bits` with one more request in the half window `half`. A million of them are enough to judge by: no more are counted.
pub fn add(bits: u64, half: u64, failed: bool) -> u64 {
    let Tally { requests, failures } = tally_of(bits, half);
    if requests == COUNT_MAX {
        return bits;
    }
    (half & HALF_MASK) << (2 * COUNT_BITS) | (requests + 1) << COUNT_BITS | (failures + u64::from(failed))
}

/// What both numbers count that is not over in the half window `half`.
pub fn tally(slots: [u64; 2], half: u64) -> Tally {
    let now = tally_of(slots[slot(half)], half);
    let Some(before) = half.checked_sub(1).map(|before| tally_of(slots[slot(before)], before)) else { return now };
    Tally { requests: now.requests + before.requests, failures: now.failures + before.failures }
}

/// What `bits` count in the half window `half`: nothing if they count another one.
fn tally_of(bits: u64, half: u64) -> Tally {
    if bits >> (2 * COUNT_BITS) != half & HALF_MASK {
        return Tally::default();
    }
    Tally { requests: bits >> COUNT_BITS & COUNT_MAX, failures: bits & COUNT_MAX }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.requests += other.requests;
        self.failures += other.failures;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn count(slots: &mut [u64; 2], half: u64, failed: bool) {
        slots[slot(half)] = add(slots[slot(half)], half, failed);
    }

    #[test]
    fn a_full_count_stays_as_it_is() {
        let mut slots = [0; 2];
        for _ in 0..COUNT_MAX + 10 {
            count(&mut slots, 7, true);
        }
        assert_eq!(tally(slots, 7), Tally { requests: COUNT_MAX, failures: COUNT_MAX });
        assert_eq!(tally(slots, 9), Tally::default());
    }

    proptest! {
        #[test]
        fn exactly_the_last_two_halves_count(events in prop::collection::vec((0u64..3, any::<bool>()), 0..100)) {
            let (mut slots, mut half, mut known) = ([0; 2], 0, Vec::new());
            for (wait, failed) in events {
                half += wait;
                count(&mut slots, half, failed);
                known.push((half, failed));
                let recent = || known.iter().filter(|(then, _)| then + 1 >= half);
                let expected = Tally {
                    requests: recent().count() as u64,
                    failures: recent().filter(|(_, failed)| *failed).count() as u64,
                };
                prop_assert_eq!(tally(slots, half), expected);
            }
        }
    }
}
