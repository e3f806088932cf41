//! Names that an owner may have meant.

use http::HeaderName;

/// Response headers that tell a browser what to refuse, as their standards write them.
const SECURITY_HEADERS: [&str; 20] = [
    "Access-Control-Allow-Credentials",
    "Access-Control-Allow-Headers",
    "Access-Control-Allow-Methods",
    "Access-Control-Allow-Origin",
    "Access-Control-Expose-Headers",
    "Access-Control-Max-Age",
    "Cache-Control",
    "Clear-Site-Data",
    "Content-Security-Policy",
    "Content-Security-Policy-Report-Only",
    "Cross-Origin-Embedder-Policy",
    "Cross-Origin-Opener-Policy",
    "Cross-Origin-Resource-Policy",
    "Origin-Agent-Cluster",
    "Permissions-Policy",
    "Referrer-Policy",
    "Strict-Transport-Security",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "X-Permitted-Cross-Domain-Policies",
];

/// Most edits between a slip and what was meant.
const MAX_EDITS: usize = 2;

pub fn is_security_header(name: &HeaderName) -> bool {
    SECURITY_HEADERS.iter().any(|known| known.eq_ignore_ascii_case(name.as_str()))
}

/// The security header that `name` almost is, without being one.
pub fn security_header(name: &HeaderName) -> Option<&'static str> {
    if is_security_header(name) {
        return None;
    }
    nearest(name.as_str(), SECURITY_HEADERS)
}

/// The candidate that `name` was probably meant to be.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_ascii_lowercase();
    // In a short name, two edits make anything of everything.
    let max = if name.len() < 6 { 1 } else { MAX_EDITS };
    candidates
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&name, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(edits, _)| *edits <= max)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// "did you mean `x`?", or `otherwise` when nothing is near.
pub fn did_you_mean<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
    otherwise: impl Into<String>,
) -> String {
    match nearest(name, candidates) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => otherwise.into(),
    }
}
