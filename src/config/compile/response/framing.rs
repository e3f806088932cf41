//! `framing`, and that nothing else in the configuration says something different about who may frame.

use http::header::{CONTENT_SECURITY_POLICY, X_FRAME_OPTIONS};

use super::super::{Context, DocPath};
use super::operation::{Action, Operation};
use crate::config::raw;
use crate::decision::response::framing::{FramingPolicy, frame_ancestors, is_policy_header};

/// The framing that a level declares, checked.
#[derive(Clone, Debug)]
pub struct Declared {
    /// `None`: off.
    ancestors: Option<Ancestors>,
    path: DocPath,
    inherited: bool,
}

/// Who may frame, as sources of CSP3 §2.3.1.
#[derive(Clone, Debug)]
struct Ancestors(Vec<String>);

impl Ancestors {
    fn nobody() -> Self {
        Ancestors(vec!["'none'".to_owned()])
    }

    fn same_origin() -> Self {
        Ancestors(vec!["'self'".to_owned()])
    }

    /// What an `X-Frame-Options` that browsers understand says.
    fn of_x_frame_options(value: &str) -> Option<Self> {
        if value.eq_ignore_ascii_case("DENY") {
            Some(Ancestors::nobody())
        } else if value.eq_ignore_ascii_case("SAMEORIGIN") {
            Some(Ancestors::same_origin())
        } else {
            None
        }
    }

    /// What each policy of a value says that says anything about it.
    fn of_policies(value: &[u8]) -> Vec<Self> {
        let sources = frame_ancestors(value).map(|sources| {
            let sources: Vec<_> = sources.map(|source| String::from_utf8_lossy(source).into_owned()).collect();
            if sources.is_empty() { Ancestors::nobody() } else { Ancestors(sources) }
        });
        sources.collect()
    }

    fn agrees(&self, other: &Ancestors) -> bool {
        let holds = |all: &[String], one: &String| all.iter().any(|source| source.eq_ignore_ascii_case(one));
        self.0.iter().all(|source| holds(&other.0, source)) && other.0.iter().all(|source| holds(&self.0, source))
    }

    /// As written in `framing`.
    fn word(&self) -> String {
        match self.0.as_slice() {
            [one] if one.eq_ignore_ascii_case("'none'") => "deny".to_owned(),
            [one] if one.eq_ignore_ascii_case("'self'") => "same_origin".to_owned(),
            sources => format!("[{}]", sources.iter().map(|s| format!("\"{s}\"")).collect::<Vec<_>>().join(", ")),
        }
    }
}

impl Declared {
    pub fn to_inherited(&self) -> Declared {
        Declared { inherited: true, ..self.clone() }
    }

    pub fn compile(&self) -> Option<FramingPolicy> {
        let Ancestors(sources) = self.ancestors.as_ref()?;
        Some(match sources.as_slice() {
            [one] if one == "'none'" => FramingPolicy::deny(),
            [one] if one == "'self'" => FramingPolicy::same_origin(),
            // Sources were checked; should one be wrong all the same, the configuration is refused and nobody may frame.
            sources => FramingPolicy::origins(sources).unwrap_or_else(|_| FramingPolicy::deny()),
        })
    }
}

/// Reads a `framing`. A wrong one is reported and counts as `deny`.
pub fn read(ctx: &mut Context, path: &DocPath, written: &raw::response::Framing) -> Declared {
    use raw::response::Framing as Written;
    let ancestors = match written {
        Written::Deny => Some(Ancestors::nobody()),
        Written::SameOrigin => Some(Ancestors::same_origin()),
        Written::Off { .. } => None,
        Written::Origins(origins) => Some(read_origins(ctx, path, origins)),
    };
    Declared { ancestors, path: path.clone(), inherited: false }
}

fn read_origins(ctx: &mut Context, path: &DocPath, origins: &[String]) -> Ancestors {
    if origins.is_empty() {
        ctx.error_with_help(
            path,
            "framing_origins_empty",
            "a list without origins lets nobody frame, and may be a slip",
            "write `framing: deny` if nobody may",
        );
        return Ancestors::nobody();
    }
    let mut sources = Vec::new();
    for (i, origin) in origins.iter().enumerate() {
        if origin == "same_origin" {
            sources.push("'self'".to_owned());
        } else if let Err(why) = check_origin(origin) {
            ctx.error_with_help(
                &path.index(i),
                "framing_origin_invalid",
                format!("`{origin}` is not an origin: {why}"),
                "write for example `https://portal.example.com`, `https://*.example.com` or `same_origin`",
            );
            return Ancestors::nobody();
        } else {
            sources.push(origin.to_ascii_lowercase());
        }
    }
    Ancestors(sources)
}

