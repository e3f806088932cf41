//! What a request costs before anything is fetched: reading it, finding its route among few and many, and finding its
//! client in address lists, short and long.
//!
//! `find` must stay flat from 1 to 100,000 routes; what growth remains is the processor's cache. `build` is paid at each
//! load of a configuration, off the request path. `address` is what a rule adds to a request.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use portcullis::decision::access::address::AddressSet;
use portcullis::decision::bounds::Bounds;
use portcullis::decision::ids::RouteId;
use portcullis::decision::request::connection::ConnectionFacts;
use portcullis::decision::request::fields::FieldNames;
use portcullis::decision::request::{NormalizedRequest, RawRequest, ReadRules, Scheme, read};
use portcullis::decision::response::byte_head::ByteHead;
use portcullis::decision::response::framing::FramingPolicy;
use portcullis::decision::response::{Operations, ResponseRules};
use portcullis::decision::route::{HostPattern, Match, PathPattern, Segment, Table};

const SIZES: [u32; 4] = [1, 100, 10_000, 100_000];

/// Ten routes a host: four exact paths, three with parameters, three prefixes.
fn routes(count: u32) -> Vec<Match> {
    (0..count)
        .map(|id| {
            let path = match id % 10 {
                kind @ 0..4 => PathPattern::Exact(format!("/v1/exact/{kind}")),
                kind @ 4..7 => PathPattern::Parameters(vec![
                    Segment::Literal("v1".into()),
                    Segment::Literal(format!("orders{kind}")),
                    Segment::Parameter("id".into()),
                ]),
                kind => PathPattern::Prefix(format!("/static/{kind}/")),
            };
            Match {
                hosts: vec![HostPattern::Exact(format!("h{}.example.com", id / 10))],
                paths: vec![path],
                ..Match::any(RouteId(id))
            }
        })
        .collect()
}

fn headers() -> HeaderMap {
    [
        ("host", "h0.example.com"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("accept-language", "en-US,en;q=0.5"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("cookie", "session=0123456789abcdef0123456789abcdef"),
        ("x-forwarded-for", "203.0.113.9, 10.0.0.2"),
        ("connection", "keep-alive"),
    ]
    .into_iter()
    .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
    .collect()
}

fn reading(criterion: &mut Criterion) {
    let bounds = Bounds::default();
    let rules = ReadRules {
        max_uri: bounds.uri as usize,
        max_header_bytes: bounds.header_bytes as usize,
        max_header_count: bounds.header_count as usize,
        trusted_proxies: vec!["10.0.0.0/8".parse().expect("a range")],
        strict_target: false,
        names: FieldNames::default(),
        via: Default::default(),
        max_passes: bounds.passes,
    };
    let headers = headers();
    let mut group = criterion.benchmark_group("read");
    for (name, target, peer) in [
        ("plain", "/v1/orders/1234567?expand=lines", [192, 0, 2, 1]),
        ("escaped", "/v1/./%6frders//1234%2C567?expand=lines", [192, 0, 2, 1]),
        ("through-proxy", "/v1/orders/1234567?expand=lines", [10, 0, 0, 1]),
    ] {
        let connection = ConnectionFacts::supposed(IpAddr::from(peer), Scheme::Https);
        let raw = RawRequest {
            method: &Method::GET,
            target: target.as_bytes(),
            authority: None,
            fields: (&headers).into(),
            version: http::Version::HTTP_11,
            connection: &connection,
        };
        group.bench_function(name, |bencher| bencher.iter(|| read(&rules, black_box(&raw))));
    }
}

fn finding(criterion: &mut Criterion) {
    let headers = headers();
    let connection = ConnectionFacts::supposed(Ipv4Addr::LOCALHOST.into(), Scheme::Https);
    let raw = RawRequest {
        method: &Method::GET,
        target: b"/",
        authority: None,
        fields: (&headers).into(),
        version: http::Version::HTTP_11,
        connection: &connection,
    };
    let mut group = criterion.benchmark_group("find");
    for size in SIZES {
        let table = Table::build(routes(size)).expect("the routes are unambiguous");
        // The last host of the file; with one route, all but `exact` miss.
        let host = format!("h{}.example.com", (size - 1) / 10);
        for (name, path) in [
            ("exact", "/v1/exact/0"),
            ("parameter", "/v1/orders5/1234567"),
            ("prefix", "/static/8/css/site.css"),
            ("missing", "/v2/nothing/here"),
        ] {
            let mut normal = NormalizedRequest {
                host: host.clone(),
                port: None,
                path: path.into(),
                query: None,
                path_changed: false,
                spelling: Default::default(),
                client: Ipv4Addr::LOCALHOST.into(),
                scheme: Scheme::Https,
                trusted_peer: false,
                request_id: None,
                conflict: None,
            };
            group.bench_function(BenchmarkId::new(name, size), |bencher| {
                bencher.iter(|| table.find(&raw, black_box(&mut normal)));
            });
        }
    }
}

fn building(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("build");
    group.sample_size(10);
    for size in SIZES {
        let routes = routes(size);
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter_batched(|| routes.clone(), Table::build, BatchSize::LargeInput);
        });
    }
}

