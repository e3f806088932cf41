//! `host:port`, as endpoints are written.

use std::net::{Ipv4Addr, Ipv6Addr};

/// What is wrong with an address, and what to write instead.
#[derive(Debug, PartialEq)]
pub(super) struct InvalidAddress {
    pub message: String,
    pub help: String,
}

/// The host (an IP address without brackets, or a DNS name in lower case) and the port.
pub(super) fn parse(text: &str) -> Result<(String, u16), InvalidAddress> {
    if let Some((_, host)) = text.rsplit_once('@') {
        return Err(InvalidAddress {
            message: "an endpoint is an address without a user and a password, which are not shown".to_owned(),
            help: format!("write `{}` with its port", host.trim_end_matches('/')),
        });
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        let wrong = wrong(text, "an endpoint is an address, not a URL");
        let help = match (scheme, rest.trim_end_matches('/')) {
            ("https", rest) => format!("write `{rest}` with its port, and `tls` on the upstream"),
            (_, rest) => format!("write `{rest}` with its port"),
        };
        return Err(InvalidAddress { help, ..wrong });
    }
    let (host, port) = split(text)?;
    // `u16::parse` takes a sign, which no port has.
    match port.parse() {
        Ok(number) if number > 0 && port.bytes().all(|byte| byte.is_ascii_digit()) => Ok((host, number)),
        _ => Err(InvalidAddress {
            help: "write a number from 1 to 65535 after the colon".to_owned(),
            ..wrong(text, "its port is not a port")
        }),
    }
}

fn split(text: &str) -> Result<(String, &str), InvalidAddress> {
    if let Some(rest) = text.strip_prefix('[') {
        let (inside, port) = rest.split_once("]:").ok_or_else(|| wrong(text, "it has no `]:` with a port after it"))?;
        let address: Ipv6Addr =
            inside.parse().map_err(|_| wrong(text, "what stands in brackets is not an IPv6 address"))?;
        return Ok((address.to_string(), port));
    }
    if text.parse::<Ipv6Addr>().is_ok() || text.matches(':').count() > 1 {
        return Err(InvalidAddress {
            help: "put the IPv6 address into brackets, such as `[::1]:9001`".to_owned(),
            ..wrong(text, "it can't be told where the IPv6 address ends and the port begins")
        });
    }
    let (host, port) = text.split_once(':').ok_or_else(|| wrong(text, "it has no port"))?;
    if let Ok(address) = host.parse::<Ipv4Addr>() {
        return Ok((address.to_string(), port));
    }
    check_name(host).map_err(|why| wrong(text, why))?;
    Ok((host.to_ascii_lowercase(), port))
}

/// DNS syntax (RFC 1123 §2.1), and underscores, which container networks have in their names.
pub(super) fn check_name(name: &str) -> Result<(), &'static str> {
    // A dot at the end keeps the resolver from trying its search list.
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() {
        return Err("it has no host");
    }
    if name.len() > 253 {
        return Err("its host is longer than the 253 characters that DNS allows");
    }
    for label in name.split('.') {
        if label.is_empty() || label.len() > 63 {
            return Err("the parts of its host are not 1 to 63 characters long");
        }
        if !label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
            return Err("its host has characters that no DNS name has");
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err("a part of its host begins or ends with `-`");
        }
    }
    // No top-level domain is a number: this was meant as an address.
    if name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err("its host is neither an IP address nor a DNS name");
    }
    Ok(())
}

fn wrong(text: &str, why: &str) -> InvalidAddress {
    InvalidAddress {
        message: format!("`{text}` is not the address of an endpoint: {why}"),
        help: "write `host:port`, such as `127.0.0.1:9001`, `[::1]:9001` or `orders.internal:80`".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn is(text: &str, host: &str, port: u16) {
        assert_eq!(parse(text), Ok((host.to_owned(), port)));
    }

    #[track_caller]
    fn wrong_because(text: &str, part: &str) {
        let wrong = parse(text).unwrap_err();
        assert!(format!("{} {}", wrong.message, wrong.help).contains(part), "{wrong:?}");
    }

    #[test]
    fn addresses_and_names_are_told_apart() {
        is("127.0.0.1:9001", "127.0.0.1", 9001);
        is("[0:0::1]:80", "::1", 80);
        is("Orders.Internal:65535", "orders.internal", 65535);
        is("my_service:80", "my_service", 80);
        is("orders.svc.cluster.local.:80", "orders.svc.cluster.local.", 80);
    }

    #[test]
    fn a_password_in_a_url_is_not_shown() {
        for text in ["http://ann:hunter2@a.example:80/", "ann:hunter2@a.example", "https://ann:hunter2@x@a.example"] {
            let wrong = parse(text).unwrap_err();
            assert!(!format!("{wrong:?}").contains("hunter2") && wrong.help.contains("`a.example"), "{wrong:?}");
        }
    }

    #[test]
    fn every_mistake_has_its_own_words() {
        wrong_because("orders", "no port");
        wrong_because("orders:", "port is not a port");
        wrong_because("orders:0", "1 to 65535");
        wrong_because("orders:65536", "1 to 65535");
        wrong_because("orders:+80", "port is not a port");
        wrong_because(":80", "no host");
        wrong_because("::1:80", "brackets");
        wrong_because("[::1]", "`]:`");
        wrong_because("[fe80::1%eth0]:80", "not an IPv6 address");
        wrong_because("[10.0.0.1]:80", "not an IPv6 address");
        wrong_because("10.0.0.256:80", "neither an IP address nor a DNS name");
        wrong_because("a..b:80", "1 to 63");
        wrong_because("-a:80", "`-`");
        wrong_because("a b:80", "no DNS name has");
        wrong_because("https://orders:443/", "`tls` on the upstream");
        wrong_because(&format!("{}:80", "a.".repeat(130)), "253");
    }

    proptest! {
        #[test]
        fn any_text_is_an_address_or_wrong(text in "\\PC{0,40}|[a-z0-9.:\\[\\]_-]{0,40}") {
            if let Ok((host, port)) = parse(&text) {
                prop_assert!(port > 0 && !host.is_empty());
                let again = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
                prop_assert_eq!(parse(&again), Ok((host, port)));
            }
        }
    }
}
