//! The steps between two needs, in their order.

use std::mem;

use smallvec::SmallVec;

use super::{
    Admitted, Decision, Fact, Findings, Inputs, Need, Pipeline, Reply, ReplyContent, Routed, Stage, Step, mismatch,
};
use crate::decision::access::stages::{AddressChecked, Authenticated, Authorized, LimitChecked, check_address};
use crate::decision::access::{Permit, Principal, address};
use crate::decision::ids::{RouteId, UpstreamId};
use crate::decision::limit::{LimitId, LimitRequest, LimitRequests};
use crate::decision::outcome::{Cause, Denial};
use crate::decision::policy::{Action, Route};
use crate::decision::request::fields::Fields;
use crate::decision::request::{self, RequestView};

/// What one request takes from a limit.
const AMOUNT: u64 = 1;

/// Where a step leads.
enum Next {
    Ask(Need, Stage),
    Forward(Permit, UpstreamId),
    Reply(Permit, ReplyContent),
}

impl<L: address::Lists + ?Sized> Pipeline<'_, L> {
    pub(super) fn advance(&mut self, fact: Fact) -> Result<Step, Denial> {
        let next = match (mem::replace(&mut self.stage, Stage::Done), fact) {
            (Stage::Start, Fact::Start) => {
                let route = Self::seek(&self.inputs, self.findings)?;
                self.admit(route)?
            }
            (Stage::Sought(sought), Fact::Start) => self.admit(sought?)?,
            (Stage::LimitsBeforeIdentity(checked), Fact::Limits(results)) => {
                let owed = &self.route()?.limits.before_identity;
                let checked = checked.check_limits(owed, &self.inputs.rules.limits, &results)?;
                self.identify(checked)?
            }
            (Stage::Identity(checked), Fact::RememberedToken(remembered)) => {
                let (rules, fields) = (&self.route()?.access, self.inputs.request.fields);
                self.authorize(checked.authenticate(rules, fields, remembered, self.inputs.now)?)?
            }
            (Stage::LimitsAfterIdentity(authorized), Fact::Limits(results)) => {
                let owed = &self.route()?.limits.after_identity;
                self.act(authorized.check_limits(owed, &self.inputs.rules.limits, &results)?)?
            }
            (Stage::Split(permit), Fact::Random(random)) => {
                let Action::Forward { to, .. } = &self.route()?.action else { return Err(mismatch()) };
                let upstream = to.by_chance(random);
                Next::Forward(permit, upstream)
            }
            _ => return Err(mismatch()),
        };
        match next {
            Next::Ask(need, stage) => {
                self.stage = stage;
                Ok(Step::Need(need))
            }
            Next::Forward(permit, upstream) => {
                let Routed { request, route, parameters, .. } = self.take_routed()?;
                Ok(Step::Done(Decision::Forward(Admitted { request, route, parameters, permit, upstream })))
            }
            Next::Reply(permit, content) => {
                let Routed { request, route, .. } = self.take_routed()?;
                Ok(Step::Done(Decision::Reply(Reply { request, route, permit, content })))
            }
        }
    }

    /// Reads the request and seeks its route, which decides nothing and takes nothing: [`Pipeline::resume`] goes on with it.
    ///
    /// # Errors
    /// Why it has no route, or no normal form. [`Pipeline::resume`] refuses it for that.
    pub fn seek(inputs: &Inputs<'_, L>, findings: &mut Findings) -> Result<RouteId, Denial> {
        let Inputs { rules, request: raw, .. } = inputs;
        let mut request = request::read(&rules.read, raw)?;
        match rules.table.find(raw, &mut request).taken() {
            Ok((route, parameters)) => {
                *findings = Findings::Routed(Routed { request, route, parameters, principal: None });
                Ok(route)
            }
            Err(denial) => {
                *findings = Findings::Unrouted(request);
                Err(denial)
            }
        }
    }

    /// The refusal of a route that admits nobody, the body's bound and address rules.
    fn admit(&mut self, id: RouteId) -> Result<Next, Denial> {
        let Inputs { rules, lists, request: raw, .. } = &self.inputs;
        let client = self.routed()?.request.client;
        let route = rules.route(id);
        // Before everything that could tell a hidden route from none.
        if let Some(denial) = route.access.refusal() {
            return Err(denial);
        }
        within_body_bound(route, raw.fields)?;
        self.limit_before_identity(check_address(route.addresses.as_deref(), *lists, client)?)
    }

    fn limit_before_identity(&mut self, checked: AddressChecked) -> Result<Next, Denial> {
        let owed = &self.route()?.limits.before_identity;
        if owed.is_empty() {
            return self.identify(checked.check_limits(&[], &[], &[])?);
        }
        Ok(Next::Ask(Need::Limits(self.requests(owed, None)?), Stage::LimitsBeforeIdentity(checked)))
    }

    fn identify(&mut self, checked: LimitChecked) -> Result<Next, Denial> {
        let (rules, fields) = (&self.route()?.access, self.inputs.request.fields);
        if let Some(claims) = self.claims.take()
            && let Some(assumed) = rules.providers().iter().find_map(|provider| provider.assume(&claims))
        {
            return self.authorize(checked.assume(assumed?));
        }
        match checked.token_digest(rules, fields) {
            Some(digest) => Ok(Next::Ask(Need::RememberedToken(digest), Stage::Identity(checked))),
            None => self.authorize(checked.authenticate(rules, fields, None, self.inputs.now)?),
        }
    }

    fn authorize(&mut self, authenticated: Authenticated) -> Result<Next, Denial> {
        self.verified = authenticated.verified();
        if let Findings::Routed(routed) = &mut *self.findings {
            // Known from here on, also if the caller is refused below.
            routed.principal = authenticated.principal().cloned();
        }
        self.limit_after_identity(authenticated.authorize(&self.route()?.access)?)
    }

    fn limit_after_identity(&mut self, authorized: Authorized) -> Result<Next, Denial> {
        let owed = &self.route()?.limits.after_identity;
        if owed.is_empty() {
            return self.act(authorized.check_limits(&[], &[], &[])?);
        }
        let requests = self.requests(owed, authorized.principal().map(|principal| &**principal))?;
        Ok(Next::Ask(Need::Limits(requests), Stage::LimitsAfterIdentity(authorized)))
    }

    fn act(&mut self, permit: Permit) -> Result<Next, Denial> {
        let routed = self.routed()?;
        Ok(match &self.route()?.action {
            Action::Forward { to, .. } => match to.settle(&permit, &self.view(routed)) {
                Some(upstream) => Next::Forward(permit, upstream),
                None => Next::Ask(Need::Random, Stage::Split(permit)),
            },
            Action::Respond(fixed) => Next::Reply(permit, ReplyContent::Fixed(fixed.clone())),
            Action::Redirect(redirect) => {
                let location = redirect.location(&routed.request, &routed.parameters);
                Next::Reply(permit, ReplyContent::Redirect { status: redirect.status, location })
            }
            Action::Nothing => return Err(mismatch()),
        })
    }

    /// What the request takes from the limits `owed`.
    fn requests(&self, owed: &[LimitId], principal: Option<&Principal>) -> Result<LimitRequests, Denial> {
        let (route, view) = (self.route()?, self.view(self.routed()?));
        let request = |&limit: &LimitId| {
            let key = &self.inputs.rules.limits[limit.0 as usize].key;
            let bucket = self.inputs.hasher.bucket(key, &route.name, &view, principal);
            LimitRequest { limit, bucket, amount: AMOUNT }
        };
        Ok(owed.iter().map(request).collect::<SmallVec<_>>())
    }
}

