use std::fs;

use super::srv::SrvRecord;
use super::*;
use crate::config::snapshot::{EndpointFile, Family, RetryBudget, Timeouts};
use crate::decision::upstream::{Balance, retry};

const SECOND: Duration = Duration::from_secs(1);

pub(super) fn rules() -> Dns {
    Dns {
        servers: Vec::new(),
        timeout: 2 * SECOND,
        attempts: 2,
        shortest: SECOND,
        longest: 300 * SECOND,
        startup: 5 * SECOND,
        family: Family::Both,
        addresses: 4,
    }
}

fn endpoint(host: &str, port: u16) -> EndpointConfig {
    EndpointConfig { host: host.to_owned(), port, weight: 1, priority: 0, zone: None }
}

fn upstream(endpoints: &[(&str, u16)], services: &[&str], files: Vec<EndpointFile>) -> Upstream {
    Upstream {
        name: "orders".into(),
        endpoints: endpoints.iter().map(|(host, port)| endpoint(host, *port)).collect(),
        services: services.iter().map(|name| (*name).into()).collect(),
        files,
        balance: Balance::RoundRobin,
        health: None,
        refuse_when_unhealthy: false,
        ejection: None,
        slow_start: None,
        circuit_breaker: Default::default(),
        zone: None,
        sticky: None,
        timeouts: Timeouts {
            connect: SECOND,
            response: SECOND,
            send: SECOND,
            idle: SECOND,
            idle_unsafe: SECOND,
            request: None,
        },
        retries: retry::RetryPolicy::off(),
        retry_budget: RetryBudget { share: 200_000, floor: 3, floor_per: SECOND },
        tls: None,
        http2: false,
        http2_streams: 100,
        proxy_protocol: None,
    }
}

fn found(addresses: &[&str], ttl: u64) -> Result<AddressAnswer, DnsFailure> {
    let found = addresses.iter().map(|ip| ip.parse().unwrap()).collect();
    Ok(AddressAnswer { found, ttl: Duration::from_secs(ttl), lost: None })
}

fn record(priority: u16, weight: u16, port: u16, target: &str) -> SrvRecord {
    SrvRecord { priority, weight, port, target: target.into() }
}

fn names(questions: Vec<DnsQuestion>) -> Vec<String> {
    let mut names: Vec<String> = questions
        .into_iter()
        .map(|question| match question {
            DnsQuestion::Addresses(name) => name.to_string(),
            DnsQuestion::Services(name) => format!("SRV {name}"),
        })
        .collect();
    names.sort();
    names
}

/// The targets of priority 0, as `address weight`.
fn targets(discovery: &Discovery, upstream: &Upstream) -> Vec<String> {
    let targets = discovery.targets(upstream);
    let first = targets.iter().map(|target| target.priority).min();
    targets
        .iter()
        .filter(|target| Some(target.priority) == first)
        .map(|target| format!("{} {}", target.address, target.endpoint.weight))
        .collect()
}

fn status(discovery: &Discovery, name: &str) -> SourceStatus {
    discovery.statuses().into_iter().find(|status| &*status.name == name).unwrap()
}

#[test]
fn a_name_is_asked_for_when_its_answer_ends_however_many_name_it() {
    let (discovery, start) = (Discovery::new(), Instant::now());
    let one = upstream(&[("a.internal", 80), ("b.internal", 80), ("10.0.0.1", 80)], &[], Vec::new());
    let two = upstream(&[("a.internal", 81)], &[], Vec::new());
    discovery.track([&one, &two], start);
    assert_eq!(names(discovery.due(start, 1)).len(), 1);
    assert_eq!(names(discovery.due(start, 9)).len(), 1);
    assert!(discovery.due(start, 9).is_empty());
    discovery.learn_addresses("a.internal", found(&["10.0.0.2"], 5), &rules(), start, 0);
    discovery.learn_addresses("b.internal", found(&["10.0.0.3"], 100_000), &rules(), start, 0);
    assert!(discovery.due(start + 4 * SECOND, 9).is_empty());
    assert_eq!(names(discovery.due(start + 5 * SECOND, 9)), ["a.internal"]);
    assert!(discovery.due(start + 6 * SECOND, 9).is_empty(), "it is being asked for");
    assert_eq!(names(discovery.due(start + 5 * SECOND + QUESTION_LEASE, 9)), ["a.internal"], "the question was lost");
    assert_eq!(names(discovery.due(start + 300 * SECOND, 9)), ["a.internal", "b.internal"]);
    assert_eq!(targets(&discovery, &two), ["10.0.0.2:81 1"]);
    // A source that no upstream needs is dropped.
    discovery.track([&two], start);
    assert_eq!(discovery.statuses().len(), 1);
    assert_eq!(
        discovery.learn_addresses("b.internal", found(&["10.0.0.9"], 1), &rules(), start, 0),
        LookupOutcome::default()
    );
}

