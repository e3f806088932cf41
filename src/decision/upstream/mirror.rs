//! Which requests are copied for another upstream.

use std::time::Duration;

use http::Method;

use super::share::Share;
use crate::decision::access::Permit;
use crate::decision::ids::UpstreamId;
use crate::decision::request::RequestView;
use crate::decision::request::fields::{EXPECT, UPGRADE};

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
        let passes_whole = !request.fields.contains(&UPGRADE) && !request.fields.contains(&EXPECT);
        passes_whole && self.methods.contains(request.method)
    }
}

#[cfg(test)]
mod tests {
    use http::header::{EXPECT, UPGRADE};
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::*;
    use crate::decision::request::NormalizedRequest;

    const MIRROR: UpstreamId = UpstreamId(1);

    fn wants(method: Method, headers: &[(HeaderName, &'static str)], upstream: UpstreamId, random: u64) -> bool {
        let mirror = Mirror {
            upstream: MIRROR,
            share: Share::millionths(100_000),
            methods: vec![Method::GET],
            body: 0,
            timeout: Duration::from_secs(1),
            concurrent: 1,
        };
        let normal = NormalizedRequest { ..NormalizedRequest::for_test() };
        let headers: HeaderMap =
            headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect();
        let view = RequestView::for_test(&method, &normal, &headers);
        mirror.wants(&Permit::for_test(), &view, upstream, random)
    }

    #[test]
    fn only_its_share_of_its_methods_is_copied() {
        assert!(wants(Method::GET, &[], UpstreamId(0), 0));
        assert!(!wants(Method::GET, &[], UpstreamId(0), u64::MAX / 10 + 1));
        assert!(!wants(Method::POST, &[], UpstreamId(0), 0));
    }

    #[test]
    fn what_cannot_be_copied_whole_is_not() {
        assert!(!wants(Method::GET, &[(UPGRADE, "websocket")], UpstreamId(0), 0));
        assert!(!wants(Method::GET, &[(EXPECT, "100-continue")], UpstreamId(0), 0));
    }

    #[test]
    fn what_goes_to_the_mirrors_upstream_is_not_copied_for_it() {
        assert!(!wants(Method::GET, &[], MIRROR, 0));
    }
}
