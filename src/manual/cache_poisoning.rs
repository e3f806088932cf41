//! Cache poisoning: a cache serves one client's answer to others.
//!
//! **The gateway has no cache yet.** This page describes how caches in front of it and behind it treat its answers, and the
//! decisions that a cache in the gateway will have to keep.
//!
//! # The attack
//!
//! A cache reuses an answer when two requests have the same key (RFC 9111 §2, §4). Anything that changes the answer without
//! being part of the key lets one client choose the answer of the next:
//!
//! * *poisoning*: a field or a parameter outside the key ends up in the answer, such as a host in links, the address of a
//!   script, or an error page in place of the page;
//! * *deception*: a victim follows a link to `/account/x.css`; the origin serves the account, the cache stores it as a style
//!   sheet, and the attacker fetches it;
//! * *smuggling* ([`request_smuggling`](super::request_smuggling)) and *path confusion*
//!   ([`path_confusion`](super::path_confusion)), which make a cache store an answer under the wrong key;
//! * a hit that is served before the client's access was checked.
//!
//! # Known cases
//!
//! * **Pingora**'s default key contained the path and not the host, so that one tenant got the pages of another
//!   ([CVE-2026-2836]); an undrained body on a hit let a client answer the next request ([CVE-2025-4366]).
//! * **Apache Traffic Server** mishandled the fragment of a URL ([CVE-2021-27577]).
//! * **Python** separated parameters at `;` and the proxies before it did not: a parameter outside the key carried one that
//!   mattered ([CVE-2021-23336]).
//! * **Symfony** let `X-Original-URL` choose the page; caches stored it under the URL that they saw ([CVE-2018-14773]).
//! * **Next.js** could be made to mark a user's own pages as cacheable ([CVE-2024-46982]).
//!
//! # How this code avoids it
//!
//! Today:
//!
//! * [`proxy::hooks::gateway`](crate::proxy::hooks::gateway) implements none of Pingora's cache hooks, and Pingora's cache feature
//!   is not enabled. Nothing is stored.
//! * Refusals carry `Cache-Control: no-store` ([`refusal_headers`](crate::decision::response::refusal_headers)): without it,
//!   caches may store a 404 or 414 (RFC 9110 §15.1) and serve it to everyone.
//! * The fields that are used most for poisoning, such as `X-Forwarded-Host`, reach an origin only with the gateway's values
//!   ([`header_spoofing`](super::header_spoofing)). Host and path are normalised before anything is selected by them.
//!
//! Decided for a cache, in the order of the pipeline ([the map](crate)):
//!
//! * access comes first: a lookup takes the [`Permit`](crate::decision::access::Permit) that only the access stage can
//!   create;
//! * the key has scheme, host, port, method class, normalised path and query, each with its length, and the fields that
//!   `Vary` names;
//! * answers with `Set-Cookie`, answers to requests with `Authorization`, and answers to requests whose caller the origin was
//!   told are not stored unless configured.
//!
//! # Left to the operator
//!
//! * A cache in front must have the host in its key, and must not store answers with `no-store` or `private`. Set
//!   `Cache-Control` under `response_headers: { default: … }` for routes whose origin sends none.
//! * An origin that builds links from a field must use `X-Forwarded-Host` or `Host` as the gateway sends them.
//! * Routes that match a suffix (`{regex: ".*\\.css"}`) with weaker access enable deception: match the folder instead.
//!
//! # Tests
//!
//! * `tests/it/error.rs::an_error_may_not_be_stored_for_others`
//! * `src/decision/response/refusal.rs::each_cause_brings_its_headers`
//! * `tests/it/read.rs::strangers_cannot_say_where_they_come_from`
//! * `tests/it/read.rs::what_was_matched_is_what_is_forwarded`
//! * `src/decision/route/tests/spellings.rs::no_two_spellings_reach_one_origin_path_through_different_routes`
//! * `src/decision/route/condition.rs::what_occurs_twice_has_no_single_value`
//!
//! [CVE-2018-14773]: https://www.cve.org/CVERecord?id=CVE-2018-14773
//! [CVE-2021-23336]: https://www.cve.org/CVERecord?id=CVE-2021-23336
//! [CVE-2021-27577]: https://www.cve.org/CVERecord?id=CVE-2021-27577
//! [CVE-2024-46982]: https://www.cve.org/CVERecord?id=CVE-2024-46982
//! [CVE-2025-4366]: https://www.cve.org/CVERecord?id=CVE-2025-4366
//! [CVE-2026-2836]: https://www.cve.org/CVERecord?id=CVE-2026-2836
