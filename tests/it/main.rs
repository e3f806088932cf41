//! End-to-end tests: the real binary on real sockets, with real TLS and real origins.
//!
//! One module for each stage of the pipeline. `support` starts gateways, origins and clients; every test owns what it
//! starts, so that all of them may run at the same time.

#![allow(clippy::print_stderr, reason = "a failed test shows what its gateway said")]
#![allow(clippy::unwrap_used, reason = "a test that can't go on should fail where it stands")]

mod accept;
mod access;
mod access_log;
mod address;
mod admin;
mod architecture;
mod body;
mod bounds;
mod cli;
mod conf_examples;
mod config;
mod control;
mod crash;
mod deploy;
mod diff;
mod discovery;
mod drain;
mod error;
mod fault;
mod files;
mod forwarded;
mod framing;
mod grpc;
mod http2;
mod lane;
mod limit;
mod listener;
mod manual;
mod mirror;
mod origin_faults;
mod paths;
mod process;
mod read;
mod reload;
mod response;
mod route;
mod runtime_folder;
mod sandbox;
mod slow;
mod soak;
mod split;
mod stream;
mod support;
mod trailers;
mod tunnel;
mod unbroken;
mod upgrade;
mod upstream;
mod via;
mod watch;
