//! Bounds, lookups, the admin listener, the process and the access log: what there is one of.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::change::{Apply, Change, Effect, Subject, Weight};
use super::facts::{self, Facts};
use super::guard::Guard;
use super::{access, bounds};
use crate::config::raw::units::Span;
use crate::config::snapshot::{AccessLog, Admin, Dns, LogFormat, LogOutput, Process, Snapshot};
use crate::decision::request::ReadRules;

/// The file's bounds, and whom it believes.
pub(super) fn bounds(snapshot: &Snapshot) -> Facts {
    let mut facts = Facts::default();
    bounds::bounds(&snapshot.bounds, &mut facts);
    // The others are bounds of the file.
    let ReadRules { max_uri: _, max_header_bytes: _, max_header_count: _, trusted_proxies } = &snapshot.rules.read;
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
