//! How an upstream copes with endpoints that fail, join or are busy.

use crate::config::diff::change::Effect;
use crate::config::diff::facts::ConfigFacts;
use crate::config::raw::units::Span;
use crate::config::snapshot::{CircuitBreaker, RetryBudget, StickyConfig};
use crate::decision::upstream::ejection::{EjectionPolicy, ErrorRate, Failures};
use crate::decision::upstream::retry;

pub(super) fn ejection(rules: &EjectionPolicy, facts: &mut ConfigFacts) {
    let EjectionPolicy { consecutive, failures, error_rate, first, longest, most } = rules;
    let failures = match failures {
        Failures::Connecting => "failures to connect".to_owned(),
        Failures::Answering(statuses) => {
            let statuses: Vec<String> = statuses.iter().map(|status| status.to_string()).collect();
            format!("failures to answer or {}", statuses.join(", "))
        }
    };
    let mut words = format!("after {consecutive} {failures} for {} to {}", Span(*first), Span(*longest));
    if let Some(ErrorRate { window, requests, at_least, times }) = error_rate {
        words += &format!(
            ", or with {at_least}% of {requests} or more within {} and {times} times as many as the others",
            Span(*window)
        );
    }
    facts.tell(Effect::Balance, "ejection", format!("{words}; {most}% at most"));
}

pub(super) fn retries(rules: &retry::RetryPolicy, budget: &RetryBudget, facts: &mut ConfigFacts) {
    let retry::RetryPolicy { attempts, on, backoff, try_timeout } = rules;
    if *attempts <= 1 {
        facts.tell(Effect::Setting, "retries", "off");
        return;
    }
    let RetryBudget { share, floor, floor_per } = budget;
    let (share, floor_per) = (f64::from(*share) / 10_000.0, Span(*floor_per));
    let words = format!("{attempts} tries {on}, after {backoff}; {share}% or {floor} each {floor_per}");
    facts.tell(Effect::Setting, "retries", words);
    if let Some(limit) = try_timeout {
        facts.tell(Effect::Timeout, "try", Span(*limit));
    }
}

pub(super) fn circuit_breaker(breaker: &CircuitBreaker, facts: &mut ConfigFacts) {
    let CircuitBreaker { requests, requests_per_endpoint } = breaker;
    for (name, bound) in [("requests", requests), ("requests of an endpoint", requests_per_endpoint)] {
        if let Some(bound) = bound {
            facts.most(Effect::Bound, name, *bound as u64);
        }
    }
}

pub(super) fn sticky(sticky: &StickyConfig, facts: &mut ConfigFacts) {
    let StickyConfig { cookie, key } = sticky;
    let crate::decision::upstream::sticky::Sticky { name, lifetime, path, same_site, secure } = cookie;
    let lifetime = lifetime.map_or("a session".to_owned(), |lifetime| Span(lifetime).to_string());
    let secure = match secure {
        None => "secure as the client came",
        Some(true) => "secure",
        Some(false) => "not secure",
    };
    let same_site = format!("{same_site:?}").to_lowercase();
    let words = format!("{name} for {lifetime} below {path}, same site {same_site}, {secure}");
    facts.tell(Effect::Balance, "sticky", words);
    let key = key.as_ref().map(|key| key.expose().as_slice());
    let whose = if key.is_some() { "the file's" } else { "the process's own" };
    facts.tell(Effect::Credential, "sticky key", whose).seal(key);
}
