//! Slow clients: connections that occupy resources at almost no cost to the client.
//!
//! # The attack
//!
//! A connection costs the server memory, a descriptor, perhaps a slot of a limit; it costs the client almost nothing. So a
//! client sends one byte of a head every few seconds (Slowloris), announces a large body and sends it slowly, requests
//! something large and reads it a few bytes at a time, opens a connection and sends nothing, or begins a TLS handshake and
//! stops. Each single read or write is in time; the request never ends. A few thousand such connections from one machine
//! exclude everyone else.
//!
//! HTTP defines no deadlines: RFC 9112 §9.5 only says that a server should have a timeout and may use 408 (RFC 9110 §15.5.9).
//!
//! # Known cases
//!
//! * **Apache httpd** had no bound on the time of a head until `mod_reqtimeout` ([CVE-2007-6750]).
//! * **Node.js** added bounds one after the other: a deadline for the head ([CVE-2018-12122]), then for the head of later
//!   requests on a kept connection ([CVE-2019-5737]), then for the whole request ([CVE-2020-8251]).
//! * Chunk extensions are body bytes that no limit counts: **Go** read up to a gigabyte of them ([CVE-2023-39326]),
//!   **Node.js** without end ([CVE-2024-22019]).
//! * Pingora's own timeouts apply to single reads, the first one a minute, later ones without end unless set for
//!   every request; it has no bound on the number of connections.
//!
//! # How this code avoids it
//!
//! Every wait has a named bound ([`decision::bounds`](crate::decision::bounds)) with a
//! default, and is counted in `portcullis_bound_hits_total`:
//!
//! | waiting for | at most | in total |
//! |---|---|---|
//! | the TLS handshake | `handshake` | `first_request` |
//! | the first request | | `first_request`, from the connection's beginning |
//! | the rest of a head | | `header_time`, from its first byte; `header_bytes` and `uri` bound its size |
//! | the rest of a body | `body_idle` of silence | `body_rate`; `body` bounds its size |
//! | the client to read its answer | `write_idle` of silence | `answer_rate` |
//! | the next request | `keepalive` | |
//!
//! * The time of a head runs from its first byte, not between two reads, and Pingora gets the head once it is complete
//!   ([`proxy::connection`](crate::proxy::connection)). Empty lines before it do not extend the time.
//! * A minimum rate is kept by a budget: waiting for the client reduces it, bytes that move increase it, up to `body_idle` or
//!   `write_idle`. So a silent client is cut off after that time, one below the rate soon after, and one above the rate never.
//!   Time in which the gateway waits for the origin is not counted.
//! * A client can read a refusal while it still sends: for a short, bounded time the rest of its request is read and
//!   discarded, because a reset could overtake the answer (RFC 9112 §9.6).
//! * The kernel takes up to 4 MiB for a client, and then nothing until a third of that is sent. What it sends meanwhile counts as taken:
//!   otherwise a client of HTTP/1 that takes a long answer at 20 KB/s, all the time, would be cut off after `write_idle`.
//! * A client that is cut because it does not read is reset: closing in order would keep for minutes what the kernel has taken
//!   for it ([`proxy::connection::socket`](crate::proxy::connection::socket)). The log calls it `client_too_slow`.
//! * What an answer holds while its client takes nothing is bounded: `answer_buffer` is what is queued for an HTTP/2 stream, and the
//!   origin is read no further than one buffer. `answer_memory` bounds what all answers that wait hold together; beyond it, who begins
//!   to wait has one second ([`proxy::connection::answer_pace`](crate::proxy::connection::answer_pace)).
//! * Extensions and trailers of chunks are bounded apart from the body
//!   ([`decision::request::chunked`](crate::decision::request::chunked)).
//! * `connections` and `connections_per_address` bound the number of connections, in total and for each address (an IPv6
//!   client by its /64, a client behind a load balancer by its own), before TLS and at the cost of an accept
//!   ([`proxy::server::accept`](crate::proxy::server::accept), [`state::connections`](crate::state::connections)). A connection ends
//!   after `requests_per_connection`. The limit on descriptors is raised accordingly.
//! * Tunnels have `tunnel_idle`, over both directions together ([`proxy::upstream::tunnel`](crate::proxy::upstream::tunnel)).
//! * HTTP/2 has the same bounds, those of a route included, by stream and by frame ([`http2_floods`](super::http2_floods)).
//! * Concurrency limits count a request from its decision until it ends, on every path
//!   ([`state::limits`](crate::state::limits)).
//!
//! # Left to the operator
//!
//! * `connections` by the memory of the machine, and a hard limit on descriptors of twice that (`LimitNOFILE`).
//! * Routes that take uploads need their own `body`, and those whose clients may be silent for long their
//!   own `body_idle` and `body_rate`.
//! * Many addresses count as many clients. A distributed attack is for the network's own defences.
//!
//! # Tests
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
//! * `tests/it/slow.rs::a_client_that_takes_its_answer_steadily_is_not_cut_off_for_what_the_kernel_holds`
//! * `tests/it/slow.rs::a_client_that_takes_little_is_cut_off`
//! * `tests/it/slow.rs::a_slow_origin_is_not_held_against_the_client`
//! * `tests/it/slow/waiting.rs::a_client_that_reads_nothing_holds_no_more_than_is_counted`
//! * `tests/it/slow/waiting.rs::a_stream_that_is_not_read_holds_no_more_than_is_counted`
//! * `tests/it/slow/waiting.rs::beyond_the_bound_an_answer_waits_a_second_and_no_longer`
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
