//! Respond: the declared headers on every answer, and the bodies of refusals.
//!
//! [`ResponseRules::apply`] runs on every answer that leaves, whoever made it: an origin, the cache, a route or the gateway
//! itself. Everything it inserts was built when the configuration was loaded, and it edits a header map or a head in bytes
//! ([`byte_head`]) alike. [`framing`] is the one policy on who may frame an answer; [`refusal`] writes what a refused stranger
//! gets to read, from the owner's own [`page`]s or its own.
//!
//! Interim answers (1xx) are left alone by the caller; a 101 is an answer like any other.

mod accept;
mod body;
pub mod byte_head;
mod content;
mod endless;
pub mod framing;
pub mod grpc;
pub mod origin_body;
pub mod origin_head;
pub mod page;
pub mod program;
pub mod refusal;
mod rules;
mod section;
pub mod trailers;

pub use body::BodyStage;
pub use content::{FixedAnswer, ResponseBody};
pub use endless::is_endless;
pub use program::Operations;
pub use refusal::{refusal_body, refusal_headers};
pub use rules::ResponseRules;
pub use section::HeaderSection;

/// Whether `status` is that of an answer, and not of an interim one (RFC 9110 §15.2).
pub fn is_final(status: http::StatusCode) -> bool {
    !status.is_informational() || status == http::StatusCode::SWITCHING_PROTOCOLS
}
