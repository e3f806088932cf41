//! What is known of discovered endpoints: the addresses of names, SRV records, and files that list endpoints.
//!
//! Each source is looked up once, however many upstreams name it. What is known stays in use until something better is known:
//! a failed lookup or a wrong file changes nothing but [`SourceStatus::stale`]. The driver
//! ([`crate::proxy::upkeep::discovery`]) calls [`Discovery::track`], asks the questions that are [`Discovery::due`], and
//! reports the answers ([`Discovery::learn_addresses`], [`Discovery::learn_services`]).

mod answer;
pub mod dns;
mod endpoint_file;
mod lookup;
pub mod srv;
mod status;
mod table;
mod target;
#[cfg(test)]
mod tests;

use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::config::snapshot::{Dns, EndpointConfig, Upstream};
use crate::decision::defaults::NAMED_FILE_BYTES;
use crate::files;
pub use answer::LookupOutcome;
use dns::{AddressAnswer, DnsFailure, SrvAnswer};
pub use endpoint_file::EndpointFileChange;
use endpoint_file::EndpointFileError;
use lookup::CachedLookup;
pub use status::SourceStatus;
use table::DiscoveryTable;
pub use target::ResolvedTarget;

/// After this time without an answer, a question is due again.
pub const QUESTION_LEASE: Duration = Duration::from_secs(60);

/// All discovered sources. Survives reloads.
#[derive(Default)]
pub struct Discovery {
    table: Mutex<DiscoveryTable>,
    /// Grows when the result of [`Discovery::targets`], or the names that [`Discovery::track`] finds, may have changed.
    version: AtomicU64,
    /// Wakes [`Discovery::prepare`].
    learned: Condvar,
}

/// A question for DNS.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DnsQuestion {
    /// A and AAAA records.
    Addresses(Arc<str>),
    /// SRV records.
    Services(Arc<str>),
}

impl Discovery {
    /// Nothing is known.
    pub fn new() -> Self {
        Discovery::default()
    }

    /// Changes whenever the driver should call [`Discovery::track`] and the upstreams should read their targets again.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Takes the endpoints that a new configuration has read from its files, when it is published.
    ///
    /// `fresh`: it has read them just now. Otherwise a known file keeps what was read of it later.
    pub fn adopt(&self, upstreams: &[Upstream], fresh: bool) {
        let mut table = self.table.lock();
        for file in upstreams.iter().flat_map(|upstream| &upstream.files) {
            match table.files.entry(file.file.clone()) {
                Entry::Occupied(list) if !fresh => _ = list,
                entry => entry.or_default().loaded(&file.loaded),
            }
        }
        self.publish();
    }

