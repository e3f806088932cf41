use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;

fn bounds() -> FloodBounds {
    FloodBounds {
        first_request: Duration::MAX,
        header_time: 5 * SECOND,
        frame_time: Some(20 * SECOND),
        header_block: 10_000,
        resets: 20,
        control_frames: 100,
    }
}

fn frame(kind: u8, flags: u8, stream: u32, length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    FrameHeader { length, kind, flags, stream }.write(&mut bytes);
    bytes.resize(bytes.len() + length, 0);
    bytes
}

fn request(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, 20)
}

/// The reset of a stream with an error code.
fn reset(code: u32) -> Vec<u8> {
    let mut reset = Vec::new();
    FrameHeader { length: 4, kind: RST_STREAM, flags: 0, stream: 1 }.write(&mut reset);
    reset.extend_from_slice(&code.to_be_bytes());
    reset
}

/// A guard that has seen the preface, and when.
fn begun() -> (FloodDetector, Instant) {
    let now = Instant::now();
    let mut guard = FloodDetector::new(bounds(), now);
    guard.received(PREFACE, now).expect("a preface");
    (guard, now)
}

/// How many of `frames` a guard takes, and why not the next.
fn taken(frames: impl Iterator<Item = Vec<u8>>) -> (usize, Option<FloodViolation>) {
    let (mut guard, now) = begun();
    let mut count = 0;
    for frame in frames {
        if let Err(violation) = guard.received(&frame, now) {
            return (count, Some(violation));
        }
        count += 1;
    }
    (count, None)
}

fn taken_of(frame: Vec<u8>) -> (usize, Option<FloodViolation>) {
    taken(std::iter::repeat_n(frame, 10_000))
}

#[test]
fn each_kind_of_control_frame_has_a_bound() {
    let flood = Some(FloodViolation::ControlFrames);
    assert_eq!(taken_of(frame(PING, 0, 0, 8)), (100, flood));
    assert_eq!(taken_of(frame(PING, 1, 0, 8)), (100, flood));
    assert_eq!(taken_of(frame(SETTINGS, 0, 0, 0)), (100, flood));
    assert_eq!(taken_of(frame(2, 0, 1, 5)), (100, flood), "PRIORITY");
    assert_eq!(taken_of(frame(WINDOW_UPDATE, 0, 0, 4)), (100, flood));
    assert_eq!(taken_of(frame(0xbe, 0, 0, 0)), (100, flood), "an unknown type");
    assert_eq!(taken_of(frame(DATA, 0, 1, 0)), (100, flood), "empty DATA");
    assert_eq!(taken_of(frame(GOAWAY, 0, 0, 8)), (100, flood));
}

#[test]
fn many_settings_in_one_frame_count_as_many() {
    assert_eq!(taken_of(frame(SETTINGS, 0, 0, 16_380)), (6, Some(FloodViolation::ControlFrames)));
}

#[test]
fn padding_is_not_data() {
    let mut padded = frame(DATA, PADDED, 1, 256);
    padded[FRAME_HEADER] = 255;
    assert_eq!(taken_of(padded), (100, Some(FloodViolation::ControlFrames)));
}

#[test]
fn data_however_small_is_no_flood() {
    assert_eq!(taken_of(frame(DATA, 0, 1, 1)), (10_000, None));
    assert_eq!(taken_of(frame(DATA, END_STREAM, 1, 0)), (10_000, None));
}

#[test]
fn requests_that_are_reset_at_once_end_the_connection() {
    let pairs = (0..10_000).map(|n| [request(2 * n + 1), frame(RST_STREAM, 0, 2 * n + 1, 4)].concat());
    assert_eq!(taken(pairs), (20, Some(FloodViolation::Resets)));
}

#[test]
fn requests_give_credit_for_the_control_frames_that_they_bring() {
    let brought = [frame(WINDOW_UPDATE, 0, 0, 4), frame(2, 0, 1, 5), frame(PING, 0, 0, 8)].concat();
    let requests = (0..10_000).map(|n| [request(2 * n + 1), brought.clone()].concat());
    assert_eq!(taken(requests), (10_000, None));
}

#[test]
fn answers_give_credit_for_window_updates() {
    let (mut guard, now) = begun();
    for _ in 0..10_000 {
        guard.sent(&frame(DATA, 0, 1, 100), || now);
        let updates = [frame(WINDOW_UPDATE, 0, 0, 4), frame(WINDOW_UPDATE, 0, 1, 4)].concat();
        assert_eq!(guard.received(&updates, now), Ok(()));
    }
}

