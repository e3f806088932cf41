//! The byte stream to an endpoint: Pingora's [`peer`], the PROXY protocol header that [`announce`]s the client, the pooled
//! [`connection`], and the [`tunnel`] of an upgraded request.

pub mod announce;
pub mod connection;
pub mod peer;
pub mod tunnel;
