//! Slow clients: holding what others need, for next to nothing.
//!
//! # The attack
//!
//! A connection costs the server memory, a descriptor, perhaps a place in a limit; it costs the client nothing to keep
//! it. So a client sends one byte of a head every few seconds (Slowloris), announces a large body and lets it drip,
//! asks for something large and reads it a few bytes at a time, opens a connection and never says a word, or begins a
//! TLS handshake and stops. Each single read or write is in time; the whole never ends. A few thousand such connections
//! from one machine take the place of everyone else's.
//!
//! HTTP has no clock: RFC 9112 §9.5 only says that a server should have a timeout and may use 408 (RFC 9110 §15.5.9).
//!
//! # What happened to others
//!
//! * **Apache httpd** had nothing against a head that never ends until `mod_reqtimeout` ([CVE-2007-6750]).
//! * **Node.js** learned it in parts: a deadline for the head ([CVE-2018-12122]), then for the head of later requests
//!   on a kept connection ([CVE-2019-5737]), then for the whole request ([CVE-2020-8251]).
//! * Chunk extensions are body bytes that no limit counts: **Go** read up to a gigabyte of them ([CVE-2023-39326]),
//!   **Node.js** without end ([CVE-2024-22019]).
//! * Pingora's own timeouts are for one read at a time, the first minute-long, later ones infinite unless set anew on
//!   every request; it has no bound on the number of connections.
//!
//! # How this code avoids it
//!
//! Every wait has a bound with a name ([`config::raw::listener::Bounds`](crate::config::raw::listener::Bounds)), a
//! default, and a count in `portcullis_bound_hits_total`:
//!
//! | waiting for | at most | and on the whole |
//! |---|---|---|
//! | the TLS handshake | `handshake` | `first_request` |
//! | the first request | | `first_request`, from the connection's beginning |
//! | the rest of a head | | `header_time`, from its first byte; `header_bytes` and `uri` before its end |
//! | the rest of a body | `body_idle` of silence | `body_rate`; `body` in all |
//! | the client to take its answer | `write_idle` of silence | `answer_rate` |
//! | the next request | `keepalive` | |
//!
//! * A head is a whole: its time runs from the first byte, not between two reads, and Pingora does not see it before it
//!   is complete ([`proxy::connection`](crate::proxy::connection)). Empty lines before it buy no time.
//! * A rate is enforced by a budget of waiting time: waiting for the client spends it, bytes that move restore it, never above
//!   `body_idle` or `write_idle`. So silence is cut after that time, a trickle soon after, and an honest slow line never. Time in
//!   which the origin makes the client wait costs the client nothing.
//! * What a client must not send it may read about: a refusal is followed by a short wait in which the rest is read and
//!   forgotten, since a reset would overtake the answer (RFC 9112 §9.6). That wait is bounded too.
//! * Extensions and trailers of chunks are bounded beside the body
//!   ([`decision::request::chunked`](crate::decision::request::chunked)).
//! * `connections` and `connections_per_address` bound how many there are at all, in all and for each address (an IPv6
//!   client by its /64, a client behind a load balancer by its own), before TLS and at the cost of an accept
//!   ([`proxy::server::accept`](crate::proxy::server::accept), [`state::connections`](crate::state::connections)). A connection ends
//!   after `requests_per_connection`. The limit on descriptors is raised to what this needs.
//! * Tunnels have `tunnel_idle`, counted over both directions together ([`proxy::upstream::tunnel`](crate::proxy::upstream::tunnel)).
//! * HTTP/2 has the same bounds, those of a route included, by stream and by frame ([`http2_floods`](super::http2_floods)).
//! * Limits by caller and concurrency are taken when a request is decided, and given back when it ends, however it ends
//!   ([`state::limits`](crate::state::limits)).
//!
//! # What is left to the owner
//!
//! * `connections` to what the machine has memory for, and a hard limit on descriptors of twice that (`LimitNOFILE`).
//! * Routes that take uploads need their own `body`, and those on which a client may be silent for long their own
//!   `body_idle` and `body_rate`.
//! * Many addresses look like many clients. What a network as a whole may do is for the network's own defences.
//!
//! # Kept so by
//!
//! * `src/proxy/connection/min_rate.rs::silence_is_cut_after_the_idle_time`
//! * `src/proxy/connection/min_rate.rs::a_trickle_is_cut_soon_after`
//! * `src/proxy/connection/min_rate.rs::the_lowest_rate_is_enough`
//! * `src/proxy/connection/min_rate.rs::our_own_slowness_costs_the_client_nothing`
//! * `tests/it/slow.rs::a_connection_that_never_asks_is_closed`
//! * `tests/it/slow.rs::a_trickled_head_is_cut_off_and_answered`
//! * `tests/it/slow.rs::empty_lines_do_not_keep_a_connection`
//! * `tests/it/slow.rs::a_body_that_stops_coming_is_cut_off`
//! * `tests/it/slow.rs::a_trickled_body_is_cut_off`
//! * `tests/it/slow.rs::a_client_that_takes_nothing_is_cut_off`
//! * `tests/it/slow.rs::a_client_that_takes_little_is_cut_off`
//! * `tests/it/slow.rs::a_slow_origin_is_not_held_against_the_client`
//! * `tests/it/slow.rs::an_idle_connection_is_closed_to_the_millisecond_and_silently`
//! * `tests/it/accept.rs::beyond_the_bound_a_connection_is_closed_at_once_and_told_once`
//! * `tests/it/accept.rs::each_address_has_its_own_bound`
//! * `tests/it/accept.rs::a_connection_that_fails_before_http_gives_its_place_back`
//! * `tests/it/accept.rs::a_connection_ends_after_its_requests`
//! * `src/state/connections.rs::a_network_of_ipv6_counts_as_one_address`
//! * `src/state/connections.rs::counts_are_exact_among_threads_and_survive_panics`
//! * `tests/it/accept/proxy_protocol.rs::a_header_has_its_time`
//! * `tests/it/tunnel.rs::a_silent_tunnel_is_closed`
//! * `tests/it/tunnel.rs::a_tunnel_in_which_only_one_side_talks_lives_on`
//! * `tests/it/body.rs::large_bodies_pass_in_bounded_memory`
//! * `tests/it/response.rs::a_head_that_trickles_in_is_cut_off_and_nothing_leaves_without_them`
//! * `tests/it/access_log.rs::a_head_that_never_ends_has_its_line`
//! * `tests/it/framing.rs::a_refused_upload_lets_the_client_read_why`
//! * `tests/it/read.rs::a_large_body_is_refused_by_its_announced_length`
//! * `tests/it/read.rs::a_large_body_is_refused_as_it_comes`
//! * `tests/it/listener.rs::an_idle_connection_is_closed_after_the_keepalive`
//! * `tests/it/listener.rs::a_handshake_that_never_comes_is_cut_off`
//! * `tests/it/limit.rs::a_client_that_leaves_gives_its_place_back`
//! * `tests/it/admin.rs::bounds_that_bite_are_counted`
//! * `src/decision/request/chunked.rs::extensions_are_bounded`
//!
//! [CVE-2007-6750]: https://www.cve.org/CVERecord?id=CVE-2007-6750
//! [CVE-2018-12122]: https://www.cve.org/CVERecord?id=CVE-2018-12122
//! [CVE-2019-5737]: https://www.cve.org/CVERecord?id=CVE-2019-5737
//! [CVE-2020-8251]: https://www.cve.org/CVERecord?id=CVE-2020-8251
//! [CVE-2023-39326]: https://www.cve.org/CVERecord?id=CVE-2023-39326
//! [CVE-2024-22019]: https://www.cve.org/CVERecord?id=CVE-2024-22019
