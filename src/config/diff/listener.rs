//! Listeners: where, encrypted how, and for whom.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::access;
use super::change::{Apply, ConfigChange, Effect, Subject, Weight};
use super::facts::{self, ConfigFacts};
use super::guard::Protection;
use crate::config::snapshot::{Certificate, ListenerConfig, ListenerTls, Snapshot};
use crate::decision::access::authenticator::moment;

pub(super) fn changes(old: &Snapshot, new: &Snapshot) -> Vec<ConfigChange> {
    let told = [Effect::Socket, Effect::Tls, Effect::Protocol];
    let existence = |listener: &&ListenerConfig, added| {
        let open = added && listener.tls.is_none();
        (if open { Weight::Weaker } else { Weight::Changed }, Apply::Upgrade)
    };
    facts::by_name(&by_name(old), &by_name(new), Subject::Listener, |listener| facts(listener), &told, existence)
}

fn by_name(snapshot: &Snapshot) -> BTreeMap<Arc<str>, &ListenerConfig> {
    snapshot.listeners.iter().map(|listener| (listener.name.clone(), listener)).collect()
}

fn facts(listener: &ListenerConfig) -> ConfigFacts {
    let mut facts = ConfigFacts::default();
    let ListenerConfig { name: _, address, tls, http2, proxy_protocol, addresses } = listener;
    facts.tell(Effect::Socket, "address", address).needs_new_process();
    facts.tell(Effect::Protocol, "http2", http2);
    match tls {
        Some(tls) => self::tls(tls, &mut facts),
        None => _ = facts.tell(Effect::Tls, "", "off").guard(Protection::Rank(0)),
    }
    access::believed(&mut facts, "proxy_protocol", proxy_protocol);
    if let Some(rules) = addresses {
        access::addresses(rules, &mut facts);
    }
    facts
}

fn tls(tls: &ListenerTls, facts: &mut ConfigFacts) {
    let ListenerTls { certificates, first_for_unknown } = tls;
    facts.tell(Effect::Tls, "", "on").guard(Protection::Rank(1));
    for Certificate { names, certified } in certificates {
        let name = if names.is_empty() { "certificate without name".to_owned() } else { titled(names) };
        let own = certified.cert.first().map(AsRef::as_ref).unwrap_or_default();
        // A key fits one certificate only, so that a new one shows by its certificate.
        facts.tell(Effect::Credential, name, end(own)).seal(&certified.cert);
    }
    if let (true, Some(first)) = (*first_for_unknown, certificates.first()) {
        facts.tell(Effect::Tls, "for unknown names", titled(&first.names));
    }
}

fn titled(names: &[String]) -> String {
    format!("certificate {}", names.join(", "))
}

/// Until when a certificate in DER is good.
fn end(certificate: &[u8]) -> String {
    let end = X509Certificate::from_der(certificate).ok().and_then(|(_, parsed)| {
        let seconds = u64::try_from(parsed.validity().not_after.timestamp()).ok()?;
        UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
    });
    end.map_or("of unknown end".to_owned(), |end| format!("until {}", moment(end)))
}
