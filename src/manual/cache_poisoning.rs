//! Cache poisoning: others get the answer to one's own request.
//!
//! **The gateway does not cache yet.** This page says what caches in front of it and behind it do with its answers, and
//! what is already decided so that a cache can be added without opening what is shut.
//!
//! # The attack
//!
//! A cache answers from memory when two requests have the same key (RFC 9111 §2, §4). Whatever changes an answer
//! without being part of the key lets one client choose what the next one gets:
//!
//! * *poisoning*: a field or a parameter that the key leaves out ends up in the answer: a host in links, a script's
//!   address, or an error page that now stands where the page was;
//! * *deception*: a victim is sent to `/account/x.css`; the origin serves the account, the cache stores a style sheet,
//!   and the attacker fetches it;
//! * *smuggling* ([`request_smuggling`](super::request_smuggling)) and *path confusion*
//!   ([`path_confusion`](super::path_confusion)), which make any cache behind the disagreement store the wrong thing;
//! * a hit that is served before anyone has asked whether this client may see it.
//!
//! # What happened to others
//!
//! * **Pingora**'s own default key held the path and not the host, so that one tenant's pages answered for another's
//!   ([CVE-2026-2836]); an undrained body on a hit let a client answer the next request ([CVE-2025-4366]).
//! * **Apache Traffic Server** mishandled the fragment of a URL ([CVE-2021-27577]).
//! * **Python** separated parameters at `;` while the proxies before it did not: a parameter that the key ignores
//!   carried one that matters ([CVE-2021-23336]).
//! * **Symfony** let `X-Original-URL` choose the page; caches kept it under the address that they saw
//!   ([CVE-2018-14773]).
//! * **Next.js** could be made to mark pages as storable that were one user's own ([CVE-2024-46982]).
//!
//! # How this code avoids it
//!
//! What is true today:
//!
//! * [`proxy::hooks::gateway`](crate::proxy::hooks::gateway) implements none of Pingora's cache hooks, and the crate's cache feature
//!   is not switched on. Nothing is stored.
//! * Refusals carry `Cache-Control: no-store` ([`refusal_headers`](crate::decision::response::refusal_headers)): a 404
//!   or 414 may otherwise be kept by others (RFC 9110 §15.1), and be the page that everyone gets.
//! * The fields that poison most, `X-Forwarded-Host` and its kin, reach an origin only as the gateway says them
//!   ([`header_spoofing`](super::header_spoofing)). Host and path have one normal form before anything is chosen by
//!   them.
//!
//! What is decided for the cache to come, in the order of a request's way ([the map](crate)):
//!
//! * access comes first: a lookup takes the [`Permit`](crate::decision::access::Permit) that only the access stage can
//!   make, so a hit can't outrun it;
//! * the key has scheme, host, port, method class, normal path and query, each with its length, and what `Vary` names;
//! * answers with `Set-Cookie`, to requests with `Authorization`, or with a caller that the origin was told, are not
//!   stored unless the owner says so.
//!
//! # What is left to the owner
//!
//! * A cache in front must have the host in its key, and must not store what says `no-store` or `private`. Set
//!   `Cache-Control` under `response_headers: { default: … }` for routes whose origin says nothing.
//! * An origin that builds links from a field must take `X-Forwarded-Host`, or `Host`, from the gateway alone.
//! * Routes that match a suffix (`{regex: ".*\\.css"}`) and give it weaker access invite deception: match the folder.
//!
//! # Kept so by
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