#[test]
fn a_failure_keeps_the_last_good_answer() {
    let (discovery, now) = (Discovery::new(), Instant::now());
    let orders = upstream(&[("a.internal", 80)], &[], Vec::new());
    discovery.track([&orders], now);
    assert!(!discovery.has_answered([&orders]));
    let outcome = discovery.learn_addresses("a.internal", Err(DnsFailure::NoSuchName), &rules(), now, 0);
    assert_eq!(
        outcome,
        LookupOutcome { failure: Some(DnsFailure::NoSuchName), report: true, ..LookupOutcome::default() }
    );
    assert!(discovery.has_answered([&orders]) && targets(&discovery, &orders).is_empty());
    assert_eq!(status(&discovery, "a.internal").success, None);
    assert!(discovery.learn_addresses("a.internal", found(&["10.0.0.2", "10.0.0.1"], 5), &rules(), now, 0).recovered);
    let version = discovery.version();
    let outcome = discovery.learn_addresses("a.internal", Err(DnsFailure::Timeout), &rules(), now, 0);
    assert_eq!((outcome.report, discovery.version()), (true, version));
    assert!(!discovery.learn_addresses("a.internal", Err(DnsFailure::Timeout), &rules(), now, 0).report);
    assert_eq!(targets(&discovery, &orders), ["10.0.0.1:80 1", "10.0.0.2:80 1"]);
    let stale = status(&discovery, "a.internal");
    assert_eq!((stale.kind, stale.entries, stale.stale, stale.success.is_some()), ("addresses", 2, true, true));
}

#[test]
fn a_family_that_fails_keeps_its_addresses() {
    let (discovery, now) = (Discovery::new(), Instant::now());
    let orders = upstream(&[("a.internal", 80)], &[], Vec::new());
    discovery.track([&orders], now);
    let lost = |addresses| {
        found(addresses, 100).map(|found| AddressAnswer { lost: Some((Family::Ipv6, DnsFailure::Timeout)), ..found })
    };
    // Its addresses were never known, so the failure changes nothing.
    let outcome = discovery.learn_addresses("a.internal", lost(&["10.0.0.1"]), &rules(), now, 0);
    assert_eq!((outcome.failure, status(&discovery, "a.internal").stale), (None, false));
    discovery.learn_addresses("a.internal", found(&["10.0.0.1", "::1"], 100), &rules(), now, 0);
    let outcome = discovery.learn_addresses("a.internal", lost(&["10.0.0.2"]), &rules(), now, 0);
    assert_eq!((outcome.failure, status(&discovery, "a.internal").stale), (Some(DnsFailure::Timeout), true));
    assert_eq!(targets(&discovery, &orders), ["10.0.0.2:80 1", "[::1]:80 1"]);
    discovery.learn_addresses("a.internal", found(&["10.0.0.2"], 100), &rules(), now, 0);
    assert_eq!(targets(&discovery, &orders), ["10.0.0.2:80 1"]);
}

#[test]
fn answers_are_bounded() {
    let (discovery, now) = (Discovery::new(), Instant::now());
    let orders = upstream(&[("a.internal", 80)], &[], Vec::new());
    discovery.track([&orders], now);
    let many = ["10.0.0.5", "10.0.0.4", "10.0.0.3", "10.0.0.2", "10.0.0.1"];
    assert!(discovery.learn_addresses("a.internal", found(&many, 5), &rules(), now, 0).cut);
    let kept = ["10.0.0.1:80 1", "10.0.0.2:80 1", "10.0.0.3:80 1", "10.0.0.4:80 1"];
    assert_eq!(targets(&discovery, &orders), kept);
}

