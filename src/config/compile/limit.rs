//! Compile: `limit`.