    /// Tracks the sources that the upstreams in use need, and drops all others. New ones are due at once.
    pub fn track<'a>(&self, upstreams: impl IntoIterator<Item = &'a Upstream>, now: Instant) {
        if self.table.lock().track(upstreams, now) {
            self.publish();
        }
    }

    /// At most `most` questions that are due. Each is due again after [`QUESTION_LEASE`] without an answer.
    pub fn due(&self, now: Instant, most: usize) -> Vec<DnsQuestion> {
        let mut table = self.table.lock();
        let table = &mut *table;
        let services = table.services.iter_mut().filter_map(|(name, lookup)| {
            lookup.take_due(now, QUESTION_LEASE).then(|| DnsQuestion::Services(name.clone()))
        });
        let mut due: Vec<_> = services.take(most).collect();
        let names = table.names.iter_mut().filter_map(|(name, lookup)| {
            lookup.take_due(now, QUESTION_LEASE).then(|| DnsQuestion::Addresses(name.clone()))
        });
        due.extend(names.take(most - due.len()));
        due
    }

    /// Makes every question due, after a change of the resolver.
    pub fn refresh_names(&self, now: Instant) {
        let mut table = self.table.lock();
        table.names.values_mut().for_each(|lookup| lookup.make_due(now));
        table.services.values_mut().for_each(|lookup| lookup.make_due(now));
    }

    /// Whether any name is looked up in DNS.
    pub fn tracks_names(&self) -> bool {
        let table = self.table.lock();
        !table.names.is_empty() || !table.services.is_empty()
    }

    /// Whether an address of `name` is known, even an old one.
    pub fn knows_addresses(&self, name: &str) -> bool {
        self.table.lock().has_address(name)
    }

    /// Records an answer for the addresses of `name`. `random` is 64 random bits.
    pub fn learn_addresses(
        &self,
        name: &str,
        answer: Result<AddressAnswer, DnsFailure>,
        rules: &Dns,
        now: Instant,
        random: u64,
    ) -> LookupOutcome {
        let mut table = self.table.lock();
        let Some(lookup) = table.names.get_mut(name) else { return LookupOutcome::default() };
        let first = !lookup.answered();
        let (changed, outcome) = answer::record_addresses(lookup, answer, rules, now, random);
        if changed || first {
            table.activate_files();
            self.publish();
        }
        outcome
    }

    /// Records an answer for the SRV name `name`, with the addresses of the targets that were not known. Both at once, so that
    /// no target is in use without an address, and no target is dropped before another can replace it.
    pub fn learn_services(
        &self,
        name: &str,
        answer: Result<SrvAnswer, DnsFailure>,
        targets: Vec<(Arc<str>, Result<AddressAnswer, DnsFailure>)>,
        rules: &Dns,
        now: Instant,
        random: u64,
    ) -> LookupOutcome {
        let mut table = self.table.lock();
        let DiscoveryTable { names, services, .. } = &mut *table;
        let Some(lookup) = services.get_mut(name) else { return LookupOutcome::default() };
        for (target, answer) in targets {
            let target = names.entry(target).or_insert_with(|| CachedLookup::new(now));
            answer::record_addresses(target, answer, rules, now, random);
        }
        let has_address = |target: &str| names.get(target).is_some_and(|name| name.answer().is_some());
        let outcome = answer::record_services(lookup, answer, has_address, rules, now, random);
        self.publish();
        outcome
    }

    /// Every file that is watched.
    pub fn files(&self) -> Vec<Arc<str>> {
        self.table.lock().files.keys().cloned().collect()
    }

    /// Reads `file` if it has changed and is no longer being written. Blocks on the file system, for a while at most; to be
    /// called about every second. `parse` returns the endpoints of a file's content, or all of its errors. Returns what is to be
    /// logged.
    pub fn poll_file(
        &self,
        file: &str,
        parse: impl Fn(&str, &[u8]) -> Result<Vec<EndpointConfig>, Vec<String>>,
    ) -> Option<EndpointFileChange> {
        let content = match files::stamp(file) {
            // A reload may have removed the file since.
            Ok(seen) if !self.table.lock().files.get_mut(file)?.watch.poll(seen) => return None,
            Ok(_) => files::read(file, NAMED_FILE_BYTES),
            Err(error) => Err(error),
        };
        let found = match content {
            Ok(content) => parse(file, &content).map_err(EndpointFileError::Wrong),
            Err(error) => Err(EndpointFileError::Unreadable(format!("cannot be read: {error}"))),
        };
        let change = self.table.lock().files.get_mut(file)?.found(found)?;
        self.publish();
        Some(change)
    }

    /// Whether every question that `upstreams` need was answered, successfully or not.
    pub fn has_answered<'a>(&self, upstreams: impl IntoIterator<Item = &'a Upstream>) -> bool {
        self.table.lock().has_answered(upstreams)
    }

    /// Tracks what `upstreams` need before they are served, and waits for the answers for at most `timeout`. Returns `false` if
    /// an answer is missing then. They stay tracked until the next call, so that nothing is dropped between the answers and
    /// the first request.
    ///
    /// Blocks; the driver must be running on another thread.
    pub fn prepare(&self, upstreams: &[Upstream], timeout: Duration) -> bool {
        let until = Instant::now() + timeout;
        let mut table = self.table.lock();
        table.prepared = upstreams.to_vec();
        self.publish();
        loop {
            if table.has_answered(upstreams) {
                return true;
            }
            if self.learned.wait_until(&mut table, until).timed_out() {
                return table.has_answered(upstreams);
            }
        }
    }

    /// The endpoints of `upstream` whose addresses are known.
    pub fn targets(&self, upstream: &Upstream) -> Vec<ResolvedTarget> {
        let table = self.table.lock();
        target::targets(
            upstream,
            |file| table.files.get(file).map(|list| list.current.clone()),
            |name| table.services.get(name).and_then(CachedLookup::answer).map_or(&[], Vec::as_slice),
            |name| table.names.get(name).and_then(CachedLookup::answer).map_or(&[], Vec::as_slice),
        )
    }

    /// Why no endpoint of `upstream` has an address, for the log.
    pub fn why_unresolved(&self, upstream: &Upstream) -> String {
        self.table.lock().why_unresolved(upstream)
    }

    /// The state of every source.
    pub fn statuses(&self) -> Vec<SourceStatus> {
        let table = self.table.lock();
        let names = table.names.iter().map(|(name, lookup)| lookup.status("addresses", name, Vec::len));
        let services = table.services.iter().map(|(name, lookup)| lookup.status("services", name, Vec::len));
        let files = table.files.iter().map(|(name, list)| list.status(name));
        names.chain(services).chain(files).collect()
    }

    fn publish(&self) {
        self.version.fetch_add(1, Ordering::AcqRel);
        self.learned.notify_all();
    }
}
