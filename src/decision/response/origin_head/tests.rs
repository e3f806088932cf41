use http::HeaderMap;
use proptest::prelude::*;

use super::*;

/// Status, length and fields.
type Text = (u16, usize, Vec<(String, String)>);

fn read_text(head: &str) -> Result<Option<Text>, &'static str> {
    let mut bytes = head.as_bytes().to_vec();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(read(&mut bytes)?.map(|(head, fields)| {
        let fields = fields.lines().map(|(name, value)| (text(name), text(value))).collect();
        (head.status.as_u16(), head.length, fields)
    }))
}

#[test]
fn a_head_is_read_once_it_is_whole() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: a b \r\n\r\n";
    let fields = vec![("Content-Length".into(), "2".into()), ("X".into(), "a b".into())];
    assert_eq!(read_text(&format!("{head}ok")), Ok(Some((200, head.len(), fields))));
    for end in 0..head.len() {
        assert_eq!(read_text(&head[..end]), Ok(None), "{end}");
    }
    assert_eq!(read_text("HTTP/1.0 404\n\n"), Ok(Some((404, 14, vec![]))), "old servers end lines in LF");
}

#[test]
fn what_is_no_answer_is_found_out_at_once() {
    for bytes in ["SSH-2.0-OpenSSH", "HTTP/2.0 200 OK\r\n", "HTTP/1.1 2x0", "HTTP/1.1 200 OK\r\nbad name: 1\r\n"] {
        assert!(read_text(bytes).is_err(), "{bytes}");
    }
    let mut long = format!("HTTP/1.1 200 OK\r\nx: {}", "a".repeat(MAX_HEAD_BYTES)).into_bytes();
    assert!(is_whole(&mut long, &mut 0).is_err());
}

#[test]
fn empty_lines_before_a_head_are_no_head() {
    for lines in ["\r\n\r\n", "\n\n", "\r\n\n\r\n\r\n"] {
        assert_eq!(is_whole(&mut lines.as_bytes().to_vec(), &mut 0), Ok(false));
        assert_eq!(read_text(lines), Ok(None));
        let head = format!("{lines}HTTP/1.1 200 OK\r\nX: a\r\n X-Frame-Options: b\r\n\r\n");
        let fields = vec![("X".to_owned(), "a X-Frame-Options: b".to_owned())];
        assert_eq!(read_text(&head), Ok(Some((200, head.len(), fields))));
    }
    assert!(read_text("HTTP/1.1 200 OK\r\n Foo: x\r\n\r\n").is_err(), "the status line is no field");
}

#[test]
fn the_end_of_a_head_is_found_however_it_comes() {
    let head = b"\r\nHTTP/1.1 200 OK\r\nX: a\r\n\r\nrest";
    for step in 1..head.len() {
        let (mut end, mut searched) = (0, 0);
        let whole = loop {
            end = (end + step).min(head.len());
            if is_whole(&mut head[..end].to_vec(), &mut searched).unwrap() {
                break end;
            }
        };
        assert!(whole >= head.len() - 4 && read(&mut head[..whole].to_vec()).unwrap().is_some(), "{step}");
    }
}

#[test]
fn a_folded_line_is_one_line() {
    let (_, _, fields) = read_text("HTTP/1.1 200 OK\r\nx: a\r\n b\r\n\tc\r\ny: d\r\n\r\n\n e").unwrap().unwrap();
    assert_eq!(fields, [("x".into(), "a b c".to_owned()), ("y".into(), "d".into())]);
}

fn framed(method: Method, status: u16, fields: &[(&'static str, &'static str)]) -> Result<OriginBody, &'static str> {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        map.append(*name, value.parse().unwrap());
    }
    framing(&method, StatusCode::from_u16(status).unwrap(), &mut map)
}

#[test]
fn a_body_is_framed_by_its_coding_its_length_or_the_end() {
    assert_eq!(framed(Method::GET, 200, &[]), Ok(OriginBody::UntilClose));
    assert_eq!(framed(Method::GET, 200, &[("content-length", "7")]), Ok(OriginBody::Length(7)));
    assert_eq!(
        framed(Method::GET, 200, &[("content-length", "7, 7"), ("content-length", "07")]),
        Ok(OriginBody::Length(7))
    );
    assert_eq!(framed(Method::GET, 200, &[("content-length", "0")]), Ok(OriginBody::Done));
    let both = [("content-length", "7"), ("transfer-encoding", "chunked")];
    assert_eq!(framed(Method::GET, 200, &both), Ok(OriginBody::chunked()));
    for (method, status) in [(Method::HEAD, 200), (Method::GET, 204), (Method::GET, 304), (Method::GET, 103)] {
        assert_eq!(framed(method, status, &[("content-length", "7")]), Ok(OriginBody::Done), "{status}");
    }
    for lengths in [
        &[("content-length", "7"), ("content-length", "8")][..],
        &[("content-length", "-1")],
        &[("content-length", "")],
    ] {
        assert!(framed(Method::GET, 200, lengths).is_err(), "{lengths:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(mut bytes: Vec<u8>) {
        let _ = read(&mut bytes);
    }

    #[test]
    fn lines_of_any_kind_make_no_panic(lines in "HTTP/1[.][01] [0-9]{3}( [a-z]{0,3})?(\r\n|\n)([a-zX-]{1,3}:[ \t]?[a-c]{0,3}(\r\n|\n)[ ]?){0,4}(\r\n|\n)?.{0,3}") {
        let mut bytes = lines.into_bytes();
        let whole = bytes.len();
        let ends = is_whole(&mut bytes.clone(), &mut 0) == Ok(true);
        prop_assert!(!ends || !matches!(read(&mut bytes.clone()), Ok(None)), "what is whole is read or refused");
        if let Ok(Some((head, fields))) = read(&mut bytes) {
            prop_assert!(head.length <= whole);
            prop_assert!(fields.lines().all(|(_, value)| !value.contains(&b'\n')));
        }
    }
}
