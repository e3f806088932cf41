//! What is known of endpoints that are found rather than written: addresses of names, SRV records, endpoint files.
//!
//! Each is known once, however many upstreams name it, and stays known when nothing better comes: a failed lookup or a wrong
//! file changes nothing but [`Status::stale`]. Whoever drives this ([`crate::proxy::upkeep::discovery`]) calls
//! [`Discovery::want`], asks what is [`Discovery::due`], and tells what it [learned](Discovery::learn_addresses).

pub mod dns;
mod file;
mod lookup;
pub mod service;
mod target;
#[cfg(test)]
mod tests;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::config::snapshot::{Dns, EndpointConfig, Family, Upstream};
use dns::{Addresses, Failure, Services};
pub use file::FileChange;
use file::ListedEndpoints;
use lookup::Lookup;
use service::Record;
pub use target::Target;

/// After so long without an answer, a question counts as forgotten, and is due again.
pub const GIVE_UP: Duration = Duration::from_secs(60);

/// Everything that is known, by what it is looked up by. Survives reloads.
#[derive(Default)]
pub struct Discovery {
    known: Mutex<Known>,
    /// Grows when [`Discovery::targets`] may be others, or [`Discovery::want`] may want others.
    version: AtomicU64,
    /// Wakes [`Discovery::prepare`].
    learned: Condvar,
}

#[derive(Default)]
struct Known {
    names: HashMap<Arc<str>, Lookup<Vec<IpAddr>>>,
    services: HashMap<Arc<str>, Lookup<Vec<Record>>>,
    files: HashMap<Arc<str>, ListedEndpoints>,
    /// Of a configuration that is about to be served, or was when it was asked for last.
    prepared: Vec<Upstream>,
}

/// What is to be asked of DNS.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    /// A and AAAA records.
    Addresses(Arc<str>),
    /// SRV records.
    Services(Arc<str>),
}

/// What became of an answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Why the answer is no good; what was known before is kept.
    pub failure: Option<Failure>,
    /// Whether that deserves a line in the log: the first failure does, and then one in a while.
    pub say: bool,
    /// Whether it is the first good answer after failures that were told.
    pub recovered: bool,
    /// Whether there was more than may be used.
    pub cut: bool,
}

/// One source of endpoints as it stands, for metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// `addresses`, `services` or `file`.
    pub kind: &'static str,
    /// What it is looked up by.
    pub name: Arc<str>,
    /// Addresses, records or endpoints in use.
    pub entries: usize,
    /// Whether the last attempt to learn more failed.
    pub stale: bool,
    /// The last attempt that did not.
    pub success: Option<SystemTime>,
}

impl Discovery {
    /// Nothing is known yet.
    pub fn new() -> Self {
        Discovery::default()
    }

    /// Changes whenever the driver should call [`Discovery::want`] and the upstreams look at their targets again.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Takes what a new configuration has read from its files, when it is published.
    ///
    /// `fresh`: it has read them just now. Otherwise a file that is known already keeps what was read of it since.
    pub fn adopt(&self, upstreams: &[Upstream], fresh: bool) {
        let mut known = self.lock();
        for file in upstreams.iter().flat_map(|upstream| &upstream.files) {
            match known.files.entry(file.file.clone()) {
                Entry::Occupied(list) if !fresh => _ = list,
                entry => entry.or_default().loaded(&file.loaded),
            }
        }
        self.bump();
    }

