//! What survives a reload.

use std::sync::Arc;

use crate::proxy::tls::SessionResumption;
use crate::proxy::upstream::mirror::MirrorPool;
use crate::state::address_lists::AddressLists;
use crate::state::connections::ConnectionCounter;
use crate::state::discovery::Discovery;
use crate::state::limits::{DEFAULT_MAX_KEYS, LimitStates};
use crate::state::token_cache::TokenCache;
use crate::state::upstreams::Upstreams;
use crate::telemetry::access_log::AccessLoggers;

/// What changes while the process runs, whatever is configured.
pub struct RuntimeState {
    pub limits: LimitStates,
    pub address_lists: AddressLists,
    pub tokens: TokenCache,
    pub discovery: Arc<Discovery>,
    pub upstreams: Upstreams,
    pub connections: Arc<ConnectionCounter>,
    pub access_logs: AccessLoggers,
    pub(super) resumption: SessionResumption,
    pub mirror_pool: MirrorPool,
}

impl RuntimeState {
    /// A state that has seen nothing yet.
    pub(super) fn new() -> Self {
        RuntimeState {
            limits: LimitStates::new(DEFAULT_MAX_KEYS),
            address_lists: AddressLists::default(),
            tokens: TokenCache::default(),
            discovery: Arc::default(),
            upstreams: Upstreams::new(),
            connections: ConnectionCounter::new(),
            access_logs: AccessLoggers::default(),
            resumption: SessionResumption::default(),
            mirror_pool: MirrorPool::default(),
        }
    }
}
