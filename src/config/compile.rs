//! Compile: from what was written to what is served, or to everything that is wrong with it.
//!
//! Every check runs, and each reports into a [`CompileContext`]; nothing stops at the first mistake. One file a stage;
//! [`compile`] calls them in order.

pub mod access;
pub mod address;
pub mod bounds;
pub mod dns;
pub mod limit;
pub mod listener;
pub mod response;
pub mod route;
pub mod telemetry;
pub mod upstream;
pub mod via;

mod context;
mod driver;
mod names;
mod numbers;
mod pem;

#[cfg(test)]
mod tests;

pub use context::CompileContext;
pub use driver::compile;
pub(super) use driver::in_order;
