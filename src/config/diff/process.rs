//! Bounds, lookups, the admin listener, the process and the access log: what there is one of.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::change::{Apply, ConfigChange, Effect, Subject, Weight};
use super::facts::{self, ConfigFacts};
use super::guard::Protection;
use super::{access, bounds};
use crate::config::raw::units::Span;
use crate::config::snapshot::{
    AccessLogConfig, AdminConfig, Dns, LogFormat, LogOutput, ProcessConfig, SandboxConfig, Snapshot,
};
use crate::decision::request::ReadRules;

/// The file's bounds, and whom it believes.
pub(super) fn bounds(snapshot: &Snapshot) -> ConfigFacts {
    let mut facts = ConfigFacts::default();
    bounds::bounds(&snapshot.bounds, &mut facts);
    // The others are bounds of the file, and what its rules say.
    let ReadRules {
        max_uri: _,
        max_header_bytes: _,
        max_header_count: _,
        trusted_proxies,
        strict_target,
        names: _,
        via,
        max_passes: _,
    } = &snapshot.rules.read;
    access::believed(&mut facts, "trusted_proxies", trusted_proxies);
    if *strict_target {
        facts.tell(Effect::Bound, "request.target", "strict").guard(Protection::Present);
    }
    facts.tell(Effect::Setting, "via: pseudonym", via.pseudonym());
    facts.tell(Effect::Setting, "via: responses", via.on_responses);
    facts
}

/// What differs about the admin listener.
pub(super) fn admin_changes(old: &Snapshot, new: &Snapshot) -> Vec<ConfigChange> {
    let (old, new) = (by_name(&old.admin), by_name(&new.admin));
    let existence = |_: &&AdminConfig, _| (Weight::Changed, Apply::Upgrade);
    let told = [Effect::Socket, Effect::Credential];
    facts::by_name(&old, &new, |_| Subject::Admin, |settings| admin(settings), &told, existence)
}

/// There is one at most, so that any name will do.
fn by_name(settings: &Option<AdminConfig>) -> BTreeMap<Arc<str>, &AdminConfig> {
    settings.iter().map(|admin| ("admin".into(), admin)).collect()
}

fn admin(settings: &AdminConfig) -> ConfigFacts {
    let mut facts = ConfigFacts::default();
    let AdminConfig { address, token, connections, time } = settings;
    facts.tell(Effect::Socket, "address", address).needs_new_process();
    if let Some(token) = token {
        facts.tell(Effect::Credential, "token", "asked for").guard(Protection::Present).seal([token.expose()]);
    }
    facts.most(Effect::Bound, "connections", *connections as u64);
    facts.longest(Effect::Bound, "time", *time);
    facts
}

/// How names are looked up.
pub(super) fn dns(snapshot: &Snapshot) -> ConfigFacts {
    let mut facts = ConfigFacts::default();
    let Dns { servers, timeout, attempts, shortest, longest, startup, family, addresses } = &snapshot.dns;
    let servers = match servers.as_slice() {
        [] => "the system's".to_owned(),
        servers => servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    };
    facts.tell(Effect::Setting, "servers", servers);
    facts.tell(Effect::Timeout, "timeout", Span(*timeout));
    facts.tell(Effect::Setting, "attempts", attempts);
    facts.tell(Effect::Setting, "shortest", Span(*shortest));
    facts.tell(Effect::Setting, "longest", Span(*longest));
    facts.tell(Effect::Timeout, "startup", Span(*startup));
    facts.tell(Effect::Setting, "family", format!("{family:?}").to_lowercase());
    facts.tell(Effect::Bound, "addresses", addresses);
    facts
}

/// The process itself.
pub(super) fn process(snapshot: &Snapshot) -> ConfigFacts {
    let mut facts = ConfigFacts::default();
    let ProcessConfig {
        threads,
        drain,
        drain_notice,
        drain_idle,
        drain_streams,
        history,
        user,
        core_dumps,
        fast_lane,
        sandbox,
    } = &snapshot.process;
    facts.tell(Effect::Setting, "threads", threads).needs_new_process();
    facts.tell(Effect::Setting, "drain", Span(*drain));
    facts.tell(Effect::Setting, "drain notice", Span(*drain_notice));
    facts.tell(Effect::Setting, "drain idle", Span(*drain_idle));
    facts.tell(Effect::Setting, "drain streams", Span(*drain_streams));
    facts.tell(Effect::Setting, "history", history);
    if let Some(user) = user {
        facts.tell(Effect::Trust, "user", user).guard(Protection::Present).needs_new_process();
    }
    let dumps = if *core_dumps { ("on", Protection::Rank(0)) } else { ("off", Protection::Rank(1)) };
    facts.tell(Effect::Trust, "core dumps", dumps.0).guard(dumps.1).needs_new_process();
    let SandboxConfig { mode, readable } = sandbox;
    facts.tell(Effect::Trust, "sandbox", mode).guard(Protection::Rank(*mode as u8)).needs_new_process();
    for path in readable {
        let name = format!("sandbox: `{}`", path.display());
        facts.tell(Effect::Trust, name, "readable").guard(Protection::Grant).needs_new_process();
    }
    facts.tell(Effect::Setting, "fast lane", if *fast_lane { "on" } else { "off" }).needs_new_process();
    facts
}

/// How requests are logged.
pub(super) fn access_log(snapshot: &Snapshot) -> ConfigFacts {
    let mut facts = ConfigFacts::default();
    let AccessLogConfig { format, output, queue } = &snapshot.access_log;
    match output {
        LogOutput::Off => facts.tell(Effect::Log, "output", "off").guard(Protection::Rank(0)),
        LogOutput::Stdout => facts.tell(Effect::Log, "output", "standard output").guard(Protection::Rank(1)),
        LogOutput::File(file) => facts.tell(Effect::Log, "output", file.display()).guard(Protection::Rank(1)),
    };
    match format {
        LogFormat::Json => facts.tell(Effect::Log, "format", "json"),
        LogFormat::Combined => facts.tell(Effect::Log, "format", "combined"),
        LogFormat::Template(template) => facts.tell(Effect::Log, "format", template),
    };
    facts.tell(Effect::Log, "queue", queue);
    facts
}
