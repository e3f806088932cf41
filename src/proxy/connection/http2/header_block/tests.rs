use proptest::prelude::*;

use super::super::frame::{
    CONTINUATION, END_HEADERS, FrameReader, MAX_FRAME_SIZE, PADDED, PING, PRIORITY, SETTINGS, SETTINGS_ACK,
    WINDOW_UPDATE,
};
use super::*;

type Pair = (&'static str, &'static str);

const MAX_LIST: usize = 4096;
const GET: [Pair; 4] = [(":method", "GET"), (":scheme", "http"), (":authority", "a.test"), (":path", "/plain")];
const RAW: [Pair; 4] = [(":method", "GET"), (":scheme", "http"), (":authority", "a.test"), (":path", "/a<b?\"")];

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    FrameHeader { length: payload.len(), kind, flags, stream }.write(&mut frame);
    frame.extend_from_slice(payload);
    frame
}

fn literals(fields: &[Pair]) -> Vec<u8> {
    let mut block = Vec::new();
    fields.iter().for_each(|(name, value)| encode_field(name.as_bytes(), value.as_bytes(), &mut block));
    block
}

fn headers(stream: u32, flags: u8, fields: &[Pair]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | flags, stream, &literals(fields))
}

fn reader() -> HeaderBlockReader {
    HeaderBlockReader::new(0, MAX_LIST, false)
}

/// What passes of `bytes`, and why requests were found malformed.
fn taken(reader: &mut HeaderBlockReader, bytes: &[u8]) -> Result<(Vec<u8>, Vec<&'static str>), Http2ConnectionError> {
    let mut malformed = Vec::new();
    let count = reader.take(bytes, &mut |request| malformed.push(request.why))?;
    let mut passed = bytes[..count].to_vec();
    while reader.has_output() {
        reader.hand_over(7, |piece| passed.extend_from_slice(piece));
    }
    Ok((passed, malformed))
}

fn passed(reader: &mut HeaderBlockReader, bytes: &[u8]) -> Vec<u8> {
    taken(reader, bytes).expect("the connection goes on").0
}

/// The fields of the only frame in `bytes`, which the library reads with a table of its own.
fn fields_of(bytes: &[u8]) -> Vec<(String, String)> {
    let mut list = FieldList::default();
    list.reset(usize::MAX);
    HpackDecoder::default().decode(&bytes[FRAME_HEADER..], &mut list).expect("no reference to a dynamic table");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    list.iter().map(|(name, value)| (text(name), text(value))).collect()
}

fn value_of(bytes: &[u8], name: &str) -> String {
    fields_of(bytes).into_iter().find(|(other, _)| other == name).expect(name).1
}

#[test]
fn ordinary_frames_pass_as_they_came() {
    let mut indexed = literals(&GET);
    indexed.extend_from_slice(b"\x40\x03x-a\x01b");
    let padded = [&[3u8, 0, 0, 0, 0, 16][..], &literals(&GET), &[0; 3]].concat();
    let wire = [
        frame(SETTINGS, 0, 0, &[]),
        frame(HEADERS, END_HEADERS | END_STREAM, 1, &indexed),
        frame(HEADERS, END_HEADERS | PADDED | PRIORITY, 3, &padded),
        frame(DATA, 0, 3, b"body"),
        headers(3, END_STREAM, &[("grpc-status", "0")]),
        frame(PING, 0, 0, &[0; 8]),
    ]
    .concat();
    let mut reader = reader();
    assert_eq!(passed(&mut reader, &wire), wire);
    assert_eq!((reader.highest(), reader.encodes), (3, false));
}

#[test]
fn a_block_is_held_until_it_is_complete() {
    let block = literals(&GET);
    let (first, rest) = block.split_at(10);
    let wire = [
        frame(HEADERS, END_STREAM, 1, first),
        frame(CONTINUATION, 0, 1, &[]),
        frame(CONTINUATION, END_HEADERS, 1, rest),
    ]
    .concat();
    for cut in 1..wire.len() {
        let mut reader = reader();
        assert_eq!(passed(&mut reader, &wire[..cut]), b"", "{cut}");
        assert_eq!(passed(&mut reader, &wire[cut..]), wire, "{cut}");
    }
}

