//! What a header of the PROXY protocol says, whatever its version.

use std::net::SocketAddr;

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