#[test]
fn services_have_ports_shares_and_priorities() {
    let (discovery, now) = (Discovery::new(), Instant::now());
    let orders = upstream(&[], &["_http._tcp.orders"], Vec::new());
    discovery.track([&orders], now);
    assert_eq!(names(discovery.due(now, 9)), ["SRV _http._tcp.orders"]);
    let records = vec![record(1, 10, 81, "a."), record(1, 30, 82, "b."), record(2, 0, 83, "c.")];
    let services = |records: &[SrvRecord]| Ok(SrvAnswer { records: records.to_vec(), ttl: 10 * SECOND });
    let known = vec![
        ("a.".into(), found(&["10.0.0.1", "10.0.0.2"], 60)),
        ("b.".into(), found(&["10.0.0.3"], 60)),
        ("c.".into(), Err(DnsFailure::Timeout)),
    ];
    let outcome = discovery.learn_services("_http._tcp.orders", services(&records), known, &rules(), now, 0);
    assert_eq!(outcome, LookupOutcome::default());
    assert!(discovery.has_answered([&orders]));
    let both = ["10.0.0.1:81 334", "10.0.0.2:81 334", "10.0.0.3:82 1000"];
    assert_eq!(targets(&discovery, &orders), both);
    assert_eq!(discovery.targets(&orders)[0].endpoint.host, "a");
    // Targets are looked up like any other name, each when it is due.
    discovery.track([&orders], now);
    assert_eq!(names(discovery.due(now + SECOND, 9)), ["c."]);
    discovery.learn_addresses("c.", found(&["10.0.0.4"], 60), &rules(), now, 0);
    assert_eq!(targets(&discovery, &orders), both, "a lower priority is for when there is no other");
    let spare = discovery.targets(&orders).pop().unwrap();
    assert_eq!((spare.address, spare.priority), ("10.0.0.4:83".parse().unwrap(), 1));
    // The last successful answer stays in use, also if no new target has an address.
    let gone = vec![("d.".into(), Err(DnsFailure::NoSuchName))];
    let outcome =
        discovery.learn_services("_http._tcp.orders", services(&[record(1, 1, 80, "d.")]), gone, &rules(), now, 0);
    assert_eq!(outcome.failure, Some(DnsFailure::NoTarget));
    assert_eq!(targets(&discovery, &orders), both);
    assert!(status(&discovery, "_http._tcp.orders").stale);
    discovery.learn_services("_http._tcp.orders", services(&records[2..]), Vec::new(), &rules(), now, 0);
    assert_eq!(targets(&discovery, &orders), ["10.0.0.4:83 1"]);
}

struct FileFixture {
    dir: tempfile::TempDir,
    discovery: Discovery,
    orders: Upstream,
}

impl FileFixture {
    /// A file with one `host:port` on each line.
    fn new(content: &str) -> FileFixture {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("orders");
        fs::write(&file, content).unwrap();
        let listed = parse("", content.as_bytes()).unwrap();
        let file = EndpointFile { file: file.display().to_string().into(), loaded: listed.into() };
        let (discovery, orders) = (Discovery::new(), upstream(&[], &[], vec![file]));
        discovery.adopt(std::slice::from_ref(&orders), true);
        discovery.track([&orders], Instant::now());
        let world = FileFixture { dir, discovery, orders };
        assert_eq!(world.looks(), []);
        world
    }

    fn write(&self, content: &str) {
        fs::write(&*self.orders.files[0].file, content).unwrap();
    }

    /// The changes in as many polls as a changed file needs to be read.
    fn looks(&self) -> Vec<EndpointFileChange> {
        let file = &self.orders.files[0].file;
        let said = (0..6).filter_map(|_| self.discovery.poll_file(file, parse)).collect();
        self.discovery.track([&self.orders], Instant::now());
        said
    }

    fn targets(&self) -> Vec<String> {
        targets(&self.discovery, &self.orders)
    }

    fn is_stale(&self) -> bool {
        status(&self.discovery, &self.orders.files[0].file).stale
    }
}

fn parse(_: &str, content: &[u8]) -> Result<Vec<EndpointConfig>, Vec<String>> {
    let lines = std::str::from_utf8(content).unwrap().lines();
    let parsed: Option<Vec<EndpointConfig>> =
        lines.map(|line| line.rsplit_once(':').map(|(host, port)| endpoint(host, port.parse().unwrap()))).collect();
    parsed.filter(|all| !all.is_empty()).ok_or_else(|| vec!["wrong".to_owned()])
}

