//! HTTP/2 floods: frames that cost the client little and the server much.
//!
//! # The attack
//!
//! HTTP/2 lets one connection hold many streams, compress fields against a shared table, and control the peer's sending
//! (RFC 9113 §5.1.2, §5.2, §10.5; RFC 7541 §7). Each is cheap to request and expensive to grant:
//!
//! * *rapid reset*: a request immediately followed by RST_STREAM, repeated; such streams never count as open. A client can
//!   also provoke the server into resetting them;
//! * *CONTINUATION flood*: a header block without end;
//! * *HPACK bomb*: one entry in the table, then one byte for each copy of it, or a cookie in thousands of fields;
//! * *stalled windows*: the client requests answers and keeps the window at zero, so that all of them wait in memory;
//! * *control floods*: SETTINGS and PING that must be acknowledged, empty DATA or HEADERS frames, PRIORITY changes;
//! * a preface, or a frame, that is never completed.
//!
//! # Known cases
//!
//! * Netflix and Google found eight of these in nearly every implementation in 2019, among them the ping flood
//!   ([CVE-2019-9512]), the reset flood ([CVE-2019-9514]), the settings flood ([CVE-2019-9515]), internal data
//!   buffering ([CVE-2019-9517]) and empty frames ([CVE-2019-9518]).
//! * Rapid reset carried the largest attacks until then ([CVE-2023-44487], exploited from August 2023); **h2**,
//!   which this gateway uses, had queued reset streams without bound ([CVE-2023-26964]). *MadeYouReset* evaded
//!   the fixes by making the server reset ([CVE-2025-8671], **Pingora** among others).
//! * CONTINUATION: **Apache httpd** ([CVE-2024-27316]), **Envoy** ([CVE-2024-27919]), **Go** ([CVE-2023-45288]), and h2
//!   (RUSTSEC-2024-0332).
//! * HPACK: **python-hpack** in 2016 ([CVE-2016-6581]). Ten years later the "HTTP/2 bomb" combined tiny entries with a
//!   closed window, within every limit on decoded *size*: **Apache httpd** ([CVE-2026-49975]), **Envoy**
//!   ([CVE-2026-47774]), **Pingora** ([CVE-2026-105297]: one connection, two gigabytes). Three months later **Envoy**
//!   was found to copy each repeated `Host` before it dropped it, without counting it ([CVE-2026-73550]).
//! * A window of zero held **Apache httpd**'s workers without end ([CVE-2023-43622]). Empty DATA frames queued without
//!   bound in h2 before 0.4.16 (RUSTSEC-2026-0258).
//!
//! # How this code avoids it
//!
//! * Options start from Pingora's safe defaults and are set from the configuration: `http2_streams` concurrent streams, and a
//!   header list bounded with 32 bytes for each field (RFC 9113 §6.5.2), so that tiny fields count
//!   ([`proxy::server::listener`](crate::proxy::server::listener)). `header_count` bounds their number; the pieces of a
//!   cookie are one field, and are bounded by the size of the list.
//! * h2 0.4.20 bounds CONTINUATION frames, resets of streams that were not accepted yet, and small DATA frames.
//! * Frames that h2 answers or ignores without counting are counted by a monitor that reads the heads of all frames in both
//!   directions ([`proxy::connection`](crate::proxy::connection)): resets, those that a client's errors provoke included
//!   (`http2_resets`), and frames that transfer nothing (`http2_control_frames`): PING, SETTINGS by their number, PRIORITY,
//!   WINDOW_UPDATE, empty DATA, padding, unknown types. Both counts decay within ten seconds, and requests and answers earn
//!   the control frames that they need, so that a busy client is not taken for an attacker. Beyond a bound the connection ends
//!   with GOAWAY and ENHANCE_YOUR_CALM.
//! * The first request must begin within `first_request` of the connection's beginning. Every frame has a deadline: the preface and a header block within `header_time`, any other within `body_idle`.
//! * Every stream must progress: a stalled upload is answered 408, as in HTTP/1, and a stream whose window stays closed, or
//!   opens one byte at a time, is reset after `write_idle`; other streams continue
//!   ([`proxy::connection::http2::stream`](crate::proxy::connection::http2::stream)).
//! * A connection ends after `keepalive` without a stream, and after `requests_per_connection`.
//! * The state of a connection is bounded: bytes to be sent, and streams whose request has not ended
//!   ([`proxy::connection::http2::header_block`](crate::proxy::connection::http2::header_block)).
//! * Every header block is decoded once before the library decodes it, into memory that is bounded by the bounds on fields
//!   ([`proxy::hpack::decoder`](crate::proxy::hpack::decoder)); what is no HPACK ends the connection with COMPRESSION_ERROR, a
//!   frame of a wrong length with FRAME_SIZE_ERROR.
//! * The HTTP/2 library sends no answer by itself: what it would answer (431) was refused before it, with the declared headers, a log
//!   line and a count.
//!
//! # Left to the operator
//!
//! * `http2: false` on a listener whose clients don't need it.
//! * `header_bytes`, `header_count` and `http2_streams` as low as the application allows: multiplied by the number of
//!   connections, they bound the memory that clients can occupy.
//!
//! # Tests
//!
//! * `tests/it/http2/flood.rs::a_rapid_reset_ends_the_connection`
//! * `tests/it/http2/flood.rs::resets_of_requests_that_are_being_served_count_too`
//! * `tests/it/http2/flood.rs::resets_that_a_client_provokes_end_the_connection`
//! * `tests/it/http2/flood.rs::endless_continuation_ends_the_connection`
//! * `tests/it/http2/flood.rs::floods_of_pings_end_the_connection`
//! * `tests/it/http2/flood.rs::floods_of_settings_end_the_connection`
//! * `tests/it/http2/flood.rs::floods_of_priorities_end_the_connection`
//! * `tests/it/http2/flood.rs::floods_of_window_updates_end_the_connection`
//! * `tests/it/http2/flood.rs::floods_of_empty_data_end_the_connection`
//! * `tests/it/http2/flood.rs::floods_of_padding_end_the_connection`
//! * `tests/it/http2/flood.rs::a_client_that_never_reads_the_answers_to_its_pings_is_cut`
//! * `tests/it/http2/flood.rs::a_header_bomb_is_refused_in_bounded_memory`
//! * `tests/it/http2/flood.rs::a_busy_client_is_no_flood`
//! * `tests/it/http2/malformed.rs::frames_that_no_stream_can_have_end_the_connection`
//! * `tests/it/http2/stream_errors.rs::connection_errors_have_the_code_that_rfc_9113_names`
//! * `src/proxy/connection/http2/header_block/tests.rs::a_section_that_is_too_large_is_refused_in_bounded_memory`
//! * `tests/it/http2/malformed.rs::data_after_the_end_of_a_stream_does_not_reach_anyone`
//! * `tests/it/http2/stall.rs::a_stalled_upload_is_answered_408_and_its_neighbours_are_unharmed`
//! * `tests/it/http2/stall.rs::a_body_slower_than_its_route_allows_is_answered_408`
//! * `tests/it/http2/stall.rs::a_connection_that_never_asks_is_told_to_go`
//! * `tests/it/http2/stall.rs::half_a_header_block_and_silence_is_cut`
//! * `tests/it/http2/stall.rs::half_a_preface_and_silence_is_cut`
//! * `tests/it/http2/stall.rs::a_frame_that_dribbles_is_cut`
//! * `tests/it/http2/stall.rs::a_client_without_a_window_loses_the_stream_and_not_the_connection`
//! * `tests/it/http2/stall.rs::a_window_of_a_byte_at_a_time_is_no_way_to_hold_a_stream`
//! * `tests/it/http2/stall.rs::a_client_that_never_reads_is_cut_in_bounded_memory`
//! * `tests/it/http2/stall.rs::a_body_without_end_is_answered_413_at_its_bound`
//! * `tests/it/http2/stall.rs::a_connection_with_enough_requests_retires_and_loses_none`
//! * `src/proxy/connection/http2/flood/tests.rs::requests_give_credit_for_the_control_frames_that_they_bring`
//! * `src/proxy/connection/http2/flood/tests.rs::no_bytes_make_it_panic` (for random bytes)
//! * `src/proxy/connection/http2/flood/tests.rs::it_does_not_matter_how_the_bytes_are_cut`
//! * `tests/it/response.rs::http2_with_too_large_a_header_list_carries_them`
//! * `tests/it/access_log.rs::a_cancelled_stream_has_its_line`
//! * `tests/it/listener.rs::http2_can_be_switched_off`
//!
//! [CVE-2016-6581]: https://www.cve.org/CVERecord?id=CVE-2016-6581
//! [CVE-2019-9512]: https://www.cve.org/CVERecord?id=CVE-2019-9512
//! [CVE-2019-9514]: https://www.cve.org/CVERecord?id=CVE-2019-9514
//! [CVE-2019-9515]: https://www.cve.org/CVERecord?id=CVE-2019-9515
//! [CVE-2019-9517]: https://www.cve.org/CVERecord?id=CVE-2019-9517
//! [CVE-2019-9518]: https://www.cve.org/CVERecord?id=CVE-2019-9518
//! [CVE-2023-26964]: https://www.cve.org/CVERecord?id=CVE-2023-26964
//! [CVE-2023-43622]: https://www.cve.org/CVERecord?id=CVE-2023-43622
//! [CVE-2023-44487]: https://www.cve.org/CVERecord?id=CVE-2023-44487
//! [CVE-2023-45288]: https://www.cve.org/CVERecord?id=CVE-2023-45288
//! [CVE-2024-27316]: https://www.cve.org/CVERecord?id=CVE-2024-27316
//! [CVE-2024-27919]: https://www.cve.org/CVERecord?id=CVE-2024-27919
//! [CVE-2025-8671]: https://www.cve.org/CVERecord?id=CVE-2025-8671
//! [CVE-2026-105297]: https://www.cve.org/CVERecord?id=CVE-2026-105297
//! [CVE-2026-47774]: https://www.cve.org/CVERecord?id=CVE-2026-47774
//! [CVE-2026-49975]: https://www.cve.org/CVERecord?id=CVE-2026-49975
//! [CVE-2026-73550]: https://www.cve.org/CVERecord?id=CVE-2026-73550
