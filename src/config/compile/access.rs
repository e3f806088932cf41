//! Compile: `access`.
