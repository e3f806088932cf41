//! Portcullis: an edge proxy and API gateway that closes the gate by default.
//!
//! One daemon stands between the internet and a company's services. It decides who may come in, how much, and to where;
//! it balances; and no response leaves without the headers that its owner declared.
//!
//! # The way of a request
//!
//! ```text
//! accept    TCP, PROXY protocol, bounds, addresses, TLS      proxy::server::listener, proxy::server::accept, proxy::tls
//! receive   HTTP/1 messages, HTTP/2 frames, slow clients       proxy::connection
//! exchange  by the gateway's own loop, or by Pingora's         proxy::fast_lane, proxy::hooks
//! read      one normal form: host, path, client address      decision::request
//! route     host, path, method, header, query -> the route   decision::route
//! access    addresses, limits, identity, authorization       decision::access, decision::limit
//! upstream  which one, which endpoint, whether another one   decision::upstream, state::upstreams
//! rewrite   what the origin is shown, and a mirror           decision::rewrite, proxy::hooks::mirror
//! respond   the declared headers, the bodies of refusals     decision::response
//! record    access log, metrics                              telemetry
//! ```
//!
//! [`decision::pipeline`] drives the first three, without I/O. Access has a fixed order: the body's bound, address rules, limits before
//! identity, identity, authorization, limits after identity; only then there is a permit. There is no plugin order to get wrong.
//!
//! # The parts
//!
//! * [`config`]: files -> [`config::raw`] (as written) -> [`config::compile`] (every check, all diagnostics at once) ->
//!   [`config::snapshot`] -> [`config::store`] (one atomic load a request); [`config::diff`] tells two snapshots apart.
//! * [`decision`]: the policy decision point. Pure functions over values: no Pingora, tokio, files, sockets, clocks.
//! * [`state`]: what changes while running and survives a reload: limits, connections, verified tokens, endpoints, answers of
//!   DNS, address lists.
//! * [`proxy`]: the policy enforcement point, and the only folder that knows Pingora: [`proxy::server`] accepts and drains,
//!   [`proxy::connection`] is the byte stream of a client, [`proxy::hooks`] the steps of a request and the one `ProxyHttp`,
//!   [`proxy::fast_lane`] takes the same steps for plain HTTP/1 requests without Pingora's sessions, [`proxy::upstream`] is the
//!   byte stream to an endpoint, [`proxy::upkeep`] what runs beside requests, and [`proxy::runtime`] what all of them share.
//! * [`telemetry`]: access log, metrics, the program's own messages.
//! * [`admin`]: `/metrics`, `/livez`, `/readyz` and the commands of operators as plain handlers, and the types of their answers
//!   ([`admin::api`]).
//! * [`cli`]: one command a file. [`app`]: the composition root; reloads, canaries, and the life cycle of the process.
//! * [`diagnostics`], [`secret`]: what all of them speak, and what none of them prints.
//! * [`runtime_folder`]: the sockets of a running gateway, for its owner alone. [`handover`]: how one process takes over from
//!   another without a moment in which nobody listens. [`service_manager`]: notifications to systemd.
//! * [`files`]: the one reader of the files that a configuration names. [`privileges`]: how the process stops being root.
//!   [`sandbox`]: how it loses the right to open what it was not given.
//!   [`faults`]: faults that tests ask for.
//! * [`manual`]: the attacks on what stands at an edge, what they did to others, and what keeps them out here; and
//!   what an operator can rely on, each sentence with its tests ([`manual::guarantees`]).
//!
//! Dependencies point down only; `tests/it/architecture.rs` reads the `use` lines and names the one that does not. Within a folder
//! too, modules import each other in one direction, and the name of a type is declared once. The
//! same stage words name the files in `config::raw`, `config::compile`, `decision` and `tests/it`, so that one word finds
//! a feature everywhere.
//!
//! # What stays true
//!
//! 1. **The gate is closed by default.** A route without `access` is refused at load. A policy that can't be evaluated
//!    denies.
//! 2. **Every response carries the declared headers**, the ones that Pingora and the HTTP/2 library write on their own
//!    included. The gateway's value replaces whatever the origin sent.
//! 3. **One reading of a request.** What a rule matched is what is forwarded; what has two readings is refused.
//! 4. **A decision is a value with its reason**: [`decision::outcome::Denial`] writes the response, the log line, the
//!    metric and `explain`. Everything about a cause is one block of [`decision::outcome::cause`].
//! 5. **Skipping access does not compile**: choosing an endpoint takes the [`decision::access::Permit`] that only the
//!    access stage can make.
//! 6. **The running file always works**: it is compiled completely before it serves.
//! 7. **No request is dropped by us**: a dead endpoint costs a try, a signal starts a drain ([`proxy::drain`]).
//! 8. **Everything has a bound that has a name**, and a metric for when it bites. Each is one row of [`decision::bounds`].
//! 9. **One log line for each request, on every path**, cancelled and panicked ones too. Secrets never print.
//! 10. **Nothing blocks the event loop.**

#![forbid(unsafe_code)]
#![allow(rustdoc::private_intra_doc_links, reason = "who reads this code builds its documentation with private items")]

pub mod admin;
pub mod app;
pub mod cli;
pub mod config;
pub mod decision;
pub mod diagnostics;
pub mod faults;
pub mod files;
pub mod handover;
pub mod manual;
pub mod privileges;
pub mod proxy;
pub mod runtime_folder;
pub mod sandbox;
pub mod secret;
pub mod service_manager;
pub mod signal_mask;
pub mod state;
pub mod telemetry;
