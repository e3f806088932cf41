//! Verified tokens, remembered.
