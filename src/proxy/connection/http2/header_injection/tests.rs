use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use proptest::prelude::*;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

use super::*;
use crate::proxy::connection::http2::frame::{CONTINUATION, MAX_FRAME_SIZE};
use crate::proxy::hpack::encode_literals;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    FrameHeader { length: payload.len(), kind, flags, stream }.write(&mut bytes);
    bytes.extend_from_slice(payload);
    bytes
}

/// Everything that goes out for `input`, cut into chunks of the given sizes (repeated), and what was completed.
fn completed(input: &[u8], fields: &[u8], sizes: &[usize]) -> (Vec<u8>, Vec<BareAnswer>) {
    let mut injector = ResponseHeaderInjector::new();
    let (mut out, mut all) = (Vec::new(), Vec::new());
    let mut sizes = sizes.iter().cycle();
    let mut rest = input;
    while !rest.is_empty() {
        let size = *sizes.next().expect("there is at least one size");
        let chunk = &rest[..size.min(rest.len())];
        match injector.scan(chunk, fields) {
            InjectorOutput::Pass(count) => {
                assert!(count > 0, "a scan makes progress");
                // A socket may take less than it is given.
                let count = count.min(*sizes.next().expect("there is at least one size"));
                injector.wrote(count);
                out.extend_from_slice(&rest[..count]);
                rest = &rest[count..];
            }
            InjectorOutput::Replace { consumed, bytes, completed } => {
                assert!(consumed > 0, "a scan makes progress");
                out.extend_from_slice(bytes);
                all.extend(completed);
                rest = &rest[consumed..];
            }
        }
    }
    out.extend_from_slice(injector.finish());
    (out, all)
}

const FIELDS: &[u8] = b"\x00\x01a\x01b";
const WHOLE: &[usize] = &[usize::MAX];

#[test]
fn a_bare_answer_gets_the_fields() {
    let (out, all) = completed(&frame(HEADERS, 5, 3, &[0x8c]), FIELDS, WHOLE);
    assert_eq!(out, frame(HEADERS, 5, 3, b"\x8c\x00\x01a\x01b"));
    assert_eq!(all, [BareAnswer { stream: 3, status: Some(400) }]);
}

#[test]
fn everything_else_passes_in_one_piece() {
    let mut input = frame(4, 0, 0, &[0; 12]);
    input.extend(frame(HEADERS, END_HEADERS, 1, &[0x88]));
    input.extend(frame(DATA, 0, 1, b"body"));
    input.extend(frame(HEADERS, 5, 1, &[0xbe]));
    input.extend(frame(HEADERS, 5, 3, &[0x88, 0xbe]));
    let mut injector = ResponseHeaderInjector::new();
    assert_eq!(injector.scan(&input, FIELDS), InjectorOutput::Pass(input.len()));
}

#[test]
fn trailers_of_one_field_are_left_alone() {
    let mut input = frame(HEADERS, END_HEADERS, 1, &[0x88]);
    input.extend(frame(HEADERS, 5, 1, &[0xbe]));
    assert_eq!(completed(&input, FIELDS, WHOLE), (input, vec![]));
}

#[test]
fn a_client_that_resets_its_streams_takes_no_memory_and_no_trailers() {
    let mut injector = ResponseHeaderInjector::new();
    let write = |injector: &mut ResponseHeaderInjector, bytes: &[u8]| match injector.scan(bytes, FIELDS) {
        InjectorOutput::Pass(count) => {
            injector.wrote(count);
            count == bytes.len()
        }
        InjectorOutput::Replace { .. } => false,
    };
    for stream in (1..20_001).step_by(2) {
        assert!(write(&mut injector, &frame(HEADERS, END_HEADERS, stream, &[0x88])));
    }
    assert_eq!(injector.open.len(), OPEN_MAX);
    assert!(write(&mut injector, &frame(HEADERS, 5, 1, &[0xbe])), "trailers of a forgotten stream");
    assert!(write(&mut injector, &frame(HEADERS, 5, 19_999, &[0xbe])), "trailers of a remembered stream");
    assert!(!write(&mut injector, &frame(HEADERS, 5, 20_001, &[0x8c])), "a new refusal");
}

#[test]
fn more_fields_than_a_frame_holds_continue() {
    let fields = vec![7; 2 * MAX_FRAME_SIZE + 5];
    let (out, _) = completed(&frame(HEADERS, 5, 1, &[0x8c]), &fields, WHOLE);
    let mut first = vec![0x8c];
    first.extend_from_slice(&fields[..MAX_FRAME_SIZE - 1]);
    let mut expected = frame(HEADERS, END_STREAM, 1, &first);
    expected.extend(frame(CONTINUATION, 0, 1, &fields[..MAX_FRAME_SIZE]));
    expected.extend(frame(CONTINUATION, END_HEADERS, 1, &fields[..6]));
    assert_eq!(out, expected);
}

/// A frame that a server may write, and what is to become of it on a connection where nothing else happens on its stream.
fn frames() -> impl Strategy<Value = Vec<(u8, u8, u32, Vec<u8>)>> {
    let block = prop_oneof![
        Just(vec![0x8c]),
        Just(vec![0xbe]),
        Just(b"\x48\x03431".to_vec()),
        Just(vec![0x3f, 0xe1, 0x1f, 0x48, 0x82, 0x64, 0x02]),
        Just(vec![0x88, 0xbe]),
        prop::collection::vec(any::<u8>(), 0..40),
    ];
    let flags = prop_oneof![Just(5u8), Just(4), Just(1), Just(0), any::<u8>()];
    let kind = prop_oneof![3 => Just(HEADERS), 1 => Just(DATA), 1 => Just(RST_STREAM), 1 => 0u8..12];
    prop::collection::vec((kind, flags, 0u32..8, block), 0..12)
}

