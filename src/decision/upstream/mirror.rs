//! Which requests are copied for another upstream.

use std::time::Duration;

use http::Method;
use http::header::{EXPECT, UPGRADE};

use super::share::Share;
use crate::decision::access::Permit;
use crate::decision::request::RequestView;
use crate::decision::rules::UpstreamId;

/// What is copied, and within which bounds.
#[derive(Debug)]
pub struct Mirror {
    /// Who gets the copies.
    pub upstream: UpstreamId,
    pub share: Share,
    pub methods: Vec<Method>,
    /// Bytes of the largest body that is copied.
    pub body: usize,
    /// For a copy and its whole answer.
    pub timeout: Duration,
    /// Copies at a time, at least 1.
    pub concurrent: u32,
}

impl Mirror {
    /// Whether a request that was admitted and goes to `upstream` is copied, by `random`, which is 64 random bits.
    ///
    /// Never: what changes hands after its first answer (an upgrade), what waits for an interim answer before it goes on, and
    /// what reaches the mirror's upstream anyway.
    pub fn wants(&self, _permit: &Permit, request: &RequestView<'_>, upstream: UpstreamId, random: u64) -> bool {
        self.may_copy(request) && self.upstream != upstream && self.share.takes(random)
    }

    /// Whether `request` is of a kind that is copied.
    pub fn may_copy(&self, request: &RequestView<'_>) -> bool {
        let passes_whole = !request.headers.contains_key(UPGRADE) && !request.headers.contains_key(EXPECT);
        passes_whole && self.methods.contains(request.method)
    }
}
