//! Support for the tests: a gateway process, scripted origins, clients, certificates and tokens.

pub mod certs;
pub mod client;
pub mod dns;
pub mod gateway;
pub mod h2_client;
pub mod h2_origin;
pub mod h2_raw;
pub mod h2_script;
pub mod jwt;
pub mod load;
pub mod origin;
pub mod own_child;
pub mod ports;
pub mod proxy_protocol;
pub mod raw_origin;
pub mod scene;
pub mod soak;
pub mod wait;

pub use client::{Client, Response, get};
pub use gateway::{Gateway, Setup};
pub use origin::{Answer, Origin};
pub use own_child::OwnChild;

#[cfg(test)]
mod tests;
