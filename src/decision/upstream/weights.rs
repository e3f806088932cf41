//! Random choice by weight.

use super::mix::mix;

/// Weights of members, prepared for choosing one with a random number.
#[derive(Debug)]
pub(super) struct Weights {
    /// Ends of the members' shares, laid one after the other.
    ends: Box<[u64]>,
}

impl Weights {
    pub(super) fn new(weights: impl Iterator<Item = u32>) -> Self {
        let ends = weights.scan(0, |end, weight| {
            *end += u64::from(weight.max(1));
            Some(*end)
        });
        Weights { ends: ends.collect() }
    }

    pub(super) fn of(&self, member: usize) -> u64 {
        self.ends[member] - if member == 0 { 0 } else { self.ends[member - 1] }
    }

    /// A usable member by its weight, from 64 random bits. Looks at one member only when that one is usable.
    pub(super) fn pick(&self, random: u64, usable: impl Fn(usize) -> bool) -> Option<usize> {
        let target = below(*self.ends.last()?, random);
        let member = self.ends.partition_point(|end| *end <= target);
        if usable(member) { Some(member) } else { self.pick_among(mix(random), usable) }
    }

    /// Like [`Weights::pick`], looking at all members.
    pub(super) fn pick_among(&self, random: u64, usable: impl Fn(usize) -> bool) -> Option<usize> {
        self.pick_scaled(random, usable, |_| 1)
    }

    /// Like [`Weights::pick_among`], with each weight multiplied by a scale that may differ from choice to choice.
    pub(super) fn pick_scaled(
        &self,
        random: u64,
        usable: impl Fn(usize) -> bool,
        scale: impl Fn(usize) -> u64,
    ) -> Option<usize> {
        let members = || (0..self.ends.len()).filter(|member| usable(*member));
        let total = members().map(|member| self.of(member) * scale(member)).sum();
        let mut target = below(total, random);
        let mut last = None;
        for member in members() {
            let weight = self.of(member) * scale(member);
            if target < weight {
                return Some(member);
            }
            target -= weight;
            last = Some(member);
        }
        // Reached only when a member became unusable between the two looks.
        last
    }
}

/// A number below `bound`, in proportion to where `random` stands among all u64.
pub(super) fn below(bound: u64, random: u64) -> u64 {
    ((u128::from(bound) * u128::from(random)) >> 64) as u64
}
