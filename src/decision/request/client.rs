//! Who sent a request, as far as the proxies in front can be believed.

use std::net::{IpAddr, Ipv6Addr};

use super::fields::{FORWARDED, Fields, X_FORWARDED_FOR, X_FORWARDED_PROTO};
use super::scheme::Scheme;
use super::view::{RawRequest, ReadRules};

/// The client behind the connection.
pub(super) struct Sender {
    pub client: IpAddr,
    pub scheme: Scheme,
    pub trusted: bool,
}

/// Believes the forwarding headers of a trusted peer, and nobody else's.
///
/// From the right of the list, trusted addresses are skipped; the first other one is the client. An element that is no
/// address (`unknown`, an obfuscated name) ends the walk at the last good address: what stands left of it is hearsay.
pub(super) fn sender(rules: &ReadRules, raw: &RawRequest<'_>) -> Sender {
    // A dual-stack socket shows IPv4 clients as mapped IPv6 addresses.
    let peer = raw.connection.peer.ip().to_canonical();
    if !is_trusted(rules, peer) {
        return Sender { client: peer, scheme: raw.connection.scheme(), trusted: false };
    }
    let client = if raw.fields.contains(&X_FORWARDED_FOR) {
        let lines = raw.fields.get_all(&X_FORWARDED_FOR).rev();
        walk(rules, peer, lines.flat_map(|line| line.rsplit(|&b| b == b',')).map(address_of_list))
    } else {
        let lines = raw.fields.get_all(&FORWARDED).rev();
        walk(rules, peer, lines.flat_map(|line| RightElements(Some(line))).map(address_of_forwarded))
    };
    let scheme = forwarded_scheme(raw.fields).unwrap_or_else(|| raw.connection.scheme());
    Sender { client, scheme, trusted: true }
}

fn is_trusted(rules: &ReadRules, address: IpAddr) -> bool {
    rules.trusted_proxies.iter().any(|range| range.contains(&address))
}

/// What an element of a forwarding list says.
enum Element {
    Address(IpAddr),
    /// Lists may have empty elements (RFC 9110 §5.6.1).
    Empty,
    Other,
}

fn walk(rules: &ReadRules, peer: IpAddr, elements: impl Iterator<Item = Element>) -> IpAddr {
    let mut client = peer;
    for element in elements {
        match element {
            Element::Address(address) => client = address,
            Element::Empty => continue,
            Element::Other => break,
        }
        if !is_trusted(rules, client) {
            break;
        }
    }
    client
}

fn address_of_list(element: &[u8]) -> Element {
    let element = element.trim_ascii();
    if element.is_empty() { Element::Empty } else { address(element).map_or(Element::Other, Element::Address) }
}

/// The `for` parameter of a `Forwarded` element (RFC 7239 §4).
fn address_of_forwarded(element: &[u8]) -> Element {
    if element.trim_ascii().is_empty() {
        return Element::Empty;
    }
    let mut found = None;
    for pair in element.split(|&b| b == b';') {
        let mut sides = pair.splitn(2, |&b| b == b'=');
        if let (Some(name), Some(value)) = (sides.next(), sides.next())
            && name.trim_ascii().eq_ignore_ascii_case(b"for")
        {
            if found.is_some() {
                return Element::Other;
            }
            let value = value.trim_ascii();
            let unquoted = value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\"")).unwrap_or(value);
            found = address(unquoted);
            if found.is_none() {
                return Element::Other;
            }
        }
    }
    found.map_or(Element::Other, Element::Address)
}

/// The elements of a `Forwarded` line from the right.
///
/// Cutting from the right keeps what trusted proxies appended intact, whatever a client wrote before it, such as a quotation
/// mark that never closes.
struct RightElements<'a>(Option<&'a [u8]>);

impl<'a> Iterator for RightElements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let line = self.0?;
        let mut quoted = false;
        let comma = line.iter().rposition(|&b| {
            quoted ^= b == b'"';
            b == b',' && !quoted
        });
        match comma {
            Some(comma) => {
                self.0 = Some(&line[..comma]);
                Some(&line[comma + 1..])
            }
            None => {
                self.0 = None;
                Some(line)
            }
        }
    }
}

/// An address with or without port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        let address: Ipv6Addr = address.parse().ok()?;
        let plain = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return plain.then(|| IpAddr::V6(address).to_canonical());
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    let (address, port) = text.split_once(':')?;
    is_port(port).then(|| address.parse().ok().map(IpAddr::V4)).flatten()
}

fn is_port(text: &str) -> bool {
    (1..=5).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

/// `X-Forwarded-Proto`, if it is there once and is one word that we know.
fn forwarded_scheme(fields: Fields<'_>) -> Option<Scheme> {
    let mut values = fields.get_all(&X_FORWARDED_PROTO);
    let scheme = match values.next()? {
        b"http" => Scheme::Http,
        b"https" => Scheme::Https,
        _ => return None,
    };
    values.next().is_none().then_some(scheme)
}
