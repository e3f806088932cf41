//! Compile: `upstream`.
