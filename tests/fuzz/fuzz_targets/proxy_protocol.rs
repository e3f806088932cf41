//! The PROXY protocol: a header is read at its last byte and not before, in one way, whatever follows it.

#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use libfuzzer_sys::fuzz_target;
use portcullis::decision::proxy_protocol::{Announced, Header, MAX_LENGTH, Malformed, Version, announce, parse};

fuzz_target!(|bytes: &[u8]| {
    let whole = parse(bytes);
    match whole {
        Ok(Some(header)) => complete(bytes, header),
        Ok(None) => assert!(bytes.len() < MAX_LENGTH, "an incomplete header has not reached its bound"),
        Err(_) => {
            for more in [&b"\r\n"[..], b"\0", b"PROXY UNKNOWN\r\n"] {
                assert_eq!(parse(&[bytes, more].concat()), whole, "what can't become a header never does");
            }
        }
    }
    // Whatever the cut: a verdict over the beginning is the verdict over the whole.
    let mut decided = false;
    for end in 0..bytes.len() {
        let beginning = parse(&bytes[..end]);
        decided |= beginning != Ok(None);
        assert!(!decided || beginning == whole, "{end} bytes say {beginning:?}, all of them {whole:?}");
    }
    written_is_read(bytes);
});

fn complete(bytes: &[u8], header: Header) {
    let Header { length, announced } = header;
    assert!((1..=bytes.len().min(MAX_LENGTH)).contains(&length));
    assert_eq!(parse(&bytes[..length]), Ok(Some(header)));
    assert_eq!(parse(&bytes[..length - 1]), Ok(None));
    assert_eq!(parse(&[&bytes[..length], b"GET / HTTP/1.1\r\n"].concat()), Ok(Some(header)));
    assert_eq!(announced, second_reading(&bytes[..length]));
    let Some(announced) = announced else { return };
    assert_eq!(announced, announced.canonical());
    for version in [Version::V1, Version::V2] {
        let written = announce(version, &announced);
        assert_eq!(parse(&written), Ok(Some(Header { length: written.len(), announced: Some(announced) })));
    }
}

/// Who is announced, read in another way: from the words of version 1, from the fixed places of version 2.
fn second_reading(header: &[u8]) -> Option<Announced> {
    let canonical = |ip: IpAddr, port: u16| SocketAddr::new(ip.to_canonical(), port);
    if let Some(line) = header.strip_prefix(b"PROXY ") {
        let line = line.strip_suffix(b"\r\n").expect("the line's end");
        let words: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
        if words[0] == b"UNKNOWN" {
            return None;
        }
        let words: Vec<&str> = words.iter().map(|word| std::str::from_utf8(word).expect("ASCII")).collect();
        let [family, client, destination, client_port, destination_port] = words[..] else { panic!("{words:?}") };
        assert_eq!(family == "TCP6", client.contains(':') && destination.contains(':'));
        let end = |ip: &str, port: &str| {
            let number: u16 = port.parse().expect("a port");
            assert_eq!(number.to_string(), port, "one spelling of a port");
            canonical(ip.parse().expect("an address"), number)
        };
        return Some(Announced { client: end(client, client_port), destination: end(destination, destination_port) });
    }
    assert_eq!(header.len(), 16 + usize::from(u16::from_be_bytes([header[14], header[15]])));
    let number = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let v4 = |at: usize| IpAddr::V4(Ipv4Addr::new(header[at], header[at + 1], header[at + 2], header[at + 3]));
    let v6 = |at: usize| IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(&header[at..at + 16]).expect("16 bytes")));
    let (client, destination) = match (header[12], header[13]) {
        (0x21, 0x11) => ((v4(16), number(24)), (v4(20), number(26))),
        (0x21, 0x21) => ((v6(16), number(48)), (v6(32), number(50))),
        _ => return None,
    };
    Some(Announced { client: canonical(client.0, client.1), destination: canonical(destination.0, destination.1) })
}

/// Any two ends that a header can announce come back, though in the one form that they have.
fn written_is_read(bytes: &[u8]) {
    let Some((&[families, ref rest @ ..], _)) = bytes.split_first_chunk::<37>() else { return };
    let end = |mapped: bool, at: usize| {
        let port = u16::from_be_bytes([rest[at + 16], rest[at + 17]]);
        let octets = <[u8; 16]>::try_from(&rest[at..at + 16]).expect("16 bytes");
        let v4 = Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3]);
        let ip = if mapped { IpAddr::V6(v4.to_ipv6_mapped()) } else { IpAddr::V6(octets.into()) };
        SocketAddr::new(if families & 4 == 0 { ip } else { ip.to_canonical() }, port)
    };
    let announced = Announced { client: end(families & 1 != 0, 0), destination: end(families & 2 != 0, 18) };
    for version in [Version::V1, Version::V2] {
        let written = announce(version, &announced);
        let header = Header { length: written.len(), announced: Some(announced.canonical()) };
        assert_eq!(parse(&written), Ok::<_, Malformed>(Some(header)));
    }
}