impl<'a, L: address::Lists + ?Sized> Pipeline<'a, L> {
    fn view<'s>(&'s self, routed: &'s Routed) -> RequestView<'s> {
        self.inputs.request.view(&routed.request)
    }

    fn route(&self) -> Result<&'a Route, Denial> {
        Ok(self.inputs.rules.route(self.routed()?.route))
    }

    fn routed(&self) -> Result<&Routed, Denial> {
        self.findings.routed().ok_or_else(mismatch)
    }

    fn take_routed(&mut self) -> Result<Routed, Denial> {
        match mem::take(self.findings) {
            Findings::Routed(routed) => Ok(routed),
            Findings::Unread | Findings::Unrouted(_) => Err(mismatch()),
        }
    }
}

/// Refuses a request whose body says beforehand that it is larger than the route lets it be.
fn within_body_bound(route: &Route, fields: Fields<'_>) -> Result<(), Denial> {
    match fields.content_length() {
        Some(length) if length > route.bounds.body => Err(body_too_large(route.bounds.body)),
        _ => Ok(()),
    }
}

/// The refusal of a request body over its `bound` in bytes.
pub fn body_too_large(bound: u64) -> Denial {
    Denial::new(Cause::BodyTooLarge, format!("the request body exceeds {bound} bytes"))
}