#[test]
fn what_came_slowly_is_forgiven() {
    let (mut guard, mut now) = begun();
    for _ in 0..10_000 {
        now += LEAK_TIME / 100;
        assert_eq!(guard.received(&frame(PING, 0, 0, 8), now), Ok(()));
    }
}

#[test]
fn resets_that_the_client_provokes_count_as_its_own() {
    let (mut guard, now) = begun();
    for _ in 0..1000 {
        // NO_ERROR after an early answer, and CANCEL when an origin fails, are our own doing.
        guard.sent(&reset(0), || now);
        guard.sent(&reset(8), || now);
    }
    assert_eq!(guard.overdue(now), None);
    for _ in 0..21 {
        guard.sent(&reset(1), || now);
    }
    assert_eq!(guard.overdue(now), Some(FloodViolation::Resets));
    assert!(guard.due().is_some_and(|due| due <= now));
}

#[test]
fn a_header_block_has_a_longest_length() {
    let (mut guard, now) = begun();
    guard.received(&frame(HEADERS, 0, 1, 4000), now).unwrap();
    guard.received(&frame(CONTINUATION, 0, 1, 4000), now).unwrap();
    assert_eq!(guard.received(&frame(CONTINUATION, 0, 1, 4000), now), Err(FloodViolation::HeaderBlock));
}

#[test]
fn a_header_block_of_nothing_has_one_too() {
    let frames =
        std::iter::once(frame(HEADERS, 0, 1, 0)).chain(std::iter::repeat_n(frame(CONTINUATION, 0, 1, 0), 10_000));
    assert_eq!(taken(frames), (10_000 / FRAME_HEADER, Some(FloodViolation::HeaderBlock)));
}

#[test]
fn a_header_block_must_end_in_time() {
    let (mut guard, now) = begun();
    guard.received(&frame(HEADERS, 0, 1, 10), now).unwrap();
    assert_eq!(guard.due(), Some(now + 5 * SECOND));
    // More of it does not buy more time.
    guard.received(&frame(CONTINUATION, 0, 1, 10), now + 4 * SECOND).unwrap();
    assert_eq!(guard.due(), Some(now + 5 * SECOND));
    assert_eq!(guard.received(&frame(CONTINUATION, 0, 1, 10), now + 5 * SECOND), Err(FloodViolation::SlowHeader));
}

#[test]
fn a_complete_header_block_waits_for_nothing() {
    let (mut guard, now) = begun();
    guard.received(&frame(HEADERS, 0, 1, 10), now).unwrap();
    guard.received(&frame(CONTINUATION, END_HEADERS, 1, 10), now).unwrap();
    assert_eq!(guard.due(), None);
}

#[test]
fn half_a_headers_frame_must_end_like_a_header_block() {
    let (mut guard, now) = begun();
    let request = request(1);
    guard.received(&request[..request.len() - 1], now).unwrap();
    assert_eq!(guard.due(), Some(now + 5 * SECOND));
    guard.received(&request[request.len() - 1..], now + SECOND).unwrap();
    assert_eq!(guard.due(), None);
}

#[test]
fn a_frame_must_end_in_time_however_it_trickles() {
    let (mut guard, mut now) = begun();
    let data = frame(DATA, 0, 1, 100);
    guard.received(&data[..20], now).unwrap();
    let due = now + 20 * SECOND;
    for byte in 20..39 {
        now += SECOND;
        guard.received(&data[byte..=byte], now).unwrap();
        assert_eq!(guard.due(), Some(due));
    }
    now += SECOND;
    assert_eq!(guard.received(&data[39..40], now), Err(FloodViolation::SlowFrame));
}

#[test]
fn a_frame_begins_its_own_time() {
    let (mut guard, now) = begun();
    let data = frame(DATA, 0, 1, 100);
    guard.received(&data[..20], now).unwrap();
    let rest = [&data[20..], &data[..20]].concat();
    guard.received(&rest, now + 19 * SECOND).unwrap();
    assert_eq!(guard.due(), Some(now + 39 * SECOND));
}

#[test]
fn the_preface_must_come_in_time() {
    let now = Instant::now();
    let mut guard = FloodDetector::new(bounds(), now);
    guard.received(&PREFACE[..10], now).unwrap();
    assert_eq!(guard.overdue(now + 5 * SECOND), Some(FloodViolation::SlowHeader));
}

