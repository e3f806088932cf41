//! A request's claim on an endpoint.

use std::sync::Arc;

use super::endpoint::EndpointState;
use super::shared_upstream::UpstreamSlot;
use crate::decision::upstream::Millis;

/// An endpoint that was selected for a request. The request counts as active on it until this is dropped.
#[must_use = "dropping it ends the request's claim on the endpoint"]
#[derive(Debug)]
pub struct SelectedEndpoint {
    /// Where the request goes.
    pub endpoint: Arc<EndpointState>,
    /// Whether the endpoint was selected although it is unhealthy or ejected, because all are.
    pub panic: bool,
    /// Whether the request is the trial of an ejected endpoint.
    pub(super) trial: bool,
    /// Whether the result of the try is recorded.
    pub(super) recorded: bool,
    /// Whether the client gets a cookie that assigns it to the endpoint.
    pub(super) assign: bool,
    /// The request's slot of the upstream, where the upstream bounds its requests.
    pub(super) slot: Option<UpstreamSlot>,
}

impl SelectedEndpoint {
    /// Claims `endpoint` for one more request if it has less than `most`; as its trial, if it is half-open. `now` is `None`
    /// for an upstream that does not eject. Returns `None` if another request claimed the last place or the trial first.
    pub(super) fn claim(
        endpoint: &Arc<EndpointState>,
        panic: bool,
        most: Option<usize>,
        now: Option<Millis>,
    ) -> Option<Self> {
        let active = endpoint.begin_request();
        // From here on, dropping it ends the request.
        let mut selected = SelectedEndpoint {
            endpoint: Arc::clone(endpoint),
            panic,
            trial: false,
            recorded: false,
            assign: false,
            slot: None,
        };
        if most.is_some_and(|most| active >= most) {
            return None;
        }
        if let Some(now) = now.filter(|_| !panic) {
            selected.trial = endpoint.admit(now)?;
        }
        Some(selected)
    }
}

impl Drop for SelectedEndpoint {
    fn drop(&mut self) {
        self.endpoint.end_request();
        if self.trial {
            // The client left before the trial had a result: the endpoint is half-open again.
            self.endpoint.abandon_trial();
        }
    }
}
