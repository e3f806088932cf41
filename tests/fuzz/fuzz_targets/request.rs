//! One reading of a request: what is accepted has one host, one length and one path, reads as itself once it is normal,
//! and an origin behind the gateway reads the same.
//!
//! The input is text, so that a person can write and read a case:
//!
//! ```text
//! flags           one byte: what carried the request (see `Asked::parse`)
//! METHOD target
//! authority       only if the flags say so
//! name:value      as many as wanted
//! ```

#![no_main]

use std::net::IpAddr;
use std::sync::LazyLock;

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use libfuzzer_sys::fuzz_target;
use portcullis::config::snapshot::Snapshot;
use portcullis::decision::explain::{Verdict, explain};
use portcullis::decision::request::connection::ConnectionFacts;
use portcullis::decision::request::{NormalizedRequest, RawRequest, ReadRules, Scheme, host, path, read};
use portcullis::decision::rewrite::Edit;
use portcullis_fuzz::{World, hasher, now, snapshot};

fuzz_target!(|input: &[u8]| {
    let Some(asked) = Asked::parse(input) else { return };
    let rules = &SNAPSHOT.rules.read;
    let explanation = explain(&SNAPSHOT.rules, &asked.raw(), None, now(), hasher());
    let normal = match read(rules, &asked.raw()) {
        Ok(normal) => normal,
        Err(_) => {
            assert!(matches!(explanation.verdict, Verdict::Refuse { .. }), "what can't be read is refused");
            return;
        }
    };
    has_one_host(&asked, &normal);
    has_one_length(&asked);
    has_one_path(&asked, &normal);
    reads_as_itself(&asked, &normal);
    names_the_right_client(&asked, &normal);
    if let Verdict::Forward { target, host, edits, .. } = &explanation.verdict {
        reads_the_same_at_the_origin(&asked, &normal, target, host, edits);
    }
});

/// Every request that can be read is forwarded, so that what an origin sees can be looked at.
static SNAPSHOT: LazyLock<Snapshot> = LazyLock::new(|| {
    let text = "
version: 1
listeners: [{ name: public, address: '127.0.0.1:8080' }]
upstreams: { app: { endpoints: ['127.0.0.1:9001'] } }
bounds: { uri: 512B, header_bytes: 2KiB, header_count: 16 }
trusted_proxies: [10.0.0.0/8, '2001:db8::/32']
routes: [{ name: all, access: public, upstream: app }]
";
    snapshot(text, &World::default())
});

const STRANGER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const PROXY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
const GATEWAY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 255, 0, 1));

#[derive(Clone)]
struct Asked {
    method: Method,
    target: Vec<u8>,
    authority: Option<String>,
    headers: HeaderMap,
    version: Version,
    connection: ConnectionFacts,
}

impl Asked {
    fn parse(input: &[u8]) -> Option<Asked> {
        let (&flags, rest) = input.split_first()?;
        let flag = |bit: u8| flags & 1 << bit != 0;
        let mut lines = rest.split(|&byte| byte == b'\n');
        let (method, target) = cut(lines.next()?, b' ')?;
        let authority = match flag(3) {
            // The HTTP/2 library gives an authority that is text; of what characters is checked by `read`.
            true => Some(std::str::from_utf8(lines.next()?).ok()?.to_owned()),
            false => None,
        };
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = cut(line, b':')?;
            headers.append(HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?);
        }
        Some(Asked {
            method: Method::from_bytes(method).ok()?,
            target: target.to_vec(),
            authority,
            headers,
            version: match (flag(0), flag(1)) {
                (true, _) => Version::HTTP_2,
                (false, true) => Version::HTTP_10,
                (false, false) => Version::HTTP_11,
            },
            connection: ConnectionFacts::supposed(
                if flag(2) { PROXY } else { STRANGER },
                if flag(4) { Scheme::Https } else { Scheme::Http },
            ),
        })
    }

    fn raw(&self) -> RawRequest<'_> {
        RawRequest {
            method: &self.method,
            target: &self.target,
            authority: self.authority.as_deref(),
            fields: (&self.headers).into(),
            version: self.version,
            connection: &self.connection,
        }
    }
}