#[test]
fn from_a_raw_target_on_blocks_are_encoded_anew() {
    let mut reader = reader();
    // Enters `x-kept: 1` into the client's table, which the library never sees.
    let mut first = literals(&RAW);
    first.extend_from_slice(b"\x40\x06x-kept\x011");
    let out = passed(&mut reader, &frame(HEADERS, END_HEADERS | END_STREAM, 1, &first));
    assert_eq!((value_of(&out, ":path").as_str(), value_of(&out, "x-kept").as_str()), ("/a%3Cb?%22", "1"));
    let mut second = literals(&GET);
    second.push(0xbe);
    let out = passed(&mut reader, &frame(HEADERS, END_HEADERS | END_STREAM, 3, &second));
    assert_eq!((value_of(&out, ":path").as_str(), value_of(&out, "x-kept").as_str()), ("/plain", "1"));
    assert_eq!(FrameHeader::parse(&out).map(|head| (head.stream, head.flags)), Some((3, END_HEADERS | END_STREAM)));
}

#[test]
fn a_refusal_is_carried_where_no_client_can_put_it() {
    let mut reader = reader();
    let fields = [GET[0], GET[1], GET[2], (":path", "/a b"), ("user-agent", "curl"), ("cookie", "secret")];
    let out = passed(&mut reader, &headers(1, END_STREAM, &fields));
    assert_eq!(refusal_of(&value_of(&out, ":scheme")), Some(SectionRefusal::TargetCharacter));
    assert_eq!((value_of(&out, ":path").as_str(), value_of(&out, "user-agent").as_str()), ("/ab", "curl"));
    assert!(fields_of(&out).iter().all(|(name, _)| name != "cookie"));
    for refusal in SectionRefusal::ALL {
        let number = SectionRefusal::ALL.iter().position(|other| other == refusal).unwrap();
        assert_eq!(refusal_of(&format!("refused.{number}")), Some(*refusal));
    }
    let forged = [GET[0], (":scheme", "refused.3"), GET[2], GET[3]];
    let out = passed(&mut reader, &headers(3, END_STREAM, &forged));
    assert_eq!(refusal_of(&value_of(&out, ":scheme")), Some(SectionRefusal::SchemeUnknown));
}

#[test]
fn a_malformed_message_gets_a_block_that_is_reset() {
    let mut reader = reader();
    let (out, malformed) = taken(&mut reader, &headers(1, 0, &[&GET[..], &[("X-Upper", "a")]].concat())).unwrap();
    assert_eq!((fields_of(&out).len(), value_of(&out, "connection").as_str()), (1, "close"));
    assert_eq!(malformed.len(), 1);
    // Trailers belong to a request that has a line of its own.
    let (out, malformed) =
        taken(&mut reader, &[headers(3, 0, &GET), headers(3, END_STREAM, &[(":path", "/")])].concat()).unwrap();
    let trailers = FRAME_HEADER + FrameHeader::parse(&out).unwrap().length;
    assert_eq!(value_of(&out[trailers..], "connection"), "close");
    assert!(malformed.is_empty());
}

#[test]
fn a_stream_that_depends_on_itself_is_reset_and_its_block_decoded() {
    let mut reader = reader();
    let mut block = vec![0, 0, 0, 1, 16];
    block.extend(literals(&GET));
    block.extend_from_slice(b"\x40\x06x-kept\x011");
    let (out, malformed) = taken(&mut reader, &frame(HEADERS, END_HEADERS | END_STREAM | PRIORITY, 1, &block)).unwrap();
    assert_eq!((value_of(&out, "connection").as_str(), malformed.len()), ("close", 1));
    let mut next = literals(&GET);
    next.push(0xbe);
    let out = passed(&mut reader, &frame(HEADERS, END_HEADERS | END_STREAM, 3, &next));
    assert_eq!(value_of(&out, "x-kept"), "1");
}

#[test]
fn a_section_that_is_too_large_is_refused_in_bounded_memory() {
    let mut block = literals(&GET);
    block.extend_from_slice(b"\x40\x01a\x7f\x81\x0f");
    block.extend([b'v'; 2048]);
    block.extend([0xbe; 10_000]);
    let bomb = frame(HEADERS, END_HEADERS | END_STREAM, 1, &block);
    let mut reader = reader();
    let out = passed(&mut reader, &bomb);
    assert_eq!(refusal_of(&value_of(&out, ":scheme")), Some(SectionRefusal::FieldsTooLarge));
    assert_eq!(value_of(&out, ":path"), "/plain");
    assert!(out.len() < 300, "{}", out.len());
    // Its table is that of the client all the same.
    let out =
        passed(&mut reader, &frame(HEADERS, END_HEADERS | END_STREAM, 3, &[&literals(&GET)[..], &[0xbe]].concat()));
    assert_eq!(value_of(&out, "a").len(), 2048);
}

