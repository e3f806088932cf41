//! Hostile origins: answers that attack the client or the gateway.
//!
//! # The attack
//!
//! An origin may be compromised, misconfigured, or made to repeat a client's input. Then its answer is the attack:
//!
//! * *response splitting*: a line break in a value ends the head early, and the rest is a second answer, or the security
//!   headers below it become body (RFC 9112 §2.2, §11.1);
//! * an answer that ends before its announced end and is forwarded as complete (RFC 9112 §8);
//! * bytes after the end of an answer, which the next request on that connection gets as its own;
//! * a protocol switch that no client asked for, after which no rule sees the data (RFC 9110 §7.8, §15.2.2);
//! * fields that are meant for this hop only (RFC 9110 §7.6.1), or that override the declared headers;
//! * no answer, a head without end, a body without end.
//!
//! # Known cases
//!
//! * **Apache httpd** let a backend end the head early, so that "headers with a security purpose" became part of the
//!   body ([CVE-2022-37436]), and let it split answers ([CVE-2023-38709]).
//! * **Pingora** treated an upgrade as done before the origin had answered ([CVE-2026-2833]); **nghttpx** sent an upgrade
//!   with a body over shared connections ([CVE-2026-58055]).
//! * By design rather than by a flaw: nginx's `add_header` in an inner block drops those of the outer blocks, and without
//!   `always` error pages have none. That is why rules here are inherited by name.
//!
//! # How this code avoids it
//!
//! * An answer is parsed and written again. One that is not HTTP is a 502 with the cause `upstream_protocol`, and values can't
//!   contain a line break ([`proxy::hooks::error`](crate::proxy::hooks::error)).
//! * An answer has one length, and its coding is `chunked` or none; the number of interim answers is bounded. It is framed for
//!   its receiver: HTTP/1.0 gets no chunks, 204 and 304 no body
//!   ([`proxy::hooks::upstream_response`](crate::proxy::hooks::upstream_response),
//!   [`proxy::hooks::response::begin`](crate::proxy::hooks::response::begin),
//!   [`decision::response::BodyStage`](crate::decision::response::BodyStage)).
//! * An answer that is cut off or stalls is cut off for the client too: the connection is closed before the announced length
//!   or without the last chunk, or the stream is reset. It is never ended as complete.
//! * Bytes after the end of an answer are never the next answer: a connection with unexpected bytes is not reused.
//! * The declared headers are set after the origin's answer is read, and replace every value that it sent
//!   ([`decision::response`](crate::decision::response)). `framing` is added to every `Content-Security-Policy`, the
//!   origin's own included ([`decision::response::framing`](crate::decision::response::framing)).
//! * A trailer neither takes back a declared header nor says what belongs to the head
//!   ([`decision::response::trailers`](crate::decision::response::trailers)).
//! * Hop-by-hop fields, and those that the origin names in `Connection`, are removed
//!   ([`proxy::hooks::upstream_response`](crate::proxy::hooks::upstream_response)).
//! * A 101 is accepted only if the client asked for the upgrade; the tunnel has a connection of its own
//!   ([`proxy::upstream::tunnel`](crate::proxy::upstream::tunnel)).
//! * Every wait for an origin has a bound with a default: `connect`, `response`, `send`, `idle`. A request that may have had
//!   an effect is not repeated unless configured (`decision::upstream::retry`).
//! * A connection that was verified for one upstream is never used for another that trusts other authorities
//!   ([`proxy::upstream::peer`](crate::proxy::upstream::peer)).
//!
//! # Left to the operator
//!
//! * `tls` with `ca` for origins across a shared network, and `sni` where the name differs.
//! * `response_headers: { remove: [...] }` for fields that reveal internals.
//!
//! # Tests
//!
//! * `tests/it/origin_faults.rs::what_is_not_an_answer_is_502`
//! * `tests/it/origin_faults.rs::what_has_one_reading_is_forwarded_in_its_plain_form`
//! * `tests/it/origin_faults.rs::interim_answers_without_end_are_502`
//! * `tests/it/origin_faults.rs::an_answer_that_is_cut_off_is_never_ended_as_if_it_were_whole`
//! * `tests/it/origin_faults.rs::an_answer_that_stands_still_is_cut_off`
//! * `tests/it/origin_faults.rs::an_http2_origin_that_breaks_off_is_cut_off_too`
//! * `tests/it/origin_faults.rs::silence_is_504_in_time`
//! * `tests/it/origin_faults.rs::what_follows_an_answer_never_becomes_the_next_one`
//! * `tests/it/origin_faults.rs::bodies_that_must_not_be_are_dropped`
//! * `tests/it/grpc.rs::a_stream_that_the_origin_breaks_off_is_not_ended_as_if_whole`
//! * `tests/it/upstream.rs::garbage_is_502`
//! * `tests/it/upstream.rs::a_request_that_may_have_had_an_effect_is_not_sent_twice`
//! * `tests/it/upstream/tls.rs::a_verified_connection_is_not_lent_to_an_upstream_that_trusts_another_authority`
//! * `tests/it/upstream/tls.rs::an_origin_of_an_unknown_authority_is_502`
//! * `tests/it/response.rs::a_garbled_answer_of_the_origin_is_replaced_by_one_that_carries_them`
//! * `tests/it/response.rs::a_switch_of_protocols_that_nobody_asked_for_is_refused`
//! * `tests/it/response/framing.rs::an_origins_policy_cannot_undo_the_framing`
//! * `tests/it/response/operations.rs::set_replaces_every_value`
//! * `tests/it/stream.rs::fields_that_the_origin_names_in_connection_end_here`
//! * `tests/it/trailers.rs::no_trailer_says_what_belongs_to_the_head_or_to_the_owner`
//! * `src/decision/response/framing/tests.rs::deny_leaves_one_x_frame_options_and_no_policy_that_allows` (for random
//!   fields)
//!
//! [CVE-2022-37436]: https://www.cve.org/CVERecord?id=CVE-2022-37436
//! [CVE-2023-38709]: https://www.cve.org/CVERecord?id=CVE-2023-38709
//! [CVE-2026-2833]: https://www.cve.org/CVERecord?id=CVE-2026-2833
//! [CVE-2026-58055]: https://www.cve.org/CVERecord?id=CVE-2026-58055
