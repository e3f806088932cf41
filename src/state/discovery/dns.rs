//! The DNS resolver: `/etc/hosts` first, then the name servers of the configuration or of the system.
//!
//! It has no cache: [`super::Discovery`] decides how long an answer is used and what a failure means.

mod search_list;

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::{Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{Hosts, TokioResolver, system_conf};
use parking_lot::Mutex;

use self::search_list::SearchList;
use super::srv::SrvRecord;
use crate::config::snapshot::{Dns, Family};
use crate::decision::defaults::NAMED_FILE_BYTES;
use crate::files;
use crate::state::file_watch::FileWatch;

const HOSTS: &str = "/etc/hosts";
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Entries of `/etc/hosts` are valid until that file changes.
const FOR_EVER: Duration = Duration::MAX;

/// The addresses of a name, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressAnswer {
    pub found: Vec<IpAddr>,
    pub ttl: Duration,
    /// The address family whose lookup failed, and why.
    pub lost: Option<(Family, DnsFailure)>,
}

/// The records of an SRV name, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SrvAnswer {
    pub records: Vec<SrvRecord>,
    pub ttl: Duration,
}

/// Why a lookup failed. Displayed without the name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DnsFailure {
    #[error("the name does not exist")]
    NoSuchName,
    #[error("the name has no such record")]
    Empty,
    #[error("no target of it has an address")]
    NoTarget,
    #[error("it says that the service is not offered")]
    NotOffered,
    #[error("no answer in time")]
    Timeout,
    /// The server's response code, or why it could not be reached.
    #[error("{0}")]
    Server(String),
}

/// Resolves names. To be used within a tokio runtime.
pub struct DnsResolver {
    inner: TokioResolver,
    hosts: Hosts,
    search: SearchList,
    family: Family,
}

/// The resolver in use, rebuilt when the settings or the system's files change.
#[derive(Default)]
pub struct ReloadingResolver {
    current: ArcSwapOption<DnsResolver>,
    inputs: Mutex<ResolverInputs>,
}

/// What the resolver in use was built from.
#[derive(Default)]
struct ResolverInputs {
    settings: Option<Dns>,
    hosts: FileWatch,
    resolv_conf: FileWatch,
}

impl ReloadingResolver {
    /// The resolver in use. `None` before the first [`ReloadingResolver::refresh`].
    pub fn current(&self) -> Option<Arc<DnsResolver>> {
        self.current.load_full()
    }

    /// Rebuilds the resolver if `settings`, `/etc/hosts` or `/etc/resolv.conf` have changed. Returns whether a resolver was
    /// replaced. Blocks on the file system; to be called about every second.
    ///
    /// # Errors
    /// If a file of the system can't be used. The resolver then asks the name server of this machine, or stays as it was if the
    /// file may not be read any more.
    pub fn refresh(&self, settings: &Dns) -> Result<bool, String> {
        let mut inputs = self.inputs.lock();
        let inputs = &mut *inputs;
        let others = inputs.settings.as_ref() != Some(settings);
        // A missing file is no change: it never existed, or its last content is the best there is.
        let [hosts, resolv_conf] = [HOSTS, RESOLV_CONF].map(|file| files::stamp(file).ok());
        let changed = hosts.is_some_and(|seen| inputs.hosts.poll(seen))
            | resolv_conf.is_some_and(|seen| inputs.resolv_conf.poll(seen));
        if !others && !changed {
            return Ok(false);
        }
        inputs.hosts.accept(hosts);
        inputs.resolv_conf.accept(resolv_conf);
        inputs.settings = Some(settings.clone());
        if self.current.load().is_some() && !others {
            let used = [Some(HOSTS), settings.servers.is_empty().then_some(RESOLV_CONF)];
            used.into_iter().flatten().try_for_each(is_readable)?;
        }
        let (resolver, trouble) = DnsResolver::new(settings)?;
        let before = self.current.swap(Some(Arc::new(resolver)));
        trouble.map_or(Ok(before.is_some()), Err)
    }
}