fn has_one_host(asked: &Asked, normal: &NormalizedRequest) {
    let sent: Vec<_> = asked.headers.get_all(HOST).iter().collect();
    assert!(sent.len() <= 1);
    if normal.host.is_empty() {
        assert!(asked.version == Version::HTTP_10 && sent.iter().all(|host| host.is_empty()));
        return;
    }
    assert_eq!(host::parse(&normal.host).map(|authority| authority.host).as_ref(), Ok(&normal.host));
    let absolute = std::str::from_utf8(&asked.target).ok().and_then(|target| {
        let (scheme, rest) = target.split_once("://")?;
        (!scheme.contains(['/', '?'])).then(|| rest.split(['/', '?', '#']).next().unwrap_or_default())
    });
    let header = sent.first().and_then(|host| host.to_str().ok()).filter(|host| !host.is_empty());
    if normal.trusted_peer && asked.headers.contains_key("forwarded") {
        // A trusted proxy says which host the client asked for.
        return;
    }
    for named in [absolute, asked.authority.as_deref(), header].into_iter().flatten() {
        assert!(!named.contains('@'), "no user information");
        // Addresses of version 6 have many spellings, names one but for their case and the root's dot.
        if !named.starts_with('[') {
            let name = named.split(':').next().unwrap_or_default();
            assert_eq!(name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase(), normal.host);
        }
    }
    if asked.method != Method::CONNECT {
        assert!(asked.version != Version::HTTP_11 || header.is_some(), "HTTP/1.1 has a Host");
    }
}