#[test]
fn a_changed_file_is_used_and_a_wrong_one_is_told_once() {
    let world = FileFixture::new("10.0.0.1:80\n");
    assert_eq!((world.targets(), world.is_stale()), (vec!["10.0.0.1:80 1".to_owned()], false));
    world.write("10.0.0.2:80\n10.0.0.3:80\n");
    assert_eq!(world.looks(), [EndpointFileChange::Replaced { endpoints: 2 }]);
    let two = ["10.0.0.2:80 1", "10.0.0.3:80 1"];
    assert_eq!(world.targets(), two);
    world.write("nowhere");
    assert_eq!(world.looks(), [EndpointFileChange::Kept(vec!["wrong".to_owned()])]);
    assert_eq!(world.looks(), []);
    assert!(world.is_stale());
    assert_eq!(world.targets(), two);
    fs::remove_file(&*world.orders.files[0].file).unwrap();
    assert!(matches!(&world.looks()[..], [EndpointFileChange::Kept(_)]));
    assert_eq!(world.targets(), two);
    // Back to the content in use: the recovery is reported.
    world.write("10.0.0.2:80\n10.0.0.3:80\n");
    assert_eq!(world.looks(), [EndpointFileChange::Replaced { endpoints: 2 }]);
    assert!(!world.is_stale());
}

#[test]
fn a_link_that_is_swapped_is_noticed() {
    let world = FileFixture::new("10.0.0.1:80\n");
    // As Kubernetes updates a ConfigMap: a folder behind a link that is replaced atomically.
    let path = |name: &str| world.dir.path().join(name);
    for (version, content) in [("v1", "10.0.0.1:80\n"), ("v2", "10.0.0.2:80\n")] {
        fs::create_dir(path(version)).unwrap();
        fs::write(path(version).join("orders"), content).unwrap();
    }
    std::os::unix::fs::symlink("v1", path("..data")).unwrap();
    fs::remove_file(path("orders")).unwrap();
    std::os::unix::fs::symlink("..data/orders", path("orders")).unwrap();
    world.looks();
    assert_eq!(world.targets(), ["10.0.0.1:80 1"]);
    std::os::unix::fs::symlink("v2", path("..data_tmp")).unwrap();
    fs::rename(path("..data_tmp"), path("..data")).unwrap();
    assert_eq!(world.looks(), [EndpointFileChange::Replaced { endpoints: 1 }]);
    assert_eq!(world.targets(), ["10.0.0.2:80 1"]);
}

#[test]
fn new_names_of_a_file_are_looked_up_before_they_are_used() {
    let (world, now) = (FileFixture::new("10.0.0.1:80\n"), Instant::now());
    world.write("a.internal:80\nb.internal:80\n");
    assert_eq!(world.looks(), [EndpointFileChange::Replaced { endpoints: 2 }]);
    assert_eq!(names(world.discovery.due(now + SECOND, 9)), ["a.internal", "b.internal"]);
    world.discovery.learn_addresses("a.internal", Err(DnsFailure::Timeout), &rules(), now, 0);
    world.discovery.learn_addresses("b.internal", Err(DnsFailure::Timeout), &rules(), now, 0);
    // The previous endpoints stay in use while no new one has an address.
    assert_eq!((world.targets(), world.is_stale()), (vec!["10.0.0.1:80 1".to_owned()], true));
    world.discovery.learn_addresses("b.internal", found(&["10.0.0.2"], 5), &rules(), now, 0);
    assert_eq!((world.targets(), world.is_stale()), (vec!["10.0.0.2:80 1".to_owned()], false));
}

#[test]
fn what_is_prepared_is_asked_for_before_it_is_served() {
    let (discovery, now) = (Discovery::new(), Instant::now());
    let (old, new) = (upstream(&[("10.0.0.1", 80)], &[], Vec::new()), upstream(&[("a.internal", 80)], &[], Vec::new()));
    assert!(discovery.prepare(std::slice::from_ref(&old), Duration::ZERO));
    assert!(!discovery.prepare(std::slice::from_ref(&new), Duration::ZERO));
    discovery.track([&old], now);
    assert_eq!(names(discovery.due(now, 9)), ["a.internal"]);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| discovery.prepare(std::slice::from_ref(&new), 60 * SECOND));
        discovery.learn_addresses("a.internal", found(&["10.0.0.2"], 5), &rules(), now, 0);
        assert!(waiting.join().unwrap());
    });
    assert_eq!(targets(&discovery, &new), ["10.0.0.2:80 1"]);
}