/// Whether the file that stands at `path` now may be read.
///
/// # Errors
/// That it may not. What was read of the one before is better than nothing.
fn is_readable(path: &str) -> Result<(), String> {
    match files::read(path, NAMED_FILE_BYTES) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            Err(format!("`{path}` has changed, and what it said before stays in use: {error}"))
        }
        _ => Ok(()),
    }
}

impl DnsResolver {
    /// Reads the system's files. Returns the error of one that can't be used, beside the resolver.
    fn new(settings: &Dns) -> Result<(DnsResolver, Option<String>), String> {
        let mut trouble = None;
        let (config, mut options) = match settings.servers.as_slice() {
            [] => system_conf::read_system_conf().unwrap_or_else(|error| {
                trouble = Some(format!("{RESOLV_CONF}: {error}; the name server of this machine is asked"));
                // resolv.conf(5): "the default is to use the name server on the local machine".
                let server = NameServerConfig::udp_and_tcp(IpAddr::from([127, 0, 0, 1]));
                (ResolverConfig::from_parts(None, Vec::new(), vec![server]), ResolverOpts::default())
            }),
            servers => {
                let servers = servers.iter().map(name_server).collect();
                (ResolverConfig::from_parts(None, Vec::new(), servers), ResolverOpts::default())
            }
        };
        let search = SearchList::new(&config, options.ndots);
        options.timeout = settings.timeout;
        // hickory counts the attempts after the first.
        options.attempts = settings.attempts.saturating_sub(1) as usize;
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        *builder.options_mut() = options;
        let inner = builder.build().map_err(|error| error.to_string())?;
        let hosts = Hosts::from_system().unwrap_or_default();
        Ok((DnsResolver { inner, hosts, search, family: settings.family }, trouble))
    }

    /// The addresses of `name`.
    ///
    /// # Errors
    /// [`DnsFailure`], if no address family has an address, or both lookups failed.
    pub async fn addresses(&self, name: &str) -> Result<AddressAnswer, DnsFailure> {
        let name = parse(name)?;
        if let Some(found) = self.in_hosts(&name) {
            return Ok(AddressAnswer { found, ttl: FOR_EVER, lost: None });
        }
        let mut answer = Err(DnsFailure::NoSuchName);
        for candidate in self.search.candidates(&name) {
            answer = self.addresses_of(candidate).await;
            match &answer {
                Err(DnsFailure::NoSuchName | DnsFailure::Empty) => {}
                // After a server failure the search stops: the next candidate may be a different host.
                _ => break,
            }
        }
        answer
    }

    /// The records of the SRV name `name`, without those that have no target.
    ///
    /// # Errors
    /// [`DnsFailure`], if there is none.
    pub async fn services(&self, name: &str) -> Result<SrvAnswer, DnsFailure> {
        let name = parse(name)?;
        let mut answer = Err(DnsFailure::NoSuchName);
        for candidate in self.search.candidates(&name) {
            answer =
                self.inner.lookup(candidate, RecordType::SRV).await.map_err(failure).and_then(|found| records(&found));
            match &answer {
                Err(DnsFailure::NoSuchName | DnsFailure::Empty) => {}
                _ => break,
            }
        }
        answer
    }

    async fn addresses_of(&self, name: Name) -> Result<AddressAnswer, DnsFailure> {
        let (a, aaaa) = tokio::join!(
            self.of_family(name.clone(), Family::Ipv4, RecordType::A),
            self.of_family(name, Family::Ipv6, RecordType::AAAA),
        );
        both(a, aaaa)
    }

    /// The addresses of one family; [`DnsFailure::Empty`] for a family that is not used.
    async fn of_family(
        &self,
        name: Name,
        family: Family,
        kind: RecordType,
    ) -> Result<(Vec<IpAddr>, Duration), DnsFailure> {
        if self.family != family && self.family != Family::Both {
            return Err(DnsFailure::Empty);
        }
        let found = self.inner.lookup(name, kind).await.map_err(failure)?;
        let addresses: Vec<IpAddr> = found.answers().iter().filter_map(|record| record.data.ip_addr()).collect();
        if addresses.is_empty() { Err(DnsFailure::Empty) } else { Ok((addresses, ttl(&found))) }
    }

