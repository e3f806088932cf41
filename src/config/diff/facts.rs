//! What is so about a subject, fact by fact, and what differs between two lists of facts.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};

use super::change::{self, Apply, ConfigChange, Effect, Subject, Weight};
use super::guard::Protection;
use crate::config::raw::units::Span;

/// Everything that is so about one subject.
#[derive(Default)]
pub(super) struct ConfigFacts(Vec<ConfigFact>);

/// One thing that is so.
pub(super) struct ConfigFact {
    effect: Effect,
    name: String,
    /// In words, for people.
    value: String,
    guard: Protection,
    apply: Apply,
    /// Stands for what the words leave out: what is too long to show, or secret.
    seal: Option<[u8; 32]>,
}

impl ConfigFacts {
    /// Writes down that `effect`, in particular `name`, is `value`.
    pub fn tell(&mut self, effect: Effect, name: impl Into<String>, value: impl ToString) -> &mut ConfigFact {
        let fact = ConfigFact {
            effect,
            name: name.into(),
            value: value.to_string(),
            guard: Protection::Neutral,
            apply: Apply::Live,
            seal: None,
        };
        self.0.push(fact);
        self.0.last_mut().expect("BUG: it was just pushed")
    }

    /// Writes down a time that nobody may exceed.
    pub fn longest(&mut self, effect: Effect, name: &str, time: Duration) -> &mut ConfigFact {
        self.tell(effect, name, Span(time)).guard(Protection::AtMost(time.as_nanos()))
    }

    /// Writes down a number that nobody may exceed.
    pub fn most(&mut self, effect: Effect, name: &str, number: impl Into<u128> + ToString + Copy) -> &mut ConfigFact {
        self.tell(effect, name, number).guard(Protection::AtMost(number.into()))
    }

    /// Those of `effects` on one line, for a subject that is new or gone.
    pub fn summary(&self, effects: &[Effect]) -> String {
        let told = effects.iter().flat_map(|effect| self.0.iter().filter(move |fact| fact.effect == *effect));
        told.map(|fact| format!("{}: {}", change::label(fact.effect, &fact.name), fact.value))
            .collect::<Vec<_>>()
            .join("; ")
    }

    /// By effect and name. What has both in common (two certificates for one name) is told apart by its order.
    fn by_name(self) -> BTreeMap<(Effect, String, usize), ConfigFact> {
        let mut count: HashMap<(Effect, String), usize> = HashMap::new();
        let each = self.0.into_iter().map(|fact| {
            let seen = count.entry((fact.effect, fact.name.clone())).or_default();
            *seen += 1;
            ((fact.effect, fact.name.clone(), *seen), fact)
        });
        each.collect()
    }
}

impl ConfigFact {
    /// Which way it guards; a fact guards nothing unless this is called.
    pub fn guard(&mut self, guard: Protection) -> &mut Self {
        self.guard = guard;
        self
    }

    /// Only a new process can change it.
    pub fn needs_new_process(&mut self) -> &mut Self {
        self.apply = Apply::Upgrade;
        self
    }

    /// Makes `parts` part of the fact without showing them.
    pub fn seal<P: AsRef<[u8]>>(&mut self, parts: impl IntoIterator<Item = P>) -> &mut Self {
        let mut context = Context::new(&SHA256);
        for part in parts {
            context.update(&part.as_ref().len().to_be_bytes());
            context.update(part.as_ref());
        }
        let mut seal = [0; 32];
        seal.copy_from_slice(context.finish().as_ref());
        self.seal = Some(seal);
        self
    }
}

/// What differs about `subject`.
pub(super) fn compare(subject: &Subject, old: ConfigFacts, new: ConfigFacts) -> Vec<ConfigChange> {
    let (mut old, new) = (old.by_name(), new.by_name());
    let mut changes = Vec::new();
    for (key, after) in new {
        changes.extend(between(subject, old.remove(&key), Some(after)));
    }
    changes.extend(old.into_values().filter_map(|before| between(subject, Some(before), None)));
    changes
}

fn between(subject: &Subject, before: Option<ConfigFact>, after: Option<ConfigFact>) -> Option<ConfigChange> {
    if let (Some(before), Some(after)) = (&before, &after)
        && (&before.value, before.seal) == (&after.value, after.seal)
    {
        return None;
    }
    let ConfigFact { effect, name, apply, .. } = after.as_ref().or(before.as_ref())?;
    let weight = Protection::weigh(before.as_ref().map(|fact| &fact.guard), after.as_ref().map(|fact| &fact.guard));
    let (effect, name, apply) = (*effect, name.clone(), *apply);
    let (before, mut after) = (before.map(|fact| fact.value), after.map(|fact| fact.value));
    if before == after {
        after = Some("changed".to_owned());
    }
    Some(ConfigChange { weight, effect, subject: subject.clone(), name, before, after, apply })
}

/// `items` of both sides by name, with the facts of those on both sides compared, and those on one side told by
/// `existence`: what it says of it, its weight and how it takes effect.
pub(super) fn by_name<T>(
    old: &BTreeMap<Arc<str>, T>,
    new: &BTreeMap<Arc<str>, T>,
    subject: impl Fn(Arc<str>) -> Subject,
    facts: impl Fn(&T) -> ConfigFacts,
    effects: &[Effect],
    existence: impl Fn(&T, bool) -> (Weight, Apply),
) -> Vec<ConfigChange> {
    let alone = |name: &Arc<str>, item: &T, added: bool| {
        let (weight, apply) = existence(item, added);
        let said = Some(facts(item).summary(effects));
        let (before, after) = if added { (None, said) } else { (said, None) };
        let subject = subject(name.clone());
        ConfigChange { weight, effect: Effect::Existence, subject, name: String::new(), before, after, apply }
    };
    let mut changes = Vec::new();
    for (name, item) in new {
        match old.get(name) {
            Some(before) => changes.extend(compare(&subject(name.clone()), facts(before), facts(item))),
            None => changes.push(alone(name, item, true)),
        }
    }
    changes
        .extend(old.iter().filter(|(name, _)| !new.contains_key(*name)).map(|(name, item)| alone(name, item, false)));
    changes
}

/// `items` as a list, or that none is asked for.
pub(super) fn any_or<T: Display>(items: &[T]) -> String {
    if items.is_empty() { "any".to_owned() } else { list(items) }
}

pub(super) fn list<T: Display>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
