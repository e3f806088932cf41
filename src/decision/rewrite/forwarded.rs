//! The headers that tell an origin who asks: the client, the caller's identity, the request's id. What a client may not say
//! for itself is taken away.

use std::fmt::Write as _;
use std::net::IpAddr;

use http::header::VIA;
use http::{HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use smallvec::SmallVec;

use super::rules::RewriteRules;
use crate::decision::access::{Permit, Principal};
use crate::decision::request::fields::{self, FieldName, Fields};
use crate::decision::request::{NormalizedRequest, RequestView, Scheme};

/// One change to the headers that the origin is shown.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    /// Removes every value.
    Remove(HeaderName),
    /// Replaces every value.
    Set(HeaderName, HeaderValue),
    /// Adds a further value, behind those that are there.
    Append(HeaderName, HeaderValue),
}

/// To be made in this order; no name occurs twice.
pub type Edits = SmallVec<[Edit; 10]>;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const PRINCIPAL: HeaderName = HeaderName::from_static("x-portcullis-principal");
const IDENTITY: HeaderName = HeaderName::from_static("x-portcullis-identity");
const SCOPES: HeaderName = HeaderName::from_static("x-portcullis-scopes");
const ROLES: HeaderName = HeaderName::from_static("x-portcullis-roles");

/// What to change in the client's headers before the origin sees them.
///
/// * `X-Forwarded-For` and `Forwarded` (RFC 7239) of a trusted peer are continued, unless the latter contradicts the former
///   and is removed; those of anyone else are replaced and removed; so are `X-Forwarded-Host`, `X-Forwarded-Proto`, all other `X-Forwarded-*`, and their kin ([`HEARSAY`]).
/// * `X-Portcullis-Principal`, `-Identity`, `-Scopes` and `-Roles` name the caller whom `permit` knows, percent-encoded so
///   that no claim can break out of its field; nothing else that begins with `X-Portcullis-` passes.
/// * `credentials`, the headers that carried the caller's credentials, stay here.
/// * A field that an origin could take for one of these, or for one that frames the request, does not pass, whoever sent
///   it: see [`is_mistakable`].
/// * `via` continues `Via`, which every forwarded request has (RFC 9110 §7.6.3).
pub fn forwarded<'a>(
    permit: &Permit,
    request: &RequestView<'_>,
    credentials: impl IntoIterator<Item = &'a HeaderName>,
    request_id: &HeaderValue,
    via: &HeaderValue,
) -> Edits {
    let mut edits = Edits::new();
    edits.extend(credentials.into_iter().cloned().map(Edit::Remove));
    let credentials = edits.len();
    client(request, &mut edits);
    if let Some(principal) = permit.principal() {
        caller(principal, &mut edits);
    }
    set(&mut edits, REQUEST_ID, Some(request_id.clone()));
    edits.push(Edit::Append(VIA, via.clone()));
    for (name, _) in request.fields.lines() {
        let forged = is_ours(name)
            || (!request.normal.trusted_peer && is_forwarding(name))
            || is_mistakable(name, &edits[..credentials]);
        if forged && !edits.iter().any(|edit| edit.name().as_str().as_bytes().eq_ignore_ascii_case(name)) {
            // What was received as a name is one.
            edits.extend(HeaderName::from_bytes(name).map(Edit::Remove));
        }
    }
    edits
}

impl Edit {
    /// The header that is changed.
    pub fn name(&self) -> &HeaderName {
        match self {
            Edit::Remove(name) | Edit::Set(name, _) | Edit::Append(name, _) => name,
        }
    }
}

fn set(edits: &mut Edits, name: HeaderName, value: Option<HeaderValue>) {
    edits.extend(value.map(|value| Edit::Set(name, value)));
}

fn client(request: &RequestView<'_>, edits: &mut Edits) {
    let RequestView { normal, fields, connection, .. } = *request;
    let peer = connection.peer.ip().to_canonical();
    let trusted = |name| if normal.trusted_peer { joined(fields, name) } else { None };
    let chain = match trusted(&fields::X_FORWARDED_FOR) {
        Some(chain) => HeaderValue::try_from(format!("{chain}, {peer}")).ok(),
        // A trusted peer that speaks only `Forwarded` has still told who the client is.
        None if normal.client != peer => HeaderValue::try_from(format!("{}, {peer}", normal.client)).ok(),
        None => Some(connection.peer_address.clone()),
    };
    set(edits, FORWARDED_FOR, chain);
    set(edits, FORWARDED_PROTO, Some(scheme(normal)));
    if !(normal.trusted_peer && fields.contains(&fields::X_FORWARDED_HOST) && !follows_forwarded(fields)) {
        let received = RewriteRules::default();
        let host = received.host(normal);
        set(edits, FORWARDED_HOST, HeaderValue::from_str(&host).ok().filter(|host| !host.is_empty()));
    }
    if normal.conflict.is_some() {
        // An origin that reads `Forwarded` must not find another client than rules did.
        edits.push(Edit::Remove(http::header::FORWARDED));
    } else if let Some(chain) = trusted(&fields::FORWARDED) {
        let continued = match peer {
            IpAddr::V4(peer) => format!("{chain}, for={peer}"),
            IpAddr::V6(peer) => format!("{chain}, for=\"[{peer}]\""),
        };
        set(edits, http::header::FORWARDED, HeaderValue::try_from(continued).ok());
    }
}

