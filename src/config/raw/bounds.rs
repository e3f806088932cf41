//! The section `bounds`, and the bounds that a route may set for itself. Their fields are rows of
//! [`crate::decision::bounds`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shape::is_default;

use crate::decision::bounds::with_file_bounds;

/// How a bound of a type is written.
macro_rules! written {
    (duration) => { $crate::config::raw::units::Span };
    (size) => { $crate::config::raw::units::Size };
    (count) => { $crate::config::raw::units::Count };
    (size_or_off) => { $crate::config::raw::shape::OrOff<$crate::config::raw::units::Size> };
    (duration_or_off) => { $crate::config::raw::shape::OrOff<$crate::config::raw::units::Span> };
    (rate_or_off) => { $crate::config::raw::shape::OrOff<$crate::config::raw::units::Speed> };
}
pub(super) use written;

macro_rules! section {
    ($($(#[$doc:meta])* $name:ident: $type:ident, $scope:ident;)*) => {
        /// Bounds on what one client may send, and how slowly. Each has a default; each refusal is counted.
        #[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct Bounds {
            $($(#[$doc])* #[serde(default, skip_serializing_if = "is_default")] pub $name: Option<written!($type)>,)*
        }
    };
}
with_file_bounds!(section);

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;
    use std::time::Duration;

    use super::super::units::{Count, Size, Span, Speed};
    use super::Bounds;
    use crate::decision::bounds;

    /// What a row's type reads in the words of its documentation.
    trait Measured {
        fn read(text: &str) -> Result<Self, String>
        where
            Self: Sized;
    }

    impl Measured for Duration {
        fn read(text: &str) -> Result<Self, String> {
            Span::parse(text).map(|span| span.0)
        }
    }

    impl Measured for u64 {
        fn read(text: &str) -> Result<Self, String> {
            Size::parse(text).map(|size| size.0)
        }
    }

    impl Measured for u32 {
        fn read(text: &str) -> Result<Self, String> {
            Count::parse(&text.replace(',', "")).map(|count| count.0 as u32)
        }
    }

    impl Measured for Option<NonZeroU64> {
        fn read(text: &str) -> Result<Self, String> {
            Speed::parse(text).map(|speed| Some(speed.0))
        }
    }

    #[test]
    fn the_documentation_of_a_bound_names_its_default() {
        let schema = schemars::schema_for!(Bounds);
        let described = |name: &str| schema.as_value()["properties"][name]["description"].as_str().unwrap().to_owned();
        let default = |name: &str| -> String {
            let words = described(name).replace('\n', " ");
            let (_, default) = words.split_once("Default ").unwrap_or_else(|| panic!("{name}: {words}"));
            default.split([' ', ':', '.']).next().unwrap().trim_matches([',', '`']).to_owned()
        };
        let defaults = bounds::Bounds::default();
        macro_rules! check {
            ($($(#[$doc:meta])* $name:ident: $type:ident, $scope:ident;)*) => {
                $(assert_eq!(Measured::read(&default(stringify!($name))), Ok(defaults.$name), stringify!($name));)*
            };
        }
        bounds::with_file_bounds!(check);
    }
}
