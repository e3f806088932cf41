//! Questions to DNS: by the name servers of the file or of the system, with `/etc/hosts` before them.
//!
//! Nothing is remembered here: how long an answer is used, and what a failure means, is for [`super::Discovery`] to say.

mod search;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::{Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{Hosts, TokioResolver, system_conf};

use self::search::Search;
use super::service::Record;
use crate::config::snapshot::{Dns, Family};
use crate::state::watch::Watch;

const HOSTS: &str = "/etc/hosts";
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// What `/etc/hosts` says holds until that file changes.
const FOR_EVER: Duration = Duration::MAX;

/// The addresses of a name; never none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    pub found: Vec<IpAddr>,
    pub ttl: Duration,
    /// The family that was not answered, and why.
    pub lost: Option<(Family, Failure)>,
}

/// The records of an SRV name; never none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Services {
    pub records: Vec<Record>,
    pub ttl: Duration,
}

/// Why there is no good answer. Displayed without the name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
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
    /// What the server answered, or why it could not be asked.
    #[error("{0}")]
    Server(String),
}

/// Asks DNS. To be used within a tokio runtime.
pub struct Resolver {
    inner: TokioResolver,
    hosts: Hosts,
    search: Search,
    family: Family,
}

/// The resolver in use, made again when the settings or the system's files are others.
#[derive(Default)]
pub struct Resolving {
    current: ArcSwapOption<Resolver>,
    made: Mutex<Made>,
}

/// What the resolver in use was made of.
#[derive(Default)]
struct Made {
    settings: Option<Dns>,
    hosts: Watch,
    resolv_conf: Watch,
}

impl Resolving {
    /// The resolver in use. `None` before the first [`Resolving::refresh`].
    pub fn current(&self) -> Option<Arc<Resolver>> {
        self.current.load_full()
    }

    /// Makes the resolver again if `settings`, `/etc/hosts` or `/etc/resolv.conf` are others than it was made of. Says
    /// whether one was replaced. Blocks on the file system; to be called about every second.
    ///
    /// # Errors
    /// What of the system's files can't be used. Without them, the name server of this machine is asked.
    pub fn refresh(&self, settings: &Dns) -> Result<bool, String> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let made = &mut *made;
        let others = made.settings.as_ref() != Some(settings);
        // A file that is missing is no change: either it never was there, or what it held is the best there is.
        let changed = made.hosts.look(HOSTS).unwrap_or(false) | made.resolv_conf.look(RESOLV_CONF).unwrap_or(false);
        if !others && !changed {
            return Ok(false);
        }
        made.hosts.accept(HOSTS);
        made.resolv_conf.accept(RESOLV_CONF);
        made.settings = Some(settings.clone());
        let (resolver, trouble) = Resolver::new(settings)?;
        let before = self.current.swap(Some(Arc::new(resolver)));
        trouble.map_or(Ok(before.is_some()), Err)
    }
}

impl Resolver {
    /// Reads the system's files. With what of them can't be used.
    fn new(settings: &Dns) -> Result<(Resolver, Option<String>), String> {
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
        let search = Search::new(&config, options.ndots);
        options.timeout = settings.timeout;
        // What hickory counts comes after the first attempt.
        options.attempts = settings.attempts.saturating_sub(1) as usize;
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        *builder.options_mut() = options;
        let inner = builder.build().map_err(|error| error.to_string())?;
        let hosts = Hosts::from_system().unwrap_or_default();
        Ok((Resolver { inner, hosts, search, family: settings.family }, trouble))
    }

    /// The addresses of `name`.
    ///
    /// # Errors
    /// [`Failure`], when no family has an address, or neither could be asked.
    pub async fn addresses(&self, name: &str) -> Result<Addresses, Failure> {
        let name = parse(name)?;
        if let Some(found) = self.in_hosts(&name) {
            return Ok(Addresses { found, ttl: FOR_EVER, lost: None });
        }
        let mut answer = Err(Failure::NoSuchName);
        for candidate in self.search.candidates(&name) {
            answer = self.addresses_of(candidate).await;
            match &answer {
                Err(Failure::NoSuchName | Failure::Empty) => {}
                // A server that fails must not make a name mean another one further down the list.
                _ => break,
            }
        }
        answer
    }

    /// The records of the SRV name `name`, without those that name no target.
    ///
    /// # Errors
    /// [`Failure`], when there is none.
    pub async fn services(&self, name: &str) -> Result<Services, Failure> {
        let name = parse(name)?;
        let mut answer = Err(Failure::NoSuchName);
        for candidate in self.search.candidates(&name) {
            answer =
                self.inner.lookup(candidate, RecordType::SRV).await.map_err(failure).and_then(|found| records(&found));
            match &answer {
                Err(Failure::NoSuchName | Failure::Empty) => {}
                _ => break,
            }
        }
        answer
    }

    async fn addresses_of(&self, name: Name) -> Result<Addresses, Failure> {
        let (a, aaaa) = tokio::join!(
            self.of_family(name.clone(), Family::Ipv4, RecordType::A),
            self.of_family(name, Family::Ipv6, RecordType::AAAA),
        );
        both(a, aaaa)
    }

