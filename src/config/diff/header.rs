//! What the value of a response header protects.

use std::collections::BTreeSet;

use http::HeaderName;
use http::header;

use super::guard::Protection;

/// How the value of the header `name` guards. A header that nothing is known about protects by being there.
pub(super) fn guard(name: &HeaderName, value: &[u8]) -> Protection {
    let value = String::from_utf8_lossy(value).to_ascii_lowercase();
    let rank = |from_the_strongest: &[&str]| {
        let below = from_the_strongest.iter().position(|known| *known == value.trim());
        Protection::Rank(below.map_or(0, |below| u8::try_from(from_the_strongest.len() - below).unwrap_or(u8::MAX)))
    };
    match name.as_str() {
        "x-frame-options" => rank(&["deny", "sameorigin"]),
        "x-content-type-options" => rank(&["nosniff"]),
        "strict-transport-security" => transport_security(&value),
        "content-security-policy" => Protection::Demands(content_security(&value)),
        "referrer-policy" => rank(&[
            "no-referrer",
            "same-origin",
            "strict-origin",
            "strict-origin-when-cross-origin",
            "origin",
            "origin-when-cross-origin",
            "no-referrer-when-downgrade",
        ]),
        "cross-origin-opener-policy" => rank(&["same-origin", "same-origin-allow-popups", "noopener-allow-popups"]),
        "cross-origin-embedder-policy" => rank(&["require-corp", "credentialless"]),
        "cross-origin-resource-policy" => rank(&["same-origin", "same-site"]),
        name if name.starts_with("access-control-") => Protection::Grant,
        _ if *name == header::CONTENT_SECURITY_POLICY_REPORT_ONLY => Protection::Neutral,
        _ => Protection::Present,
    }
}

/// RFC 6797 §6.1. Without a `max-age` it means nothing, and 0 ends it.
fn transport_security(value: &str) -> Protection {
    let directives = || value.split(';').map(str::trim);
    let age = directives().find_map(|directive| directive.strip_prefix("max-age=")?.trim_matches('"').parse().ok());
    let has = |name| Protection::Rank(u8::from(directives().any(|directive| directive == name)));
    Protection::All(vec![Protection::AtLeast(age.unwrap_or(0)), has("includesubdomains"), has("preload")])
}

/// Each directive of CSP3 §6 as a demand that any of its sources meets: one source more is weaker, one directive less
/// too. Sources of several policies all have to be met, as browsers do it.
pub(super) fn content_security(value: &str) -> Vec<BTreeSet<String>> {
    let directives = value.split([',', ';']).filter_map(|directive| {
        let mut words = directive.split_ascii_whitespace();
        let name = words.next()?;
        // Where violations are reported to protects nothing.
        (!name.starts_with("report-"))
            .then(|| words.filter(|source| *source != "'none'").map(|source| format!("{name} {source}")).collect())
    });
    directives.collect()
}

#[cfg(test)]
mod tests {
    use super::super::change::Weight;
    use super::*;

    fn weigh(name: &'static str, before: &str, after: &str) -> Weight {
        let name = HeaderName::from_static(name);
        Protection::weigh(Some(&guard(&name, before.as_bytes())), Some(&guard(&name, after.as_bytes())))
    }

    #[test]
    fn known_headers_are_weighed_by_what_they_say() {
        for (name, strong, weak) in [
            ("x-frame-options", "DENY", "SAMEORIGIN"),
            ("x-frame-options", "SAMEORIGIN", "ALLOWALL"),
            ("strict-transport-security", "max-age=31536000", "max-age=300"),
            ("strict-transport-security", "max-age=300; includeSubDomains", "max-age=300"),
            ("referrer-policy", "no-referrer", "unsafe-url"),
            ("cross-origin-opener-policy", "same-origin", "unsafe-none"),
            ("content-security-policy", "default-src 'none'", "default-src 'self'"),
            ("content-security-policy", "script-src 'self'", "script-src 'self' 'unsafe-inline'"),
            ("content-security-policy", "script-src 'self'; frame-ancestors 'none'", "script-src 'self'"),
        ] {
            assert_eq!(weigh(name, strong, weak), Weight::Weaker, "{name}: {strong} -> {weak}");
            assert_eq!(weigh(name, weak, strong), Weight::Stronger, "{name}: {weak} -> {strong}");
        }
        assert_eq!(weigh("content-security-policy", "report-uri /a", "report-uri /b"), Weight::Changed);
    }

    #[test]
    fn what_opens_answers_to_other_origins_gives_something_away() {
        let cors = guard(&header::ACCESS_CONTROL_ALLOW_ORIGIN, b"*");
        assert_eq!(Protection::weigh(None, Some(&cors)), Weight::Weaker);
        let own = guard(&HeaderName::from_static("x-own"), b"1");
        assert_eq!(Protection::weigh(Some(&own), None), Weight::Weaker);
    }
}
