//! The compiled configuration that decisions read. It cannot hold a wrong value: `config::compile` made sure.

use std::sync::Arc;

use super::access::address;
use super::access::rules::AccessRules;
use super::bounds::RouteBounds;
use super::ids::RouteId;
use super::limit::{Limit, RouteLimits};
use super::request::ReadRules;
use super::response;
use super::rewrite;
use super::route;
use super::upstream::mirror::Mirror;
use super::upstream::retry::RouteRetryRules;
use super::upstream::split::Destination;
use crate::diagnostics::Place;

/// Everything that decisions go by, compiled.
#[derive(Debug)]
pub struct Policy {
    /// How a request is read, and what is refused unread.
    pub read: ReadRules,
    /// Finds the route of a request.
    pub table: route::Table,
    /// By [`RouteId`].
    pub routes: Vec<Route>,
    /// By [`super::ids::LimitId`]. A limit that several routes inherit stands here once.
    pub limits: Vec<Limit>,
    /// By [`address::ListId`]. A list file that several rules name stands here once.
    pub address_lists: Vec<address::List>,
    /// For answers that no route made: 400, 404, Pingora's own.
    pub response: Arc<response::ResponseRules>,
}

impl Policy {
    /// The route `id`.
    pub fn route(&self, id: RouteId) -> &Route {
        &self.routes[id.0 as usize]
    }
}

/// A route, compiled.
#[derive(Debug)]
pub struct Route {
    /// Unique; for logs and metrics.
    pub name: Arc<str>,
    /// Where the file says so, for `explain`.
    pub place: Place,
    /// Which client addresses may use it. `None`: all.
    pub addresses: Option<Box<address::AddressRules>>,
    /// Who may use it.
    pub access: AccessRules,
    /// By the phase in which they count.
    pub limits: RouteLimits,
    /// What happens to an admitted request.
    pub action: Action,
    /// What its answers carry.
    pub response: Arc<response::ResponseRules>,
    /// How large its request bodies may be, and how slow.
    pub bounds: RouteBounds,
    /// When its requests are sent again, where it says otherwise than its upstream.
    pub retries: Option<Box<RouteRetryRules>>,
    /// Whether a client that ends its own side of an HTTP/1 connection waits for its answer (RFC 9112 §9.6).
    pub answers_half_closed: bool,
}

/// What happens to an admitted request.
#[derive(Debug)]
pub enum Action {
    /// It goes to an endpoint of an upstream, and a copy perhaps to another.
    Forward { to: Destination, rewrite: rewrite::RewriteRules, mirror: Option<Box<Mirror>> },
    /// It is answered without an origin.
    Respond(response::FixedAnswer),
    /// The client is sent elsewhere.
    Redirect(rewrite::Redirect),
    /// No request is admitted.
    Nothing,
}