#[test]
fn the_first_request_must_come_in_time_and_pings_are_none() {
    let start = Instant::now();
    let mut detector = FloodDetector::new(FloodBounds { first_request: 60 * SECOND, ..bounds() }, start);
    detector.received(PREFACE, start).unwrap();
    detector.received(&frame(PING, 0, 0, 8), start + SECOND).unwrap();
    assert_eq!(detector.due(), Some(start + 60 * SECOND));
    assert_eq!(detector.overdue(start + 60 * SECOND), Some(FloodViolation::FirstRequest));
    detector.received(&request(1), start + 2 * SECOND).unwrap();
    assert_eq!(detector.due(), None);
    assert_eq!(detector.overdue(start + 1000 * SECOND), None);
}

#[test]
fn an_own_frame_goes_between_frames_and_not_into_a_header_block() {
    let (mut guard, now) = begun();
    assert!(guard.may_interject());
    let headers = frame(HEADERS, 0, 1, 10);
    guard.sent(&headers[..15], || now);
    assert!(!guard.may_interject());
    guard.sent(&headers[15..], || now);
    assert!(!guard.may_interject());
    guard.sent(&frame(CONTINUATION, END_HEADERS, 1, 10), || now);
    assert!(guard.may_interject());
}

#[test]
fn the_goaway_names_the_last_stream_the_code_and_the_reason() {
    let (mut guard, now) = begun();
    guard.received(&request(7), now).unwrap();
    let bytes = guard.goaway(FloodViolation::Resets.code(), FloodViolation::Resets.reason());
    let frame = FrameReader::default().next(&mut &bytes[..]).expect("a frame");
    assert_eq!((frame.head.kind, frame.head.stream), (GOAWAY, 0));
    assert_eq!((frame.number(0), frame.number(4)), (Some(7), Some(ENHANCE_YOUR_CALM)));
    assert!(bytes.ends_with(b"too many resets"));
}

#[test]
fn what_the_library_stops_by_itself_is_known_by_the_frame_that_it_has_just_read() {
    let goaway = |code: u32| {
        let mut bytes = Vec::new();
        FrameHeader { length: 8, kind: GOAWAY, flags: 0, stream: 0 }.write(&mut bytes);
        bytes.extend_from_slice(&[0, 0, 0, 0]);
        bytes.extend_from_slice(&code.to_be_bytes());
        bytes
    };
    for (read, violation) in [
        (frame(RST_STREAM, 0, 1, 4), FloodViolation::Resets),
        (frame(HEADERS, 0, 3, 10), FloodViolation::HeaderBlock),
        (frame(CONTINUATION, 0, 1, 10), FloodViolation::HeaderBlock),
        (frame(DATA, 0, 1, 0), FloodViolation::ControlFrames),
    ] {
        let (mut guard, now) = begun();
        guard.received(&request(1), now).unwrap();
        guard.received(&read, now).unwrap();
        assert_eq!(guard.sent(&goaway(ENHANCE_YOUR_CALM), || now), Some(violation));
        assert_eq!(guard.sent(&goaway(1), || now), None);
        // The library resets streams for what the client sends, and has enough of it.
        assert_eq!(guard.sent(&[reset(1), goaway(ENHANCE_YOUR_CALM)].concat(), || now), Some(FloodViolation::Resets));
    }
}

prop_compose! {
    fn any_frames()(
        frames in prop::collection::vec((0u8..12, any::<u8>(), 0u32..8, 0usize..300), 0..200),
    ) -> Vec<u8> {
        frames.into_iter().flat_map(|(kind, flags, stream, length)| frame(kind, flags, stream, length)).collect()
    }
}

proptest! {
    #[test]
    fn it_does_not_matter_how_the_bytes_are_cut(wire in any_frames(), sizes in prop::collection::vec(1usize..400, 1..20)) {
        let (mut whole, now) = begun();
        let expected = whole.received(&wire, now);
        let (mut pieces, _) = begun();
        pieces.began = whole.began;
        let (mut rest, mut got) = (&wire[..], Ok(()));
        let mut sizes = sizes.iter().cycle();
        while !rest.is_empty() && got.is_ok() {
            let (piece, later) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
            got = pieces.received(piece, now);
            rest = later;
        }
        prop_assert_eq!(got, expected);
        if got.is_ok() {
            prop_assert_eq!(pieces.due(), whole.due());
            prop_assert_eq!(pieces.control.level, whole.control.level);
            prop_assert_eq!(pieces.resets.level, whole.resets.level);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(wire in prop::collection::vec(any::<u8>(), 0..2000)) {
        let (mut guard, now) = begun();
        let _ = guard.received(&wire, now);
        let _ = guard.sent(&wire, || now);
        let _ = (guard.due(), guard.may_interject());
    }
}
