//! Which way a fact guards, so that a change of it can be weighed.

use std::collections::BTreeSet;

use super::change::Weight;
use crate::decision::access::address::AddressSet;

/// How a fact protects, or what it gives away.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Protection {
    /// Neither.
    Neutral,
    /// Would protect, but only reports.
    Off,
    /// Protects by being there.
    Present,
    /// Gives something away by being there.
    Grant,
    /// Protects by a bound from above. Without one there is none.
    AtMost(u128),
    /// Protects by a bound from below. Without one there is none.
    AtLeast(u128),
    /// Protects the more, the higher it ranks; not at all at 0.
    Rank(u8),
    /// Protects by demands that must all be met. Each names what meets it: any one will do, and none can if it is empty.
    Demands(Vec<BTreeSet<String>>),
    /// Lets in these alone; without it, everyone.
    Admits(AddressSet),
    /// Keeps these out.
    Denies(AddressSet),
    /// Believes these; without it, nobody.
    Believes(AddressSet),
    /// In all of these ways.
    All(Vec<Protection>),
}

impl Protection {
    /// A demand that any of `names` meets.
    pub fn any_of<S: ToString>(names: impl IntoIterator<Item = S>) -> Protection {
        Protection::Demands(vec![names.into_iter().map(|name| name.to_string()).collect()])
    }

    /// A demand for each of `names`.
    pub fn each_of<S: ToString>(names: impl IntoIterator<Item = S>) -> Protection {
        Protection::Demands(names.into_iter().map(|name| BTreeSet::from([name.to_string()])).collect())
    }

    /// What it means for protection that a fact with the guard `before` becomes one with the guard `after`.
    pub fn weigh(before: Option<&Protection>, after: Option<&Protection>) -> Weight {
        let weight = match (before, after) {
            (Some(before), Some(after)) => before.against(after),
            (Some(before), None) => before.lost(),
            (None, Some(after)) => after.lost().map(opposite),
            (None, None) => None,
        };
        weight.unwrap_or(Weight::Changed)
    }

    /// What its end means. `None`: nothing.
    fn lost(&self) -> Option<Weight> {
        match self {
            Protection::Neutral | Protection::Off | Protection::Rank(0) => None,
            Protection::Present | Protection::AtMost(_) | Protection::AtLeast(_) | Protection::Rank(_) => {
                Some(Weight::Weaker)
            }
            Protection::Admits(_) | Protection::Denies(_) => Some(Weight::Weaker),
            Protection::Demands(demands) => (!demands.is_empty()).then_some(Weight::Weaker),
            Protection::Grant | Protection::Believes(_) => Some(Weight::Stronger),
            Protection::All(guards) => together(guards.iter().map(Protection::lost)),
        }
    }

    /// What it means that `after` comes instead. `None`: nothing.
    fn against(&self, after: &Protection) -> Option<Weight> {
        use Protection::{Admits, All, AtLeast, AtMost, Believes, Demands, Denies, Off, Rank};
        if self == after {
            return None;
        }
        Some(match (self, after) {
            (Off, after) => return after.lost().map(opposite),
            (before, Off) => return before.lost(),
            (AtMost(before), AtMost(after)) => stronger_if(after < before),
            (AtLeast(before), AtLeast(after)) => stronger_if(after > before),
            (Rank(before), Rank(after)) => stronger_if(after > before),
            (Demands(before), Demands(after)) => match (imply(after, before), imply(before, after)) {
                (true, true) => return None,
                (still_met, _) => stronger_if(still_met),
            },
            (Admits(before), Admits(after)) | (Believes(before), Believes(after)) => {
                return by_reach(after.is_within(before), before.is_within(after));
            }
            (Denies(before), Denies(after)) => return by_reach(before.is_within(after), after.is_within(before)),
            (All(before), All(after)) if before.len() == after.len() => {
                return together(before.iter().zip(after).map(|(before, after)| before.against(after)));
            }
            _ => Weight::Changed,
        })
    }
}

/// Whether whoever meets all of `demands` meets all of `others`, too.
fn imply(demands: &[BTreeSet<String>], others: &[BTreeSet<String>]) -> bool {
    others.iter().all(|other| demands.iter().any(|demand| demand.is_subset(other)))
}

fn by_reach(no_more: bool, no_less: bool) -> Option<Weight> {
    // Sets of the same addresses may have been written in different ways.
    if no_more && no_less { None } else { Some(stronger_if(no_more)) }
}

