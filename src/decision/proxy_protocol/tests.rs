use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

fn announced(client: &str, destination: &str) -> Announced {
    Announced { client: client.parse().unwrap(), destination: destination.parse().unwrap() }
}

/// A version 2 header with these bytes after its length.
fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [v2::SIGNATURE, &[command, family], &length, block].concat()
}

fn tcp4(extensions: &[u8]) -> Vec<u8> {
    v2(0x21, 0x11, &[&[192, 0, 2, 1, 198, 51, 100, 1, 0x12, 0x67, 0x01, 0xbb], extensions].concat())
}

/// CRC32C, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}

/// A header whose checksum stands before another extension.
fn with_checksum() -> Vec<u8> {
    let mut header = tcp4(&[3, 0, 4, 0, 0, 0, 0, 4, 0, 1, 0]);
    let checksum = crc32c(&header).to_be_bytes();
    header[31..35].copy_from_slice(&checksum);
    header
}

fn complete(bytes: &[u8]) -> Option<Announced> {
    let header = parse(bytes).unwrap().expect("a complete header");
    assert_eq!(header.length, bytes.len());
    header.announced
}

#[test]
fn version_1_announces_tcp_over_both_families() {
    assert_eq!(
        complete(b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n"),
        Some(announced("192.0.2.1:56324", "198.51.100.1:443"))
    );
    assert_eq!(
        complete(b"PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n"),
        Some(announced("[2001:db8::1]:1", "[2001:db8::2]:65535"))
    );
    assert_eq!(
        complete(b"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.1 1 2\r\n"),
        Some(announced("192.0.2.1:1", "198.51.100.1:2")),
        "one spelling of an IPv4 address"
    );
}

#[test]
fn version_1_ignores_what_an_unknown_protocol_says() {
    assert_eq!(complete(b"PROXY UNKNOWN\r\n"), None);
    assert_eq!(complete(b"PROXY UNKNOWN ffff::1 \xff anything 1 2\r\n"), None);
    let longest = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    let longest = format!("PROXY UNKNOWN {longest} {longest} 65535 65535\r\n");
    assert_eq!(longest.len(), 107);
    assert_eq!(complete(longest.as_bytes()), None);
}

#[test]
fn version_1_has_one_spelling() {
    for line in [
        "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 56324\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443 \r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443 1\r\n",
        "PROXY TCP4  192.0.2.1 198.51.100.1 56324 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 056324 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 +56324 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 00 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 65536 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 -1 443\r\n",
        "PROXY TCP4 192.0.2.01 198.51.100.1 1 443\r\n",
        "PROXY TCP4 192.0.2 198.51.100.1 1 443\r\n",
        "PROXY TCP4 2001:db8::1 198.51.100.1 1 443\r\n",
        "PROXY TCP6 192.0.2.1 198.51.100.1 1 443\r\n",
        "PROXY TCP6 2001:db8::1%1 2001:db8::2 1 443\r\n",
        "PROXY TCP6 [2001:db8::1] 2001:db8::2 1 443\r\n",
        "PROXY tcp4 192.0.2.1 198.51.100.1 1 443\r\n",
        "PROXY TCP5 192.0.2.1 198.51.100.1 1 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 1 443\r\r\n",
        "PROXY TCP4\r\n",
        "PROXY UNKNOWNN\r\n",
        "PROXY \r\n",
        "PROXY \n",
    ] {
        assert_eq!(parse(line.as_bytes()), Err(Malformed::Line), "{line:?}");
    }
}

#[test]
fn version_1_ends_within_its_bound() {
    let endless = [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 200]].concat();
    assert_eq!(parse(&endless[..106]), Ok(None));
    assert_eq!(parse(&endless[..107]), Err(Malformed::TooLong));
    let late = [&endless[..106], b"\r\n"].concat();
    assert_eq!(parse(&late), Err(Malformed::TooLong));
}

