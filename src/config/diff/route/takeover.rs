//! Requests that another route takes from now on, and that asks for less.
//!
//! Where `/admin/*` is for staff and `/*` for everyone, taking the first away opens what it stood before, and nothing about
//! the second says so. A sample of what each route matches is put before both route tables.

use crate::config::diff::access::demands;
use crate::config::diff::change::{Apply, ConfigChange, Effect, Subject, Weight};
use crate::config::diff::guard::Protection;
use crate::decision::ids::RouteId;
use crate::decision::policy::{Policy, Route};
use crate::decision::route::Match;

/// What becomes weaker because another route takes the requests of one that asked for more.
pub(super) fn changes(old: &Policy, new: &Policy) -> Vec<ConfigChange> {
    old.table.matches().iter().filter_map(|matched| change(matched, old, new)).collect()
}

fn change(matched: &Match, old: &Policy, new: &Policy) -> Option<ConfigChange> {
    let before = route(old, matched.route)?;
    let strict = Protection::Demands(demands(&before.access));
    // A route that asks for nothing can't be replaced by one that asks for less.
    before.access.allow()?;
    let arrival = matched.supposed_arrival();
    let paths = matched.sample_paths();
    let laxer = paths.iter().flat_map(|path| matched.samples(path)).find_map(|sample| {
        let taken = |rules: &Policy| sample.find(&rules.table, &arrival).map(|(id, ..)| id);
        let after = (taken(old)? == matched.route).then(|| route(new, taken(new)?)).flatten()?;
        let weight = Protection::weigh(Some(&strict), Some(&Protection::Demands(demands(&after.access))));
        // Of the same route, its own access says it.
        (after.name != before.name && weight == Weight::Weaker).then_some(after)
    })?;
    Some(ConfigChange {
        weight: Weight::Weaker,
        effect: Effect::Access,
        subject: Subject::Routes { names: vec![before.name.clone()], every: false },
        name: String::new(),
        before: Some(before.access.to_string()),
        after: Some(format!("{}, by route {}", laxer.access, laxer.name)),
        apply: Apply::Live,
    })
}

fn route(rules: &Policy, id: RouteId) -> Option<&Route> {
    rules.routes.get(id.0 as usize)
}
