//! The PROXY protocol, versions 1 and 2: how a load balancer says in front of a connection which client it is from, read
//! from those that are believed and written to origins that ask for it.
//!
//! Follows HAProxy's `proxy-protocol.txt`. What a header says becomes the client's address for limits, rules and logs, so
//! there is one reading of it and nothing is guessed. That is why this is not the `ppp` crate (2.3): it takes `+80` for a
//! port, bounds no version 2 header, verifies neither the extensions' lengths nor their checksum, and believes a datagram's
//! addresses on a stream.

mod v1;
mod v2;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};

/// Longest header that is read, in bytes. Version 1 has its own bound of 107; version 2 could say 64 KiB, of which 52 are
/// addresses and the rest are extensions that nobody here asks for.
pub const MAX_LENGTH: usize = 4096;

/// How a header is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// One line of text.
    V1,
    /// Binary.
    V2,
}

/// A complete header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// How many bytes it has. What follows belongs to TLS or HTTP.
    pub length: usize,
    /// `None` where the sender speaks for itself (`LOCAL`), or knows no TCP address (`UNKNOWN`, `UNSPEC`, a Unix socket): the
    /// socket's own addresses are the true ones then.
    pub announced: Option<Announced>,
}

/// The two ends of the connection that a proxy speaks for. IPv4 is never written as mapped IPv6 here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Announced {
    /// Who opened it.
    pub client: SocketAddr,
    /// Where the client connected to.
    pub destination: SocketAddr,
}

/// Why bytes can't become a header, whatever follows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("what arrived does not begin a PROXY header")]
    Signature,
    #[error("the header is longer than its bound")]
    TooLong,
    #[error("the line is not a PROXY header of version 1")]
    Line,
    #[error("the version is not 2")]
    Version,
    #[error("the command is neither LOCAL nor PROXY")]
    Command,
    #[error("the address family is unknown, or no stream's")]
    Family,
    #[error("the addresses are incomplete")]
    Addresses,
    #[error("the extensions do not fill their place")]
    Extensions,
    #[error("the checksum is wrong")]
    Checksum,
}

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