#[test]
fn version_2_announces_tcp_over_both_families() {
    assert_eq!(complete(&tcp4(b"")), Some(announced("192.0.2.1:4711", "198.51.100.1:443")));
    let (client, destination): (Ipv6Addr, Ipv6Addr) = ("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap());
    let block = [&client.octets()[..], &destination.octets(), &[0, 1, 0, 2]].concat();
    assert_eq!(complete(&v2(0x21, 0x21, &block)), Some(announced("[2001:db8::1]:1", "[2001:db8::2]:2")));
}

#[test]
fn version_2_without_tcp_addresses_announces_nobody() {
    assert_eq!(complete(&v2(0x20, 0x00, b"")), None);
    assert_eq!(complete(&v2(0x20, 0x11, b"to be discarded")), None, "LOCAL");
    assert_eq!(complete(&v2(0x21, 0x00, b"")), None, "UNSPEC");
    assert_eq!(complete(&v2(0x21, 0x31, &[b'/'; 216])), None, "a Unix socket");
}

#[test]
fn version_2_is_refused_where_it_says_what_can_not_be() {
    for (header, why) in [
        (v2(0x11, 0x11, &[0; 12]), Malformed::Version),
        (v2(0x22, 0x11, &[0; 12]), Malformed::Command),
        (v2(0x21, 0x12, &[0; 12]), Malformed::Family),
        (v2(0x21, 0x32, &[0; 216]), Malformed::Family),
        (v2(0x21, 0x41, &[0; 12]), Malformed::Family),
        (v2(0x21, 0x10, &[0; 12]), Malformed::Family),
        (v2(0x21, 0x11, &[0; 11]), Malformed::Addresses),
        (v2(0x21, 0x21, &[0; 35]), Malformed::Addresses),
        (v2(0x21, 0x31, &[0; 215]), Malformed::Addresses),
        (tcp4(&[4]), Malformed::Extensions),
        (tcp4(&[4, 0]), Malformed::Extensions),
        (tcp4(&[4, 0, 2, 1]), Malformed::Extensions),
        (v2(0x21, 0x21, &[0; MAX_LENGTH - 15]), Malformed::TooLong),
    ] {
        assert_eq!(parse(&header), Err(why), "{header:?}");
    }
}

#[test]
fn extensions_are_passed_over() {
    let client = Some(announced("192.0.2.1:4711", "198.51.100.1:443"));
    assert_eq!(complete(&tcp4(&[4, 0, 0])), client);
    assert_eq!(complete(&tcp4(&[[1, 0, 2, b'h', b'2'].as_slice(), &[0xee, 0, 3, 1, 2, 3]].concat())), client);
    let longest = [[4_u8].as_slice(), &(MAX_LENGTH as u16 - 31).to_be_bytes(), &[0; MAX_LENGTH - 31]].concat();
    assert_eq!(complete(&tcp4(&longest)), client);
}

#[test]
fn a_checksum_is_verified() {
    let header = with_checksum();
    assert_eq!(complete(&header), Some(announced("192.0.2.1:4711", "198.51.100.1:443")));
    // Any other client, port, extension or checksum. Byte 28 is what says that there is a checksum.
    for at in (16..header.len()).filter(|at| *at != 28) {
        let mut forged = header.clone();
        forged[at] ^= 1;
        assert!(parse(&forged).is_err(), "byte {at}");
    }
    assert_eq!(parse(&tcp4(&[3, 0, 3, 0, 0, 0])), Err(Malformed::Checksum), "not four bytes");
    let twice = tcp4(&[3, 0, 4, 0, 0, 0, 0, 3, 0, 4, 0, 0, 0, 0]);
    assert_eq!(parse(&twice), Err(Malformed::Checksum));
}

#[test]
fn what_begins_otherwise_is_refused_at_its_first_strange_byte() {
    for bytes in
        [&b"GET / HTTP/1.1\r\n"[..], b"\x16\x03\x01", b"PROXY\t", b"PRI * HTTP/2.0\r\n\r\n", b"\r\n\r\nG", b"\n"]
    {
        assert_eq!(parse(bytes), Err(Malformed::Signature), "{bytes:?}");
    }
    assert_eq!(parse(b""), Ok(None));
}

#[test]
fn addresses_of_two_families_are_written_as_ipv6() {
    let mixed = announced("192.0.2.1:1", "[2001:db8::2]:2");
    assert_eq!(announce(Version::V1, &mixed), b"PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 1 2\r\n");
    assert_eq!(complete(&announce(Version::V2, &mixed)), Some(mixed));
}

#[test]
fn the_gateways_own_connections_announce_nobody() {
    assert_eq!(complete(local(Version::V1)), None);
    assert_eq!(complete(local(Version::V2)), None);
}

fn addresses() -> impl Strategy<Value = SocketAddr> {
    let v4 = any::<u32>().prop_map(|bits| IpAddr::from(Ipv4Addr::from_bits(bits)));
    let v6 = any::<u128>().prop_map(|bits| IpAddr::from(Ipv6Addr::from_bits(bits)));
    let mapped = any::<u32>().prop_map(|bits| IpAddr::from(Ipv4Addr::from_bits(bits).to_ipv6_mapped()));
    (prop_oneof![v4, v6, mapped], any::<u16>()).prop_map(SocketAddr::from)
}

fn versions() -> impl Strategy<Value = Version> {
    prop_oneof![Just(Version::V1), Just(Version::V2)]
}

/// Bytes of which many come close to a header.
fn nearly_headers() -> impl Strategy<Value = Vec<u8>> {
    let written = (versions(), addresses(), addresses())
        .prop_map(|(version, client, destination)| announce(version, &Announced { client, destination }));
    let start = prop_oneof![
        Just(v1::SIGNATURE.to_vec()),
        Just(v2::SIGNATURE.to_vec()),
        Just(with_checksum()),
        Just(Vec::new()),
        written
    ];
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    (start, prop::collection::vec(any::<u8>(), 0..300), edits).prop_map(|(start, rest, edits)| {
        let mut bytes = [start, rest].concat();
        for (at, byte) in edits {
            if !bytes.is_empty() {
                let at = at.index(bytes.len().min(40));
                bytes[at] = byte;
            }
        }
        bytes
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(version in versions(), client in addresses(), destination in addresses()) {
        let announced = Announced { client, destination };
        prop_assert_eq!(complete(&announce(version, &announced)), Some(announced.canonical()));
    }

    #[test]
    fn every_beginning_of_a_header_is_incomplete_and_what_follows_it_does_not_matter(
        version in versions(), client in addresses(), destination in addresses(), rest in prop::collection::vec(any::<u8>(), 0..50),
    ) {
        let header = announce(version, &Announced { client, destination });
        for end in 0..header.len() {
            prop_assert_eq!(parse(&header[..end]), Ok(None));
        }
        let with_more = [&header[..], &rest].concat();
        prop_assert_eq!(parse(&with_more), parse(&header));
    }

    #[test]
    fn anything_is_read_in_bounds_and_in_one_way(bytes in nearly_headers()) {
        match parse(&bytes) {
            Ok(Some(header)) => {
                prop_assert!(header.length <= bytes.len() && header.length <= MAX_LENGTH);
                prop_assert_eq!(parse(&bytes[..header.length]), Ok(Some(header)));
                for end in 0..header.length {
                    prop_assert_eq!(parse(&bytes[..end]), Ok(None), "its beginnings are incomplete");
                }
            }
            Ok(None) => prop_assert!(bytes.len() < MAX_LENGTH),
            // What can't become a header never does.
            Err(_) => prop_assert!(parse(&[&bytes[..], b"\r\n"].concat()).is_err()),
        }
    }
}