    /// Knows from now on whatever the upstreams in force need, and nothing else. What is new is due at once.
    pub fn want<'a>(&self, upstreams: impl IntoIterator<Item = &'a Upstream>, now: Instant) {
        let mut known = self.lock();
        let known = &mut *known;
        let mut wanted = Wanted::default();
        upstreams.into_iter().for_each(|upstream| wanted.add(upstream));
        known.prepared.iter().for_each(|upstream| wanted.add(upstream));
        known.files.retain(|name, _| wanted.files.contains(name));
        known.services.retain(|name, _| wanted.services.contains(name));
        for list in known.files.values() {
            list.all().for_each(|endpoint| wanted.name(&endpoint.host));
        }
        for records in known.services.values().filter_map(Lookup::answer) {
            wanted.names.extend(records.iter().map(|record| record.target.clone()));
        }
        known.names.retain(|name, _| wanted.names.contains(name));
        for name in wanted.names {
            known.names.entry(name).or_insert_with(|| Lookup::new(now));
        }
        for name in wanted.services {
            known.services.entry(name).or_insert_with(|| Lookup::new(now));
        }
        if known.bring_in() {
            self.bump();
        }
    }

    /// At most `most` questions whose time has come. Each is due again after [`GIVE_UP`] if nothing is learned before.
    pub fn due(&self, now: Instant, most: usize) -> Vec<Question> {
        let mut known = self.lock();
        let known = &mut *known;
        let services = known
            .services
            .iter_mut()
            .filter_map(|(name, lookup)| lookup.take_due(now, GIVE_UP).then(|| Question::Services(name.clone())));
        let mut due: Vec<_> = services.take(most).collect();
        let names = known
            .names
            .iter_mut()
            .filter_map(|(name, lookup)| lookup.take_due(now, GIVE_UP).then(|| Question::Addresses(name.clone())));
        due.extend(names.take(most - due.len()));
        due
    }

    /// Makes every question due, for answers may be others now.
    pub fn ask_again(&self, now: Instant) {
        let mut known = self.lock();
        known.names.values_mut().for_each(|lookup| lookup.ask_again(now));
        known.services.values_mut().for_each(|lookup| lookup.ask_again(now));
    }

    /// Whether there is anything to ask DNS for.
    pub fn asks(&self) -> bool {
        let known = self.lock();
        !known.names.is_empty() || !known.services.is_empty()
    }

    /// Whether the addresses of `name` are known, be they old.
    pub fn knows_addresses(&self, name: &str) -> bool {
        self.lock().has_address(name)
    }

    /// Learns the addresses of `name`. `random` is 64 random bits.
    pub fn learn_addresses(
        &self,
        name: &str,
        answer: Result<Addresses, Failure>,
        rules: &Dns,
        now: Instant,
        random: u64,
    ) -> Heard {
        let mut known = self.lock();
        let Some(lookup) = known.names.get_mut(name) else { return Heard::default() };
        let first = !lookup.settled();
        let (changed, heard) = take_addresses(lookup, answer, rules, now, random);
        if changed || first {
            known.bring_in();
            self.bump();
        }
        heard
    }

    /// Learns the records of the SRV name `name`, together with the addresses of targets that were not known yet: so no
    /// target is used before it can be, and none given up before another can take its place.
    pub fn learn_services(
        &self,
        name: &str,
        answer: Result<Services, Failure>,
        targets: Vec<(Arc<str>, Result<Addresses, Failure>)>,
        rules: &Dns,
        now: Instant,
        random: u64,
    ) -> Heard {
        let mut known = self.lock();
        let known = &mut *known;
        let Some(lookup) = known.services.get_mut(name) else { return Heard::default() };
        for (target, answer) in targets {
            let target = known.names.entry(target).or_insert_with(|| Lookup::new(now));
            take_addresses(target, answer, rules, now, random);
        }
        let mut cut = false;
        let answer = answer.and_then(|Services { mut records, ttl }| {
            records.sort_unstable();
            records.dedup();
            cut = records.len() > rules.addresses;
            records.truncate(rules.addresses);
            let usable = |record: &Record| known.names.get(&record.target).is_some_and(|name| name.answer().is_some());
            if records.iter().any(usable) { Ok((records, ttl)) } else { Err(Failure::NoTarget) }
        });
        let (_, heard) = settle(lookup, answer, rules, now, random);
        self.bump();
        Heard { cut, ..heard }
    }

    /// Looks at the files, and reads those that have changed and come to rest. Blocks on the file system; to be called
    /// about every second. `parse` gives the endpoints of a file's content, or everything that is wrong with it.
    pub fn look_at_files(
        &self,
        parse: impl Fn(&str, &[u8]) -> Result<Vec<EndpointConfig>, Vec<String>>,
    ) -> Vec<(Arc<str>, FileChange)> {
        let watches: Vec<_> = self.lock().files.iter().map(|(file, list)| (file.clone(), list.watch.clone())).collect();
        let mut changes = Vec::new();
        for (file, watch) in watches {
            let Some(found) = file::look(&file, &mut watch.lock().unwrap_or_else(PoisonError::into_inner), &parse)
            else {
                continue;
            };
            // A reload may have removed the file meanwhile.
            if let Some(list) = self.lock().files.get_mut(&file)
                && let Some(change) = list.found(found)
            {
                changes.push((file, change));
                self.bump();
            }
        }
        changes
    }

    /// Whether there is any file to look at.
    pub fn has_files(&self) -> bool {
        !self.lock().files.is_empty()
    }

    /// Whether everything that `upstreams` need was asked for and answered, well or not.
    pub fn has_asked<'a>(&self, upstreams: impl IntoIterator<Item = &'a Upstream>) -> bool {
        self.lock().has_asked(upstreams)
    }

    /// Asks for what `upstreams` need before they are served, and waits for the answers as long as `patience` allows.
    /// `false`: not everything was answered in time. It stays known until the next call, so that nothing is forgotten between
    /// the answers and the first request.
    ///
    /// Blocks; the driver must be running on another thread.
    pub fn prepare(&self, upstreams: &[Upstream], patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let mut known = self.lock();
        known.prepared = upstreams.to_vec();
        self.bump();
        loop {
            if known.has_asked(upstreams) {
                return true;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            known = self.learned.wait_timeout(known, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The endpoints of `upstream` as far as they are known.
    pub fn targets(&self, upstream: &Upstream) -> Vec<Target> {
        let known = self.lock();
        target::targets(
            upstream,
            |file| known.files.get(file).map(|list| list.current.clone()),
            |name| known.services.get(name).and_then(Lookup::answer).map_or(&[], Vec::as_slice),
            |name| known.names.get(name).and_then(Lookup::answer).map_or(&[], Vec::as_slice),
        )
    }

    /// Every source as it stands.
    pub fn statuses(&self) -> Vec<Status> {
        let known = self.lock();
        let names = known.names.iter().map(|(name, lookup)| lookup.status("addresses", name, Vec::len));
        let services = known.services.iter().map(|(name, lookup)| lookup.status("services", name, Vec::len));
        let files = known.files.iter().map(|(name, list)| list.status(name));
        names.chain(services).chain(files).collect()
    }

    fn bump(&self) {
        self.version.fetch_add(1, Ordering::AcqRel);
        self.learned.notify_all();
    }

    /// A panic under the lock leaves each lookup whole: at worst, one is asked for again.
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn has_address(&self, name: &str) -> bool {
        name.parse::<IpAddr>().is_ok() || self.names.get(name).is_some_and(|lookup| lookup.answer().is_some())
    }

    fn has_asked<'a>(&self, upstreams: impl IntoIterator<Item = &'a Upstream>) -> bool {
        let mut wanted = Wanted::default();
        upstreams.into_iter().for_each(|upstream| wanted.add(upstream));
        wanted.names.iter().all(|name| self.names.get(name).is_some_and(Lookup::settled))
            && wanted.services.iter().all(|name| self.services.get(name).is_some_and(Lookup::settled))
    }

    /// Puts file contents into use whose names are known by now. Says whether there were any.
    fn bring_in(&mut self) -> bool {
        let Known { names, files, .. } = self;
        let asked = |host: &str| host.parse::<IpAddr>().is_ok() || names.get(host).is_some_and(Lookup::settled);
        let found = |host: &str| {
            host.parse::<IpAddr>().is_ok() || names.get(host).is_some_and(|lookup| lookup.answer().is_some())
        };
        files.values_mut().filter_map(|list| list.bring_in(asked, found).then_some(())).count() > 0
    }
}

/// What upstreams need, each once.
#[derive(Default)]
struct Wanted {
    names: HashSet<Arc<str>>,
    services: HashSet<Arc<str>>,
    files: HashSet<Arc<str>>,
}

impl Wanted {
    fn add(&mut self, upstream: &Upstream) {
        upstream.endpoints.iter().for_each(|endpoint| self.name(&endpoint.host));
        self.services.extend(upstream.services.iter().cloned());
        for file in &upstream.files {
            self.files.insert(file.file.clone());
            file.loaded.iter().for_each(|endpoint| self.name(&endpoint.host));
        }
    }

    fn name(&mut self, host: &str) {
        if host.parse::<IpAddr>().is_err() && !self.names.contains(host) {
            self.names.insert(host.into());
        }
    }
}

/// Takes over an answer about addresses. Says whether they are others now.
fn take_addresses(
    lookup: &mut Lookup<Vec<IpAddr>>,
    answer: Result<Addresses, Failure>,
    rules: &Dns,
    now: Instant,
    random: u64,
) -> (bool, Heard) {
    let Addresses { mut found, ttl, lost } = match answer {
        Ok(answer) => answer,
        Err(failure) => return settle(lookup, Err(failure), rules, now, random),
    };
    // One family was not answered: what was known of it is as good as it was.
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
    let (changed, heard) = match lost {
        None => settle(lookup, Ok((found, ttl)), rules, now, random),
        Some(failure) => {
            let changed = lookup.replace(found);
            (changed, settle(lookup, Err(failure), rules, now, random).1)
        }
    };
    (changed, Heard { cut, ..heard })
}

/// Ends a question. Says whether the answer is another now.
fn settle<A: PartialEq>(
    lookup: &mut Lookup<A>,
    answer: Result<(A, Duration), Failure>,
    rules: &Dns,
    now: Instant,
    random: u64,
) -> (bool, Heard) {
    match answer {
        Ok((answer, ttl)) => {
            let (changed, recovered) = lookup.succeeded(answer, now + lookup::until_next(ttl, rules, random));
            (changed, Heard { recovered, ..Heard::default() })
        }
        Err(failure) => {
            let say = lookup.failed(rules, now, random);
            (false, Heard { failure: Some(failure), say, ..Heard::default() })
        }
    }
}
