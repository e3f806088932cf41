//! A part of the whole, in millionths.

use std::fmt;

/// A part of the whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u32);

/// All of it.
const WHOLE: u32 = 1_000_000;

impl Share {
    /// Nothing.
    pub const NONE: Share = Share(0);
    /// Everything.
    pub const ALL: Share = Share(WHOLE);

    /// That many millionths; more than the whole is the whole.
    pub fn millionths(millionths: u32) -> Self {
        Share(millionths.min(WHOLE))
    }

    /// Both together; `None` if that is more than the whole.
    pub fn plus(self, other: Share) -> Option<Share> {
        Some(Share(self.0 + other.0)).filter(|sum| *sum <= Share::ALL)
    }

    /// What is left of the whole.
    pub fn rest(self) -> Share {
        Share(WHOLE - self.0)
    }

    /// Whether `number`, one of all numbers of 64 bits with equal right, is among the lowest of this share.
    pub fn takes(self, number: u64) -> bool {
        // number / 2^64 as millionths, rounded down.
        ((u128::from(number) * u128::from(WHOLE)) >> 64) < u128::from(self.0)
    }
}

/// As in the file: `5%`, `0.1%`.
impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (percent, parts) = (self.0 / 10_000, self.0 % 10_000);
        if parts == 0 {
            return write!(f, "{percent}%");
        }
        let decimals = format!("{parts:04}");
        write!(f, "{percent}.{}%", decimals.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_are_exact() {
        for number in [0, 1, u64::MAX / 2, u64::MAX] {
            assert!(Share::ALL.takes(number) && !Share::NONE.takes(number));
        }
        let half = Share::millionths(500_000);
        assert!(half.takes((1 << 63) - 1) && !half.takes(1 << 63));
    }

    #[test]
    fn a_share_reads_as_it_is_written() {
        for (millionths, text) in
            [(0, "0%"), (50_000, "5%"), (1_000, "0.1%"), (120_625, "12.0625%"), (1_000_000, "100%")]
        {
            assert_eq!(Share::millionths(millionths).to_string(), text);
        }
    }

    #[test]
    fn no_sum_is_more_than_the_whole() {
        let most = Share::millionths(999_999);
        assert_eq!(most.plus(Share::millionths(1)), Some(Share::ALL));
        assert_eq!(most.plus(Share::millionths(2)), None);
        assert_eq!(most.rest(), Share::millionths(1));
    }
}
