//! Version 1: one line of text (`proxy-protocol.txt` §2.1).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::header::{Announced, Header, Malformed};

pub(super) const SIGNATURE: &[u8] = b"PROXY ";

/// Of the whole line with its end.
const MAX_LENGTH: usize = 107;

pub(super) const LOCAL: &[u8] = b"PROXY UNKNOWN\r\n";

pub(super) fn parse(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let line = &bytes[..bytes.len().min(MAX_LENGTH)];
    let Some(end) = line.iter().position(|byte| *byte == b'\n') else {
        return if line.len() < MAX_LENGTH { Ok(None) } else { Err(Malformed::TooLong) };
    };
    let words = line[..end].strip_prefix(SIGNATURE).and_then(|line| line.strip_suffix(b"\r"));
    let announced = announced(words.ok_or(Malformed::Line)?)?;
    Ok(Some(Header { length: end + 1, announced }))
}

fn announced(words: &[u8]) -> Result<Option<Announced>, Malformed> {
    // Whatever an unknown protocol's addresses look like, they are to be ignored.
    if words == b"UNKNOWN" || words.starts_with(b"UNKNOWN ") {
        return Ok(None);
    }
    let words = std::str::from_utf8(words).map_err(|_| Malformed::Line)?;
    let announced = match words.split_once(' ') {
        Some(("TCP4", ends)) => both_ends::<Ipv4Addr>(ends),
        Some(("TCP6", ends)) => both_ends::<Ipv6Addr>(ends),
        _ => None,
    };
    announced.map(|announced| Some(announced.canonical())).ok_or(Malformed::Line)
}

fn both_ends<A: FromStr + Into<IpAddr>>(words: &str) -> Option<Announced> {
    let mut words = words.split(' ');
    let mut next = || words.next();
    let (client, destination) = (next()?.parse::<A>().ok()?, next()?.parse::<A>().ok()?);
    let (client_port, destination_port) = (port(next()?)?, port(next()?)?);
    if next().is_some() {
        return None;
    }
    Some(Announced {
        client: SocketAddr::new(client.into(), client_port),
        destination: SocketAddr::new(destination.into(), destination_port),
    })
}

/// Digits without leading zeros; the parser of the standard library would take a sign too.
fn port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let leading_zero = text.len() > 1 && text.starts_with('0');
    text.parse().ok().filter(|_| digits && !leading_zero)
}

/// Both addresses are of one family.
pub(super) fn announce(client: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let family = if client.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (client.ip(), destination.ip());
    format!("PROXY {family} {from} {to} {} {}\r\n", client.port(), destination.port()).into_bytes()
}