/// What is not stronger in every respect is weaker in some.
const fn stronger_if(stronger: bool) -> Weight {
    if stronger { Weight::Stronger } else { Weight::Weaker }
}

const fn opposite(weight: Weight) -> Weight {
    match weight {
        Weight::Weaker => Weight::Stronger,
        Weight::Changed => Weight::Changed,
        Weight::Stronger => Weight::Weaker,
    }
}

/// Weaker in one way is weaker, whatever the others are.
fn together(weights: impl Iterator<Item = Option<Weight>>) -> Option<Weight> {
    weights.flatten().min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::access::address::parse_range;

    fn set(ranges: &[&str]) -> AddressSet {
        ranges.iter().map(|range| parse_range(range).unwrap()).collect()
    }

    /// From the weaker to the stronger; the other way round it is the opposite.
    #[track_caller]
    fn stronger(weak: Option<Protection>, strong: Option<Protection>) {
        assert_eq!(Protection::weigh(weak.as_ref(), strong.as_ref()), Weight::Stronger, "{weak:?} -> {strong:?}");
        assert_eq!(Protection::weigh(strong.as_ref(), weak.as_ref()), Weight::Weaker, "{strong:?} -> {weak:?}");
    }

    #[test]
    fn guards_grow_and_go() {
        stronger(None, Some(Protection::Present));
        stronger(Some(Protection::Grant), None);
        stronger(Some(Protection::Off), Some(Protection::AtMost(5)));
        assert_eq!(Protection::weigh(Some(&Protection::Off), None), Weight::Changed);
        stronger(Some(Protection::AtMost(5)), Some(Protection::AtMost(4)));
        stronger(None, Some(Protection::AtMost(5)));
        stronger(Some(Protection::AtLeast(4)), Some(Protection::AtLeast(5)));
        stronger(Some(Protection::Rank(1)), Some(Protection::Rank(2)));
        assert_eq!(Protection::weigh(None, Some(&Protection::Rank(0))), Weight::Changed);
        assert_eq!(Protection::weigh(Some(&Protection::Neutral), Some(&Protection::Neutral)), Weight::Changed);
        assert_eq!(Protection::weigh(Some(&Protection::AtMost(1)), Some(&Protection::AtLeast(1))), Weight::Changed);
    }

    #[test]
    fn demands_are_weighed_by_what_meets_them() {
        let none = Protection::Demands(Vec::new());
        stronger(Some(none.clone()), Some(Protection::any_of(["a", "b"])));
        stronger(Some(Protection::any_of(["a", "b"])), Some(Protection::any_of(["a"])));
        stronger(Some(Protection::each_of(["a"])), Some(Protection::each_of(["a", "b"])));
        // One demand less and another more: who could not come in before may do so now.
        assert_eq!(
            Protection::weigh(Some(&Protection::each_of(["a"])), Some(&Protection::each_of(["b"]))),
            Weight::Weaker
        );
        let nobody = Protection::Demands(vec![BTreeSet::new()]);
        stronger(Some(Protection::any_of(["a"])), Some(nobody));
    }

    #[test]
    fn addresses_are_weighed_by_their_ranges_and_not_by_their_words() {
        let (wide, narrow) = (set(&["10.0.0.0/8"]), set(&["10.1.0.0/16", "10.2.0.1"]));
        stronger(Some(Protection::Admits(wide.clone())), Some(Protection::Admits(narrow.clone())));
        stronger(None, Some(Protection::Admits(wide.clone())));
        stronger(Some(Protection::Denies(narrow.clone())), Some(Protection::Denies(wide.clone())));
        stronger(Some(Protection::Believes(wide.clone())), Some(Protection::Believes(narrow)));
        stronger(Some(Protection::Believes(wide)), None);
        let halves = Protection::Admits(set(&["10.0.0.0/9", "10.128.0.0/9"]));
        assert_eq!(Protection::weigh(Some(&Protection::Admits(set(&["10.0.0.0/8"]))), Some(&halves)), Weight::Changed);
    }

    #[test]
    fn weaker_in_one_way_is_weaker() {
        let both = |most, rank| Protection::All(vec![Protection::AtMost(most), Protection::Rank(rank)]);
        stronger(Some(both(5, 1)), Some(both(5, 2)));
        assert_eq!(Protection::weigh(Some(&both(5, 1)), Some(&both(6, 2))), Weight::Weaker);
    }
}
