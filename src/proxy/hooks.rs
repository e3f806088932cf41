//! The steps of a request, and the one `ProxyHttp` that Pingora takes them by, [`gateway`]: each hook is a line that names what happens
//! in it. [`super::fast_lane`] takes the same steps. One file a phase group:
//!
//! * [`request`]: the request is taken over and admitted
//! * [`upstream`]: an endpoint is chosen and shown the request; with [`origin_connection`], [`origin_answer`], [`retry`], [`endpoint`], [`sticky`]
//!   and [`mirror`]
//! * [`upstream_response`]: what the origin's answer is, before anything is stored
//! * [`response`], [`response_body`]: what this client gets
//! * [`log`]: the log line
//!
//! [`client_side`] is what the steps see of the client's side, and [`context`] holds what is known of a request by its state, and [`forward`] that of one on its way to an upstream. [`error`] is
//! the one place where Pingora's errors become causes, and [`guard`] the one where panics do.

pub mod client_side;
pub mod context;
pub mod endpoint;
pub mod error;
pub mod forward;
pub mod gateway;
pub mod guard;
pub mod log;
pub mod mirror;
pub mod origin_answer;
pub mod origin_connection;
pub mod request;
pub mod response;
pub mod response_body;
pub mod retry;
pub mod sticky;
pub mod upstream;
pub mod upstream_response;
