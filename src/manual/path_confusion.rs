//! Path confusion: rules match one path, the origin serves another.
//!
//! # The attack
//!
//! A rule closes `/admin`. The client asks for `/public/..%2fadmin`, `/public/..;/admin`, `//admin`, `/%61dmin`,
//! `/admin#.png` or `/public/%252e%252e/admin`: the gateway compares the text, finds no rule, and forwards it; the
//! origin decodes, merges, resolves or strips, and serves `/admin`. RFC 3986 §6.2.2 defines which spellings are equal, but
//! servers decode more or less than that, in different orders, and sometimes twice. Hosts have several spellings too: case, a
//! port, a trailing dot, user information (RFC 3986 §3.2), and a request that names two of them (RFC 9112 §3.2.2,
//! RFC 9113 §8.3.1).
//!
//! # Known cases
//!
//! * **Envoy** compared paths without normalising them: `something/../admin` passed a block on `/admin` ([CVE-2019-9901]), and
//!   later `%2F` and `%5C` did ([CVE-2021-29492]). **Istio**'s rules on top of it could be bypassed with several slashes
//!   or escaped ones ([CVE-2021-31920]) and with a `#fragment` in the request ([CVE-2021-39156]).
//! * **HAProxy** accepted `#` in a target, so that `index.html#.png` matched a rule for images ([CVE-2023-45539]).
//! * **Apache httpd** 2.4.49 normalised before everything was decoded: `/.%2e/` left the document root ([CVE-2021-41773],
//!   exploited at once); the fix in 2.4.50 missed double encoding ([CVE-2021-42013]).
//! * **F5 BIG-IP**: Apache in front took `/tmui/login.jsp/..;/` for a login page, Tomcat behind it resolved `..;`
//!   ([CVE-2020-5902]: commands as root on the load balancer). **Apache Shiro** had the same flaw, twice
//!   ([CVE-2020-1957], [CVE-2020-11989]).
//! * **PAN-OS**: nginx in front decided that `/unauth/%252e%252e/` needs no login, Apache behind it decoded once more
//!   ([CVE-2025-0108], exploited within days).
//! * **Apache httpd** as a proxy could be directed to another host by a target that begins with `@` ([CVE-2011-3368]).
//!
//! # How this code avoids it
//!
//! * [`decision::request::path::read`](crate::decision::request::path::read) normalises a path before any rule sees it: dot
//!   segments resolved (also spelled `%2e`), `//` merged, unreserved characters decoded, every other escape in upper case.
//!   The result is what rules match and what is forwarded, byte for byte.
//! * Characters that clients should have escaped (`"`, `<`, `>`, `{`, `}`, `|`, `\`, `^`, a backtick, raw UTF-8) are escaped in path
//!   and query, the same on HTTP/1 and HTTP/2 ([`decision::request::target`](crate::decision::request::target)), or refused under
//!   `request.target: strict`. A backslash is then what `%5C` is, an encoded separator.
//! * What no ordinary client sends is refused, not repaired: control characters and NUL, invalid
//!   escapes, over-long or invalid UTF-8, `#`, a path above the root, and dot segments that appear only once parameters
//!   are dropped, separators decoded, spaces after them dropped, or the path decoded again. The reasons are the variants of
//!   [`PathError`](crate::decision::request::path::PathError).
//! * Paths that some origins read differently, such as `/admin;x/y`, `/%2561dmin`, `/users/%40me` or, on Windows, `/admin.` and
//!   `/admin%20`, are also read in the most
//!   permissive way ([`PathVariant`](crate::decision::request::path::PathVariant)), and pass only if both readings lead to the same
//!   route ([`decision::route`](crate::decision::route)). So no two spellings of one path use routes with different access.
//! * Encoded separators are handled by the route's `encoded_separators`: `reject` by default, `keep` for an origin that is
//!   known not to decode them, or `decode`, with which the decoded path is matched and forwarded.
//! * A route with `merge_slashes: false` forwards `//` as it came, and takes only paths that lead to it with `/` in its place, too.
//! * A prefix takes its parent: `/admin/*` guards `/admin`, for which most origins serve the same.
//! * The origin gets the normalised path, made by [`decision::rewrite`](crate::decision::rewrite) and written by
//!   [`proxy::hooks::upstream::rewrite`](crate::proxy::hooks::upstream::rewrite). Prefixes are stripped and added by whole segments.
//! * [`decision::request::host::parse`](crate::decision::request::host::parse) normalises hosts. `Host`, `:authority` and an
//!   absolute target must name one host; the origin gets that one.
//! * Two routes that match the same request with equal precedence are an error at load, so the order in a file has no effect.
//!
//! # Left to the operator
//!
//! * `encoded_separators: keep` asserts that the origin does not decode them: one that does serves `/files/admin/x` to every
//!   client that may request `/files/{name}`.
//! * Paths are compared with case. An origin that ignores case needs `{regex: "(?i)…"}`, or the stricter access on the
//!   wider route. `check` warns of a route for the parent of a guarded prefix that lacks one of its guards.
//! * The query's own escapes are forwarded unchanged. A condition on a query parameter splits it at `&`, as forms are encoded
//!   today; an origin that also splits at `;` reads other parameters.
//!
//! # Tests
//!
//! * `src/decision/route/tests/spellings.rs::no_two_spellings_reach_one_origin_path_through_different_routes` (for
//!   random routes, spellings and kinds of origin)
//! * `src/decision/route/tests/spellings.rs::a_path_that_leads_to_two_routes_is_refused`
//! * `src/decision/route/tests/spellings.rs::encoded_separators_go_by_the_route`
//! * `src/decision/route/tests/spellings.rs::a_decoded_path_is_what_is_forwarded`
//! * `src/decision/route/tests/spellings.rs::empty_segments_go_by_the_route`
//! * `src/config/load/tests/reach.rs::the_parent_of_a_guarded_prefix_is_guarded_or_it_is_said`
//! * `src/decision/request/path.rs::spellings_of_one_path_have_one_normal_form`
//! * `src/decision/request/path.rs::what_origins_read_differently_is_refused`
//! * `src/decision/request/path.rs::normal_paths_stay_as_they_are` (for random paths)
//! * `src/decision/request/path.rs::no_bytes_make_it_panic` (for random bytes)
//! * `src/decision/request/path/variant.rs::the_loosest_reading_has_no_parameters_and_no_escapes_of_escapes`
//! * `src/decision/request/path/variant.rs::encoded_separators_are_noticed_however_deep`
//! * `src/decision/request/target.rs::raw_characters_are_escaped_and_others_are_not`
//! * `src/decision/request/target.rs::the_parser_takes_whatever_is_not_escaped`
//! * `src/decision/request/host.rs::spellings_of_one_host_have_one_normal_form`
//! * `src/decision/request/host.rs::what_is_not_a_host_is_refused`
//! * `src/decision/request/tests.rs::absolute_form_must_agree_with_host`
//! * `src/decision/rewrite/tests.rs::rewritten_paths_stay_normal` (for random paths and rewrites)
//! * `src/decision/rewrite/tests.rs::no_request_redirects_to_another_host` (for random targets)
//! * `src/decision/route/tests/naive.rs::the_table_finds_what_a_naive_scan_finds` (for random routes and requests)
//! * `src/decision/route/tests.rs::equal_routes_are_ambiguous`
//! * `tests/it/paths.rs::the_origin_sees_the_path_that_was_matched`
//! * `tests/it/paths.rs::a_path_with_more_than_one_reading_is_refused_with_the_declared_headers`
//! * `tests/it/paths.rs::http2_spells_no_other_path`
//! * `tests/it/http2/verdict.rs::raw_characters_of_a_target_are_escaped_the_same_on_both`
//! * `tests/it/http2/verdict.rs::a_strict_target_is_refused_with_its_reason_on_both`
//! * `tests/it/paths.rs::empty_segments_are_kept_where_a_route_says_so`
//! * `tests/it/route.rs::a_guarded_prefix_guards_its_parent`
//! * `tests/it/read.rs::what_was_matched_is_what_is_forwarded`
//! * `tests/it/read.rs::an_absolute_target_is_read_like_any_other`
//! * `tests/it/read.rs::the_host_is_matched_without_case_port_and_trailing_dot`
//! * `tests/it/route.rs::two_routes_with_equal_right_are_refused`
//!
//! Beside the tests, `tests/fuzz/fuzz_targets/path.rs` looks for a path that two kinds of origin find to be another
//! one.
//!
//! [CVE-2011-3368]: https://www.cve.org/CVERecord?id=CVE-2011-3368
//! [CVE-2019-9901]: https://www.cve.org/CVERecord?id=CVE-2019-9901
//! [CVE-2020-11989]: https://www.cve.org/CVERecord?id=CVE-2020-11989
//! [CVE-2020-1957]: https://www.cve.org/CVERecord?id=CVE-2020-1957
//! [CVE-2020-5902]: https://www.cve.org/CVERecord?id=CVE-2020-5902
//! [CVE-2021-29492]: https://www.cve.org/CVERecord?id=CVE-2021-29492
//! [CVE-2021-31920]: https://www.cve.org/CVERecord?id=CVE-2021-31920
//! [CVE-2021-39156]: https://www.cve.org/CVERecord?id=CVE-2021-39156
//! [CVE-2021-41773]: https://www.cve.org/CVERecord?id=CVE-2021-41773
//! [CVE-2021-42013]: https://www.cve.org/CVERecord?id=CVE-2021-42013
//! [CVE-2023-45539]: https://www.cve.org/CVERecord?id=CVE-2023-45539
//! [CVE-2025-0108]: https://www.cve.org/CVERecord?id=CVE-2025-0108
