//! Who may use a route.

use std::fmt;
use std::sync::Arc;

use http::HeaderName;

use super::allow::AllowRules;
use super::identification::Identification;
use super::method::IdentityProvider;
use super::principal::Principal;
use crate::decision::outcome::{Cause, Denial};

/// Who may use a route.
#[derive(Debug)]
pub enum AccessRules {
    /// Everyone.
    Public,
    /// Nobody, for this cause.
    Denied(Cause),
    /// Only callers that some identity provider recognises.
    Identified(Box<Identification>),
}

impl AccessRules {
    /// Only callers that one of `providers` recognises, in this order, and that fulfil `allow`.
    pub fn identified(providers: Vec<Arc<IdentityProvider>>, allow: AllowRules, forward_credentials: bool) -> Self {
        AccessRules::Identified(Box::new(Identification::new(providers, allow, forward_credentials)))
    }

    /// The request headers that must not reach the origin because they carry credentials which this route accepts. Where the
    /// route forwards credentials: all but the one that `caller` was recognised by. The others were not verified, and an origin
    /// that believes what it is forwarded must not see them.
    pub fn hidden_headers(&self, caller: Option<&Principal>) -> impl Iterator<Item = &HeaderName> {
        let (headers, shown) = match self {
            AccessRules::Identified(rules) => (rules.credential_headers.as_slice(), rules.forwarded(caller)),
            AccessRules::Public | AccessRules::Denied(_) => (&[][..], None),
        };
        headers.iter().filter(move |name| Some(*name) != shown)
    }

    /// Whether the origin is shown the credentials too.
    pub fn forwards_credentials(&self) -> bool {
        matches!(self, AccessRules::Identified(rules) if rules.forward_credentials)
    }

    /// The identity providers that may recognise a caller, in the order in which they are tried. Empty for public routes.
    pub fn providers(&self) -> &[Arc<IdentityProvider>] {
        match self {
            AccessRules::Public | AccessRules::Denied(_) => &[],
            AccessRules::Identified(rules) => &rules.providers,
        }
    }

    /// The refusal of every request, where nobody is admitted.
    pub fn refusal(&self) -> Option<Denial> {
        match self {
            AccessRules::Denied(cause) => Some(Denial::new(*cause, "the route admits nobody (`access: deny`)")),
            AccessRules::Public | AccessRules::Identified(_) => None,
        }
    }

    /// What a recognised caller must have. `None` where nobody is recognised.
    pub fn allow(&self) -> Option<&AllowRules> {
        match self {
            AccessRules::Public | AccessRules::Denied(_) => None,
            AccessRules::Identified(rules) => Some(&rules.allow),
        }
    }
}

/// For `diff`.
impl fmt::Display for AccessRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules = match self {
            AccessRules::Public => return f.write_str("public"),
            AccessRules::Denied(cause) => return write!(f, "nobody ({})", cause.status().as_u16()),
            AccessRules::Identified(rules) => rules,
        };
        let names: Vec<&str> = rules.providers.iter().map(|provider| &*provider.name).collect();
        write!(f, "{}{}", names.join(" or "), rules.allow)
    }
}