/// The definition, frame by frame.
fn expected(frames: &[(u8, u8, u32, Vec<u8>)]) -> (Vec<u8>, usize) {
    let (mut out, mut count) = (Vec::new(), 0);
    let mut begun = std::collections::HashSet::new();
    for (kind, flags, stream, block) in frames {
        let complete = flags & 5 == 5 && flags & (PADDED | PRIORITY) == 0;
        let first = !begun.contains(stream) && *stream > 0;
        let bare = hpack::bare_status(block).is_some() && block.len() <= BARE_MAX;
        if *kind == HEADERS && complete && first && bare {
            count += 1;
            out.extend(frame(*kind, *flags, *stream, &[block, FIELDS].concat()));
        } else {
            out.extend(frame(*kind, *flags, *stream, block));
        }
        if *kind == RST_STREAM || (matches!(*kind, DATA | HEADERS) && flags & END_STREAM != 0) {
            begun.remove(stream);
        } else if *kind == HEADERS {
            begun.insert(*stream);
        }
    }
    (out, count)
}

proptest! {
    #[test]
    fn how_the_bytes_are_cut_changes_nothing(
        frames in frames(),
        sizes in prop::collection::vec(prop_oneof![1usize..12, Just(1), 1usize..200], 1..20),
    ) {
        let input: Vec<u8> = frames.iter().flat_map(|(k, f, s, b)| frame(*k, *f, *s, b)).collect();
        let (out, count) = expected(&frames);
        let (whole, all) = completed(&input, FIELDS, WHOLE);
        prop_assert_eq!(&whole, &out);
        prop_assert_eq!(all.len(), count);
        prop_assert_eq!(completed(&input, FIELDS, &sizes), (whole, all));
    }

    #[test]
    fn any_bytes_come_out_whole_when_there_is_nothing_to_add(
        input in prop::collection::vec(any::<u8>(), 0..300),
        sizes in prop::collection::vec(1usize..40, 1..8),
    ) {
        prop_assert_eq!(completed(&input, &[], &sizes).0, input);
    }
}

/// A server's end of a connection, with the injector on what it writes.
struct InjectedStream {
    inner: DuplexStream,
    injector: ResponseHeaderInjector,
    fields: Vec<u8>,
    pending: Vec<u8>,
}

impl InjectedStream {
    fn poll_pending(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.pending.is_empty() {
            let count = ready!(Pin::new(&mut self.inner).poll_write(cx, &self.pending))?;
            self.pending.drain(..count);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for InjectedStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, chunk: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_pending(cx))?;
        match this.injector.scan(chunk, &this.fields) {
            InjectorOutput::Pass(count) => {
                let written = ready!(Pin::new(&mut this.inner).poll_write(cx, &chunk[..count]))?;
                this.injector.wrote(written);
                Poll::Ready(Ok(written))
            }
            InjectorOutput::Replace { consumed, bytes, .. } => {
                this.pending.extend_from_slice(bytes);
                Poll::Ready(Ok(consumed))
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_pending(cx))?;
        Pin::new(&mut this.inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_pending(cx))?;
        Pin::new(&mut this.inner).poll_shutdown(cx)
    }
}

impl AsyncRead for InjectedStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_read(cx, buf)
    }
}

#[tokio::test]
async fn a_client_sees_the_headers_on_the_automatic_431() {
    let mut declared = HeaderMap::new();
    declared.insert("x-frame-options", HeaderValue::from_static("DENY"));
    declared.insert("content-security-policy", HeaderValue::from_str(&"x".repeat(20_000)).unwrap());
    let (client, server) = tokio::io::duplex(37);
    let wire = InjectedStream {
        inner: server,
        injector: ResponseHeaderInjector::new(),
        fields: encode_literals(declared.iter()),
        pending: Vec::new(),
    };
    let serve = async {
        let mut builder = h2::server::Builder::new();
        let mut connection = builder.max_header_list_size(512).handshake::<_, bytes::Bytes>(wire).await.unwrap();
        while let Some(request) = connection.accept().await {
            let Ok((_, mut respond)) = request else { break };
            let response = Response::builder().header("x-request-id", "1").body(()).unwrap();
            let mut body = respond.send_response(response, false).unwrap();
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
            body.send_trailers(trailers).unwrap();
        }
    };
    let ask = async {
        let (mut sender, connection) = h2::client::Builder::new()
            .max_header_list_size(1 << 20)
            .handshake::<_, bytes::Bytes>(client)
            .await
            .unwrap();
        let drive = async {
            // The server is gone once the client has what it came for.
            let _ = connection.await;
        };
        let talk = async {
            for round in 0..3 {
                let large = HeaderValue::from_str(&"v".repeat(600)).unwrap();
                let request = Request::get("http://a.example/").header("x-large", large).body(()).unwrap();
                sender = sender.ready().await.unwrap();
                let answer = sender.send_request(request, true).unwrap().0.await.unwrap();
                assert_eq!(answer.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "round {round}");
                assert_eq!(answer.headers(), &declared, "round {round}");

                let request = Request::get("http://a.example/").body(()).unwrap();
                sender = sender.ready().await.unwrap();
                let answer = sender.send_request(request, true).unwrap().0.await.unwrap();
                assert_eq!(answer.headers().len(), 1, "our own answers are not touched");
                assert_eq!(answer.headers()[HeaderName::from_static("x-request-id")], "1");
                let trailers = answer.into_body().trailers().await.unwrap().unwrap();
                assert_eq!(trailers.len(), 1, "trailers are not touched");
            }
            drop(sender);
        };
        tokio::join!(drive, talk)
    };
    tokio::join!(serve, ask);
}
