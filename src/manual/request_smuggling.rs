//! Request smuggling: one message, two lengths.
//!
//! # The attack
//!
//! If two programs on a request's path disagree about its end, the rest of its body is the next request to one of
//! them: a request that no rule has seen, whose answer goes to the next client on that connection (RFC 9112 §11.2).
//! Everything that determines a message's length can cause a disagreement:
//!
//! * `Content-Length` twice, with a sign, empty, or beside `Transfer-Encoding` (RFC 9112 §6.1, §6.3; RFC 9110 §8.6);
//! * a transfer coding that is not exactly `chunked`, or any at all in HTTP/1.0 (RFC 9112 §6.1);
//! * the lines: a bare CR or LF, a folded line, a space before the colon, an empty field name (RFC 9112
//!   §2.2, §5.1, §5.2);
//! * the chunks: sizes that overflow, extensions, line ends within them (RFC 9112 §7.1);
//! * HTTP/2 on one side and HTTP/1 on the other: frames have a length of their own, and a value may contain bytes that end
//!   a line in HTTP/1 (RFC 9113 §8.2.1, §8.2.2, §10.3);
//! * an unread body: the rest of it is taken for the next request;
//! * a protocol switch that one side assumes and the other has not agreed to (RFC 9110 §7.8).
//!
//! # Known cases
//!
//! * **HAProxy** let the length of a field name overflow ([CVE-2021-40346]); accepted an empty field name and lost all
//!   fields after it ([CVE-2023-25725]); forwarded an empty `Content-Length` ([CVE-2023-40225]); let a
//!   `Transfer-Encoding` without `chunked` through ([CVE-2019-18277]).
//! * **Netty** took `Transfer-Encoding : chunked`, with the space ([CVE-2019-16869]); **Node.js** ended a field at a
//!   bare CR ([CVE-2023-30589]); **Gunicorn** took conflicting `Transfer-Encoding` fields for chunked
//!   ([CVE-2024-1135]).
//! * **hyper** read `Content-Length: +3` ([CVE-2021-32715]) and let the size of a chunk overflow ([CVE-2021-32714]):
//!   memory safety does not prevent a lenient parser.
//! * In chunk-size lines a bare LF sufficed for **ASP.NET Core** ([CVE-2025-55315], rated 9.9), **Go**
//!   ([CVE-2025-22871]) and **Netty** ([CVE-2025-58056]), and **Squid**'s decoder was lenient as a whole
//!   ([CVE-2023-46846]).
//! * From HTTP/2 to HTTP/1, **Apache httpd** forwarded a method that contained more than a method
//!   ([CVE-2021-33193]), **Varnish** pseudo-header fields with characters that no request line may have
//!   ([CVE-2022-45060]), **Netty** a `Content-Length` that differed from the frames ([CVE-2021-21295]), and **Apache
//!   Traffic Server** a `Transfer-Encoding`, which HTTP/2 does not have ([CVE-2026-58150]).
//! * Unread bodies: **nginx** with some `error_page` settings ([CVE-2019-20372]); **Pingora** on a cache
//!   hit ([CVE-2025-4366]); **Apache Traffic Server** after an early answer to `Expect: 100-continue`
//!   ([CVE-2025-55702]), and on a pooled connection to an origin that still waited for the rest of a body
//!   ([CVE-2025-31699]).
//! * **Pingora** read close-delimited bodies in HTTP/1.0 requests and mixed up several codings ([CVE-2026-2835]), and
//!   forwarded the bytes after an `Upgrade` before the origin had agreed ([CVE-2026-2833]); **nghttpx** forwarded an
//!   `Upgrade` together with a body ([CVE-2026-58055]).
//!
//! # How this code avoids it
//!
//! Pingora's parser is lenient. It never gets the bytes of a client; it gets messages that have only one reading.
//!
//! * [`decision::request::head`](crate::decision::request::head) checks an HTTP/1 head as bytes: every line ends in CR
//!   LF, none is folded, every name is a token up to its colon, no value contains a control character, `Host` occurs
//!   once. Other versions are 505.
//! * [`decision::request::framing`](crate::decision::request::framing) finds one length or none: a second
//!   `Content-Length`, even an equal one, one that is not made of digits or does not fit a number, one beside
//!   `Transfer-Encoding`, and `Transfer-Encoding` in HTTP/1.0 are refused; codings other than `chunked` are 501.
//! * [`decision::request::chunked`](crate::decision::request::chunked) parses the chunks: sizes that can't overflow, lines
//!   that end in CR LF, extensions and trailers of a few kilobytes at most. They are not forwarded: the body is chunked again.
//! * [`proxy::connection`](crate::proxy::connection) gives Pingora one message at a time. Bytes beyond the announced length are
//!   held back, and are the next request, checked like any other.
//! * [`decision::request::read`](crate::decision::request::read) checks lengths and hosts again, for every protocol,
//!   so that HTTP/2 can't contain what HTTP/1 may not.
//! * An unread body ends the connection, unless it is small and its length announced, and then it is read
//!   ([`proxy::hooks::response::answer`](crate::proxy::hooks::response::answer)). A refused, cut-off or cancelled body never
//!   reaches the origin as a complete one, and its connection is not reused. Bytes that an origin sends after the end of its
//!   answer are never the next answer.
//! * What `Connection` names is removed, and it may not name a field that rules or the reading go by; `Expect` is `100-continue`,
//!   empty, or 417.
//! * [`decision::request::section`](crate::decision::request::section) judges every header block of HTTP/2 as bytes before the HTTP/2
//!   library does ([`proxy::connection::http2::header_block`](crate::proxy::connection::http2::header_block)): CR, LF and NUL,
//!   upper-case names, unknown, repeated or late pseudo-headers, pseudo-headers in trailers, and fields of HTTP/1 connections reset the
//!   stream with PROTOCOL_ERROR; what HTTP/1 refuses too is answered 400. Other streams go on, and each refusal has a log line.
//! * An announced length is a promise: the bytes that complete a body of HTTP/2 go to the origin only once the stream has ended, and a
//!   request with `Content-Length: 0` only once it is known that nothing follows
//!   ([`proxy::connection::http2::session`](crate::proxy::connection::http2::session)).
//! * From HTTP/2 to HTTP/1 the target is written from its normalised form; hop-by-hop fields are removed.
//! * A tunnel begins when the origin answers 101 to a request that asked for it, and not before
//!   ([`proxy::upstream::tunnel`](crate::proxy::upstream::tunnel)), on a connection of its own that is not reused. A request with
//!   a body, or for another protocol than WebSocket, is forwarded without its `Upgrade`. A 101 that no client asked for is
//!   a failure of the origin ([`proxy::hooks::upstream_response`](crate::proxy::hooks::upstream_response)).
//!
//! # Left to the operator
//!
//! Nothing: these checks can't be switched off. A client that needs one of these forms is broken; its requests are in the
//! access log with the cause `malformed_request`, `version_unsupported` or `transfer_coding_unknown`.
//!
//! One case can't be detected: bytes that an origin sends unasked at the moment at which the next request goes out on the same
//! pooled connection look like that request's answer. Earlier bytes are detected, and close the connection. For an origin that
//! is not trusted that far, use an upstream with `http2: true`, where each answer names its request.
//!
//! # Tests
//!
//! * `src/decision/request/head/tests.rs::what_parsers_forgive_is_refused`
//! * `src/decision/request/head/tests.rs::pieces_are_read_as_the_whole`
//! * `src/decision/request/head/tests.rs::no_bytes_make_it_panic` (for random bytes)
//! * `src/decision/request/framing.rs::two_lengths_are_malformed`
//! * `src/decision/request/framing.rs::what_is_no_length_is_malformed`
//! * `src/decision/request/chunked.rs::a_body_with_two_readings_is_malformed`
//! * `src/decision/request/chunked.rs::the_largest_size_does_not_overflow`
//! * `src/decision/request/chunked.rs::pieces_are_followed_as_the_whole`
//! * `src/decision/request/tests.rs::two_lengths_are_refused`
//! * `src/decision/request/tests.rs::exactly_one_host_is_accepted`
//! * `tests/it/framing.rs::lines_that_parsers_read_differently_are_refused`
//! * `tests/it/framing.rs::two_lengths_and_two_hosts_are_refused`
//! * `tests/it/framing.rs::codings_and_versions_have_the_statuses_of_their_own`
//! * `tests/it/framing.rs::chunks_with_two_readings_are_refused_before_the_origin_has_a_request`
//! * `tests/it/framing.rs::chunks_reach_the_origin_in_one_plain_form`
//! * `tests/it/framing.rs::a_body_longer_than_its_length_is_the_next_request_and_refused`
//! * `tests/it/framing.rs::what_a_client_sends_ahead_is_served_in_its_turn`
//! * `src/decision/request/section/tests.rs::what_breaks_http2_is_malformed`
//! * `src/decision/request/section/tests.rs::no_library_refuses_what_passes` (for random requests)
//! * `src/proxy/hpack/decoder/tests.rs::what_another_implementation_encodes_is_decoded` (for random fields)
//! * `tests/it/http2/stream_errors.rs::a_malformed_request_is_reset_and_its_neighbours_are_answered`
//! * `tests/it/http2/stream_errors.rs::what_http1_answers_with_400_is_answered_with_400`
//! * `tests/it/http2/stream_errors.rs::trailers_with_pseudo_headers_never_complete_a_request`
//! * `tests/it/http2/stream_errors.rs::a_request_whose_length_is_not_its_bodys_never_reaches_an_origin_whole`
//! * `tests/it/http2/malformed.rs::pseudo_header_tricks_are_refused`
//! * `tests/it/http2/malformed.rs::a_length_that_is_not_the_bodys_is_refused_before_the_origin_has_it_whole`
//! * `tests/it/body.rs::a_body_that_grows_too_large_never_reaches_the_origin_as_a_whole_one`
//! * `tests/it/body.rs::a_body_that_the_client_breaks_off_never_reaches_the_origin_as_a_whole_one`
//! * `tests/it/body.rs::a_body_that_an_http2_client_gives_up_never_reaches_the_origin_as_a_whole_one`
//! * `tests/it/body.rs::a_body_from_http2_ends_once_for_an_http1_origin`
//! * `tests/it/body.rs::a_body_of_any_form_arrives_as_it_was_sent`
//! * `tests/it/stream.rs::a_refused_body_that_waits_to_be_asked_for_is_never_asked_for`
//! * `tests/it/stream.rs::an_unknown_expectation_is_417`
//! * `tests/it/origin_faults.rs::what_follows_an_answer_never_becomes_the_next_one`
//! * `tests/it/tunnel.rs::an_upgrade_with_a_body_or_to_something_else_is_not_asked_for`
//! * `tests/it/tunnel.rs::an_origin_that_does_not_switch_is_answered_like_any_other`
//! * `src/decision/request/tests.rs::connection_names_nothing_that_rules_go_by`
//! * `tests/it/read.rs::hop_by_hop_fields_stop_here`
//! * `tests/it/read.rs::expect_continue_gets_its_body_through`
//! * `tests/it/response.rs::malformed_http1_carries_them`
//! * `tests/it/response.rs::refused_bodies_carry_them`
//! * `tests/it/response.rs::a_switch_of_protocols_that_nobody_asked_for_is_refused`
//! * `tests/it/response.rs::http2_with_a_bad_authority_carries_them`
//! * `tests/it/listener.rs::http2_to_http1_keeps_the_request_whole`
//! * `tests/it/access_log.rs::a_malformed_request_has_its_line`
//!
//! Beside the tests, `tests/fuzz/fuzz_targets/head.rs` and `tests/fuzz/fuzz_targets/chunked.rs` look for bytes that are
//! accepted here and read otherwise by another parser, or by the same one in other pieces.
//!
//!
//! [CVE-2019-16869]: https://www.cve.org/CVERecord?id=CVE-2019-16869
//! [CVE-2019-18277]: https://www.cve.org/CVERecord?id=CVE-2019-18277
//! [CVE-2019-20372]: https://www.cve.org/CVERecord?id=CVE-2019-20372
//! [CVE-2021-21295]: https://www.cve.org/CVERecord?id=CVE-2021-21295
//! [CVE-2021-32714]: https://www.cve.org/CVERecord?id=CVE-2021-32714
//! [CVE-2021-32715]: https://www.cve.org/CVERecord?id=CVE-2021-32715
//! [CVE-2021-33193]: https://www.cve.org/CVERecord?id=CVE-2021-33193
//! [CVE-2021-40346]: https://www.cve.org/CVERecord?id=CVE-2021-40346
//! [CVE-2022-45060]: https://www.cve.org/CVERecord?id=CVE-2022-45060
//! [CVE-2023-25725]: https://www.cve.org/CVERecord?id=CVE-2023-25725
//! [CVE-2023-30589]: https://www.cve.org/CVERecord?id=CVE-2023-30589
//! [CVE-2023-40225]: https://www.cve.org/CVERecord?id=CVE-2023-40225
//! [CVE-2023-46846]: https://www.cve.org/CVERecord?id=CVE-2023-46846
//! [CVE-2024-1135]: https://www.cve.org/CVERecord?id=CVE-2024-1135
//! [CVE-2025-22871]: https://www.cve.org/CVERecord?id=CVE-2025-22871
//! [CVE-2025-31699]: https://www.cve.org/CVERecord?id=CVE-2025-31699
//! [CVE-2025-4366]: https://www.cve.org/CVERecord?id=CVE-2025-4366
//! [CVE-2025-55315]: https://www.cve.org/CVERecord?id=CVE-2025-55315
//! [CVE-2025-55702]: https://www.cve.org/CVERecord?id=CVE-2025-55702
//! [CVE-2025-58056]: https://www.cve.org/CVERecord?id=CVE-2025-58056
//! [CVE-2026-2833]: https://www.cve.org/CVERecord?id=CVE-2026-2833
//! [CVE-2026-2835]: https://www.cve.org/CVERecord?id=CVE-2026-2835
//! [CVE-2026-58055]: https://www.cve.org/CVERecord?id=CVE-2026-58055
//! [CVE-2026-58150]: https://www.cve.org/CVERecord?id=CVE-2026-58150
