//! Route: which route takes a request.
//!
//! The precedence among routes that match is the [`Ord`] of [`Specificity`].

mod ambiguity;
mod candidate;
mod condition;
mod connection;
mod display;
mod explain;
mod parameters;
mod paths;
mod pattern;
mod reading;
mod sample;
mod search;
mod specificity;
mod table;
#[cfg(test)]
mod tests;
mod virtual_hosts;

pub use self::ambiguity::Ambiguity;
pub use self::connection::{ConnectionMatch, ConnectionMismatch};
pub use self::explain::Mismatch;
pub use self::parameters::Parameters;
pub use self::pattern::{Condition, EncodedSeparators, HostPattern, Match, PathPattern, Segment};
pub use self::sample::{Arrival, SampleRequest};
pub use self::specificity::Specificity;
pub use self::table::{RouteMatch, Table};
