//! The buckets of all limits.