    fn in_hosts(&self, name: &Name) -> Option<Vec<IpAddr>> {
        let mut found = Vec::new();
        for (family, kind) in [(Family::Ipv4, RecordType::A), (Family::Ipv6, RecordType::AAAA)] {
            if (self.family == family || self.family == Family::Both)
                && let Some(lookup) = self.hosts.lookup_static_host(&Query::query(name.clone(), kind))
            {
                found.extend(lookup.answers().iter().filter_map(|record| record.data.ip_addr()));
            }
        }
        (!found.is_empty()).then_some(found)
    }
}

type FamilyAnswer = Result<(Vec<IpAddr>, Duration), DnsFailure>;

/// Joins the answers for both families. A family whose lookup failed, rather than having no address, is lost.
fn both(a: FamilyAnswer, aaaa: FamilyAnswer) -> Result<AddressAnswer, DnsFailure> {
    let none = |failure: &DnsFailure| matches!(failure, DnsFailure::NoSuchName | DnsFailure::Empty);
    match (a, aaaa) {
        (Ok((mut found, a_ttl)), Ok((more, aaaa_ttl))) => {
            found.extend(more);
            Ok(AddressAnswer { found, ttl: a_ttl.min(aaaa_ttl), lost: None })
        }
        (Ok((found, ttl)), Err(failure)) => {
            Ok(AddressAnswer { found, ttl, lost: (!none(&failure)).then_some((Family::Ipv6, failure)) })
        }
        (Err(failure), Ok((found, ttl))) => {
            Ok(AddressAnswer { found, ttl, lost: (!none(&failure)).then_some((Family::Ipv4, failure)) })
        }
        // "No such record" is more precise than "no such name", and a failure outweighs both.
        (Err(DnsFailure::NoSuchName), Err(other)) | (Err(other), Err(DnsFailure::NoSuchName)) => Err(other),
        (Err(DnsFailure::Empty), Err(other)) | (Err(other), Err(_)) => Err(other),
    }
}

/// The usable records of an answer.
fn records(found: &Lookup) -> Result<SrvAnswer, DnsFailure> {
    let written = found.answers().iter().filter_map(|record| match &record.data {
        RData::SRV(srv) => Some(srv),
        _ => None,
    });
    let written: Vec<_> = written.collect();
    // RFC 2782: a target of `.` "means that the service is decidedly not available at this domain".
    if !written.is_empty() && written.iter().all(|srv| srv.target.is_root()) {
        return Err(DnsFailure::NotOffered);
    }
    let usable = written.into_iter().filter(|srv| srv.port != 0);
    let records: Vec<SrvRecord> = usable
        .filter_map(|srv| {
            let (priority, weight, port) = (srv.priority, srv.weight, srv.port);
            Some(SrvRecord { priority, weight, port, target: target(&srv.target)? })
        })
        .collect();
    if records.is_empty() { Err(DnsFailure::Empty) } else { Ok(SrvAnswer { records, ttl: ttl(found) }) }
}

/// The name of a host, absolute. `None` for a name with characters that host names don't have: it would get into logs and
/// metrics.
fn target(name: &Name) -> Option<Arc<str>> {
    let mut text = name.to_lowercase().to_ascii();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_root() || !text.bytes().all(plain) {
        return None;
    }
    if !text.ends_with('.') {
        text.push('.');
    }
    Some(text.into())
}

/// The smallest TTL of the answer's records, CNAMEs included.
fn ttl(found: &Lookup) -> Duration {
    let ttl = found.answers().iter().map(|record| record.ttl).min().unwrap_or(0);
    Duration::from_secs(ttl.into())
}

fn parse(name: &str) -> Result<Name, DnsFailure> {
    Name::from_ascii(name).map_err(|error| DnsFailure::Server(error.to_string()))
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    server.connections.iter_mut().for_each(|connection| connection.port = address.port());
    server
}

