//! The normal form of a host.

use std::fmt;
use std::net::Ipv6Addr;

/// A host in normal form, and the port if one was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// Lower case, without trailing dot; IPv6 in brackets, in the spelling of RFC 5952.
    pub host: String,
    pub port: Option<u16>,
}

/// Why a text is not a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostError {
    /// Nothing is there.
    Empty,
    /// More than 253 bytes.
    TooLong,
    /// Not a letter, digit, `-`, `_` or `.`.
    Character,
    /// Empty between two dots, or longer than 63 bytes.
    Label,
    /// In brackets, but no IPv6 address.
    Address,
    /// No number from 1 to 65535.
    Port,
}

impl HostError {
    /// The reason as half a sentence, fit for a log line and for a diagnostic.
    pub const fn as_str(self) -> &'static str {
        match self {
            HostError::Empty => "the host is empty",
            HostError::TooLong => "the host is longer than 253 bytes",
            HostError::Character => "the host contains a character other than letters, digits, `-`, `_` and `.`",
            HostError::Label => "the host has a label that is empty or longer than 63 bytes",
            HostError::Address => "the host is not a valid IPv6 address in brackets",
            HostError::Port => "the port is not a number from 1 to 65535",
        }
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

/// Longest name in bytes, and longest label of it (RFC 1035 §2.3.4).
const MAX_NAME_BYTES: usize = 253;
const MAX_LABEL_BYTES: usize = 63;

/// Reads `host` or `host:port`; the port may be empty, which is the scheme's (RFC 9110 §4.2.1, RFC 3986 §3.2.3). User information, spaces and percent escapes are refused; one trailing dot is dropped.
pub fn parse(authority: &str) -> Result<Authority, HostError> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (address, rest) = rest.split_once(']').ok_or(HostError::Address)?;
        let address: Ipv6Addr = address.parse().map_err(|_| HostError::Address)?;
        let port = match rest.strip_prefix(':') {
            Some(port) => parse_port(port)?,
            None if rest.is_empty() => None,
            None => return Err(HostError::Address),
        };
        return Ok(Authority { host: format!("[{address}]"), port });
    }
    let (name, port) = match authority.split_once(':') {
        Some((name, port)) => (name, parse_port(port)?),
        None => (authority, None),
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    check_name(name)?;
    Ok(Authority { host: name.to_ascii_lowercase(), port })
}

fn parse_port(digits: &str) -> Result<Option<u16>, HostError> {
    if digits.is_empty() {
        return Ok(None);
    }
    // `parse` alone would take a leading plus sign.
    let plain = digits.len() <= 5 && digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|&port| plain && port > 0).map(Some).ok_or(HostError::Port)
}

fn check_name(name: &str) -> Result<(), HostError> {
    if name.is_empty() {
        return Err(HostError::Empty);
    }
    if name.len() > MAX_NAME_BYTES {
        return Err(HostError::TooLong);
    }
    let mut label = 0;
    for byte in name.bytes() {
        match byte {
            b'.' if label == 0 => return Err(HostError::Label),
            b'.' => label = 0,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => label += 1,
            _ => return Err(HostError::Character),
        }
        if label > MAX_LABEL_BYTES {
            return Err(HostError::Label);
        }
    }
    if label == 0 { Err(HostError::Label) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spellings_of_one_host_have_one_normal_form() {
        for (text, host, port) in [
            ("example.com", "example.com", None),
            ("API.Example.COM.", "api.example.com", None),
            ("example.com:8080", "example.com", Some(8080)),
            ("example.com.:443", "example.com", Some(443)),
            ("127.0.0.1:1", "127.0.0.1", Some(1)),
            ("example.com:", "example.com", None),
            ("[::1]:", "[::1]", None),
            ("[0:0::1]", "[::1]", None),
            ("[2001:DB8::1]:65535", "[2001:db8::1]", Some(65535)),
        ] {
            assert_eq!(parse(text), Ok(Authority { host: host.into(), port }), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_host_is_refused() {
        for (text, expected) in [
            ("", HostError::Empty),
            (".", HostError::Empty),
            (":80", HostError::Empty),
            ("a..b", HostError::Label),
            (".a", HostError::Label),
            ("a..", HostError::Label),
            ("user@example.com", HostError::Character),
            ("exa mple.com", HostError::Character),
            ("ex%61mple.com", HostError::Character),
            ("a/b", HostError::Character),
            ("b\u{fc}cher.example", HostError::Character),
            ("a:0", HostError::Port),
            ("a:+80", HostError::Port),
            ("a:65536", HostError::Port),
            ("a:080080", HostError::Port),
            ("a:80:80", HostError::Port),
            ("::1", HostError::Port),
            ("[::1", HostError::Address),
            ("[::1]x", HostError::Address),
            ("[fe80::1%25eth0]", HostError::Address),
            ("[127.0.0.1]", HostError::Address),
        ] {
            assert_eq!(parse(text), Err(expected), "{text}");
        }
        assert_eq!(parse(&"a".repeat(64)), Err(HostError::Label));
        assert_eq!(parse(&"a.".repeat(130)), Err(HostError::TooLong));
    }

    proptest! {
        #[test]
        fn normal_hosts_stay_as_they_are(text in "[A-Za-z0-9.:\\[\\]@-]{0,24}") {
            if let Ok(once) = parse(&text) {
                prop_assert_eq!(parse(&once.host), Ok(Authority { host: once.host.clone(), port: None }));
            }
        }
    }
}
