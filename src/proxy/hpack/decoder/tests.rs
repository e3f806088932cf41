use http::{HeaderMap, HeaderName, HeaderValue, Request};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::proxy::hpack::encode_field;

type OwnedField = (String, String);

fn decoded(decoder: &mut HpackDecoder, block: &[u8]) -> Result<Vec<OwnedField>, InvalidHpack> {
    let mut list = FieldList::default();
    list.reset(usize::MAX);
    decoder.decode(block, &mut list)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(list.iter().map(|(name, value)| (text(name), text(value))).collect())
}

fn fields(pairs: &[(&str, &str)]) -> Vec<OwnedField> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

/// RFC 7541 appendix C.3 and C.4: three requests on one connection, plain and compressed.
#[test]
fn the_requests_of_rfc_7541_are_decoded() {
    let get = [(":method", "GET")];
    let expected = [
        fields(&[get[0], (":scheme", "http"), (":path", "/"), (":authority", "www.example.com")]),
        fields(&[
            get[0],
            (":scheme", "http"),
            (":path", "/"),
            (":authority", "www.example.com"),
            ("cache-control", "no-cache"),
        ]),
        fields(&[
            get[0],
            (":scheme", "https"),
            (":path", "/index.html"),
            (":authority", "www.example.com"),
            ("custom-key", "custom-value"),
        ]),
    ];
    for blocks in [
        [
            "828684410f7777772e6578616d706c652e636f6d",
            "828684be58086e6f2d6361636865",
            "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
        ],
        [
            "828684418cf1e3c2e5f23a6ba0ab90f4ff",
            "828684be5886a8eb10649cbf",
            "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
        ],
    ] {
        let mut decoder = HpackDecoder::default();
        for (block, expected) in blocks.iter().zip(&expected) {
            assert_eq!(decoded(&mut decoder, &bytes(block)).as_ref(), Ok(expected), "{block}");
        }
    }
}

/// RFC 7541 appendix C.5, whose table holds 256 octets: entries leave it.
#[test]
fn the_responses_of_rfc_7541_are_decoded() {
    let (date, later) = ("Mon, 21 Oct 2013 20:13:21 GMT", "Mon, 21 Oct 2013 20:13:22 GMT");
    let location = ("location", "https://www.example.com");
    let mut decoder = HpackDecoder::default();
    let first = "3fe101 4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e1768747470733a2f2f7777772e6578616d706c652e636f6d";
    let expected = fields(&[(":status", "302"), ("cache-control", "private"), ("date", date), location]);
    assert_eq!(decoded(&mut decoder, &bytes(first)), Ok(expected));
    let expected = fields(&[(":status", "307"), ("cache-control", "private"), ("date", date), location]);
    assert_eq!(decoded(&mut decoder, &bytes("4803333037c1c0bf")), Ok(expected));
    let third = "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31";
    let cookie = ("set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1");
    let expected = fields(&[
        (":status", "200"),
        ("cache-control", "private"),
        ("date", later),
        location,
        ("content-encoding", "gzip"),
        cookie,
    ]);
    assert_eq!(decoded(&mut decoder, &bytes(third)), Ok(expected));
}

#[test]
fn what_is_no_hpack_is_refused() {
    for (block, why) in [
        ("80", "index 0"),
        ("be", "an entry that is not there"),
        ("7f80808080800100", "an integer without end"),
        ("0005", "a string that is cut off"),
        ("00", "no name"),
        ("000161", "no value"),
        ("3fe220", "a table that is too large"),
        ("8220", "a size update after a field"),
        ("000161 84ffffffff", "EOS in a string"),
    ] {
        assert_eq!(decoded(&mut HpackDecoder::default(), &bytes(block)), Err(InvalidHpack), "{why}");
    }
}