/// Lists of as many ranges as their name says, half of them IPv4, asked for 4096 addresses of which half are in them.
fn addresses(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("address");
    let mut random = fastrand::Rng::with_seed(1);
    for size in [10, 1000, 100_000] {
        let ranges: Vec<IpNet> = (0..size)
            .map(|index| match index % 2 {
                0 => Ipv4Net::new_assert(Ipv4Addr::from(random.u32(..)), 28).into(),
                _ => Ipv6Net::new_assert(Ipv6Addr::from(random.u128(..)), 56).into(),
            })
            .collect();
        let set: AddressSet = ranges.iter().copied().collect();
        for (name, version) in [("ipv4", 0), ("ipv6", 1)] {
            let asked: Vec<IpAddr> = (0..4096)
                .map(|index| match (index % 2, version) {
                    (0, _) => ranges[random.usize(..ranges.len() / 2) * 2 + version].broadcast(),
                    (_, 0) => Ipv4Addr::from(random.u32(..)).into(),
                    _ => Ipv6Addr::from(random.u128(..)).into(),
                })
                .collect();
            let mut next = asked.iter().cycle();
            group.bench_function(BenchmarkId::new(name, size), |bencher| {
                bencher.iter(|| next.next().map(|address| set.contains(black_box(*address))));
            });
        }
    }
}

/// The declared headers on the answer of an origin, as a map and as received.
fn responding(criterion: &mut Criterion) {
    let pair =
        |name: &'static str, value: &'static str| (HeaderName::from_static(name), HeaderValue::from_static(value));
    let operations = || Operations {
        remove: vec![HeaderName::from_static("server"), HeaderName::from_static("x-powered-by")],
        set: vec![pair("x-content-type-options", "nosniff"), pair("strict-transport-security", "max-age=31536000")],
        default: vec![pair("referrer-policy", "no-referrer")],
        ..Operations::default()
    };
    let plain = ResponseRules::new(operations(), None, Default::default());
    let framed = ResponseRules::new(operations(), Some(FramingPolicy::deny()), Default::default());
    let head = "HTTP/1.1 200 OK\r\nDate: Mon, 30 Nov 2026 12:00:00 GMT\r\nServer: nginx\r\nContent-Type: text/html\r\n\
                Content-Length: 1024\r\nX-Frame-Options: SAMEORIGIN\r\nCache-Control: no-store\r\n\r\n";
    let mut map = HeaderMap::with_capacity(12);
    for line in head.lines().skip(1).filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ").expect("a field line");
        map.append(HeaderName::try_from(name).expect("a name"), HeaderValue::from_static(value));
    }
    let mut group = criterion.benchmark_group("respond");
    for (name, rules) in [("plain", &plain), ("framed", &framed)] {
        group.bench_function(BenchmarkId::new("map", name), |bencher| {
            bencher.iter_batched_ref(|| map.clone(), |map| rules.apply(None, map), BatchSize::SmallInput);
        });
        let mut out = Vec::with_capacity(1024);
        group.bench_function(BenchmarkId::new("bytes", name), |bencher| {
            bencher.iter(|| {
                let mut edited = ByteHead::read(black_box(head.as_bytes())).expect("a head");
                rules.apply(None, &mut edited);
                out.clear();
                edited.write(&mut out);
            });
        });
    }
}

criterion_group!(benches, reading, finding, building, addresses, responding);
criterion_main!(benches);
