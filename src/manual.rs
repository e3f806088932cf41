//! The design rationale: attacks on edge proxies, known vulnerabilities, and how this code avoids them.
//!
//! One page for each kind of attack. Every page has the same five parts:
//!
//! 1. **The attack**: what it does, and the sections of the standards that it concerns.
//! 2. **Known cases**: real products, with the identifier of the published vulnerability. Most are caused by a lenient parser,
//!    or by a second parser that reads the same bytes differently.
//! 3. **How this code avoids it**, with links into the code.
//! 4. **Left to the operator**: settings, and what a gateway can't know.
//! 5. **Tests** that fail when the page is no longer true. `tests/it/manual.rs` reads these pages and fails
//!    when one of them cites a test that does not exist.
//!
//! | page | the attacker's goal |
//! |---|---|
//! | [`request_smuggling`] | a second request inside the first one, seen by the origin only |
//! | [`path_confusion`] | a path that rules and origin read differently |
//! | [`header_spoofing`] | a false address or identity that is believed |
//! | [`cache_poisoning`] | an answer that is served to other clients |
//! | [`slow_clients`] | to occupy shared resources at little cost |
//! | [`http2_floods`] | to make a few frames cost much memory or time |
//! | [`hostile_origins`] | an answer that affects more than its request |
//! | [`shared_connections`] | what belongs to another user, on a connection that the user has authenticated |
//! | [`process`] | the process itself: its privileges, keys, admin interface |
//! | [`operations`] | none: changes that go wrong without an attacker |
//!
//! One more page has no attack and another form: [`guarantees`] is what the operator can rely on, each sentence with its tests.
//!
//! All pages about attacks share one rule: **read a message in one way only, refuse what has two readings, and forward what was
//! read.** A gateway that repairs a message guesses how the parser behind it would have read it; most known cases are wrong
//! guesses.

pub mod cache_poisoning;
pub mod guarantees;
pub mod header_spoofing;
pub mod hostile_origins;
pub mod http2_floods;
pub mod operations;
pub mod path_confusion;
pub mod process;
pub mod request_smuggling;
pub mod shared_connections;
pub mod slow_clients;
