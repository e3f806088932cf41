//! Endpoints of upstreams: addresses, health, load.
