//! What runs beside requests: [`health`] probes, [`discovery`] of endpoints, address [`lists`], and the [`watchdog`] of the
//! threads that serve.

pub mod discovery;
mod file_looks;
pub mod health;
pub mod lists;
pub mod watchdog;