/// Whether it is `Forwarded` that is believed of a trusted peer: rules then went by the host that it says.
fn follows_forwarded(fields: Fields<'_>) -> bool {
    let older = [&fields::X_FORWARDED_FOR, &fields::X_FORWARDED_PROTO];
    fields.contains(&fields::FORWARDED) && !older.into_iter().any(|name| fields.contains(name))
}

fn scheme(normal: &NormalizedRequest) -> HeaderValue {
    match normal.scheme {
        Scheme::Http => HeaderValue::from_static("http"),
        Scheme::Https => HeaderValue::from_static("https"),
    }
}

/// All lines of a list as one. What is not visible ASCII is no address and no part of one: such a list is not continued.
fn joined(fields: Fields<'_>, name: &FieldName) -> Option<String> {
    let visible = |line: &'_ [u8]| line.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
    let text = |line| std::str::from_utf8(line).ok().filter(|_| visible(line));
    let mut lines = fields.get_all(name);
    let mut joined = text(lines.next()?)?.to_owned();
    for line in lines {
        joined.extend([", ", text(line)?]);
    }
    Some(joined)
}

fn caller(principal: &Principal, edits: &mut Edits) {
    set(edits, PRINCIPAL, list(std::slice::from_ref(&principal.id)));
    set(edits, IDENTITY, list(&[&*principal.identity]));
    set(edits, SCOPES, list(&principal.scopes));
    set(edits, ROLES, list(&principal.roles));
}

/// Encoded in every item, so that an item holds no separator and no two items look the same.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'%').add(b',');

/// The items, separated by commas; `None` if there are none.
fn list(items: &[impl AsRef<str>]) -> Option<HeaderValue> {
    let mut text = String::new();
    for item in items {
        let separator = if text.is_empty() { "" } else { "," };
        let _ = write!(text, "{separator}{}", utf8_percent_encode(item.as_ref(), ENCODED));
    }
    HeaderValue::try_from(text).ok().filter(|value| !value.is_empty())
}

/// Whether `name` is one that only the gateway may set.
fn is_ours(name: &[u8]) -> bool {
    starts_with(name, b"x-portcullis-")
}

/// Names are compared without regard to case.
fn starts_with(name: &[u8], prefix: &[u8]) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn is_one_of(name: &[u8], names: &[&str]) -> bool {
    names.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

/// What else proxies tell about the client, and origins may believe.
/// The last two tell which path was asked for, and some frameworks serve that one instead (CVE-2018-14773).
const HEARSAY: [&str; 7] = [
    "forwarded",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "true-client-ip",
    "x-original-url",
    "x-rewrite-url",
];

fn is_forwarding(name: &[u8]) -> bool {
    starts_with(name, b"x-forwarded-") || is_one_of(name, &HEARSAY)
}

/// What frames a request or says where it goes, beside the names that the gateway sets. Those without `-` have one spelling.
const FRAMING: [&str; 6] =
    ["content-length", "transfer-encoding", "keep-alive", "proxy-authorization", "proxy-connection", "http2-settings"];

/// Whether an origin could take `name` for a field that the gateway answers for: CGI, FastCGI and WSGI put fields into
/// variables, where every character but letters and digits becomes `_`, so that `X_Forwarded_For` and `X-Forwarded-For` are
/// one. And `Proxy` becomes `HTTP_PROXY`, the proxy that many programs send their own requests through (CVE-2016-5385).
fn is_mistakable(name: &[u8], credentials: &[Edit]) -> bool {
    if name.eq_ignore_ascii_case(b"proxy") {
        return true;
    }
    let is_mark = |b: u8| !b.is_ascii_alphanumeric() && b != b'-';
    if !name.iter().copied().any(is_mark) {
        return false;
    }
    let meant: SmallVec<[u8; 64]> =
        name.iter().map(|b| if is_mark(*b) { b'-' } else { b.to_ascii_lowercase() }).collect();
    let answered_for = is_ours(&meant) || is_forwarding(&meant) || *meant == *REQUEST_ID.as_str().as_bytes();
    let carries_credentials = |edit: &Edit| {
        // A header whose own name has such a mark is removed as itself.
        let carrier = edit.name().as_str();
        carrier.len() == meant.len() && carrier.bytes().zip(&meant).all(|(b, &m)| b == m || (is_mark(b) && m == b'-'))
    };
    answered_for || is_one_of(&meant, &FRAMING) || credentials.iter().any(carries_credentials)
}