#[test]
fn a_list_keeps_no_more_than_its_limit() {
    let mut block = vec![0x40];
    block.extend(b"\x01a\x7f\x9c\x1e");
    block.extend([b'v'; 3995]);
    block.extend([0xbe; 10_000]);
    let (mut decoder, mut list) = (HpackDecoder::default(), FieldList::default());
    list.reset(10_000);
    decoder.decode(&block, &mut list).unwrap();
    assert!(list.is_too_large());
    assert_eq!((list.iter().count(), list.text.len()), (2, 2 * 3996));
    // What was not kept has entered the table all the same.
    list.reset(usize::MAX);
    decoder.decode(&[0xbe], &mut list).unwrap();
    assert_eq!(list.get(b"a"), Some(&[b'v'; 3995][..]));
}

/// The header blocks of `requests`, as the client of the `h2` crate encodes them on one connection.
async fn blocks_of(requests: Vec<HeaderMap>) -> Vec<Vec<u8>> {
    const PREFACE: usize = 24;
    let (client, mut server) = tokio::io::duplex(1 << 20);
    let (mut send, connection) = h2::client::handshake(client).await.unwrap();
    tokio::spawn(connection);
    server.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
    let count = requests.len();
    for fields in requests {
        let mut request = Request::get("http://gateway.test/path").body(()).unwrap();
        *request.headers_mut() = fields;
        send = send.ready().await.unwrap();
        drop(send.send_request(request, true).unwrap());
    }
    let mut wire = Vec::new();
    let mut blocks: Vec<Vec<u8>> = Vec::new();
    let (mut at, mut complete) = (PREFACE, 0);
    while complete < count {
        server.read_buf(&mut wire).await.unwrap();
        while let Some(&[l0, l1, l2, kind, flags, ..]) = wire.get(at..at + 9) {
            let length = u32::from_be_bytes([0, l0, l1, l2]) as usize;
            let Some(payload) = wire.get(at + 9..at + 9 + length) else { break };
            match kind {
                1 => blocks.push(payload.to_vec()),
                9 => blocks.last_mut().unwrap().extend_from_slice(payload),
                _ => {}
            }
            complete += usize::from(matches!(kind, 1 | 9) && flags & 4 != 0);
            at += 9 + length;
        }
    }
    blocks
}

fn header_maps() -> impl Strategy<Value = Vec<HeaderMap>> {
    let name = prop_oneof![
        prop::sample::select(vec!["accept", "cookie", "user-agent", "x-request-id", "content-type"])
            .prop_map(str::to_owned),
        "[a-z][a-z0-9_-]{0,20}",
    ];
    let value = prop_oneof![
        prop::collection::vec(prop_oneof![0x20u8..0x7f, 0x80u8..=0xff], 0..60),
        prop::collection::vec(0x61u8..0x7b, 0..2000),
    ];
    let map = prop::collection::vec((name, value), 0..12).prop_map(|fields| {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(HeaderName::try_from(name).unwrap(), HeaderValue::from_bytes(&value).unwrap());
        }
        map.remove("content-length");
        map
    });
    prop::collection::vec(map, 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_another_implementation_encodes_is_decoded(requests in header_maps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let blocks = runtime.block_on(blocks_of(requests.clone()));
        let mut decoder = HpackDecoder::default();
        let mut list = FieldList::default();
        for (block, sent) in blocks.iter().zip(requests) {
            list.reset(usize::MAX);
            decoder.decode(block, &mut list).unwrap();
            let mut read = HeaderMap::new();
            for (name, value) in list.iter().filter(|(name, _)| !name.starts_with(b":")) {
                read.append(HeaderName::from_bytes(name).unwrap(), HeaderValue::from_bytes(value).unwrap());
            }
            prop_assert_eq!(read, sent);
            prop_assert_eq!(list.get(b":path"), Some(&b"/path"[..]));

            // And once more, from what this crate encodes.
            let mut again = Vec::new();
            list.iter().for_each(|(name, value)| encode_field(name, value, &mut again));
            let (mut second, mut other) = (FieldList::default(), HpackDecoder::default());
            second.reset(usize::MAX);
            other.decode(&again, &mut second).unwrap();
            prop_assert!(list.iter().eq(second.iter()));
        }
    }

    #[test]
    fn no_block_makes_it_panic(block: Vec<u8>) {
        let (mut decoder, mut list) = (HpackDecoder::default(), FieldList::default());
        list.reset(1000);
        let _ = decoder.decode(&block, &mut list);
    }
}
