//! The Pingora adapter, the only folder that knows Pingora.
