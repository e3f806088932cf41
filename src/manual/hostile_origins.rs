//! Hostile origins: an answer that breaks out of its place.
//!
//! # The attack
//!
//! What stands behind the gateway is trusted to answer, not to be in charge. It may be taken over, misconfigured, or
//! made to repeat what a client has put into it. Then the answer itself is the attack:
//!
//! * *response splitting*: a line break in a value ends the head early, and the rest is a second answer, or a head
//!   without the security headers that stood below (RFC 9112 §2.2, §11.1);
//! * an answer that ends before it said it would, passed on as if whole (RFC 9112 §8);
//! * bytes after the end of an answer, which the next request on that connection gets as its own;
//! * a protocol switch that nobody asked for, after which no rule sees what flows (RFC 9110 §7.8, §15.2.2);
//! * fields that are meant for this hop only (RFC 9110 §7.6.1), or that undo what the owner has declared;
//! * silence, an endless head, an endless body.
//!
//! # What happened to others
//!
//! * **Apache httpd** let a backend end the head early, so that "headers with a security purpose" became part of the
//!   body ([CVE-2022-37436]), and let it split answers ([CVE-2023-38709]).
//! * **Pingora** believed in an upgrade before the origin had answered ([CVE-2026-2833]); **nghttpx** sent an upgrade
//!   with a body over connections that others use as well ([CVE-2026-58055]).
//! * Not a flaw of one product but of a default: nginx's `add_header` in an inner block drops what the outer blocks
//!   say, and without `always` leaves error pages bare. That is why the rules here are inherited by name.
//!
//! # How this code avoids it
//!
//! * An answer is parsed, never copied: what is not HTTP is a 502 with the cause `upstream_protocol`, and values can't
//!   hold a line break ([`proxy::hooks::error`](crate::proxy::hooks::error)).
//! * An answer has one length, and its coding is `chunked` or nothing; interim answers have an end. It is framed anew
//!   for its receiver: HTTP/1.0 gets no chunks, 204 and 304 no body
//!   ([`proxy::hooks::response::check`](crate::proxy::hooks::response::check),
//!   [`proxy::hooks::response::frame`](crate::proxy::hooks::response::frame)).
//! * An answer that breaks off, or stands still, breaks off for the client too: the connection is closed before its
//!   announced length or without its last chunk, the stream is reset. It is never ended as if it were whole.
//! * What follows the end of an answer is never the next one: a connection with unexpected bytes on it is not used
//!   again.
//! * The declared headers are put on after the origin has spoken, and replace every value that it sent
//!   ([`decision::response`](crate::decision::response)). `framing` is put into every `Content-Security-Policy`, also
//!   the origin's own ([`decision::response::framing`](crate::decision::response::framing)).
//! * Hop-by-hop fields, and those that the origin names in `Connection`, end here
//!   ([`proxy::hooks::response::seal_proxied`](crate::proxy::hooks::response::seal_proxied)).
//! * A 101 counts only if the client asked for it; the tunnel then has a connection of its own
//!   ([`proxy::upstream::tunnel`](crate::proxy::upstream::tunnel)).
//! * Every wait for an origin has a bound and a default: `connect`, `response`, `send`, `idle`. A request that may have
//!   had an effect is not repeated, unless the owner says so (`decision::upstream::retry`).
//! * A connection that was verified for one upstream is never lent to another that trusts other authorities
//!   ([`proxy::upstream::peer`](crate::proxy::upstream::peer)).
//!
//! # What is left to the owner
//!
//! * `tls` with `ca` for origins across a network that others use, and `sni` where the name differs.
//! * `response_headers: { remove: [...] }` for what tells strangers about the inside.
//!
//! # Kept so by
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
//! * `src/decision/response/framing/tests.rs::deny_leaves_one_x_frame_options_and_no_policy_that_allows` (for random
//!   fields)
//!
//! [CVE-2022-37436]: https://www.cve.org/CVERecord?id=CVE-2022-37436
//! [CVE-2023-38709]: https://www.cve.org/CVERecord?id=CVE-2023-38709
//! [CVE-2026-2833]: https://www.cve.org/CVERecord?id=CVE-2026-2833
//! [CVE-2026-58055]: https://www.cve.org/CVERecord?id=CVE-2026-58055
