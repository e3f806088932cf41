//! The byte stream to an endpoint: Pingora's [`peer`], the PROXY protocol header that announces the client ([`proxy_header`]), the
//! pooled [`connection`], those that are [`private`] to one client, the [`tunnel`] of an upgraded request, and the connections of [`mirror`]s.

pub mod connection;
pub mod mirror;
pub mod peer;
pub mod private;
pub mod proxy_header;
pub mod tunnel;
