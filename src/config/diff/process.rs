//! Bounds, lookups, the admin listener, the process and the access log: what there is one of.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::facts::{self, Facts};
use super::guard::Guard;
use super::{Apply, Change, Effect, Subject, Weight, access};
use crate::config::raw::units::{Size, Span, Speed};
use crate::config::snapshot::{AccessLog, Admin, Bounds, Dns, LogFormat, LogOutput, Process, Snapshot};
use crate::decision::request::ReadRules;

/// The file's bounds, and whom it believes.
pub(super) fn bounds(snapshot: &Snapshot) -> Facts {
    let mut facts = Facts::default();
    let Bounds {
        first_request,
        header_time,
        body_idle,
        body_rate,
        write_idle,
        answer_rate,
        keepalive,
        tunnel_idle,
        handshake,
        connections,
        connections_per_address,
        requests_per_connection,
        http2_streams,
        http2_resets,
        http2_control_frames,
    } = snapshot.bounds;
    let bound = Effect::Bound;
    facts.longest(bound, "first_request", first_request);
    facts.longest(bound, "header_time", header_time);
    facts.longest(bound, "body_idle", body_idle);
    facts.longest(bound, "write_idle", write_idle);
    facts.longest(bound, "keepalive", keepalive);
    facts.longest(bound, "tunnel_idle", tunnel_idle);
    facts.longest(bound, "handshake", handshake);
    facts.most(bound, "connections", connections);
    facts.most(bound, "connections_per_address", connections_per_address);
    facts.most(bound, "requests_per_connection", requests_per_connection);
    facts.most(bound, "http2_streams", http2_streams);
    facts.most(bound, "http2_resets", http2_resets);
    facts.most(bound, "http2_control_frames", http2_control_frames);
    for (name, rate) in [("body_rate", body_rate), ("answer_rate", answer_rate)] {
        if let Some(rate) = rate {
            facts.tell(bound, name, Speed(rate)).guard(Guard::AtLeast(rate.get().into()));
        }
    }
    let ReadRules { max_uri, max_header_bytes, max_header_count, trusted_proxies } = &snapshot.rules.read;
    for (name, bytes) in [("uri", *max_uri), ("header", *max_header_bytes)] {
        facts.tell(bound, name, Size(bytes as u64)).guard(Guard::AtMost(bytes as u128));
    }
    facts.most(bound, "header_count", *max_header_count as u64);
    access::believed(&mut facts, "trusted_proxies", trusted_proxies);
    facts
}

/// What differs about the admin listener.
pub(super) fn admin_changes(old: &Snapshot, new: &Snapshot) -> Vec<Change> {
    let (old, new) = (by_name(&old.admin), by_name(&new.admin));
    let existence = |_: &&Admin, _| (Weight::Changed, Apply::Upgrade);
    let told = [Effect::Socket, Effect::Credential];
    facts::by_name(&old, &new, |_| Subject::Admin, |settings| admin(settings), &told, existence)
}

/// There is one at most, so that any name will do.
fn by_name(settings: &Option<Admin>) -> BTreeMap<Arc<str>, &Admin> {
    settings.iter().map(|admin| ("admin".into(), admin)).collect()
}

fn admin(settings: &Admin) -> Facts {
    let mut facts = Facts::default();
    let Admin { address, token, connections, time } = settings;
    facts.tell(Effect::Socket, "address", address).needs_new_process();
    if let Some(token) = token {
        facts.tell(Effect::Credential, "token", "asked for").guard(Guard::Present).seal([token.expose()]);
    }
    facts.most(Effect::Bound, "connections", *connections as u64);
    facts.longest(Effect::Bound, "time", *time);
    facts
}

/// How names are looked up.
pub(super) fn dns(snapshot: &Snapshot) -> Facts {
    let mut facts = Facts::default();
    let Dns { servers, timeout, attempts, shortest, longest, family, addresses } = &snapshot.dns;
    let servers = match servers.as_slice() {
        [] => "the system's".to_owned(),
        servers => servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    };
    facts.tell(Effect::Setting, "servers", servers);
    facts.tell(Effect::Timeout, "timeout", Span(*timeout));
    facts.tell(Effect::Setting, "attempts", attempts);
    facts.tell(Effect::Setting, "shortest", Span(*shortest));
    facts.tell(Effect::Setting, "longest", Span(*longest));
    facts.tell(Effect::Setting, "family", format!("{family:?}").to_lowercase());
    facts.tell(Effect::Bound, "addresses", addresses);
    facts
}

/// The process itself.
pub(super) fn process(snapshot: &Snapshot) -> Facts {
    let mut facts = Facts::default();
    let Process { threads, drain, drain_notice, drain_idle, drain_streams, history, user } = &snapshot.process;
    facts.tell(Effect::Setting, "threads", threads).needs_new_process();
    facts.tell(Effect::Setting, "drain", Span(*drain));
    facts.tell(Effect::Setting, "drain notice", Span(*drain_notice));
    facts.tell(Effect::Setting, "drain idle", Span(*drain_idle));
    facts.tell(Effect::Setting, "drain streams", Span(*drain_streams));
    facts.tell(Effect::Setting, "history", history);
    if let Some(user) = user {
        facts.tell(Effect::Trust, "user", user).guard(Guard::Present).needs_new_process();
    }
    facts
}

/// How requests are logged.
pub(super) fn access_log(snapshot: &Snapshot) -> Facts {
    let mut facts = Facts::default();
    let AccessLog { format, output, queue } = &snapshot.access_log;
    match output {
        LogOutput::Off => facts.tell(Effect::Log, "output", "off").guard(Guard::Rank(0)),
        LogOutput::Stdout => facts.tell(Effect::Log, "output", "standard output").guard(Guard::Rank(1)),
        LogOutput::File(file) => facts.tell(Effect::Log, "output", file.display()).guard(Guard::Rank(1)),
    };
    match format {
        LogFormat::Json => facts.tell(Effect::Log, "format", "json"),
        LogFormat::Combined => facts.tell(Effect::Log, "format", "combined"),
        LogFormat::Template(template) => facts.tell(Effect::Log, "format", template),
    };
    facts.tell(Effect::Log, "queue", queue);
    facts
}
