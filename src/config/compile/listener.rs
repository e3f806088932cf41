//! Compile: `listener`.
