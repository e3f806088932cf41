//! Why the gateway is as it is: the attacks on what stands at an edge, what they did to others, and what keeps them out
//! here.
//!
//! One page a kind of attack. Every page has the same five parts:
//!
//! 1. **The attack**: what it does and which sentence of which standard it lives on.
//! 2. **What happened to others**: real products, with the number under which the flaw was published. Most of these
//!    parsers were written by careful people; what broke them was leniency, or a second reading somewhere behind.
//! 3. **How this code avoids it**, with links into the code.
//! 4. **What is left to the owner**: settings, and what no gateway can know.
//! 5. **Kept so by**: the tests that fail when it is no longer true. `tests/it/manual.rs` reads these pages and fails
//!    when one of them names a test that does not exist.
//!
//! | page | what a stranger wants |
//! |---|---|
//! | [`request_smuggling`] | a second request inside the first one, seen by the origin only |
//! | [`path_confusion`] | a path that rules take for one thing and the origin for another |
//! | [`header_spoofing`] | to be believed about who and where one is |
//! | [`cache_poisoning`] | that others get the answer to one's own request |
//! | [`slow_clients`] | to hold what others need, for next to nothing |
//! | [`http2_floods`] | to make a few frames cost much memory or time |
//! | [`hostile_origins`] | from behind: that an answer breaks out of its place |
//! | [`process`] | the process itself: its privileges, keys, admin interface, life |
//! | [`operations`] | nothing: this one is about changes that go wrong without a stranger |
//!
//! What all pages share is one rule: **read a message in one way only, refuse what has two, and forward what was
//! read.** A gateway that repairs what it gets has to guess what the parser behind it would have made of it; the list
//! below is made of wrong guesses.

pub mod cache_poisoning;
pub mod header_spoofing;
pub mod hostile_origins;
pub mod http2_floods;
pub mod operations;
pub mod path_confusion;
pub mod process;
pub mod request_smuggling;
pub mod slow_clients;
