//! Who may come in, and how callers are recognised.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipnet::IpNet;

use super::change::{Apply, ConfigChange, Effect, Subject, Weight};
use super::facts::{self, ConfigFacts};
use super::guard::Protection;
use crate::decision::access::address::{self, AddressSet, Addresses};
use crate::decision::access::allow::AllowRules;
use crate::decision::access::authenticator::{DescribedValue, Description};
use crate::decision::access::{AccessRules, IdentityProvider};
use crate::decision::policy::Policy;

/// Most ranges of addresses that are shown one by one.
const MAX_RANGES: usize = 8;

/// Who may use a route.
pub(super) fn access(rules: &AccessRules, facts: &mut ConfigFacts) {
    facts.tell(Effect::Access, "", rules).guard(Protection::Demands(demands(rules)));
    if rules.forwards_credentials() {
        facts.tell(Effect::Trust, "credentials", "shown to the origin").guard(Protection::Grant);
    }
}

/// What a caller must show, each by what will do. Empty where nothing is asked for; where nobody is admitted, nothing will do.
pub(super) fn demands(rules: &AccessRules) -> Vec<BTreeSet<String>> {
    if rules.refusal().is_some() {
        return vec![BTreeSet::new()];
    }
    let Some(AllowRules { scopes, roles, claims, place: _ }) = rules.allow() else { return Vec::new() };
    let mut demands = vec![rules.providers().iter().map(|identity| format!("identity {}", identity.name)).collect()];
    demands.extend(scopes.iter().map(|scope| [format!("scope {scope}")].into()));
    if !roles.is_empty() {
        demands.push(roles.iter().map(|role| format!("role {role}")).collect());
    }
    let claim = |(name, accepted): &(String, Vec<String>)| {
        accepted.iter().map(|value| format!("claim {name} = {value}")).collect()
    };
    demands.extend(claims.iter().map(claim));
    demands
}

/// Which addresses may come in. What a list file holds is in force without a reload, so only its name counts.
pub(super) fn addresses(rules: &address::AddressRules, facts: &mut ConfigFacts) {
    let address::AddressRules { allow, deny, report_only, place: _ } = rules;
    let enforced = |guard| if *report_only { Protection::Off } else { guard };
    if let Some(allow) = allow {
        let guard = [Protection::Admits(allow.ranges.clone()), Protection::any_of(files(allow))];
        tell_addresses(facts, Effect::Addresses, "allowed", allow).guard(enforced(Protection::All(guard.into())));
    }
    if deny.ranges.entries() > 0 || !deny.lists.is_empty() {
        let guard = [Protection::Denies(deny.ranges.clone()), Protection::each_of(files(deny))];
        tell_addresses(facts, Effect::Addresses, "denied", deny).guard(enforced(Protection::All(guard.into())));
    }
    if *report_only {
        facts.tell(Effect::Addresses, "mode", "reports only").guard(Protection::Grant);
    }
}

fn files(addresses: &Addresses) -> impl Iterator<Item = &str> {
    addresses.lists.iter().map(|(_, file)| &**file)
}

fn tell_addresses<'f>(
    facts: &'f mut ConfigFacts,
    effect: Effect,
    name: &str,
    addresses: &Addresses,
) -> &'f mut facts::ConfigFact {
    let Addresses { ranges, lists: _ } = addresses;
    let named = files(addresses).map(|file| format!("those in {file}"));
    let words: Vec<String> = shown(ranges).into_iter().chain(named).collect();
    facts.tell(effect, name, words.join(", ")).seal(ranges.ranges().map(|range| range.to_string()))
}

fn shown(ranges: &AddressSet) -> Vec<String> {
    let mut words: Vec<String> = ranges.ranges().take(MAX_RANGES).map(|range| range.to_string()).collect();
    match ranges.ranges().count() {
        count if count > MAX_RANGES => words.push(format!("{} more ranges", count - MAX_RANGES)),
        _ => {}
    }
    words
}

/// Addresses that are believed what they say of others.
pub(super) fn believed(facts: &mut ConfigFacts, name: &str, ranges: &[IpNet]) {
    if ranges.is_empty() {
        return;
    }
    let ranges: AddressSet = ranges.iter().copied().collect();
    let addresses = Addresses { ranges, lists: Vec::new() };
    tell_addresses(facts, Effect::Trust, name, &addresses).guard(Protection::Believes(addresses.ranges.clone()));
}

/// What differs between the identities that routes use.
pub(super) fn changes(old: &Policy, new: &Policy) -> Vec<ConfigChange> {
    let told = [Effect::Recognition];
    let existence = |_: &&IdentityProvider, _| (Weight::Changed, Apply::Live);
    facts::by_name(
        &identities(old),
        &identities(new),
        Subject::Identity,
        |identity| self::identity(identity),
        &told,
        existence,
    )
}

fn identities(rules: &Policy) -> BTreeMap<Arc<str>, &IdentityProvider> {
    let all = rules.routes.iter().flat_map(|route| route.access.providers());
    all.map(|identity| (identity.name.clone(), &**identity)).collect()
}

fn identity(identity: &IdentityProvider) -> ConfigFacts {
    let mut facts = ConfigFacts::default();
    // The fingerprint is made of everything that is told here.
    let IdentityProvider { name: _, fingerprint: _, method } = identity;
    facts.tell(Effect::Recognition, "header", method.field());
    for Description { name, value } in method.describe() {
        match value {
            DescribedValue::Text(text) => facts.tell(Effect::Recognition, name, text),
            DescribedValue::AnyOf { text, accepted } => {
                facts.tell(Effect::Recognition, name, text).guard(Protection::any_of(&accepted))
            }
            DescribedValue::AtMost(time) => facts.longest(Effect::Bound, &name, time),
            DescribedValue::Credential { text, seal } => facts.tell(Effect::Credential, name, text).seal([seal]),
        };
    }
    facts
}
