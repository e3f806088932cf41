//! What serves requests, whichever listener they come by.

use std::sync::Arc;

use pingora::proxy::HttpProxy;

use crate::proxy::fast_lane::FastLane;
use crate::proxy::hooks::gateway::Gateway;

/// The two lanes. All listeners share them, and with them the connections to origins.
#[derive(Clone)]
pub struct Lanes {
    pub full: Arc<HttpProxy<Gateway>>,
    /// `None`: it is switched off.
    pub fast: Option<Arc<FastLane>>,
}
