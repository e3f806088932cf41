//! Compile: `identities`, and a route's `access`.
//!
//! What fails here closes the gate: an identity that does not compile is known by name, but no route that uses it
//! compiles either.

mod api_key;
mod compiled;
mod jwt;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{CompileContext, names};
use crate::config::doc_path::DocPath;
use crate::config::raw;
use crate::config::raw::units::Count;
use crate::decision::access::allow::AllowRules;
use crate::decision::access::{AccessRules, IdentityProvider};
use crate::decision::bounds::Bounds;
use crate::decision::outcome::Cause;
use crate::diagnostics::nearest;

/// The identities by name. `None`: declared, but wrong, and already reported.
#[derive(Debug, Default)]
pub struct Identities(BTreeMap<String, Option<Arc<IdentityProvider>>>);

/// Compiles `identities`.
pub fn identities(ctx: &mut CompileContext, raw: &raw::Config, bounds: &Bounds) -> Identities {
    let path = DocPath::root().key("identities");
    let mut compiled = BTreeMap::new();
    for (name, identity) in &raw.identities.0 {
        let path = path.key(name);
        let named = names::token(ctx, &path, "an identity", name);
        if compiled.contains_key(name) {
            ctx.error(&path, "duplicate_name", format!("the identity `{name}` is declared twice"));
            compiled.insert(name.clone(), None);
            continue;
        }
        let method = match identity {
            raw::access::Identity::Jwt(raw) => jwt::compile(ctx, &path.key("jwt"), raw, bounds),
            raw::access::Identity::ApiKey(raw) => api_key::compile(ctx, &path.key("api_key"), name, raw),
        };
        let identity = method.filter(|_| named).map(|(method, mut print)| {
            print.add(name.as_bytes());
            Arc::new(IdentityProvider { name: name.as_str().into(), fingerprint: print.finish(), method })
        });
        compiled.insert(name.clone(), identity);
    }
    Identities(compiled)
}

/// Compiles the `access` of the route at `path`. A route that does not say who may use it is an error.
pub fn access(
    ctx: &mut CompileContext,
    path: &DocPath,
    access: Option<&raw::access::Access>,
    identities: &Identities,
) -> Option<AccessRules> {
    match access {
        None => {
            ctx.error_with_help(
                path,
                "access_missing",
                "the route does not say who may use it",
                "write `access: public` to let everyone in, `access: { identity: NAME }` with a name from `identities`, or `access: deny`",
            );
            None
        }
        Some(raw::access::Access::Public) => Some(AccessRules::Public),
        Some(raw::access::Access::Deny(status)) => denied(ctx, &path.key("access"), *status).map(AccessRules::Denied),
        Some(raw::access::Access::Identified(raw)) => identified(ctx, &path.key("access"), raw, identities),
    }
}

/// The cause of every refusal of a route that admits nobody.
fn denied(ctx: &mut CompileContext, path: &DocPath, status: Option<Count>) -> Option<Cause> {
    match status {
        None | Some(Count(403)) => Some(Cause::RouteDenied),
        Some(Count(404)) => Some(Cause::RouteHidden),
        Some(Count(_)) => {
            let help = "write 403, or 404 for an answer like that to a path without a route";
            ctx.error_with_help(
                &path.key("deny").key("status"),
                "invalid_status",
                "a route is denied with 403 or 404",
                help,
            );
            None
        }
    }
}

fn identified(
    ctx: &mut CompileContext,
    path: &DocPath,
    raw: &raw::access::Identified,
    identities: &Identities,
) -> Option<AccessRules> {
    let names = path.key("identity");
    if raw.identity.0.is_empty() {
        ctx.error_with_help(&names, "identity_missing", "the list of identities is empty", "name an identity");
    }
    let mut chosen: Vec<Arc<IdentityProvider>> = Vec::new();
    for (index, name) in raw.identity.0.iter().enumerate() {
        let path = names.index(index);
        match identities.0.get(name) {
            None => unknown_identity(ctx, &path, name, identities),
            Some(None) => {}
            Some(Some(identity)) => {
                if let Some(earlier) = chosen.iter().find(|earlier| earlier.shadows(identity)) {
                    let message = match earlier.name == identity.name {
                        true => format!("`{name}` is named twice"),
                        false => format!(
                            "`{name}` can never decide: `{}` comes first and takes tokens of the same issuer",
                            earlier.name
                        ),
                    };
                    ctx.error(&path, "identity_unreachable", message);
                    continue;
                }
                chosen.push(Arc::clone(identity));
            }
        }
    }
    let allow = allow(ctx, &path.key("allow"), &raw.allow)?;
    let complete = !chosen.is_empty() && chosen.len() == raw.identity.0.len();
    complete.then(|| AccessRules::identified(chosen, allow, raw.forward_credentials))
}

fn unknown_identity(ctx: &mut CompileContext, path: &DocPath, name: &str, identities: &Identities) {
    if ctx.lacks("identities", name) {
        return;
    }
    let message = format!("there is no identity `{name}`");
    let known: Vec<&str> = identities.0.keys().map(String::as_str).collect();
    let help = match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "declare it under `identities`".to_owned(),
        None => format!("declared are `{}`", known.join("`, `")),
    };
    ctx.error_with_help(path, "unknown_identity", message, help);
}

fn allow(ctx: &mut CompileContext, path: &DocPath, raw: &raw::access::Allow) -> Option<AllowRules> {
    let mut valid = true;
    for (index, scope) in raw.scope.0.iter().enumerate() {
        // RFC 6749 §3.3; others could not be named in a challenge.
        let fits = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        if scope.is_empty() || !scope.bytes().all(fits) {
            let message = format!("`{scope}` is not a scope: one word without spaces, quotes and backslashes");
            ctx.error_with_help(
                &path.key("scope").index(index),
                "scope_invalid",
                message,
                "write several scopes as a list",
            );
            valid = false;
        }
    }
    for (name, values) in &raw.claims.0 {
        if values.0.is_empty() {
            ctx.error_with_help(
                &path.key("claims").key(name),
                "claim_values_missing",
                format!("no value of the claim `{name}` is accepted, so nobody could pass"),
                "list the accepted values",
            );
            valid = false;
        }
    }
    valid.then(|| AllowRules {
        scopes: raw.scope.0.clone(),
        roles: raw.role.0.clone(),
        claims: raw.claims.0.iter().map(|(name, values)| (name.clone(), values.0.clone())).collect(),
        place: ctx.place(path),
    })
}
