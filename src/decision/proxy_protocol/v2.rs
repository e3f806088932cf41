//! Version 2: binary (`proxy-protocol.txt` §2.2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::header::{Announced, Header, MAX_LENGTH, Malformed};

pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, version and command, family, length.
const FIXED: usize = 16;

pub(super) const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

/// PP2_TYPE_CRC32C.
const CHECKSUM: u8 = 0x03;

/// Bytes of a Unix socket's two paths.
const UNIX: usize = 216;

/// TCP over IPv4 and IPv6.
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;

pub(super) fn parse(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let Some(&[.., command, family, high, low]) = bytes.first_chunk::<FIXED>() else { return Ok(None) };
    if command >> 4 != 2 {
        return Err(Malformed::Version);
    }
    let length = FIXED + usize::from(u16::from_be_bytes([high, low]));
    if length > MAX_LENGTH {
        return Err(Malformed::TooLong);
    }
    let header = bytes.get(..length);
    let announced = match command & 0xf {
        // A sender that speaks for itself: whatever else it says is to be discarded.
        0 => None,
        1 => match header {
            Some(header) => announced(family, header)?,
            None => None,
        },
        _ => return Err(Malformed::Command),
    };
    Ok(header.map(|_| Header { length, announced }))
}

/// What a complete header says, once all of it has proved right.
fn announced(family: u8, header: &[u8]) -> Result<Option<Announced>, Malformed> {
    let block = &header[FIXED..];
    let (announced, rest) = match family {
        0x00 => (None, block),
        TCP4 => ends::<4>(block)?,
        TCP6 => ends::<16>(block)?,
        0x31 => (None, block.get(UNIX..).ok_or(Malformed::Addresses)?),
        _ => return Err(Malformed::Family),
    };
    check_extensions(header, rest)?;
    Ok(announced.map(Announced::canonical))
}

/// Both addresses, then both ports; and what follows them.
fn ends<const N: usize>(block: &[u8]) -> Result<(Option<Announced>, &[u8]), Malformed>
where
    IpAddr: From<[u8; N]>,
{
    let ends = || {
        let (client, block) = block.split_first_chunk::<N>()?;
        let (destination, block) = block.split_first_chunk::<N>()?;
        let (client_port, block) = block.split_first_chunk::<2>()?;
        let (destination_port, block) = block.split_first_chunk::<2>()?;
        let end = |address: &[u8; N], port: &[u8; 2]| SocketAddr::new((*address).into(), u16::from_be_bytes(*port));
        let announced = Announced { client: end(client, client_port), destination: end(destination, destination_port) };
        Some((Some(announced), block))
    };
    ends().ok_or(Malformed::Addresses)
}

/// Walks the extensions, which end where the header does: each is a type, a length of two bytes, and as many bytes.
fn check_extensions(header: &[u8], mut extensions: &[u8]) -> Result<(), Malformed> {
    let mut checked = false;
    while let Some((kind, rest)) = extensions.split_first() {
        let (length, rest) = rest.split_first_chunk::<2>().ok_or(Malformed::Extensions)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let value = rest.get(..length).ok_or(Malformed::Extensions)?;
        if *kind == CHECKSUM {
            let at = header.len() - rest.len();
            if checked || !is_checksum(value, header, at) {
                return Err(Malformed::Checksum);
            }
            checked = true;
        }
        extensions = &rest[length..];
    }
    Ok(())
}

/// Whether `value`, which stands in `header` at `at`, is the CRC32C of the header with zeros in its place.
fn is_checksum(value: &[u8], header: &[u8], at: usize) -> bool {
    let Ok(written) = <[u8; 4]>::try_from(value) else { return false };
    let (before, after) = (&header[..at], &header[at + written.len()..]);
    let checksum = crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(before), &[0; 4]), after);
    checksum == u32::from_be_bytes(written)
}

/// Both addresses are of one family.
pub(super) fn announce(client: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let mut addresses = Vec::with_capacity(36);
    for address in [client.ip(), destination.ip()] {
        match address {
            IpAddr::V4(address) => addresses.extend(Ipv4Addr::octets(&address)),
            IpAddr::V6(address) => addresses.extend(Ipv6Addr::octets(&address)),
        }
    }
    addresses.extend([client.port(), destination.port()].map(u16::to_be_bytes).concat());
    let family = if client.is_ipv4() { TCP4 } else { TCP6 };
    let length = u8::try_from(addresses.len()).expect("BUG: two addresses have 12 or 36 bytes");
    [SIGNATURE, &[0x21, family, 0, length], &addresses].concat()
}