    /// The addresses of one family. One that is not used has none.
    async fn of_family(
        &self,
        name: Name,
        family: Family,
        kind: RecordType,
    ) -> Result<(Vec<IpAddr>, Duration), Failure> {
        if self.family != family && self.family != Family::Both {
            return Err(Failure::Empty);
        }
        let found = self.inner.lookup(name, kind).await.map_err(failure)?;
        let addresses: Vec<IpAddr> = found.answers().iter().filter_map(|record| record.data.ip_addr()).collect();
        if addresses.is_empty() { Err(Failure::Empty) } else { Ok((addresses, ttl(&found))) }
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

type OfFamily = Result<(Vec<IpAddr>, Duration), Failure>;

/// Joins the answers for both families. One that fails, rather than having no address, is lost.
fn both(a: OfFamily, aaaa: OfFamily) -> Result<Addresses, Failure> {
    let none = |failure: &Failure| matches!(failure, Failure::NoSuchName | Failure::Empty);
    match (a, aaaa) {
        (Ok((mut found, a_ttl)), Ok((more, aaaa_ttl))) => {
            found.extend(more);
            Ok(Addresses { found, ttl: a_ttl.min(aaaa_ttl), lost: None })
        }
        (Ok((found, ttl)), Err(failure)) => {
            Ok(Addresses { found, ttl, lost: (!none(&failure)).then_some((Family::Ipv6, failure)) })
        }
        (Err(failure), Ok((found, ttl))) => {
            Ok(Addresses { found, ttl, lost: (!none(&failure)).then_some((Family::Ipv4, failure)) })
        }
        // That one family has nothing says more than that the name does not exist for the other one.
        (Err(Failure::NoSuchName), Err(other)) | (Err(other), Err(Failure::NoSuchName)) => Err(other),
        (Err(Failure::Empty), Err(other)) | (Err(other), Err(_)) => Err(other),
    }
}

/// The usable records of an answer.
fn records(found: &Lookup) -> Result<Services, Failure> {
    let written = found.answers().iter().filter_map(|record| match &record.data {
        RData::SRV(srv) => Some(srv),
        _ => None,
    });
    let written: Vec<_> = written.collect();
    // RFC 2782: a target of `.` "means that the service is decidedly not available at this domain".
    if !written.is_empty() && written.iter().all(|srv| srv.target.is_root()) {
        return Err(Failure::NotOffered);
    }
    let usable = written.into_iter().filter(|srv| srv.port != 0);
    let records: Vec<Record> = usable
        .filter_map(|srv| {
            let (priority, weight, port) = (srv.priority, srv.weight, srv.port);
            Some(Record { priority, weight, port, target: target(&srv.target)? })
        })
        .collect();
    if records.is_empty() { Err(Failure::Empty) } else { Ok(Services { records, ttl: ttl(found) }) }
}

/// The name of a host, absolute. `None` for what no host is called: it would end up in logs and metrics.
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

/// Until the first record ends, CNAMEs included.
fn ttl(found: &Lookup) -> Duration {
    let ttl = found.answers().iter().map(|record| record.ttl).min().unwrap_or(0);
    Duration::from_secs(ttl.into())
}

fn parse(name: &str) -> Result<Name, Failure> {
    Name::from_ascii(name).map_err(|error| Failure::Server(error.to_string()))
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    server.connections.iter_mut().for_each(|connection| connection.port = address.port());
    server
}

fn failure(error: NetError) -> Failure {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) if none.response_code == ResponseCode::NXDomain => {
            Failure::NoSuchName
        }
        NetError::Dns(DnsError::NoRecordsFound(none)) if none.response_code == ResponseCode::NoError => Failure::Empty,
        NetError::Dns(DnsError::NoRecordsFound(none)) => refused(none.response_code),
        NetError::Dns(DnsError::ResponseCode(code)) => refused(code),
        NetError::Timeout => Failure::Timeout,
        other => Failure::Server(other.to_string()),
    }
}

fn refused(code: ResponseCode) -> Failure {
    Failure::Server(format!("the name server answers {code}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4() -> OfFamily {
        Ok((vec![IpAddr::from([10, 0, 0, 1])], Duration::from_secs(9)))
    }

    fn v6() -> OfFamily {
        Ok((vec![IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])], Duration::from_secs(5)))
    }

    #[test]
    fn a_family_without_addresses_is_fine_and_one_that_fails_is_lost() {
        let found = both(v4(), v6()).unwrap();
        assert_eq!((found.found.len(), found.ttl, found.lost), (2, Duration::from_secs(5), None));
        assert_eq!(both(v4(), Err(Failure::Empty)).unwrap().lost, None);
        assert_eq!(both(v4(), Err(Failure::Timeout)).unwrap().lost, Some((Family::Ipv6, Failure::Timeout)));
        assert_eq!(both(Err(Failure::Timeout), v6()).unwrap().lost, Some((Family::Ipv4, Failure::Timeout)));
    }

    #[test]
    fn a_failure_is_not_taken_for_a_name_without_addresses() {
        for (a, aaaa, expected) in [
            (Failure::NoSuchName, Failure::NoSuchName, Failure::NoSuchName),
            (Failure::NoSuchName, Failure::Empty, Failure::Empty),
            (Failure::Empty, Failure::NoSuchName, Failure::Empty),
            (Failure::Empty, Failure::Timeout, Failure::Timeout),
            (Failure::Timeout, Failure::Empty, Failure::Timeout),
            (Failure::NoSuchName, Failure::Timeout, Failure::Timeout),
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
}
