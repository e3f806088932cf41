//! One difference, in words and for programs.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde_json::{Value, json};

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigChange {
    /// What it means for protection.
    pub weight: Weight,
    /// Which effect differs.
    pub effect: Effect,
    /// What it is about.
    pub subject: Subject,
    /// Which one of several, such as the name of the header. Empty where there is but one.
    pub name: String,
    /// As it was, in words. `None`: it was not there.
    pub before: Option<String>,
    /// As it will be, in words. `None`: it will not be there.
    pub after: Option<String>,
    /// How it takes effect.
    pub apply: Apply,
}

/// What a change means for protection, what matters most first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Something is let in, trusted, shown or allowed that was not.
    Weaker,
    /// Something else happens, or nobody can tell which way it goes.
    Changed,
    /// Less is let in, trusted, shown or allowed than was.
    Stronger,
}

/// How a change takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Apply {
    /// By a reload.
    Live,
    /// By `portcullis upgrade`, which starts a new process.
    Upgrade,
}

/// What a change is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// Every answer, whether a route made it or none.
    Answers,
    /// Routes for which the same changes; with `every`, all that both configurations have.
    Routes {
        names: Vec<Arc<str>>,
        every: bool,
    },
    /// Answers to requests that no route takes.
    Unrouted,
    Identity(Arc<str>),
    Listener(Arc<str>),
    Upstream(Arc<str>),
    Bounds,
    Dns,
    Admin,
    Process,
    AccessLog,
}

/// Which effect of a subject differs, in the order in which they matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// The subject itself: added or removed.
    Existence,
    /// Who may come in.
    Access,
    /// Who may come in, by address.
    Addresses,
    /// Whether and how a connection is encrypted.
    Tls,
    /// Who is believed what others may not say.
    Trust,
    /// How a caller is recognised.
    Recognition,
    /// Keys, tokens and certificates.
    Credential,
    /// How much a caller may.
    Limit,
    /// Who may frame an answer.
    Framing,
    /// A response header.
    Header,
    /// A bound on size, time or number.
    Bound,
    /// Which requests a route takes.
    Match,
    /// What becomes of an admitted request.
    Destination,
    /// An error page.
    ErrorPage,
    /// An address of an upstream.
    Endpoint,
    /// How an endpoint is chosen, and when it counts as healthy.
    Balance,
    /// How long something is waited for.
    Timeout,
    /// What is spoken on a connection.
    Protocol,
    /// Where something listens.
    Socket,
    /// What is written down.
    Log,
    /// Something else.
    Setting,
}

impl ConfigChange {
    /// What differs, without the subject: `header x-frame-options`.
    pub fn label(&self) -> Cow<'static, str> {
        match (self.effect, &self.before) {
            (Effect::Existence, None) => "added".into(),
            (Effect::Existence, Some(_)) => "removed".into(),
            _ => label(self.effect, &self.name),
        }
    }

    /// From what to what: `DENY -> SAMEORIGIN`.
    pub fn step(&self) -> String {
        let said = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
        match self.effect {
            Effect::Existence => self.before.as_ref().or(self.after.as_ref()).cloned().unwrap_or_default(),
            _ => format!("{} -> {}", said(&self.before), said(&self.after)),
        }
    }

    /// For programs.
    pub fn json(&self) -> Value {
        json!({
            "subject": self.subject.json(),
            "effect": self.effect.code(),
            "name": Some(&self.name).filter(|name| !name.is_empty()),
            "before": self.before,
            "after": self.after,
            "weight": self.weight.code(),
            "apply": self.apply.code(),
        })
    }
}

