//! Which reading of a path counts.
//!
//! A request is forwarded only if every reading of its path leads to the same route:
//!
//! * A path with encoded separators (`%2F`) is taken as it is by a route that keeps them, whose owner vouches that the origin
//!   does not decode them. Otherwise they are decoded, and the route of *that* path takes it if it decodes them too. It is
//!   then forwarded decoded. Any other route refuses it.
//! * A path whose loosest reading ([`PathVariant::loosest`]) is another one is taken, unchanged, if both lead to one route.
//! * A path with `//` is taken with `/` for it. A route that keeps `//` takes it as it is, if every reading of that leads to
//!   the same route too.
//!
//! Two forwarded paths that some origin takes for the same have the same loosest reading, and so came through the same route.

use super::candidate::Candidate;
use super::pattern::EncodedSeparators;
use super::table::{RouteMatch, Table};
use crate::decision::ids::RouteId;
use crate::decision::request::path::{PathVariant, Reading, UnmergedPath, decode_separators};
use crate::decision::request::{NormalizedRequest, RequestView};

const SEPARATORS: &str = "the path contains an encoded separator (`%2F` or `%5C`), and the `encoded_separators` of its route \
                          does not admit it";
const TWO_READINGS: &str = "the path has two readings: without path parameters (`;`) and needless escapes it does not lead to \
                            the same route";
const TWO_MERGED: &str = "the path has two readings: with `//` and with `/` for it, it does not lead to the same route";

impl Table {
    /// What takes the request, and its path with the separators decoded or with its `//` where that is what the route takes.
    pub(super) fn settle(
        &self,
        request: &RequestView<'_>,
    ) -> Result<(Candidate, Option<Reading<'static>>), RouteMatch> {
        let NormalizedRequest { path, spelling, .. } = request.normal;
        let found = self.look_up(request, path);
        if !spelling.encoded_separators
            || found.as_ref().is_ok_and(|found| self.policy(*found) == EncodedSeparators::Keep)
        {
            let candidate = self.confirm(request, found?, spelling)?;
            return match &spelling.unmerged {
                Some(unmerged) if !self.matches[candidate.matched as usize].merge_slashes => {
                    self.keep_slashes(request, candidate, unmerged)
                }
                _ => Ok((candidate, None)),
            };
        }
        let refused = RouteMatch::PathRefused(SEPARATORS);
        let Ok(decoded) = decode_separators(path) else { return Err(refused) };
        match self.look_up(request, &decoded.path) {
            Ok(candidate) if self.policy(candidate) == EncodedSeparators::Decode => {
                let candidate = self.confirm(request, candidate, &decoded.spelling)?;
                Ok((candidate, Some(decoded)))
            }
            _ => Err(refused),
        }
    }

    /// `candidate`, if the loosest reading of the path leads to the same route.
    fn confirm(
        &self,
        request: &RequestView<'_>,
        candidate: Candidate,
        spelling: &PathVariant,
    ) -> Result<Candidate, RouteMatch> {
        let Some(loosest) = &spelling.loosest else { return Ok(candidate) };
        match self.look_up(request, loosest) {
            Ok(other) if self.route(other) == self.route(candidate) => Ok(candidate),
            _ => Err(RouteMatch::PathRefused(TWO_READINGS)),
        }
    }

    /// What takes the request with its `//`, if that is by the same route as without: `candidate`'s.
    fn keep_slashes(
        &self,
        request: &RequestView<'_>,
        candidate: Candidate,
        unmerged: &UnmergedPath,
    ) -> Result<(Candidate, Option<Reading<'static>>), RouteMatch> {
        let same = |path: &str| {
            let found = self.look_up(request, path).ok();
            found.filter(|found| self.route(*found) == self.route(candidate))
        };
        let loosest = unmerged.loosest.as_deref();
        match same(&unmerged.path) {
            Some(found) if unmerged.agrees && loosest.is_none_or(|loosest| same(loosest).is_some()) => {
                let path = unmerged.path.clone().into();
                Ok((found, Some(Reading { path, spelling: PathVariant::default() })))
            }
            _ => Err(RouteMatch::PathRefused(TWO_MERGED)),
        }
    }

    fn policy(&self, candidate: Candidate) -> EncodedSeparators {
        self.matches[candidate.matched as usize].encoded_separators
    }

    fn route(&self, candidate: Candidate) -> RouteId {
        self.matches[candidate.matched as usize].route
    }
}
