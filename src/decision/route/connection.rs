//! What a route asks of the connection that a request came by.

use std::fmt;
use std::sync::Arc;

use crate::decision::request::Scheme;
use crate::decision::request::connection::ConnectionFacts;

/// What a route asks of the connection that a request came by. The default asks for nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConnectionMatch {
    /// Names of listeners, of which any one will do. Empty: any listener.
    pub listeners: Vec<Arc<str>>,
    /// What the client speaks: that of the connection, or what a trusted proxy says.
    pub scheme: Option<Scheme>,
    /// Whether the connection itself has TLS.
    pub tls: Option<bool>,
}

/// The condition on the connection that a request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionMismatch {
    Listener,
    Scheme,
    /// Whether the route asks for TLS.
    Tls(bool),
}

impl ConnectionMatch {
    /// Most conditions that there can be.
    pub(super) const MAX: usize = 3;

    /// How many conditions are given.
    pub(super) fn count(&self) -> usize {
        usize::from(!self.listeners.is_empty()) + usize::from(self.scheme.is_some()) + usize::from(self.tls.is_some())
    }

    /// The first condition that a request fails which comes by `connection` and whose client speaks `scheme`.
    pub(super) fn failed(&self, connection: &ConnectionFacts, scheme: Scheme) -> Option<ConnectionMismatch> {
        if !self.listeners.is_empty() && !self.listeners.contains(&connection.listener) {
            return Some(ConnectionMismatch::Listener);
        }
        if self.scheme.is_some_and(|wanted| wanted != scheme) {
            return Some(ConnectionMismatch::Scheme);
        }
        self.tls.filter(|tls| *tls != connection.tls.is_some()).map(ConnectionMismatch::Tls)
    }

    /// Whether no request satisfies both.
    pub(super) fn contradicts(&self, other: &ConnectionMatch) -> bool {
        let listeners = !self.listeners.is_empty()
            && !other.listeners.is_empty()
            && !self.listeners.iter().any(|name| other.listeners.contains(name));
        let schemes = self.scheme.zip(other.scheme).is_some_and(|(one, other)| one != other);
        let tls = self.tls.zip(other.tls).is_some_and(|(one, other)| one != other);
        listeners || schemes || tls
    }
}

impl fmt::Display for ConnectionMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ConnectionMismatch::Listener => "another listener",
            ConnectionMismatch::Scheme => "another scheme",
            ConnectionMismatch::Tls(true) => "only connections with TLS",
            ConnectionMismatch::Tls(false) => "only connections without TLS",
        })
    }
}
