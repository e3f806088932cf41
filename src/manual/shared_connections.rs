//! Shared connections: one client's identity on a connection to an origin that serves another one.
//!
//! # The attack
//!
//! HTTP is stateless: a request stands for itself, whatever connection it comes by (RFC 9110 §3.3), and so a proxy may send the
//! requests of many clients over one connection. NTLM breaks that rule, and so does Negotiate, with NTLM or Kerberos in it
//! (RFC 4559): they authenticate the connection. What follows on it is taken for the user that logged in, with or without
//! credentials. Whoever comes next on a pooled connection reads that user's mail; nobody needs to attack anything.
//!
//! # Known cases
//!
//! * **libcurl** reused connections that another user had authenticated with NTLM ([CVE-2014-0015]), also those to a proxy
//!   ([CVE-2016-0755]).
//! * By design: a reverse proxy that pools its connections without looking at the scheme breaks the three steps of the NTLM
//!   handshake, or mixes users up. nginx has the directive `ntlm` for it, and HAProxy marks such connections as private.
//!
//! # How this code avoids it
//!
//! * A request with `Authorization: NTLM`, `Negotiate` or `Kerberos` that the origin will see
//!   ([`decision::upstream::connection_auth`](crate::decision::upstream::connection_auth)) gets a connection to the origin that belongs
//!   to its client connection ([`proxy::upstream::private`](crate::proxy::upstream::private)). From then on all requests of that
//!   client connection to the upstream use it, with or without credentials, at the same endpoint: so the handshake works. It is never
//!   shared, and it is closed with the client connection. `bounds.private_connections` bounds their number.
//! * A connection on which an origin answers 401 with such a challenge is closed after the answer, and not pooled.
//! * Behind a proxy in `trusted_proxies`, requests for another client address do not use the private connection of the first one.
//! * HTTP/2 has streams of several requests on one connection, and the schemes can't tell them apart. An HTTP/2 client gets the
//!   challenge, upon which browsers and curl change to HTTP/1.1 by themselves. If it sends such credentials over HTTP/2, the request
//!   gets a connection to the origin that is closed with the answer: Negotiate with a Kerberos ticket works, for this one
//!   request, and NTLM is challenged again. To an origin with `http2: true` such requests use HTTP/1.1 where ALPN lets them, and
//!   otherwise a connection that no other request uses.
//! * A mirror gets no copy of a request with such credentials.
//! * A tunnel (WebSocket) has a connection of its own in any case. So NTLM can't complete in a request for a tunnel; Negotiate
//!   with a Kerberos ticket can.
//!
//! # Left to the operator
//!
//! * A load balancer before the gateway that mixes the requests of several clients on one connection, without naming their
//!   addresses (`trusted_proxies`): the gateway takes them for one client. Configure it to keep connections apart, or let it pass
//!   TCP through.
//! * An origin that authenticates connections by other means, such as its own protocol on top of HTTP.
//!
//! # Tests
//!
//! * `tests/it/upstream/private.rs::an_authenticated_connection_serves_its_client_alone`
//! * `tests/it/upstream/private.rs::a_handshake_stays_at_the_endpoint_where_it_began`
//! * `tests/it/upstream/private.rs::a_challenged_connection_is_given_to_nobody_else`
//! * `tests/it/upstream/private.rs::a_private_connection_ends_with_its_client`
//! * `tests/it/upstream/private.rs::what_comes_over_http2_is_authenticated_for_one_request_only`
//! * `tests/it/upstream/private.rs::an_http2_origin_gets_credentials_for_a_connection_on_none_that_is_shared`
//! * `tests/it/upstream/private.rs::clients_of_a_proxy_before_the_gateway_do_not_share_its_connection`
//! * `tests/it/upstream/private.rs::beyond_the_bound_a_connection_serves_one_request`
//! * `tests/it/upstream/private.rs::a_copy_for_a_mirror_carries_no_credentials_for_a_connection`
//! * `src/decision/upstream/connection_auth.rs::a_challenge_is_found_wherever_it_stands_and_not_where_it_is_only_named`
//!
//! [CVE-2014-0015]: https://www.cve.org/CVERecord?id=CVE-2014-0015
//! [CVE-2016-0755]: https://www.cve.org/CVERecord?id=CVE-2016-0755
