//! The PROXY protocol, versions 1 and 2: how a load balancer says in front of a connection which client it is from, read
//! from those that are believed and written to origins that ask for it.
//!
//! Follows HAProxy's `proxy-protocol.txt`. What a header says becomes the client's address for limits, rules and logs, so
//! there is one reading of it and nothing is guessed. That is why this is not the `ppp` crate (2.3): it takes `+80` for a
//! port, bounds no version 2 header, verifies neither the extensions' lengths nor their checksum, and believes a datagram's
//! addresses on a stream.

mod header;
mod v1;
mod v2;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};

pub use header::{Announced, Header, MAX_LENGTH, Malformed, Version};

/// Reads the header at the beginning of `bytes`. `None` while it is incomplete; what follows it is not looked at.
///
/// # Errors
/// As soon as the bytes can't become a header. An incomplete header never has [`MAX_LENGTH`] bytes.
pub fn parse(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    if bytes.starts_with(v1::SIGNATURE) {
        v1::parse(bytes)
    } else if bytes.starts_with(v2::SIGNATURE) {
        v2::parse(bytes)
    } else if v1::SIGNATURE.starts_with(bytes) || v2::SIGNATURE.starts_with(bytes) {
        Ok(None)
    } else {
        Err(Malformed::Signature)
    }
}

/// The header that speaks for a client. Addresses of two families are both written as IPv6.
pub fn announce(version: Version, announced: &Announced) -> Vec<u8> {
    let Announced { client, destination } = announced.canonical();
    let (client, destination) = match (client.ip(), destination.ip()) {
        (IpAddr::V4(address), IpAddr::V6(_)) => ((address.to_ipv6_mapped(), client.port()).into(), destination),
        (IpAddr::V6(_), IpAddr::V4(address)) => (client, (address.to_ipv6_mapped(), destination.port()).into()),
        _ => (client, destination),
    };
    match version {
        Version::V1 => v1::announce(client, destination),
        Version::V2 => v2::announce(client, destination),
    }
}

/// The header of a connection that the gateway opens for itself, such as a health check.
pub fn local(version: Version) -> &'static [u8] {
    match version {
        Version::V1 => v1::LOCAL,
        Version::V2 => v2::LOCAL,
    }
}

impl Announced {
    /// With IPv4 addresses as such, also where they came as mapped IPv6.
    pub fn canonical(self) -> Self {
        let canonical = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        Announced { client: canonical(self.client), destination: canonical(self.destination) }
    }
}
