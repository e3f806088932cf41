//! Compile: `dns`.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::CompileContext;
use super::numbers;
use crate::config::doc_path::DocPath;
use crate::config::raw;
use crate::config::raw::units::Span;
use crate::config::snapshot::{Dns, Family};
use crate::decision::defaults;

/// Where name servers listen (RFC 1035 §4.2).
const PORT: u16 = 53;
/// Longest of the durations.
const DAY: Duration = Duration::from_secs(86_400);
/// As many as the C library reads from `/etc/resolv.conf`, and a few more.
const MOST_SERVERS: usize = 8;

/// Compiles how names are looked up.
pub fn dns(ctx: &mut CompileContext, raw: &raw::Config) -> Dns {
    let (raw, path) = (&raw.dns, DocPath::root().key("dns"));
    let shortest = span(ctx, &path.key("shortest"), raw.shortest, defaults::DNS_SHORTEST);
    let longest = span(ctx, &path.key("longest"), raw.longest, defaults::DNS_LONGEST.max(shortest));
    if shortest > longest {
        ctx.error_with_help(
            &path.key("shortest"),
            "bounds_crossed",
            "`shortest` is longer than `longest`",
            "write a `shortest` of at most `longest`",
        );
    }
    Dns {
        servers: servers(ctx, &path.key("servers"), &raw.servers),
        timeout: span(ctx, &path.key("timeout"), raw.timeout, defaults::DNS_TIMEOUT),
        attempts: numbers::count(ctx, &path.key("attempts"), raw.attempts, 1..=5, defaults::DNS_ATTEMPTS),
        shortest,
        longest,
        startup: span(ctx, &path.key("startup"), raw.startup, defaults::DNS_STARTUP),
        family: match raw.family {
            raw::dns::Family::Both => Family::Both,
            raw::dns::Family::Ipv4 => Family::Ipv4,
            raw::dns::Family::Ipv6 => Family::Ipv6,
        },
        addresses: numbers::count(ctx, &path.key("addresses"), raw.addresses, 1..=4096, defaults::DNS_ADDRESSES)
            as usize,
    }
}

fn span(ctx: &mut CompileContext, path: &DocPath, written: Option<Span>, default: Duration) -> Duration {
    let span = numbers::span(ctx, path, written, default);
    if span > DAY {
        ctx.error_with_help(path, "out_of_range", "that is longer than a day", "write at most `1d`");
    }
    span.min(DAY)
}

fn servers(ctx: &mut CompileContext, path: &DocPath, raw: &[String]) -> Vec<SocketAddr> {
    if raw.len() > MOST_SERVERS {
        let message = format!("{} name servers are more than are asked in any reasonable time", raw.len());
        ctx.error_with_help(path, "too_many_servers", message, format!("name at most {MOST_SERVERS}"));
    }
    let mut servers = Vec::with_capacity(raw.len());
    for (index, text) in raw.iter().enumerate() {
        match server(text) {
            Some(server) => servers.push(server),
            None => ctx.error_with_help(
                &path.index(index),
                "invalid_address",
                format!("`{text}` is not the address of a name server"),
                "write an IP address, with a port if it is not 53: `10.0.0.2`, `127.0.0.1:5353`, `[::1]:5353`",
            ),
        }
    }
    servers
}

fn server(text: &str) -> Option<SocketAddr> {
    let address = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, PORT)).or_else(|_| text.parse()).ok()?;
    (address.port() != 0).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::environment::Environment;
    use crate::config::load::SourceMap;

    struct Nothing;
    impl Environment for Nothing {
        fn variable(&self, _: &str) -> Option<String> {
            None
        }
        fn read(&self, _: &str) -> std::io::Result<Vec<u8>> {
            Err(std::io::ErrorKind::NotFound.into())
        }
    }

    fn compile(yaml: &str) -> (Dns, Vec<String>) {
        let raw: raw::Config = serde_yaml::from_str(&format!("version: 1\ndns: {{{yaml}}}")).unwrap();
        let places = SourceMap::default();
        let mut ctx = CompileContext::new(&places, &Nothing);
        let dns = dns(&mut ctx, &raw);
        let found = ctx.into_diagnostics().into_iter().map(|found| format!("{} {}", found.code, found.path));
        (dns, found.collect())
    }

    #[test]
    fn what_is_not_written_has_a_default() {
        let (dns, found) = compile("");
        assert!(found.is_empty(), "{found:?}");
        assert_eq!((dns.servers.len(), dns.attempts, dns.addresses), (0, 2, 256));
        assert_eq!((dns.shortest, dns.longest), (Duration::from_secs(1), Duration::from_secs(300)));
        assert_eq!(dns.family, Family::Both);
    }

    #[test]
    fn what_is_written_counts() {
        let (dns, found) =
            compile("servers: ['10.0.0.2', '127.0.0.1:5353', '::1', '[::1]:54'], shortest: 10m, family: ipv4");
        assert!(found.is_empty(), "{found:?}");
        let servers: Vec<String> = dns.servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["10.0.0.2:53", "127.0.0.1:5353", "[::1]:53", "[::1]:54"]);
        // Without a longest of its own, there is none that the shortest could cross.
        assert_eq!((dns.shortest, dns.longest), (Duration::from_secs(600), Duration::from_secs(600)));
        assert_eq!(dns.family, Family::Ipv4);
    }

    #[test]
    fn every_mistake_is_reported_in_one_run() {
        let (_, found) = compile(
            "servers: [dns.example.com, '127.0.0.1:0'], timeout: 25h, attempts: 6, shortest: 2s, longest: 1s, addresses: 0",
        );
        assert_eq!(
            found,
            [
                "bounds_crossed dns.shortest",
                "invalid_address dns.servers[0]",
                "invalid_address dns.servers[1]",
                "out_of_range dns.timeout",
                "out_of_range dns.attempts",
                "out_of_range dns.addresses",
            ]
        );
    }
}
