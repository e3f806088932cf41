use proptest::prelude::*;

use super::*;

fn read(head: &str) -> Result<Option<Head>, Denial> {
    HeadReader::default().read(head.as_bytes())
}

fn cause(head: &str) -> Option<Cause> {
    read(head).err().map(|denial| denial.cause)
}

#[test]
fn a_plain_head_is_read_to_its_end() {
    let get = "GET /a?b HTTP/1.1\r\nHost: a\r\nX-Empty:\r\nX-Tab:\ta b\t\r\n\r\n";
    assert_eq!(read(get), Ok(Some(Head { length: get.len(), framing: BodyLength::None, raw_target: None })));
    let post = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length:\t5 \r\n\r\n";
    assert_eq!(
        read(&format!("{post}hello")),
        Ok(Some(Head { length: post.len(), framing: BodyLength::Length(5), raw_target: None }))
    );
    let old = "GET / HTTP/1.0\r\n\r\n";
    assert_eq!(read(old), Ok(Some(Head { length: old.len(), framing: BodyLength::None, raw_target: None })));
}

#[test]
fn one_empty_line_may_come_first() {
    assert!(read("\r\nGET / HTTP/1.1\r\n\r\n").unwrap().is_some());
    assert_eq!(cause("\r\n\r\nGET / HTTP/1.1\r\n\r\n"), Some(Cause::MalformedRequest));
    assert_eq!(cause("\nGET / HTTP/1.1\r\n\r\n"), Some(Cause::MalformedRequest));
}

#[test]
fn what_parsers_forgive_is_refused() {
    for head in [
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost\t: a\r\n\r\n",
        "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\tfolded\r\n\r\n",
        "GET / HTTP/1.1\r\nHost a\r\n\r\n",
        "GET / HTTP/1.1\r\n: a\r\n\r\n",
        "GET / HTTP/1.1\r\nH\u{f6}st: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHo(st: a\r\n\r\n",
        "GET / HTTP/1.1\r\nX: a\0b\r\n\r\n",
        "GET / HTTP/1.1\r\nX: a\u{7f}\r\n\r\n",
        "GET / HTTP/1.1\r\nX: a\u{b}\r\n\r\n",
        "GET  / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1 \r\n\r\n",
        "GET /  HTTP/1.1\r\n\r\n",
        "GET / x HTTP/1.1\r\n\r\n",
        "GET\t/ HTTP/1.1\r\n\r\n",
        "GET /\0 HTTP/1.1\r\n\r\n",
        "GET /a#b HTTP/1.1\r\n\r\n",
        "GET /\u{7f} HTTP/1.1\r\n\r\n",
        " GET / HTTP/1.1\r\n\r\n",
        "G\u{e9}T / HTTP/1.1\r\n\r\n",
        "GET / http/1.1\r\n\r\n",
        "GET / HTTP/1.10\r\n\r\n",
        "GET / HTTP/1,1\r\n\r\n",
        "GET / HTTP/x.1\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nTransfer-Encoding: \u{b}chunked\r\n\r\n",
        "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        assert_eq!(cause(head), Some(Cause::MalformedRequest), "{head:?}");
    }
}

#[test]
fn a_target_is_text() {
    let read = |head: &[u8]| HeadReader::default().read(head).map(|head| head.is_some()).map_err(|denial| denial.cause);
    assert_eq!(read("GET /caf\u{e9} HTTP/1.1\r\n\r\n".as_bytes()), Ok(true));
    for head in [&b"GET \xd0 HTTP/1.1\r\n"[..], b"GET /caf\xe9 HTTP/1.1\r\n", b"GET /\xc0\xaf HTTP/1.1\r\n"] {
        assert_eq!(read(head), Err(Cause::MalformedRequest), "{head:?}");
    }
}

#[test]
fn versions_methods_codings_and_counts_have_their_own_causes() {
    let long = format!("{} / HTTP/1.1\r\n\r\n", "A".repeat(33));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(257));
    for (head, expected) in [
        ("GET /\r\n", Cause::VersionUnsupported),
        ("GET / HTTP/0.9\r\n\r\n", Cause::VersionUnsupported),
        ("GET / HTTP/2.0\r\n\r\n", Cause::VersionUnsupported),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Cause::VersionUnsupported),
        ("GET / HTTP/1.2\r\n\r\n", Cause::VersionUnsupported),
        (&long, Cause::MethodTooLong),
        (&many, Cause::HeadersTooMany),
        ("GET / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", Cause::TransferCodingUnknown),
    ] {
        assert_eq!(cause(head), Some(expected), "{head:?}");
    }
}

#[test]
fn what_cannot_become_a_request_is_refused_before_its_end() {
    for head in ["\x16\x03\x01", "GET\0", "{", &"A".repeat(33), "GET / HTTP/1.1\n", "GET / HTTP/1.1\r\nX y\r\n"] {
        assert!(read(head).is_err(), "{head:?}");
    }
    for head in ["", "G", "\r", "\r\n", "GET / HT", "GET / HTTP/1.1\r\nHost: a\r\n"] {
        assert_eq!(read(head), Ok(None), "{head:?}");
    }
}

proptest! {
    #[test]
    fn pieces_are_read_as_the_whole(
        head in "(\r\n)?(GET|PO ST|P) (/|/a b|\\*) HTTP/1\\.[01](\r\n|\n)((Host|Content-Length|X )?:? ?(1|a)?(\r\n|\r|\n)){0,4}(\r\n)?",
        cut in any::<prop::sample::Index>(),
    ) {
        let whole = HeadReader::default().read(head.as_bytes());
        let mut reader = HeadReader::default();
        let cut = cut.index(head.len());
        let pieces = match reader.read(&head.as_bytes()[..cut]) {
            Ok(None) => reader.read(head.as_bytes()),
            early => early,
        };
        prop_assert_eq!(pieces, whole);
    }

    #[test]
    fn no_bytes_make_it_panic(head: Vec<u8>) {
        let _ = HeadReader::default().read(&head);
    }
}
