//! Portcullis: an edge proxy and API gateway that closes the gate by default.
#![forbid(unsafe_code)]

pub mod admin;
pub mod app;
pub mod cli;
pub mod config;
pub mod decision;
pub mod diagnostics;
pub mod proxy;
pub mod secret;
pub mod state;
pub mod telemetry;
