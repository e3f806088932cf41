//! Header spoofing: saying who and where one is, and being believed.
//!
//! # The attack
//!
//! An origin behind a proxy learns from fields who is asking: `X-Forwarded-For`, `Forwarded` (RFC 7239),
//! `X-Forwarded-Proto`, a header that names the caller. None of these is signed. Whoever may write them chooses an
//! address that is on an allow list, spreads over as many addresses as a rate limit has patience for, or is somebody
//! else. The ways:
//!
//! * the field is simply sent, and the proxy adds to it instead of replacing it, or the origin reads the wrong end of
//!   the list;
//! * the field is *taken away*: a client names it in `Connection`, and a proxy that removes what `Connection` names
//!   (RFC 9110 §7.6.1) removes what it has itself just written;
//! * the field is spelled with `_`: CGI and its descendants (WSGI, Rack) read `X_Auth_User` and `X-Auth-User` as one;
//! * the same one layer below: a PROXY header (HAProxy's `proxy-protocol.txt`) before TLS or HTTP, from someone who is
//!   no load balancer;
//! * fields that a framework heeds without being asked: `Proxy`, which CGI turns into `HTTP_PROXY` (RFC 3875 §4.1.18),
//!   and `X-Original-URL` or `X-Rewrite-URL`, which replace the path that the rules have judged.
//!
//! # What happened to others
//!
//! * Taken away by `Connection`: **Apache httpd**'s `X-Forwarded-*` ([CVE-2022-31813]), **Traefik**'s
//!   ([CVE-2024-45410]), and what applications on **Pingora** added ([CVE-2026-105299]). On **F5 BIG-IP** it was a
//!   token that Apache left to the service behind it to check; the service saw none, and took Apache's word
//!   ([CVE-2022-1388]: root, from one request).
//! * Sent and believed: **FortiOS** took `Forwarded: for=[127.0.0.1]` for its own request ([CVE-2022-40684]); **Envoy**
//!   trusted every private address to set its internal fields ([CVE-2024-45806]), and did not remove
//!   `x-envoy-original-path`, from which a check of tokens read the path ([CVE-2023-27487]); **Next.js** skipped its
//!   middleware, access checks included, for `x-middleware-subrequest` ([CVE-2025-29927]).
//! * A range of trusted proxies that meant everyone: **proxy-addr** (Express) read `::ffff:10.0.0.0/8` as all of IPv4
//!   ([CVE-2026-90711]).
//! * PROXY headers: **sshpiper** took them from everyone ([CVE-2024-35175]); **ProxySQL** believed the addresses behind
//!   `UNKNOWN`, which the protocol says to ignore ([CVE-2026-48772]).
//! * Spelled otherwise: **Django** ([CVE-2015-0219]). Heeded unasked: `Proxy` in CGI programs under **Apache httpd**
//!   and many others ("httpoxy", [CVE-2016-5387]), `X-Original-URL` in **Symfony** ([CVE-2018-14773]).
//! * Broken out of: **Envoy** wrote properties of a request into fields unescaped, so that one request became two
//!   ([CVE-2023-27493]).
//!
//! # How this code avoids it
//!
//! * Nobody is believed by default.
//!   [`ReadRules::trusted_proxies`](crate::decision::request::ReadRules::trusted_proxies) is empty unless the file
//!   names addresses, no private range is in it by itself, and `0.0.0.0/0` is pointed out by `check`. A range in
//!   IPv4-mapped notation trusts no IPv4 address.
//! * From a trusted peer, the list of addresses is walked from the right and ends at the first address that is not
//!   trusted; an element that is no address ends the walk. What stands further left was said by a stranger, whatever it
//!   says.
//! * A PROXY header is read from the load balancers that `listeners[].proxy_protocol` names, and from nobody else
//!   ([`decision::proxy_protocol`](crate::decision::proxy_protocol)). From them it must be there, complete, well-formed
//!   and in time, or the connection is closed. `LOCAL`, `UNKNOWN` and other families announce nobody, whatever
//!   addresses follow. From others it is what it is: a malformed request, or a broken handshake.
//! * `Connection` may name only what always ends here, so nothing that a rule matched, or that the gateway writes, can
//!   be named away; anything else in it is refused.
//! * [`decision::rewrite::forwarded`](crate::decision::rewrite::forwarded()) replaces the forwarding fields of
//!   strangers and removes their kin, `X-Original-URL` and `X-Rewrite-URL` among them. A name that an origin could take
//!   for one of them, with `_` or another mark for `-`, does not pass whoever sent it; nor does `Proxy`.
//! * The caller is named in `X-Portcullis-Principal`, `-Identity`, `-Scopes` and `-Roles`. Whatever begins with
//!   `X-Portcullis-` and is not from here is removed. Values are percent-encoded, so that no claim of a token breaks
//!   out of its field or its place in a list.
//! * Credentials stay here unless the route asks for them, so an origin can't be tempted to check them again
//!   differently.
//! * The address that counts for limits, address rules, logs and bounds on connections is the same one that the origin
//!   is shown.
//!
//! # What is left to the owner
//!
//! * `trusted_proxies` and `proxy_protocol: { from: [...] }`: exactly the addresses of your own proxies; a network that
//!   strangers can get an address in is not one of yours.
//! * Origins must be reachable through the gateway only. Nothing here helps an origin that answers the internet itself.
//! * Fields that only your application knows (`X-Debug-User`, `x-middleware-subrequest`) are not known here.
//!
//! # Kept so by
//!
//! * `src/decision/request/tests.rs::strangers_are_not_believed`
//! * `src/decision/request/tests.rs::the_first_untrusted_address_from_the_right_is_the_client`
//! * `src/decision/request/tests.rs::connection_names_only_what_ends_here_anyway`
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
