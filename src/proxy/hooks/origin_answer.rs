//! The head of an answer, on its way from the origin to the steps that judge it.

use http::{StatusCode, Version};

/// The head of an answer of an origin, whatever holds its fields.
pub struct OriginAnswer<'a, S> {
    pub status: StatusCode,
    /// Of the message, as the origin sent it.
    pub version: Version,
    pub fields: &'a mut S,
}