fn failure(error: NetError) -> DnsFailure {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) if none.response_code == ResponseCode::NXDomain => {
            DnsFailure::NoSuchName
        }
        NetError::Dns(DnsError::NoRecordsFound(none)) if none.response_code == ResponseCode::NoError => {
            DnsFailure::Empty
        }
        NetError::Dns(DnsError::NoRecordsFound(none)) => refused(none.response_code),
        NetError::Dns(DnsError::ResponseCode(code)) => refused(code),
        NetError::Timeout => DnsFailure::Timeout,
        other => DnsFailure::Server(other.to_string()),
    }
}

fn refused(code: ResponseCode) -> DnsFailure {
    DnsFailure::Server(format!("the name server answers {code}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4() -> FamilyAnswer {
        Ok((vec![IpAddr::from([10, 0, 0, 1])], Duration::from_secs(9)))
    }

    fn v6() -> FamilyAnswer {
        Ok((vec![IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])], Duration::from_secs(5)))
    }

    #[test]
    fn a_family_without_addresses_is_fine_and_one_that_fails_is_lost() {
        let found = both(v4(), v6()).unwrap();
        assert_eq!((found.found.len(), found.ttl, found.lost), (2, Duration::from_secs(5), None));
        assert_eq!(both(v4(), Err(DnsFailure::Empty)).unwrap().lost, None);
        assert_eq!(both(v4(), Err(DnsFailure::Timeout)).unwrap().lost, Some((Family::Ipv6, DnsFailure::Timeout)));
        assert_eq!(both(Err(DnsFailure::Timeout), v6()).unwrap().lost, Some((Family::Ipv4, DnsFailure::Timeout)));
    }

    #[test]
    fn a_failure_is_not_taken_for_a_name_without_addresses() {
        for (a, aaaa, expected) in [
            (DnsFailure::NoSuchName, DnsFailure::NoSuchName, DnsFailure::NoSuchName),
            (DnsFailure::NoSuchName, DnsFailure::Empty, DnsFailure::Empty),
            (DnsFailure::Empty, DnsFailure::NoSuchName, DnsFailure::Empty),
            (DnsFailure::Empty, DnsFailure::Timeout, DnsFailure::Timeout),
            (DnsFailure::Timeout, DnsFailure::Empty, DnsFailure::Timeout),
            (DnsFailure::NoSuchName, DnsFailure::Timeout, DnsFailure::Timeout),
        ] {
            assert_eq!(both(Err(a), Err(aaaa)).unwrap_err(), expected);
        }
    }

    #[test]
    fn targets_are_hosts() {
        let of = |name: &str| target(&Name::from_ascii(name).unwrap());
        assert_eq!(of("A.Internal.").as_deref(), Some("a.internal."));
        assert_eq!(of("a_1.internal").as_deref(), Some("a_1.internal."));
        assert_eq!(of("."), None);
        let odd = Name::from_labels([b"a b".as_slice(), b"internal"]).unwrap();
        assert_eq!(target(&odd), None);
    }

    #[test]
    fn a_file_that_may_not_be_read_any_more_is_told() {
        use landlock::{AccessFs, Ruleset, RulesetAttr, RulesetStatus};
        assert_eq!(is_readable(HOSTS), Ok(()));
        assert_eq!(is_readable("/etc/no-such-file"), Ok(()));
        // For this thread and those that it starts.
        let restricted = std::thread::spawn(|| {
            let rules = Ruleset::default().handle_access(AccessFs::ReadFile).and_then(|rules| rules.create());
            let status = rules.and_then(|rules| rules.restrict_self()).unwrap();
            (status.ruleset != RulesetStatus::NotEnforced).then(|| is_readable(HOSTS))
        });
        match restricted.join().unwrap() {
            Some(told) => assert!(told.unwrap_err().contains("stays in use")),
            None => assert!(is_readable(HOSTS).is_ok(), "a kernel without Landlock refuses nothing"),
        }
    }
}
