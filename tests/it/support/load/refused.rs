//! Clients whose requests are refused by a rule or for their form.

use std::io;

use super::super::client::Client;
use super::{Target, Turn, wrong};

/// The key that `/keyed` takes, which is the one of `conf/examples/api-keys.yaml`.
const KEY: &str = "pk_example_only_not_a_secret_do_not_use";
/// Its hash, for the configuration.
pub const KEY_HASH: &str = "sha256:632e6c32131fa72ce40613809a9a5f5a9a848ff65c908e6ace47cf9dc86b71b4";

/// A GET whose answer is known.
pub(super) struct Refused {
    pub path: &'static str,
    pub key: Option<&'static str>,
    statuses: &'static [u16],
}

/// What is the same over HTTP/1 and HTTP/2.
pub(super) const REFUSED: &[Refused] = &[
    Refused { path: "/keyed", key: None, statuses: &[401] },
    Refused { path: "/keyed", key: Some("pk_another"), statuses: &[401] },
    Refused { path: "/keyed", key: Some(KEY), statuses: &[200] },
    Refused { path: "/denied", key: None, statuses: &[403] },
    Refused { path: "/nowhere", key: None, statuses: &[404] },
    Refused { path: "/%2e%2e%2f", key: None, statuses: &[400] },
    Refused { path: "/limited", key: None, statuses: &[200, 429] },
];

impl Refused {
    pub(super) fn check(&self, status: u16) -> io::Result<()> {
        if self.statuses.contains(&status) {
            return Ok(());
        }
        Err(wrong(format!("{} was answered {status} instead of {:?}", self.path, self.statuses)))
    }
}

/// What only HTTP/1 can express: the head after the target, and the status.
const HEADS: &[(&str, &str, &str, u16)] = &[
    ("GET", "/small", "HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", 400),
    ("GET", "/small", "HTTP/1.1\r\n\r\n", 400),
    ("POST", "/small", "HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    ("GET", "/small", "HTTP/2.7\r\nHost: a\r\n\r\n", 505),
    ("TRACE", "/small", "HTTP/1.1\r\nHost: a\r\n\r\n", 405),
    ("DELETE", "/small", "HTTP/1.1\r\nHost: a\r\n\r\n", 405),
    ("POST", "/upload", "HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n", 413),
    // Never complete: `bounds.header_time` ends it.
    ("GET", "/small", "HTTP/1.1\r\nHost: a\r\n", 408),
];

pub(super) fn over_http1(target: &Target, turn: &mut Turn) -> io::Result<()> {
    let mut client = Client::try_connect(target.plain)?;
    for _ in 0..20 {
        if !turn.goes_on() {
            break;
        }
        let case = &REFUSED[turn.rng.usize(..REFUSED.len())];
        let (status, open) = turn.ask(case.path, |path| {
            let key = case.key.map(|key| ("X-Api-Key", key));
            client.send_request("GET", path, key.as_slice(), b"")?;
            let answer = client.try_read_response(false)?;
            Ok((answer.status, (answer.status, answer.leaves_open())))
        })?;
        case.check(status)?;
        turn.rest();
        if !open {
            break;
        }
    }
    let &(method, path, rest, expected) = &HEADS[turn.rng.usize(..HEADS.len())];
    let status = turn.ask(path, |path| {
        let mut client = Client::try_connect(target.plain)?;
        client.try_send(format!("{method} {path} {rest}"))?;
        let status = client.try_read_response(false)?.status;
        Ok((status, status))
    })?;
    turn.rest();
    if status == expected { Ok(()) } else { Err(wrong(format!("{method} {path} {rest:?} was answered {status}"))) }
}
