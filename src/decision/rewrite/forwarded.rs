//! The headers that tell an origin who asks: who the client is, who the caller is, and under which id.

use std::fmt::Write;
use std::net::IpAddr;

use http::header::FORWARDED;
use http::{HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use smallvec::SmallVec;

use crate::decision::access::{Permit, Principal};
use crate::decision::request::{RequestView, Scheme};

/// One change to the headers that the origin is shown.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    Remove(HeaderName),
    /// Replaces every value.
    Set(HeaderName, HeaderValue),
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The caller's identity: principal, identity, scopes, roles. Only the gateway may set them.
pub const IDENTITY_HEADERS: [HeaderName; 4] = [
    HeaderName::from_static("x-portcullis-principal"),
    HeaderName::from_static("x-portcullis-identity"),
    HeaderName::from_static("x-portcullis-scopes"),
    HeaderName::from_static("x-portcullis-roles"),
];

/// What to change in the headers that the origin is shown.
///
/// `peer` is the other end of the connection, `credentials` the headers that carry the caller's credentials and stay
/// here. Forwarding headers of a trusted peer are continued, everyone else's are replaced.
pub fn forwarded<'a>(
    permit: &Permit,
    request: &RequestView<'_>,
    peer: IpAddr,
    credentials: impl IntoIterator<Item = &'a HeaderName>,
    request_id: &str,
) -> SmallVec<[Edit; 12]> {
    let mut edits = SmallVec::new();
    edits.extend(credentials.into_iter().cloned().map(Edit::Remove));
    clients(request, peer, &mut edits);
    identity(permit.principal().map(|principal| &**principal), request, &mut edits);
    edits.extend(HeaderValue::from_str(request_id).ok().map(|id| Edit::Set(X_REQUEST_ID, id)));
    edits
}

/// What other proxies tell about the client, and origins may believe. A stranger's are removed.
const HEARSAY: [HeaderName; 7] = [
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("x-client-ip"),
    HeaderName::from_static("x-cluster-client-ip"),
    HeaderName::from_static("true-client-ip"),
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-forwarded-server"),
    HeaderName::from_static("x-forwarded-prefix"),
];

fn clients(request: &RequestView<'_>, peer: IpAddr, edits: &mut SmallVec<[Edit; 12]>) {
    let normal = request.normal;
    let continued = normal.trusted_peer.then(|| joined(request, &X_FORWARDED_FOR)).flatten();
    let peer = peer.to_canonical();
    let chain = match continued {
        Some(chain) => format!("{chain}, {peer}"),
        None => peer.to_string(),
    };
    edits.extend(HeaderValue::from_str(&chain).ok().map(|chain| Edit::Set(X_FORWARDED_FOR, chain)));
    let scheme = match normal.scheme {
        Scheme::Http => HeaderValue::from_static("http"),
        Scheme::Https => HeaderValue::from_static("https"),
    };
    edits.push(Edit::Set(X_FORWARDED_PROTO, scheme));
    if !(normal.trusted_peer && request.headers.contains_key(X_FORWARDED_HOST)) {
        let host = super::Rules::default().host(normal).into_owned();
        edits.extend(HeaderValue::try_from(host).ok().map(|host| Edit::Set(X_FORWARDED_HOST, host)));
    }
    if !normal.trusted_peer {
        edits.extend(HEARSAY.iter().filter(|name| request.headers.contains_key(*name)).cloned().map(Edit::Remove));
    }
    if !request.headers.contains_key(FORWARDED) {
        return;
    }
    let continued = normal.trusted_peer.then(|| joined(request, &FORWARDED)).flatten();
    edits.push(match continued.and_then(|chain| HeaderValue::try_from(format!("{chain}, {}", element(peer))).ok()) {
        Some(chain) => Edit::Set(FORWARDED, chain),
        None => Edit::Remove(FORWARDED),
    });
}

/// All lines of a list header as one.
fn joined(request: &RequestView<'_>, name: &HeaderName) -> Option<String> {
    let mut lines = request.headers.get_all(name).iter().map(|value| value.to_str().ok());
    let mut joined = lines.next()??.to_owned();
    for line in lines {
        joined.push_str(", ");
        joined.push_str(line?);
    }
    Some(joined)
}

/// One element of `Forwarded`: an IPv6 address stands in brackets and quotes (RFC 7239 §6).
fn element(peer: IpAddr) -> String {
    match peer {
        IpAddr::V4(address) => format!("for={address}"),
        IpAddr::V6(address) => format!("for=\"[{address}]\""),
    }
}

fn identity(principal: Option<&Principal>, request: &RequestView<'_>, edits: &mut SmallVec<[Edit; 12]>) {
    let values = match principal {
        Some(principal) => {
            [plain(&principal.id), plain(&principal.identity), list(&principal.scopes), list(&principal.roles)]
        }
        None => [None, None, None, None],
    };
    for (name, value) in IDENTITY_HEADERS.iter().zip(values) {
        match value {
            Some(value) => edits.push(Edit::Set(name.clone(), value)),
            None if request.headers.contains_key(name) => edits.push(Edit::Remove(name.clone())),
            None => {}
        }
    }
    edits.extend(request.headers.keys().filter(|name| imitates_identity(name)).cloned().map(Edit::Remove));
}

/// Whether an origin that takes `_` for `-` (CGI, WSGI, Rack, PHP) would read `name` as one of the identity headers.
fn imitates_identity(name: &HeaderName) -> bool {
    let name = name.as_str().as_bytes();
    let same = |a: &u8, b: &u8| a == b || (*a == b'_' && *b == b'-');
    IDENTITY_HEADERS.iter().any(|identity| {
        let identity = identity.as_str().as_bytes();
        name.len() == identity.len() && name != identity && name.iter().zip(identity).all(|(a, b)| same(a, b))
    })
}

/// What a header value shows as it is; the rest is percent-encoded, so that no claim can break out of its header.
const SHOWN: &AsciiSet = &CONTROLS.add(b' ').add(b'%').add(b',');

fn plain(text: &str) -> Option<HeaderValue> {
    if text.bytes().all(|b| b.is_ascii_graphic() && b != b'%' && b != b',') {
        return HeaderValue::from_str(text).ok();
    }
    HeaderValue::try_from(utf8_percent_encode(text, SHOWN).to_string()).ok()
}

/// Separated by commas; absent when there is nothing to list.
fn list(items: &[String]) -> Option<HeaderValue> {
    let mut joined = String::new();
    for item in items {
        if !joined.is_empty() {
            joined.push(',');
        }
        write!(joined, "{}", utf8_percent_encode(item, SHOWN)).ok()?;
    }
    if joined.is_empty() { None } else { HeaderValue::try_from(joined).ok() }
}