/// `scheme://host[:port]`, the host possibly `*.` and a domain.
fn check_origin(origin: &str) -> Result<(), &'static str> {
    let (scheme, authority) = origin.split_once("://").ok_or("it has no scheme")?;
    if !scheme.eq_ignore_ascii_case("https") && !scheme.eq_ignore_ascii_case("http") {
        return Err("its scheme is neither https nor http");
    }
    if authority.contains(['/', '?', '#']) {
        return Err("an origin ends with its host and port, without a path or a slash");
    }
    let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
    if port.is_some_and(|port| port.starts_with('+') || !matches!(port.parse::<u16>(), Ok(1..))) {
        return Err("its port is not a number from 1 to 65535");
    }
    let host = host.strip_prefix("*.").unwrap_or(host);
    let label = |label: &str| {
        let plain = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        plain && (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    };
    if !host.split('.').all(label) {
        return Err("its host is not a domain name");
    }
    Ok(())
}

/// A route that switches the inherited framing off says why.
pub fn check_off(
    ctx: &mut Context,
    declared: &Declared,
    written: &raw::response::Framing,
    inherited: Option<&Declared>,
) {
    let raw::response::Framing::Off { reason } = written else { return };
    let Some(inherited) = inherited.and_then(|inherited| inherited.ancestors.as_ref()) else { return };
    match reason.as_deref().map(str::trim).filter(|reason| !reason.is_empty()) {
        None => ctx.error_with_help(
            &declared.path,
            "reason_missing",
            format!("the route switches the inherited `framing: {}` off without a reason", inherited.word()),
            "write `framing: {off: \"why\"}`",
        ),
        Some(reason) => ctx.warning(
            &declared.path,
            "framing_switched_off",
            format!("the inherited `framing: {}` is switched off: {reason}", inherited.word()),
            "if the reason still holds, nothing needs to change",
        ),
    }
}

/// Reports where header operations and `framing` disagree on who may frame. What a route merely inherits was reported
/// with the file.
pub fn check(ctx: &mut Context, operations: &[Operation], framing: Option<&Declared>) {
    let framing = framing.and_then(|declared| Some((declared, declared.ancestors.as_ref()?)));
    match framing {
        Some((declared, ancestors)) => check_with_framing(ctx, operations, declared, ancestors),
        None => check_without_framing(ctx, operations),
    }
}

fn check_with_framing(ctx: &mut Context, operations: &[Operation], declared: &Declared, ancestors: &Ancestors) {
    let word = ancestors.word();
    for operation in operations.iter().filter(|operation| !(operation.inherited && declared.inherited)) {
        let said = if operation.name == X_FRAME_OPTIONS && operation.action == Action::Remove {
            let kept = matches!(word.as_str(), "deny" | "same_origin");
            kept.then(|| "taking X-Frame-Options away".to_owned())
        } else {
            claims(operation)
                .into_iter()
                .find(|(claim, _)| !claim.agrees(ancestors))
                .map(|(claim, said)| format!("`{said}` (that is, `framing: {}`)", claim.word()))
        };
        let Some(said) = said else { continue };
        let path = if operation.inherited { &declared.path } else { &operation.path };
        ctx.error_with_help(
            path,
            "framing_contradiction",
            format!("{said} contradicts `framing: {word}`, which has the last word"),
            "say it in `framing` alone, which a route may override, and leave the header to it",
        );
    }
}

fn check_without_framing(ctx: &mut Context, operations: &[Operation]) {
    let enforced = |operation: &&Operation| operation.name == CONTENT_SECURITY_POLICY;
    for option in operations.iter().filter(|operation| operation.name == X_FRAME_OPTIONS) {
        for policy in operations.iter().filter(enforced).filter(|policy| !(policy.inherited && option.inherited)) {
            for (option_claim, option_said) in claims(option) {
                let Some((claim, said)) = claims(policy).into_iter().find(|(claim, _)| !claim.agrees(&option_claim))
                else {
                    continue;
                };
                let path = if option.inherited { &policy.path } else { &option.path };
                ctx.error_with_help(
                    path,
                    "framing_contradiction",
                    format!("`{option_said}` contradicts `{said}`, and browsers let frame-ancestors win"),
                    format!(
                        "write `framing: {}` or `framing: {}`, which sets both, and take them out of `response_headers`",
                        option_claim.word(),
                        claim.word()
                    ),
                );
            }
        }
    }
}

/// What an operation says about who may frame, with its words.
fn claims(operation: &Operation) -> Vec<(Ancestors, String)> {
    let Some(value) = operation.value() else { return Vec::new() };
    if operation.name == X_FRAME_OPTIONS {
        let text = String::from_utf8_lossy(value.as_bytes());
        return Ancestors::of_x_frame_options(&text)
            .map(|claim| (claim, format!("X-Frame-Options: {text}")))
            .into_iter()
            .collect();
    }
    if !is_policy_header(&operation.name) {
        return Vec::new();
    }
    let claims = Ancestors::of_policies(value.as_bytes()).into_iter();
    claims.map(|claim| (claim.clone(), format!("frame-ancestors {}", claim.0.join(" ")))).collect()
}
