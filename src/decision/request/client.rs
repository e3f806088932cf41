//! Who sent a request, as far as the proxies in front can be believed.
//!
//! A trusted proxy says it in one of two ways: by `X-Forwarded-For` and `X-Forwarded-Proto`, or by `Forwarded` (RFC 7239). Client,
//! scheme and host are taken from one of them and never mixed. Where both are there, the older fields win: nearly every proxy
//! writes them, and most pass a `Forwarded` that the client sent.

use std::net::{IpAddr, Ipv6Addr};

use super::fields::{FORWARDED, FieldName, Fields, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO};
use super::host::{self, Authority};
use super::scheme::Scheme;
use super::view::{ForwardedConflict, RawRequest, ReadRules};

/// The client behind the connection.
pub(super) struct Sender {
    pub client: IpAddr,
    pub scheme: Scheme,
    /// What the client asked for, where a trusted proxy says so.
    pub host: Option<Authority>,
    pub trusted: bool,
    pub conflict: Option<ForwardedConflict>,
}

/// What one kind of forwarding fields says. Nothing is believed that a proxy which is not trusted wrote.
#[derive(Default)]
struct ForwardingStatement {
    client: Option<IpAddr>,
    scheme: Option<Scheme>,
    host: Option<Authority>,
}

/// Believes the forwarding headers of a trusted peer, and nobody else's.
///
/// From the right of the list, trusted addresses are skipped; the first other one is the client. An element that is no
/// address (`unknown`, an obfuscated name) ends the walk at the last good address: what stands left of it is hearsay. The
/// proxy that wrote the element where the walk ends is trusted, so that its word on scheme and host counts.
pub(super) fn sender(rules: &ReadRules, raw: &RawRequest<'_>) -> Sender {
    // A dual-stack socket shows IPv4 clients as mapped IPv6 addresses.
    let peer = raw.connection.peer.ip().to_canonical();
    let own = raw.connection.scheme();
    if !is_trusted(rules, peer) {
        return Sender { client: peer, scheme: own, host: None, trusted: false, conflict: None };
    }
    let (older, standard) = (x_forwarded(rules, raw.fields), forwarded(rules, raw.fields));
    let conflict = older.as_ref().zip(standard.as_ref()).and_then(|(older, standard)| {
        let host = || one_host(raw.fields);
        older.conflict(standard, host)
    });
    let ForwardingStatement { client, scheme, host } = older.or(standard).unwrap_or_default();
    Sender { client: client.unwrap_or(peer), scheme: scheme.unwrap_or(own), host, trusted: true, conflict }
}

impl ForwardingStatement {
    /// In what `other` says something else. `host` is what `X-Forwarded-Host` says, which no rule follows: most proxies pass the
    /// client's own.
    fn conflict(&self, other: &Self, host: impl Fn() -> Option<Authority>) -> Option<ForwardedConflict> {
        if self.client.is_some() && other.client.is_some() && self.client != other.client {
            Some(ForwardedConflict::Client)
        } else if self.scheme.is_some() && other.scheme.is_some() && self.scheme != other.scheme {
            Some(ForwardedConflict::Scheme)
        } else if other.host.is_some() && host().is_some_and(|host| Some(host) != other.host) {
            Some(ForwardedConflict::Host)
        } else {
            None
        }
    }
}

/// What `X-Forwarded-For` and `X-Forwarded-Proto` say, if one of them is there. A list of schemes that is as long as that of
/// addresses has an element for each; of a shorter one the leftmost stands for those that it lacks.
fn x_forwarded(rules: &ReadRules, fields: Fields<'_>) -> Option<ForwardingStatement> {
    if !fields.contains(&X_FORWARDED_FOR) && !fields.contains(&X_FORWARDED_PROTO) {
        return None;
    }
    let (client, hops) = walk(rules, elements(fields, &X_FORWARDED_FOR).map(address));
    let scheme = elements(fields, &X_FORWARDED_PROTO).take(hops.max(1)).last().and_then(scheme);
    Some(ForwardingStatement { client, scheme, host: None })
}

/// What `Forwarded` says, if it is there: for, proto and host of the element where the walk ends.
fn forwarded(rules: &ReadRules, fields: Fields<'_>) -> Option<ForwardingStatement> {
    if !fields.contains(&FORWARDED) {
        return None;
    }
    let elements = || {
        let lines = fields.get_all(&FORWARDED).rev();
        lines.flat_map(|line| RightElements(Some(line))).filter(|element| !element.trim_ascii().is_empty())
    };
    let (client, hops) = walk(rules, elements().map(|element| parameter(element, b"for").and_then(address)));
    let last = elements().take(hops).last().unwrap_or_default();
    let host = parameter(last, b"host").and_then(|host| host::parse(std::str::from_utf8(host).ok()?).ok());
    Some(ForwardingStatement { client, scheme: parameter(last, b"proto").and_then(scheme), host })
}

/// The one `X-Forwarded-Host`.
fn one_host(fields: Fields<'_>) -> Option<Authority> {
    let mut hosts = fields.get_all(&X_FORWARDED_HOST);
    let host = hosts.next().filter(|_| hosts.next().is_none())?;
    host::parse(std::str::from_utf8(host).ok()?).ok()
}

fn is_trusted(rules: &ReadRules, address: IpAddr) -> bool {
    rules.trusted_proxies.iter().any(|range| range.contains(&address))
}

/// The client by a list of addresses from the right, each `None` where it is no address; and how many elements were looked at.
fn walk(rules: &ReadRules, elements: impl Iterator<Item = Option<IpAddr>>) -> (Option<IpAddr>, usize) {
    let (mut client, mut hops) = (None, 0);
    for element in elements {
        hops += 1;
        let Some(address) = element else { break };
        client = Some(address);
        if !is_trusted(rules, address) {
            break;
        }
    }
    (client, hops)
}

/// The elements of a list from the right. Lists may have empty ones (RFC 9110 §5.6.1), which are left out.
fn elements<'a>(fields: Fields<'a>, name: &'a FieldName) -> impl Iterator<Item = &'a [u8]> {
    let lines = fields.get_all(name).rev();
    let elements = lines.flat_map(|line| line.rsplit(|&b| b == b',')).map(<[u8]>::trim_ascii);
    elements.filter(|element| !element.is_empty())
}

/// The parameter `name` of a `Forwarded` element, without quotation marks (RFC 7239 §4). `None` where it is there twice.
fn parameter<'a>(element: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut quoted = false;
    let pairs = element.split(move |&b| {
        quoted ^= b == b'"';
        b == b';' && !quoted
    });
    let mut values = pairs.filter_map(|pair| {
        let at = pair.iter().position(|&b| b == b'=')?;
        pair[..at].trim_ascii().eq_ignore_ascii_case(name).then(|| pair[at + 1..].trim_ascii())
    });
    let value = values.next().filter(|_| values.next().is_none())?;
    Some(value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value))
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

/// A scheme in any case. Some proxies name that of a WebSocket.
fn scheme(name: &[u8]) -> Option<Scheme> {
    let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
    if is(b"https") || is(b"wss") {
        Some(Scheme::Https)
    } else if is(b"http") || is(b"ws") {
        Some(Scheme::Http)
    } else {
        None
    }
}
