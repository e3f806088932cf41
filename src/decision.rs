//! The policy decision point: what happens to a request, as pure functions over values.
//!
//! Nothing here knows Pingora, tokio, files, sockets, clocks, the environment or globals: time, randomness and fetched
//! facts are passed in. So `portcullis explain`, property tests and fuzzers run the code that serves traffic.
//!
//! [`pipeline`] drives the stages up to the decision and asks for the facts that it needs. One file a stage, in the order of a
//! request's way:
//!
//! 1. [`request`]: one normal form of host, path and client address; bounds.
//! 2. [`route`]: which route takes it.
//! 3. [`access`]: address rules, limits before identity, identity, authorization, limits after identity ([`limit`]). Only this
//!    stage makes a [`access::Permit`].
//! 4. [`upstream`]: which endpoint. Needs the permit.
//! 5. [`rewrite`]: what the origin is shown. Needs the permit.
//! 6. [`response`]: the declared headers on every answer, and the bodies of refusals.
//!
//! [`outcome`] holds the registry of causes, [`bounds`] that of bounds, [`policy`] the compiled configuration that the stages
//! read. [`explain`] runs the pipeline with facts from arguments. [`rollout`] judges a configuration that some requests try.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod access;
pub mod bounds;
pub mod connection_options;
pub mod defaults;
pub mod explain;
pub mod ids;
pub mod lane;
pub mod limit;
pub mod limit_status;
pub mod outcome;
pub mod pacing;
pub mod pipeline;
pub mod policy;
pub mod proxy_protocol;
pub mod request;
pub mod response;
pub mod rewrite;
pub mod rollout;
pub mod route;
pub mod upstream;
