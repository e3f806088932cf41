//! The section `bounds`, and the bounds that a route may set for itself. Their fields are rows of
//! [`crate::decision::bounds`].

use schemars::JsonSchema;
use serde::Deserialize;

use crate::decision::bounds::with_file_bounds;

/// How a bound of a type is written.
macro_rules! written {
    (duration) => { $crate::config::raw::units::Span };
    (size) => { $crate::config::raw::units::Size };
    (count) => { $crate::config::raw::units::Count };
    (duration_or_off) => { $crate::config::raw::shape::OrOff<$crate::config::raw::units::Span> };
    (rate_or_off) => { $crate::config::raw::shape::OrOff<$crate::config::raw::units::Speed> };
}
pub(super) use written;

macro_rules! section {
    ($($(#[$doc:meta])* $name:ident: $type:ident, $scope:ident;)*) => {
        /// Bounds on what one client may send, and how slowly. Each has a default; each refusal is counted.
        #[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct Bounds {
            $($(#[$doc])* #[serde(default)] pub $name: Option<written!($type)>,)*
        }
    };
}
with_file_bounds!(section);
