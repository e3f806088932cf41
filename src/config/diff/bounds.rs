//! Bounds: those of the file, and those that a route sets for itself. The table is in [`crate::decision::bounds`]; here is one
//! function for each type of a bound, which says what more of it means.

use std::num::NonZeroU64;
use std::time::Duration;

use super::change::Effect;
use super::facts::{ConfigFact, ConfigFacts};
use super::guard::Protection;
use crate::config::raw::units::{Size, Speed};
use crate::decision::bounds::{Bounds, RouteBounds, with_file_bounds, with_route_bounds};

/// Writes down a bound of the file, by its scope.
macro_rules! tell {
    // Each route tells it.
    (route, $type:ident, $facts:ident, $name:expr, $value:expr) => {};
    (process, $type:ident, $facts:ident, $name:expr, $value:expr) => {
        if let Some(fact) = self::$type($facts, $name, $value) {
            fact.needs_new_process();
        }
    };
    ($live:ident, $type:ident, $facts:ident, $name:expr, $value:expr) => {
        self::$type($facts, $name, $value);
    };
}

macro_rules! section {
    ($($(#[$doc:meta])* $name:ident: $type:ident, $scope:ident;)*) => {
        /// The section `bounds`.
        pub(super) fn bounds(bounds: &Bounds, facts: &mut ConfigFacts) {
            $(tell!($scope, $type, facts, stringify!($name), bounds.$name);)*
        }
    };
}
with_file_bounds!(section);

macro_rules! own {
    ($($(#[$doc:meta])* $name:ident: $type:ident;)*) => {
        /// What holds for the requests of a route.
        pub(super) fn of_route(bounds: &RouteBounds, facts: &mut ConfigFacts) {
            $(self::$type(facts, stringify!($name), bounds.$name);)*
        }
    };
}
with_route_bounds!(own);

fn duration<'f>(facts: &'f mut ConfigFacts, name: &str, longest: Duration) -> Option<&'f mut ConfigFact> {
    Some(facts.longest(Effect::Bound, name, longest))
}

fn duration_or_off<'f>(
    facts: &'f mut ConfigFacts,
    name: &str,
    longest: Option<Duration>,
) -> Option<&'f mut ConfigFact> {
    duration(facts, name, longest?)
}

fn size<'f>(facts: &'f mut ConfigFacts, name: &str, most: u64) -> Option<&'f mut ConfigFact> {
    Some(facts.tell(Effect::Bound, name, Size(most)).guard(Protection::AtMost(most.into())))
}

fn size_or_off<'f>(facts: &'f mut ConfigFacts, name: &str, most: u64) -> Option<&'f mut ConfigFact> {
    if most == u64::MAX { None } else { size(facts, name, most) }
}

fn count<'f>(facts: &'f mut ConfigFacts, name: &str, most: u32) -> Option<&'f mut ConfigFact> {
    Some(facts.most(Effect::Bound, name, most))
}

fn rate_or_off<'f>(facts: &'f mut ConfigFacts, name: &str, least: Option<NonZeroU64>) -> Option<&'f mut ConfigFact> {
    let least = least?;
    Some(facts.tell(Effect::Bound, name, Speed(least)).guard(Protection::AtLeast(least.get().into())))
}
