//! Compile: `listeners`, `process`, `trusted_proxies`.

mod certificate;
mod process;
mod sandbox;
mod user;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::address::{self, Scope};
use super::{CompileContext, names};
use crate::config::doc_path::DocPath;
use crate::config::raw;
use crate::config::raw::listener::UnknownName;
use crate::config::snapshot::{ListenerConfig, ListenerTls};

pub use process::{process, read_rules};

/// The listeners whose address is right. What else is wrong with one is reported, so that it never serves.
pub fn listeners(ctx: &mut CompileContext, lists: &mut address::ListFiles, raw: &raw::Config) -> Vec<ListenerConfig> {
    let list = DocPath::root().key("listeners");
    if raw.listeners.is_empty() {
        let help = "add a listener, such as `- {name: public, address: \"127.0.0.1:8080\"}`";
        ctx.error_with_help(&list, "listeners_missing", "there is no listener, so nothing could be served", help);
    }
    names::titles(ctx, &list, raw.listeners.iter().map(|listener| listener.name.as_str()));

    let mut taken: Vec<(SocketAddr, DocPath)> = Vec::new();
    let mut listeners = Vec::new();
    for (index, written) in raw.listeners.iter().enumerate() {
        let path = list.index(index);
        let address_path = path.key("address");
        let tls = written.tls.as_ref().map(|tls| self::tls(ctx, &path.key("tls"), tls));
        let announcers = written.proxy_protocol.as_ref();
        let proxy_protocol = announcers.map_or(Vec::new(), |written| proxy_protocol(ctx, &path, written));
        let addresses = written
            .addresses
            .as_ref()
            .and_then(|addresses| address::rules(ctx, lists, &path.key("addresses"), Scope::Listener, addresses));
        let Some(address) = parse_address(ctx, &address_path, &written.address) else { continue };
        if let Some((other, first)) = taken.iter().find(|(other, _)| overlap(address, *other)) {
            let message = format!("{address} overlaps with {other} at {}", ctx.place(first));
            ctx.error(&address_path, "duplicate_address", message);
        }
        taken.push((address, address_path));
        let http2 = written.http2.unwrap_or(tls.is_some());
        let name = written.name.as_str().into();
        listeners.push(ListenerConfig { name, address, tls, http2, proxy_protocol, addresses });
    }
    listeners
}

fn tls(ctx: &mut CompileContext, path: &DocPath, written: &raw::listener::Tls) -> ListenerTls {
    let list = path.key("certificates");
    if written.certificates.is_empty() {
        ctx.error(&list, "certificates_missing", "a TLS listener needs at least one certificate");
    }
    let certificates = written
        .certificates
        .iter()
        .enumerate()
        .filter_map(|(index, files)| certificate::load(ctx, &list.index(index), files))
        .collect();
    ListenerTls { certificates, first_for_unknown: written.unknown_name == UnknownName::First }
}

/// The load balancers that announce their clients to the listener at `path`.
fn proxy_protocol(ctx: &mut CompileContext, path: &DocPath, written: &raw::listener::ProxyProtocol) -> Vec<IpNet> {
    let list = path.key("proxy_protocol").key("from");
    if written.from.is_empty() {
        let help = "name your load balancers, such as `from: [10.0.0.0/8]`, or remove `proxy_protocol`";
        ctx.error_with_help(&list, "ranges_missing", "nobody is listed who could announce a client", help);
    }
    process::ranges(ctx, &list, &written.from, "name the addresses of your own load balancers only")
}

/// The IP address and port that `text` says, or a diagnostic at `path`.
pub(super) fn parse_address(ctx: &mut CompileContext, path: &DocPath, text: &str) -> Option<SocketAddr> {
    let text = text.trim();
    let address = match text.parse::<SocketAddr>() {
        Ok(address) => address,
        Err(_) => {
            let (message, help) = wrong_address(text);
            ctx.error_with_help(path, "invalid_address", message, help);
            return None;
        }
    };
    if address.port() == 0 {
        let help = "choose a port from 1 to 65535";
        ctx.error_with_help(path, "invalid_address", "port 0 means any port, and nobody would know which", help);
        return None;
    }
    Some(address)
}

/// What is wrong with `text`, and what to write instead.
fn wrong_address(text: &str) -> (String, String) {
    let usual = "write an IP address and a port, such as `127.0.0.1:8080` or `[::]:443`".to_owned();
    if text.parse::<IpAddr>().is_ok() {
        let host = if text.contains(':') { format!("[{text}]") } else { text.to_owned() };
        return (format!("`{text}` has no port"), format!("write for example `{host}:8080`"));
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return (format!("`{text}` is not an address with a port"), usual);
    };
    if port.parse::<u16>().is_err() {
        return (format!("`{port}` is not a port"), "a port is a number from 1 to 65535".to_owned());
    }
    match host {
        "" | "*" => (format!("`{text}` has no address"), format!("for every address write `0.0.0.0:{port}`")),
        "localhost" => (
            "`localhost` is a name, and a listener needs an IP address".to_owned(),
            format!("write `127.0.0.1:{port}` or `[::1]:{port}`"),
        ),
        _ => (format!("`{host}` is not an IP address (IPv6 stands in brackets)"), usual),
    }
}

/// Whether two listeners can't both have their address. `[::]` takes IPv4 too, as Linux does by default.
pub(super) fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let covers = |wide: IpAddr, narrow: IpAddr| match wide {
        IpAddr::V4(wide) => wide.is_unspecified() && narrow.is_ipv4(),
        IpAddr::V6(wide) => wide.is_unspecified(),
    };
    let (left, right) = (a.ip().to_canonical(), b.ip().to_canonical());
    a.port() == b.port() && (left == right || covers(left, right) || covers(right, left))
}
