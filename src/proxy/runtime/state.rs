//! What survives a reload.

use std::sync::Arc;

use crate::proxy::tls::SessionResumption;
use crate::proxy::upstream::mirror::MirrorPool;
use crate::state::addresses::AddressLists;
use crate::state::connections::Connections;
use crate::state::discovery::Discovery;
use crate::state::limits::{DEFAULT_MAX_KEYS, Limits};
use crate::state::tokens::Tokens;
use crate::state::upstreams::Upstreams;
use crate::telemetry::access_log::AccessLogs;

/// What changes while the process runs, whatever is configured.
pub struct RuntimeState {
    pub limits: Limits,
    pub address_lists: AddressLists,
    pub tokens: Tokens,
    pub discovery: Arc<Discovery>,
    pub upstreams: Upstreams,
    pub connections: Arc<Connections>,
    pub access_logs: AccessLogs,
    pub(super) resumption: SessionResumption,
    pub mirror_pool: MirrorPool,
}

impl RuntimeState {
    /// A state that has seen nothing yet.
    pub(super) fn new() -> Self {
        RuntimeState {
            limits: Limits::new(DEFAULT_MAX_KEYS),
            address_lists: AddressLists::default(),
            tokens: Tokens::default(),
            discovery: Arc::default(),
            upstreams: Upstreams::new(),
            connections: Connections::new(),
            access_logs: AccessLogs::default(),
            resumption: SessionResumption::default(),
            mirror_pool: MirrorPool::default(),
        }
    }
}
