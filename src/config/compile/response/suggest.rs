//! Security headers, and what is almost one.

use http::HeaderName;

use crate::diagnostics::slip;

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

pub fn is_security_header(name: &HeaderName) -> bool {
    SECURITY_HEADERS.iter().any(|known| known.eq_ignore_ascii_case(name.as_str()))
}

/// The security header that `name` almost is, without being one.
pub fn security_header(name: &HeaderName) -> Option<&'static str> {
    if is_security_header(name) {
        return None;
    }
    slip(name.as_str(), SECURITY_HEADERS)
}
