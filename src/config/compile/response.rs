//! Compile: `response`.
