//! The values of a path's parameters.

/// Parameter values as byte ranges of the normalised path.
pub type Parameters = smallvec::SmallVec<[(u32, u32); 4]>;