#[test]
fn connection_errors_have_the_right_code() {
    for (what, bytes, code) in [
        ("no HPACK", frame(HEADERS, END_HEADERS, 1, &[0xff; 20]), 0x9),
        ("a string that goes on", frame(HEADERS, END_HEADERS, 1, b"\x00\x05a"), 0x9),
        ("a ping of seven octets", frame(PING, 0, 0, &[0; 7]), 0x6),
        ("a reset of three octets", frame(RST_STREAM, 0, 1, &[0; 3]), 0x6),
        ("half a setting", frame(SETTINGS, 0, 0, &[0; 5]), 0x6),
        ("an acknowledgement with settings", frame(SETTINGS, SETTINGS_ACK, 0, &[0; 6]), 0x6),
        ("a window update of five octets", frame(WINDOW_UPDATE, 0, 0, &[0; 5]), 0x6),
        ("a frame that is too long", frame(DATA, 0, 1, &[0; MAX_FRAME_SIZE + 1]), 0x6),
        ("no room for a priority", frame(HEADERS, END_HEADERS | PRIORITY, 1, &[0; 4]), 0x6),
        ("padding beyond the frame", frame(HEADERS, END_HEADERS | PADDED, 1, &[9, 0]), 0x1),
        ("an even stream", headers(2, END_STREAM, &GET), 0x1),
        ("a frame within a block", [frame(HEADERS, 0, 1, &[]), frame(PING, 0, 0, &[0; 8])].concat(), 0x1),
    ] {
        assert_eq!(taken(&mut reader(), &bytes).map_err(Http2ConnectionError::code), Err(code), "{what}");
    }
}

fn frames() -> impl Strategy<Value = Vec<u8>> {
    let block =
        prop::sample::select(vec![literals(&GET), literals(&RAW), literals(&[("X", "y")]), literals(&GET[..2])]);
    let requests = prop::collection::vec((block, any::<bool>(), 0usize..40, 0usize..30), 0..6);
    requests.prop_map(|requests| {
        let mut wire = Vec::new();
        for (number, (block, ends, cut, body)) in requests.into_iter().enumerate() {
            let stream = 2 * number as u32 + 1;
            let (first, rest) = block.split_at(cut.min(block.len()));
            wire.extend(frame(HEADERS, if ends { END_STREAM } else { 0 }, stream, first));
            wire.extend(frame(CONTINUATION, END_HEADERS, stream, rest));
            if !ends {
                wire.extend(frame(DATA, END_STREAM, stream, &vec![b'b'; body]));
            }
        }
        wire
    })
}

proptest! {
    #[test]
    fn it_does_not_matter_how_the_bytes_are_cut(wire in frames(), cuts in prop::collection::vec(0usize..700, 0..20)) {
        let whole = passed(&mut reader(), &wire);
        let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut <= wire.len()).collect();
        cuts.extend([0, wire.len()]);
        cuts.sort_unstable();
        let mut reader = reader();
        let pieces: Vec<u8> = cuts.windows(2).flat_map(|cut| passed(&mut reader, &wire[cut[0]..cut[1]])).collect();
        prop_assert_eq!(&pieces, &whole);
        prop_assert!(reader.held.is_empty());
        // What passes is whole frames.
        let (mut frames, mut rest) = (FrameReader::default(), &whole[..]);
        while frames.next(&mut rest).is_some() {}
        prop_assert!(frames.at_boundary());
    }

    #[test]
    fn no_bytes_make_it_panic(wire: Vec<u8>) {
        let _ = reader().take(&wire, &mut |_| {});
    }
}

#[test]
fn what_grows_when_it_is_encoded_anew_waits_until_it_is_taken() {
    let mut reader = reader();
    let mut large = literals(&RAW);
    large.extend_from_slice(b"\x40\x01a\x7f\x81\x0f");
    large.extend([b'v'; 2048]);
    passed(&mut reader, &frame(HEADERS, END_HEADERS | END_STREAM, 1, &large));
    let small = [&literals(&GET)[..], &[0xbe]].concat();
    let many: Vec<u8> = (1..200).flat_map(|n| frame(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, &small)).collect();
    let mut all = 0;
    let mut bytes = &many[..];
    loop {
        reader.take(bytes, &mut |_| panic!("nothing is malformed")).expect("the connection goes on");
        assert!(reader.out.len() < OUT_MAX + 4096, "{}", reader.out.len());
        while reader.has_output() {
            reader.hand_over(4096, |piece| all += piece.len());
        }
        if !reader.is_paused() {
            break;
        }
        bytes = &[];
    }
    assert!(all > 199 * 2048, "{all}");
    assert!(reader.held.is_empty());
}
