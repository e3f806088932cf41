//! Compile: `limit`.
//!
//! Limits are inherited by name: what a route does not mention it inherits, what it mentions replaces the inherited one
//! for that route only. An inherited limit is compiled once and shared, so that `client_address` and `gateway` count
//! across routes.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

use super::{CompileContext, names};
use crate::config::doc_path::DocPath;
use crate::config::raw;
use crate::config::raw::limit::Mode;
use crate::decision::limit::{Limit, LimitId, LimitKey, Phase, Quota, RateQuota, RouteLimits};
use crate::diagnostics::did_you_mean;

const MAX_BURST: u64 = 1_000_000_000;
/// A bucket that takes longer to refill is a mistake, and would come near the end of a clock of 64-bit nanoseconds.
const MAX_REFILL: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Compiles the inherited limits first, then those of each route.
pub struct LimitCompiler {
    /// By [`LimitId`].
    compiled: Vec<Limit>,
    inherited: Vec<NamedLimit>,
}

/// A limit in force by its name.
#[derive(Clone)]
struct NamedLimit {
    name: String,
    /// `None` if it could not be compiled; its name is still known.
    id: Option<LimitId>,
}

impl LimitCompiler {
    /// Compiles the limits that every route inherits.
    pub fn new(ctx: &mut CompileContext, raw: &raw::Config) -> LimitCompiler {
        let mut limits = LimitCompiler { compiled: Vec::new(), inherited: Vec::new() };
        let list = DocPath::root().key("limits");
        for (index, limit) in raw.limits.iter().enumerate() {
            let path = list.index(index);
            if !check_unique(ctx, &path, &raw.limits[..index], limit) {
                continue;
            }
            let id = if limit.off.is_some() {
                ctx.error_with_help(
                    &path.key("off"),
                    "limit_off_not_on_route",
                    "`off` switches an inherited limit off, and this one is not inherited",
                    "remove the limit, or write `off` in the `limits` of a route",
                );
                None
            } else {
                limits.compile(ctx, &path, limit, &limit.name)
            };
            limits.inherited.push(NamedLimit { name: limit.name.clone(), id });
        }
        limits
    }

    /// The limits of the route that stands at `path`, by phase; within a phase the inherited ones first.
    ///
    /// A limit by `principal` that a public route inherits counts its callers by their address, as nobody is recognised
    /// there.
    pub fn route(&mut self, ctx: &mut CompileContext, path: &DocPath, route: &raw::route::Route) -> RouteLimits {
        let list = path.key("limits");
        let mut entries = self.inherited.clone();
        for (index, limit) in route.limits.iter().enumerate() {
            let path = list.index(index);
            if !check_unique(ctx, &path, &route.limits[..index], limit) {
                continue;
            }
            let at = entries.iter().position(|entry| entry.name == limit.name);
            if let Some(reason) = &limit.off {
                check_off(ctx, &path, limit, reason);
                match at {
                    Some(at) => {
                        entries.remove(at);
                        ctx.warning(
                            &path,
                            "limit_switched_off",
                            format!("the route `{}` does without the limit `{}`: {reason}", route.name, limit.name),
                            "remove this entry to have the limit again",
                        );
                    }
                    None => self.report_unknown(ctx, &path, &limit.name),
                }
                continue;
            }
            if limit.key == Some(raw::limit::Key::Principal) && route.access == Some(raw::access::Access::Public) {
                ctx.error_with_help(
                    &path.key("key"),
                    "limit_without_principal",
                    "the limit counts by principal, and a public route recognises nobody",
                    "write `key: client_address`, or give the route an `identity`",
                );
            }
            let id = self.compile(ctx, &path, limit, &format!("{}/{}", route.name, limit.name));
            match at {
                Some(at) => entries[at].id = id,
                None => entries.push(NamedLimit { name: limit.name.clone(), id }),
            }
        }
        RouteLimits::new(entries.into_iter().filter_map(|entry| entry.id), &self.compiled)
    }

    /// Every limit, by [`LimitId`].
    pub fn finish(self) -> Vec<Limit> {
        self.compiled
    }

    fn compile(
        &mut self,
        ctx: &mut CompileContext,
        path: &DocPath,
        limit: &raw::limit::Limit,
        scope: &str,
    ) -> Option<LimitId> {
        // Each of them reports by itself, so all are asked before any may end this.
        let named = names::token(ctx, &path.key("name"), "a limit", &limit.name);
        let key = key(ctx, path, limit.key.as_ref());
        let quota = quota(ctx, path, limit);
        let phase = phase(ctx, path, limit);
        if !named {
            return None;
        }
        let id = LimitId(u32::try_from(self.compiled.len()).ok()?);
        let name: Arc<str> = limit.name.as_str().into();
        let compiled = Limit::new(name, scope.into(), key?, quota?, limit.mode == Mode::Report);
        self.compiled.push(match phase {
            Some(phase) => compiled.in_phase(phase),
            None => compiled,
        });
        Some(id)
    }

    fn report_unknown(&self, ctx: &mut CompileContext, path: &DocPath, name: &str) {
        let message = format!("there is no inherited limit `{name}` to switch off");
        let known = self.inherited.iter().map(|entry| entry.name.as_str());
        let help = did_you_mean(name, known, "remove this entry");
        ctx.error_with_help(&path.key("name"), "unknown_limit", message, help);
    }
}