/// On one line: `route orders: access: corp -> public (weaker)`.
impl fmt::Display for ConfigChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.subject, self.label(), self.step())?;
        match self.weight {
            Weight::Weaker => f.write_str(" (weaker)")?,
            Weight::Stronger => f.write_str(" (stronger)")?,
            Weight::Changed => {}
        }
        match self.apply {
            Apply::Upgrade => f.write_str(" (by `portcullis upgrade`)"),
            Apply::Live => Ok(()),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Answers => f.write_str("every answer"),
            Subject::Routes { every: true, .. } => f.write_str("every route"),
            Subject::Routes { names, .. } => {
                let s = if names.len() == 1 { "" } else { "s" };
                write!(f, "route{s} {}", names.join(", "))
            }
            Subject::Unrouted => f.write_str("answers without a route"),
            Subject::Identity(name) => write!(f, "identity {name}"),
            Subject::Listener(name) => write!(f, "listener {name}"),
            Subject::Upstream(name) => write!(f, "upstream {name}"),
            Subject::Bounds => f.write_str("bounds"),
            Subject::Dns => f.write_str("dns"),
            Subject::Admin => f.write_str("admin"),
            Subject::Process => f.write_str("process"),
            Subject::AccessLog => f.write_str("access log"),
        }
    }
}

impl Subject {
    fn json(&self) -> Value {
        let (kind, names) = match self {
            Subject::Answers => ("answers", [].as_slice()),
            Subject::Routes { names, .. } => ("route", names.as_slice()),
            Subject::Unrouted => ("unrouted", [].as_slice()),
            Subject::Identity(name) => ("identity", std::slice::from_ref(name)),
            Subject::Listener(name) => ("listener", std::slice::from_ref(name)),
            Subject::Upstream(name) => ("upstream", std::slice::from_ref(name)),
            Subject::Bounds => ("bounds", [].as_slice()),
            Subject::Dns => ("dns", [].as_slice()),
            Subject::Admin => ("admin", [].as_slice()),
            Subject::Process => ("process", [].as_slice()),
            Subject::AccessLog => ("access_log", [].as_slice()),
        };
        json!({ "kind": kind, "names": names.iter().map(|name| &**name).collect::<Vec<_>>() })
    }
}

impl Weight {
    /// Stable, for programs.
    pub const fn code(self) -> &'static str {
        match self {
            Weight::Weaker => "weaker",
            Weight::Changed => "changed",
            Weight::Stronger => "stronger",
        }
    }
}

impl Apply {
    /// Stable, for programs.
    pub const fn code(self) -> &'static str {
        match self {
            Apply::Live => "live",
            Apply::Upgrade => "upgrade",
        }
    }
}

impl Effect {
    /// Stable, for programs.
    pub const fn code(self) -> &'static str {
        match self {
            Effect::Existence => "existence",
            Effect::Access => "access",
            Effect::Addresses => "addresses",
            Effect::Tls => "tls",
            Effect::Trust => "trust",
            Effect::Recognition => "recognition",
            Effect::Credential => "credential",
            Effect::Limit => "limit",
            Effect::Framing => "framing",
            Effect::Header => "header",
            Effect::Bound => "bound",
            Effect::Match => "match",
            Effect::Destination => "destination",
            Effect::ErrorPage => "error_page",
            Effect::Endpoint => "endpoint",
            Effect::Balance => "balance",
            Effect::Timeout => "timeout",
            Effect::Protocol => "protocol",
            Effect::Socket => "socket",
            Effect::Log => "log",
            Effect::Setting => "setting",
        }
    }
}

/// What a fact is called: `header x-frame-options`, or its name alone where the subject says the rest.
pub(super) fn label(effect: Effect, name: &str) -> Cow<'static, str> {
    let word = match effect {
        Effect::Existence => "existence",
        Effect::Access => "access",
        Effect::Addresses => "addresses",
        Effect::Tls => "TLS",
        Effect::Limit => "limit",
        Effect::Framing => "framing",
        Effect::Header => "header",
        Effect::ErrorPage => "error page",
        Effect::Endpoint => "endpoint",
        Effect::Timeout => "timeout",
        Effect::Match => "match",
        Effect::Trust
        | Effect::Recognition
        | Effect::Credential
        | Effect::Bound
        | Effect::Destination
        | Effect::Balance
        | Effect::Protocol
        | Effect::Socket
        | Effect::Log
        | Effect::Setting => return name.to_owned().into(),
    };
    if name.is_empty() { word.into() } else { format!("{word} {name}").into() }
}
