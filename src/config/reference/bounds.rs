//! The facts of the bounds, out of their table.

use std::num::NonZeroU64;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::raw::units::{Size, Span, Speed};
use crate::decision::bounds::{Bound, BoundRanges, Bounds, with_file_bounds};

/// What the table says of one bound.
pub(super) struct BoundFacts {
    pub name: &'static str,
    pub default: String,
    pub range: String,
    pub scope: &'static str,
    /// Of the metric; `None` where nobody is refused.
    pub label: Option<&'static str>,
}

macro_rules! rows {
    ($($(#[$doc:meta])* $name:ident: $type:ident, $scope:ident;)*) => {
        fn rows() -> Vec<BoundFacts> {
            let (defaults, ranges) = (Bounds::default(), BoundRanges::default());
            vec![$(BoundFacts {
                name: stringify!($name),
                default: defaults.$name.shown(),
                range: range(&ranges.$name),
                scope: scope(stringify!($scope)),
                label: Bound::ALL.iter().map(|bound| bound.as_str()).find(|label| *label == stringify!($name)),
            },)*]
        }
    };
}
with_file_bounds!(rows);

impl BoundFacts {
    pub fn all() -> Vec<BoundFacts> {
        rows()
    }
}

fn scope(name: &str) -> &'static str {
    match name {
        "process" => "the process",
        "gateway" => "the whole gateway",
        "address" => "each client address",
        "connection" => "each connection",
        "route" => "each request of a route",
        _ => "each request",
    }
}

/// How a value of a bound is written.
trait Shown {
    fn shown(&self) -> String;
}

impl Shown for Duration {
    fn shown(&self) -> String {
        format!("`{}`", Span(*self))
    }
}

/// Counts have 32 bits: what has 64 is a size.
impl Shown for u64 {
    fn shown(&self) -> String {
        format!("`{}`", Size(*self))
    }
}

impl Shown for u32 {
    fn shown(&self) -> String {
        format!("`{self}`")
    }
}

impl Shown for NonZeroU64 {
    fn shown(&self) -> String {
        format!("`{}`", Speed(*self))
    }
}

impl<T: Shown> Shown for Option<T> {
    fn shown(&self) -> String {
        self.as_ref().map_or("`off`".to_owned(), Shown::shown)
    }
}

/// The largest number stands for no end.
fn range<T: Shown + Largest>(range: &RangeInclusive<T>) -> String {
    let (least, most) = (range.start().shown(), range.end());
    if most.is_largest() { format!("at least {least}") } else { format!("{least} to {}", most.shown()) }
}

trait Largest {
    fn is_largest(&self) -> bool;
}

macro_rules! largest {
    ($($type:ty: $largest:expr;)*) => {
        $(impl Largest for $type {
            fn is_largest(&self) -> bool {
                *self == $largest
            }
        })*
    };
}
largest! {
    Duration: Duration::MAX;
    u64: u64::MAX;
    u32: u32::MAX;
    NonZeroU64: NonZeroU64::MAX;
}