/// Whether no limit in the list before has the same name.
fn check_unique(
    ctx: &mut CompileContext,
    path: &DocPath,
    before: &[raw::limit::Limit],
    limit: &raw::limit::Limit,
) -> bool {
    let unique = before.iter().all(|other| other.name != limit.name);
    if !unique {
        ctx.error_with_help(
            &path.key("name"),
            "duplicate_limit",
            format!("the limit `{}` stands in this list twice, and only one could count", limit.name),
            "give each limit its own name",
        );
    }
    unique
}

fn check_off(ctx: &mut CompileContext, path: &DocPath, limit: &raw::limit::Limit, reason: &str) {
    if reason.trim().is_empty() {
        ctx.error_with_help(
            &path.key("off"),
            "limit_off_without_reason",
            "a limit is switched off without a reason",
            "write why, such as `off: internal callers only`",
        );
    }
    let settings = [
        ("rate", limit.rate.is_some()),
        ("burst", limit.burst.is_some()),
        ("concurrent", limit.concurrent.is_some()),
        ("key", limit.key.is_some()),
        ("phase", limit.phase.is_some()),
    ];
    for (setting, _) in settings.into_iter().filter(|(_, given)| *given) {
        ctx.error_with_help(
            &path.key(setting),
            "limit_off_with_settings",
            format!("the limit `{}` is switched off, so its `{setting}` would do nothing", limit.name),
            format!("remove `off`, or remove `{setting}`"),
        );
    }
}

fn key(ctx: &mut CompileContext, path: &DocPath, key: Option<&raw::limit::Key>) -> Option<LimitKey> {
    Some(match key {
        None | Some(raw::limit::Key::ClientAddress) => LimitKey::ClientAddress,
        Some(raw::limit::Key::Principal) => LimitKey::Principal,
        Some(raw::limit::Key::Route) => LimitKey::Route,
        Some(raw::limit::Key::Gateway) => LimitKey::Gateway,
        Some(raw::limit::Key::Header(name)) => match HeaderName::from_bytes(name.as_bytes()) {
            Ok(name) => LimitKey::Header(ctx.field(name)),
            Err(_) => {
                ctx.error_with_help(
                    &path.key("key").key("header"),
                    "invalid_header_name",
                    format!("`{name}` is not a header name"),
                    "write a name such as `X-Tenant`",
                );
                return None;
            }
        },
    })
}

/// The phase as written, if it is. Who the caller is has to be known for a limit that counts by it.
fn phase(ctx: &mut CompileContext, path: &DocPath, limit: &raw::limit::Limit) -> Option<Phase> {
    match limit.phase? {
        raw::limit::Phase::AfterIdentity => Some(Phase::AfterIdentity),
        raw::limit::Phase::BeforeIdentity if limit.key == Some(raw::limit::Key::Principal) => {
            ctx.error_with_help(
                &path.key("phase"),
                "limit_phase_without_principal",
                "the limit counts by principal, which nobody knows before identity",
                "remove `phase`, or count by another key, such as `client_address`",
            );
            None
        }
        raw::limit::Phase::BeforeIdentity => Some(Phase::BeforeIdentity),
    }
}

fn quota(ctx: &mut CompileContext, path: &DocPath, limit: &raw::limit::Limit) -> Option<Quota> {
    match (&limit.rate, &limit.concurrent) {
        (Some(rate), None) => {
            let burst = burst(ctx, path, limit)?;
            let quota = RateQuota::new(rate.count, rate.per, burst);
            // Counted in full: `RateQuota::refill` ends at what 64 bits hold.
            if u128::from(quota.interval_nanos) * u128::from(burst) > MAX_REFILL.as_nanos() {
                ctx.error_with_help(
                    &path.key("burst"),
                    "burst_too_large",
                    format!("at this rate a burst of {burst} takes more than ten years to come back"),
                    "lower `burst`, or raise `rate`",
                );
                return None;
            }
            Some(Quota::Rate(quota))
        }
        (None, Some(max)) => {
            if limit.burst.is_some() {
                ctx.error_with_help(
                    &path.key("burst"),
                    "burst_without_rate",
                    "`burst` belongs to a `rate`, and this limit counts requests at the same time",
                    "remove `burst`",
                );
            }
            match u32::try_from(max.0) {
                Ok(max) if max > 0 => Some(Quota::Concurrent(max)),
                _ => {
                    ctx.error_with_help(
                        &path.key("concurrent"),
                        "out_of_range",
                        format!("`concurrent` is {}, which is no limit that a request can meet", max.0),
                        format!("write a number from 1 to {}", u32::MAX),
                    );
                    None
                }
            }
        }
        (Some(_), Some(_)) => {
            ctx.error_with_help(
                path,
                "limit_ambiguous",
                format!("the limit `{}` has both `rate` and `concurrent`", limit.name),
                "keep one, and put the other into a limit with a name of its own",
            );
            None
        }
        (None, None) => {
            ctx.error_with_help(
                path,
                "limit_incomplete",
                format!("the limit `{}` has neither `rate` nor `concurrent`", limit.name),
                "write for example `rate: 50/s` or `concurrent: 20`",
            );
            None
        }
    }
}

/// The burst as written, or as many as the rate grants in its period.
fn burst(ctx: &mut CompileContext, path: &DocPath, limit: &raw::limit::Limit) -> Option<u64> {
    let burst = limit.burst.map(|burst| burst.0).or(limit.rate.map(|rate| rate.count))?;
    if !(1..=MAX_BURST).contains(&burst) {
        ctx.error_with_help(
            &path.key("burst"),
            "out_of_range",
            format!("`burst` is {burst}"),
            format!("write a number from 1 to {MAX_BURST}"),
        );
        return None;
    }
    Some(burst)
}
