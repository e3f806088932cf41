//! How an answer of DNS changes what is known.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::dns::{AddressAnswer, DnsFailure, SrvAnswer};
use super::lookup::{self, CachedLookup};
use super::srv::SrvRecord;
use crate::config::snapshot::{Dns, Family};

/// The result of one question.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LookupOutcome {
    /// Why the answer can't be used; what was known before stays in use.
    pub failure: Option<DnsFailure>,
    /// Whether the failure is to be logged: the first one is, then one in ten minutes.
    pub report: bool,
    /// Whether it is the first success after failures that were logged.
    pub recovered: bool,
    /// Whether the answer held more than `dns.addresses` allows.
    pub cut: bool,
}

/// Records an answer for addresses. Returns whether the addresses in use changed.
pub(super) fn record_addresses(
    lookup: &mut CachedLookup<Vec<IpAddr>>,
    answer: Result<AddressAnswer, DnsFailure>,
    rules: &Dns,
    now: Instant,
    random: u64,
) -> (bool, LookupOutcome) {
    let AddressAnswer { mut found, ttl, lost } = match answer {
        Ok(answer) => answer,
        Err(failure) => return record(lookup, Err(failure), rules, now, random),
    };
    // One address family was not answered: its known addresses stay in use.
    let lost = lost.and_then(|(family, failure)| {
        let of_family = |ip: &&IpAddr| ip.is_ipv4() == (family == Family::Ipv4);
        let kept: Vec<IpAddr> = lookup.answer().into_iter().flatten().filter(of_family).copied().collect();
        let any = !kept.is_empty();
        found.extend(kept);
        any.then_some(failure)
    });
    found.sort_unstable();
    found.dedup();
    let cut = found.len() > rules.addresses;
    found.truncate(rules.addresses);
    let (changed, outcome) = match lost {
        None => record(lookup, Ok((found, ttl)), rules, now, random),
        Some(failure) => {
            let changed = lookup.replace(found);
            (changed, record(lookup, Err(failure), rules, now, random).1)
        }
    };
    (changed, LookupOutcome { cut, ..outcome })
}

/// Records an answer for SRV records, which fails unless a target has an address.
pub(super) fn record_services(
    lookup: &mut CachedLookup<Vec<SrvRecord>>,
    answer: Result<SrvAnswer, DnsFailure>,
    has_address: impl Fn(&str) -> bool,
    rules: &Dns,
    now: Instant,
    random: u64,
) -> LookupOutcome {
    let mut cut = false;
    let answer = answer.and_then(|SrvAnswer { mut records, ttl }| {
        records.sort_unstable();
        records.dedup();
        cut = records.len() > rules.addresses;
        records.truncate(rules.addresses);
        let usable = |record: &SrvRecord| has_address(&record.target);
        if records.iter().any(usable) { Ok((records, ttl)) } else { Err(DnsFailure::NoTarget) }
    });
    let (_, outcome) = record(lookup, answer, rules, now, random);
    LookupOutcome { cut, ..outcome }
}

/// Records the end of a question. Returns whether the answer in use changed.
fn record<A: PartialEq>(
    lookup: &mut CachedLookup<A>,
    answer: Result<(A, Duration), DnsFailure>,
    rules: &Dns,
    now: Instant,
    random: u64,
) -> (bool, LookupOutcome) {
    match answer {
        Ok((answer, ttl)) => {
            let (changed, recovered) = lookup.succeeded(answer, now + lookup::until_next(ttl, rules, random));
            (changed, LookupOutcome { recovered, ..LookupOutcome::default() })
        }
        Err(failure) => {
            let report = lookup.failed(failure.clone(), rules, now, random);
            (false, LookupOutcome { failure: Some(failure), report, ..LookupOutcome::default() })
        }
    }
}
