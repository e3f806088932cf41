//! Who may come in, and how callers are recognised.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ipnet::IpNet;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::change::{Apply, ConfigChange, Effect, Subject, Weight};
use super::facts::{self, ConfigFacts};
use super::guard::Protection;
use crate::decision::access::address::{self, AddressSet, Addresses};
use crate::decision::access::{Identity, Method, Principal, Rules as Access, allow, api_key, jwt};
use crate::decision::rules::Rules;

/// Most ranges of addresses that are shown one by one.
const MAX_RANGES: usize = 8;

/// Who may use a route.
pub(super) fn access(rules: &Access, facts: &mut ConfigFacts) {
    facts.tell(Effect::Access, "", rules).guard(Protection::Demands(demands(rules)));
    if rules.forwards_credentials() {
        facts.tell(Effect::Trust, "credentials", "shown to the origin").guard(Protection::Grant);
    }
}

/// What a caller must show, each by what will do. Empty where nothing is asked for.
pub(super) fn demands(rules: &Access) -> Vec<BTreeSet<String>> {
    let Some(allow::Rules { scopes, roles, claims, place: _ }) = rules.allow() else { return Vec::new() };
    let mut demands = vec![rules.identities().iter().map(|identity| format!("identity {}", identity.name)).collect()];
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
pub(super) fn addresses(rules: &address::Rules, facts: &mut ConfigFacts) {
    let address::Rules { allow, deny, report_only, place: _ } = rules;
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
pub(super) fn changes(old: &Rules, new: &Rules) -> Vec<ConfigChange> {
    let told = [Effect::Recognition];
    let existence = |_: &&Identity, _| (Weight::Changed, Apply::Live);
    facts::by_name(
        &identities(old),
        &identities(new),
        Subject::Identity,
        |identity| self::identity(identity),
        &told,
        existence,
    )
}

fn identities(rules: &Rules) -> BTreeMap<Arc<str>, &Identity> {
    let all = rules.routes.iter().flat_map(|route| route.access.identities());
    all.map(|identity| (identity.name.clone(), &**identity)).collect()
}

fn identity(identity: &Identity) -> ConfigFacts {
    let mut facts = ConfigFacts::default();
    // The fingerprint is made of everything that is told here.
    let Identity { name: _, fingerprint: _, method } = identity;
    facts.tell(Effect::Recognition, "header", method.header());
    match method {
        Method::Jwt(rules) => by_token(rules, &mut facts),
        Method::ApiKey(rules) => by_key(rules, &mut facts),
    }
    facts
}

fn by_token(rules: &jwt::Rules, facts: &mut ConfigFacts) {
    let jwt::Rules {
        issuer,
        audiences,
        algorithms,
        keys,
        leeway,
        header: _,
        principal_claim,
        scope_claim,
        roles_claim,
    } = rules;
    let algorithms_of = |algorithms: &[_]| -> Vec<String> {
        algorithms.iter().map(|algorithm: &jsonwebtoken::Algorithm| format!("{algorithm:?}")).collect()
    };
    let names = algorithms_of(algorithms);
    facts.tell(Effect::Recognition, "method", "JWT");
    facts.tell(Effect::Recognition, "issuer", issuer);
    facts.tell(Effect::Recognition, "audience", audiences.join(" or ")).guard(Protection::any_of(audiences));
    facts.tell(Effect::Recognition, "algorithms", names.join(", ")).guard(Protection::any_of(&names));
    facts.longest(Effect::Bound, "leeway", Duration::from_secs(*leeway));
    for (name, claim) in [("principal", principal_claim), ("scope", scope_claim), ("roles", roles_claim)] {
        facts.tell(Effect::Recognition, format!("{name} claim"), claim);
    }
    for key in keys {
        let jwt::Key { id, algorithms, key: _ } = key;
        let name = id.as_ref().map_or("key without id".to_owned(), |id| format!("key {id}"));
        let words = format!("for {}", algorithms_of(algorithms).join(", "));
        facts.tell(Effect::Credential, name, words).seal([key.fingerprint()]);
    }
}

fn by_key(rules: &api_key::Rules, facts: &mut ConfigFacts) {
    facts.tell(Effect::Recognition, "method", "API key");
    let mut keys: Vec<_> = rules.keys.iter().collect();
    keys.sort_unstable_by_key(|(hash, _)| **hash);
    for (hash, principal) in keys {
        let Principal { id, identity: _, scopes, roles, claims, expires } = &**principal;
        let mut words = Vec::new();
        let list = |what: &str, names: &[String]| format!("{what} {}", names.join(" and "));
        words.extend((!scopes.is_empty()).then(|| list("scope", scopes)));
        words.extend((!roles.is_empty()).then(|| list("role", roles)));
        words.extend(claims.iter().map(|(name, value)| match value {
            Value::String(text) => format!("claim {name} = {text}"),
            other => format!("claim {name} = {other}"),
        }));
        words.push(expires.map_or("without end".to_owned(), |end| format!("until {}", moment(end))));
        facts.tell(Effect::Credential, format!("key {id}"), words.join(", ")).seal([hash]);
    }
}

/// A time in UTC (RFC 3339), to the second.
pub(super) fn moment(time: SystemTime) -> String {
    let time = OffsetDateTime::from(time).replace_nanosecond(0).ok();
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_else(|| "a time beyond all calendars".to_owned())
}
