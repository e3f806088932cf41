//! The published snapshot: one atomic load per request, swapped at once, last good kept.
