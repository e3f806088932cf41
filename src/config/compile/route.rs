//! Compile: `route`.