fn has_one_length(asked: &Asked) {
    let lengths: Vec<_> = asked.headers.get_all(CONTENT_LENGTH).iter().collect();
    let codings: Vec<_> = asked.headers.get_all(TRANSFER_ENCODING).iter().collect();
    assert!(lengths.len() + codings.len() <= 1);
    assert!(lengths.iter().all(|length| !length.is_empty() && length.as_bytes().iter().all(u8::is_ascii_digit)));
    assert!(codings.iter().all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked")));
    assert!(codings.is_empty() || asked.version == Version::HTTP_11);
}

fn has_one_path(asked: &Asked, normal: &NormalizedRequest) {
    match normal.path.as_str() {
        "*" => assert_eq!(asked.method, Method::OPTIONS),
        normal => assert_eq!(path::read(normal.as_bytes()).as_ref().map(|reading| &*reading.path), Ok(normal)),
    }
    let query = normal.query.as_deref().unwrap_or_default();
    assert!(query.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'));
    assert_eq!(!normal.path_changed, asked.target == target_of(normal).as_bytes());
}

fn target_of(normal: &NormalizedRequest) -> String {
    match &normal.query {
        Some(query) => format!("{}?{query}", normal.path),
        None => normal.path.clone(),
    }
}

fn reads_as_itself(asked: &Asked, normal: &NormalizedRequest) {
    let mut again = Asked { target: target_of(normal).into_bytes(), authority: None, ..asked.clone() };
    let authority = host::Authority { host: normal.host.clone(), port: normal.port };
    let value = HeaderValue::try_from(authority.to_string()).expect("a host is a header value");
    again.headers.insert(HOST, value);
    let bounds =
        ReadRules { max_uri: 4096, max_header_bytes: 8192, max_header_count: 17, ..SNAPSHOT.rules.read.clone() };
    let again = read(&bounds, &again.raw()).expect("the normal form can be read");
    assert!(!again.path_changed);
    let path::PathVariant { unmerged, .. } = normal.spelling.clone();
    let spelling = path::PathVariant { unmerged, ..again.spelling };
    assert_eq!(NormalizedRequest { path_changed: normal.path_changed, spelling, ..again }, *normal);
}

/// What a trusted proxy appended decides, whatever the client wrote before it.
fn names_the_right_client(asked: &Asked, normal: &NormalizedRequest) {
    if asked.connection.peer.ip() == STRANGER {
        assert_eq!((normal.client, normal.scheme), (STRANGER, asked.connection.scheme()));
        assert!(!normal.trusted_peer && normal.request_id.is_none());
        return;
    }
    let client: IpAddr = [203, 0, 113, 7].into();
    let bounds = ReadRules { max_header_bytes: 8192, max_header_count: 17, ..SNAPSHOT.rules.read.clone() };
    // Where one of the older fields is there, they alone are believed.
    let older = ["x-forwarded-for", "x-forwarded-proto"].iter().any(|name| asked.headers.contains_key(*name));
    let (name, element) = match older {
        true => ("x-forwarded-for", "203.0.113.7"),
        false => ("forwarded", "for=203.0.113.7"),
    };
    let read_with = |headers: HeaderMap| read(&bounds, &Asked { headers, ..asked.clone() }.raw()).map(|n| n.client);
    let mut another_line = asked.headers.clone();
    another_line.append(name, HeaderValue::from_static(element));
    assert_eq!(read_with(another_line), Ok(client));
    let mut same_line = asked.headers.clone();
    if let Some(sent) = asked.headers.get_all(name).iter().next_back() {
        let lines: Vec<_> = asked.headers.get_all(name).iter().cloned().collect();
        let mut value = sent.as_bytes().to_vec();
        value.extend_from_slice(b", ");
        value.extend_from_slice(element.as_bytes());
        same_line.remove(name);
        for line in &lines[..lines.len() - 1] {
            same_line.append(name, line.clone());
        }
        same_line.append(name, HeaderValue::from_bytes(&value).expect("still a header value"));
        assert_eq!(read_with(same_line), Ok(client));
    }
}

/// An origin with the same rules, which trusts the gateway, finds the same host, path and client.
fn reads_the_same_at_the_origin(asked: &Asked, normal: &NormalizedRequest, target: &str, host: &str, edits: &[Edit]) {
    let mut headers = asked.headers.clone();
    headers.insert(HOST, HeaderValue::try_from(host).expect("a host is a header value"));
    for (index, edit) in edits.iter().enumerate() {
        assert!(edits[..index].iter().all(|earlier| earlier.name() != edit.name()), "{edit:?} comes twice");
        match edit {
            Edit::Remove(name) => drop(headers.remove(name)),
            Edit::Set(name, value) => drop(headers.insert(name, value.clone())),
            Edit::Append(name, value) => drop(headers.append(name, value.clone())),
        }
    }
    let forwarded = Asked {
        target: target.as_bytes().to_vec(),
        authority: None,
        headers,
        version: if asked.version == Version::HTTP_2 { Version::HTTP_11 } else { asked.version },
        connection: ConnectionFacts::supposed(GATEWAY, Scheme::Http),
        ..asked.clone()
    };
    let bounds =
        ReadRules { max_uri: 4096, max_header_bytes: 8192, max_header_count: 64, ..SNAPSHOT.rules.read.clone() };
    let found = read(&bounds, &forwarded.raw()).expect("what is forwarded can be read");
    assert_eq!((&found.path, &found.query, found.path_changed), (&normal.path, &normal.query, false));
    assert_eq!((&found.host, found.port), (&normal.host, normal.port));
    assert_eq!((found.client, found.scheme), (normal.client, normal.scheme));
}

/// What stands before and behind the first `mark`.
fn cut(text: &[u8], mark: u8) -> Option<(&[u8], &[u8])> {
    let place = text.iter().position(|&byte| byte == mark)?;
    Some((&text[..place], &text[place + 1..]))
}
