//! The one `ProxyHttp`, [`gateway`]: each hook is a line that names what happens in it. One file a phase group: [`request`],
//! [`upstream`] (with [`retry`], [`endpoint`], [`sticky`] and [`mirror`]), [`response`], [`log`]. [`error`] is the one place where
//! Pingora's errors become causes, and [`guard`] the one where panics do.

pub mod context;
pub mod endpoint;
pub mod error;
pub mod gateway;
pub mod guard;
pub mod log;
pub mod mirror;
pub mod request;
pub mod response;
pub mod retry;
pub mod sticky;
pub mod upstream;
