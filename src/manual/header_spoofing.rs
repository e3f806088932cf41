//! Header spoofing: a client claims an address, a scheme or an identity, and is believed.
//!
//! # The attack
//!
//! An origin behind a proxy learns about the client from header fields: `X-Forwarded-For`, `Forwarded` (RFC 7239),
//! `X-Forwarded-Proto`, a field that names the caller. None of them is signed. A client that can set them chooses an address
//! on an allow list, uses a new address for each request to avoid a rate limit, or impersonates a user. The ways:
//!
//! * the client sends the field, and the proxy appends to it instead of replacing it, or the origin reads the wrong end of
//!   the list;
//! * the client *removes* the field: it names the field in `Connection`, and a proxy that removes what `Connection` names
//!   (RFC 9110 §7.6.1) removes the field that it has just written;
//! * the client spells the field with `_`: CGI and its descendants (WSGI, Rack) read `X_Auth_User` and `X-Auth-User` as one;
//! * the same one layer below: a PROXY header (HAProxy's `proxy-protocol.txt`) before TLS or HTTP, from a peer that is not a
//!   load balancer;
//! * fields that frameworks read by default: `Proxy`, which CGI turns into `HTTP_PROXY` (RFC 3875 §4.1.18), and
//!   `X-Original-URL` or `X-Rewrite-URL`, which replace the path after the rules have matched it.
//!
//! # Known cases
//!
//! * Removed by `Connection`: **Apache httpd**'s `X-Forwarded-*` ([CVE-2022-31813]), **Traefik**'s
//!   ([CVE-2024-45410]), and fields that applications on **Pingora** added ([CVE-2026-105299]). On **F5 BIG-IP** it was a
//!   token that Apache left to the service behind it to check; the service saw none and trusted Apache
//!   ([CVE-2022-1388]: root, by one request).
//! * Sent and believed: **FortiOS** took `Forwarded: for=[127.0.0.1]` for its own request ([CVE-2022-40684]); **Envoy**
//!   trusted every private address to set its internal fields ([CVE-2024-45806]), and did not remove
//!   `x-envoy-original-path`, from which a token check read the path ([CVE-2023-27487]); **Next.js** skipped its
//!   middleware, access checks included, for `x-middleware-subrequest` ([CVE-2025-29927]).
//! * A range of trusted proxies that included every address: **proxy-addr** (Express) read `::ffff:10.0.0.0/8` as all of IPv4
//!   ([CVE-2026-90711]).
//! * PROXY headers: **sshpiper** accepted them from every peer ([CVE-2024-35175]); **ProxySQL** believed the addresses after
//!   `UNKNOWN`, which the protocol says to ignore ([CVE-2026-48772]).
//! * Spelled differently: **Django** ([CVE-2015-0219]). Read by default: `Proxy` in CGI programs under **Apache httpd**
//!   and many others ("httpoxy", [CVE-2016-5387]), `X-Original-URL` in **Symfony** ([CVE-2018-14773]).
//! * Injected: **Envoy** wrote properties of a request into fields without escaping, so that one request became two
//!   ([CVE-2023-27493]).
//!
//! # How this code avoids it
//!
//! * No peer is trusted by default.
//!   [`ReadRules::trusted_proxies`](crate::decision::request::ReadRules::trusted_proxies) is empty unless the configuration
//!   lists addresses, contains no private range by itself, and `check` warns of `0.0.0.0/0`. A range in IPv4-mapped notation
//!   trusts no IPv4 address.
//! * From a trusted peer, the list of addresses is read from the right up to the first address that is not trusted; an
//!   element that is no address ends the reading. Everything further left came from the client and is ignored.
//! * Client, scheme and host come from one statement: `X-Forwarded-For` and `X-Forwarded-Proto`, or `Forwarded`, of which the element
//!   counts that the first trusted proxy wrote. If both are there, the older fields alone are believed, since most proxies pass a
//!   `Forwarded` that the client sent. A contradiction is logged, and the origin is not shown the `Forwarded`. `X-Forwarded-Host` is
//!   passed on, and no rule follows it.
//! * A PROXY header is read only from the load balancers that `listeners[].proxy_protocol` lists
//!   ([`decision::proxy_protocol`](crate::decision::proxy_protocol)). From them it must be present, complete, well-formed
//!   and in time, or the connection is closed. `LOCAL`, `UNKNOWN` and other families announce no client, whatever addresses
//!   follow. From other peers it is a malformed request or a failed handshake.
//! * What `Connection` names is removed before the gateway writes its own fields. A name that a rule goes by is refused in it, so that
//!   it can't remove a field that a rule matched.
//! * [`decision::rewrite::forwarded`](crate::decision::rewrite::forwarded()) replaces the forwarding fields of untrusted peers
//!   and removes related ones, `X-Original-URL` and `X-Rewrite-URL` among them. A name that an origin could take for one of
//!   them, with `_` or another character for `-`, is removed from every peer's request; so is `Proxy`.
//! * The caller is named in `X-Portcullis-Principal`, `-Identity`, `-Scopes` and `-Roles`. Every other field that begins with
//!   `X-Portcullis-` is removed. Values are percent-encoded, so that a claim of a token can't end its field or its list
//!   element.
//! * Credentials are not forwarded unless the route asks for it, so that an origin does not check them again by other rules.
//! * Limits, address rules, logs and connection bounds use the client address that the origin is told.
//!
//! # Left to the operator
//!
//! * `trusted_proxies` and `proxy_protocol: { from: [...] }`: exactly the addresses of your own proxies. Do not list a network
//!   in which others can get an address.
//! * Origins must be reachable through the gateway only.
//! * A trusted proxy that writes only `Forwarded` must remove the `X-Forwarded-*` of its clients.
//! * Fields that only your application reads (`X-Debug-User`, `x-middleware-subrequest`) are forwarded: remove them by a rule.
//!
//! # Tests
//!
//! * `src/decision/request/tests.rs::strangers_are_not_believed`
//! * `src/decision/request/tests.rs::the_first_untrusted_address_from_the_right_is_the_client`
//! * `src/decision/request/tests.rs::connection_names_nothing_that_rules_go_by`
//! * `src/decision/request/tests.rs::the_scheme_is_that_of_the_client_among_the_addresses`
//! * `src/decision/request/tests.rs::forwarded_says_client_scheme_and_host_in_one_element`
//! * `src/decision/request/tests.rs::of_two_statements_the_older_one_is_believed_whole`
//! * `src/decision/request/tests.rs::forwarding_headers_never_make_it_panic` (for random lists)
//! * `src/decision/rewrite/tests.rs::a_strangers_forwarding_headers_are_replaced`
//! * `src/decision/rewrite/tests.rs::a_trusted_peers_forwarding_headers_are_continued`
//! * `src/decision/rewrite/tests.rs::what_an_origin_could_take_for_our_fields_does_not_pass`
//! * `src/decision/rewrite/tests.rs::only_the_gateway_names_the_caller`
//! * `src/decision/proxy_protocol/tests.rs::version_1_has_one_spelling`
//! * `src/decision/proxy_protocol/tests.rs::version_1_ignores_what_an_unknown_protocol_says`
//! * `src/decision/proxy_protocol/tests.rs::version_2_is_refused_where_it_says_what_can_not_be`
//! * `src/decision/proxy_protocol/tests.rs::anything_is_read_in_bounds_and_in_one_way` (for random bytes)
//! * `src/config/compile/listener/tests.rs::bounds_have_bounds` (trusting everyone is pointed out)
//! * `tests/it/read.rs::strangers_cannot_say_where_they_come_from`
//! * `tests/it/read.rs::a_trusted_proxy_says_where_the_client_is`
//! * `tests/it/forwarded.rs::everything_follows_the_scheme_that_a_trusted_proxy_says`
//! * `tests/it/forwarded.rs::strangers_change_nothing`
//! * `tests/it/forwarded.rs::a_contradiction_is_logged_and_does_not_reach_the_origin`
//! * `tests/it/paths.rs::connection_cannot_strip_the_field_that_a_route_matched`
//! * `tests/it/paths.rs::an_origin_never_sees_a_field_that_it_could_take_for_ours`
//! * `tests/it/access.rs::nobody_can_forge_the_identity_headers`
//! * `tests/it/access.rs::the_origin_sees_the_caller_and_not_its_credentials`
//! * `tests/it/limit.rs::strangers_cannot_multiply_themselves`
//! * `tests/it/address.rs::only_a_trusted_proxy_says_who_the_client_is`
//! * `tests/it/accept/proxy_protocol.rs::a_listed_peer_without_a_proper_header_is_closed_and_counted`
//! * `tests/it/accept/proxy_protocol.rs::an_unlisted_peer_is_served_as_it_is_and_its_header_is_malformed`
//! * `tests/it/accept/proxy_protocol.rs::an_unlisted_peers_header_breaks_its_tls_handshake`
//! * `tests/it/accept/proxy_protocol.rs::without_the_setting_nobody_is_believed`
//! * `tests/it/accept/proxy_protocol.rs::limits_and_bounds_count_the_announced_client`
//!
//! [CVE-2015-0219]: https://www.cve.org/CVERecord?id=CVE-2015-0219
//! [CVE-2016-5387]: https://www.cve.org/CVERecord?id=CVE-2016-5387
//! [CVE-2018-14773]: https://www.cve.org/CVERecord?id=CVE-2018-14773
//! [CVE-2022-1388]: https://www.cve.org/CVERecord?id=CVE-2022-1388
//! [CVE-2022-31813]: https://www.cve.org/CVERecord?id=CVE-2022-31813
//! [CVE-2022-40684]: https://www.cve.org/CVERecord?id=CVE-2022-40684
//! [CVE-2023-27487]: https://www.cve.org/CVERecord?id=CVE-2023-27487
//! [CVE-2023-27493]: https://www.cve.org/CVERecord?id=CVE-2023-27493
//! [CVE-2024-35175]: https://www.cve.org/CVERecord?id=CVE-2024-35175
//! [CVE-2024-45410]: https://www.cve.org/CVERecord?id=CVE-2024-45410
//! [CVE-2024-45806]: https://www.cve.org/CVERecord?id=CVE-2024-45806
//! [CVE-2025-29927]: https://www.cve.org/CVERecord?id=CVE-2025-29927
//! [CVE-2026-105299]: https://www.cve.org/CVERecord?id=CVE-2026-105299
//! [CVE-2026-48772]: https://www.cve.org/CVERecord?id=CVE-2026-48772
//! [CVE-2026-90711]: https://www.cve.org/CVERecord?id=CVE-2026-90711
