//! Schemes that authenticate a connection instead of a request: NTLM, and Negotiate with NTLM or Kerberos in it (RFC 4559).
//!
//! They break HTTP's rule that a request stands for itself (RFC 9110 §3.3): what follows on such a connection, from
//! whomever, is taken for the user that was authenticated on it.

/// The schemes, in lower case. `Kerberos` is not registered, but some services ask for it by that name.
const SCHEMES: [&str; 3] = ["ntlm", "negotiate", "kerberos"];

/// Whether a value of `Authorization` may authenticate the connection that it is sent on.
pub fn authenticates_connection(credentials: &[u8]) -> bool {
    is_scheme(credentials.trim_ascii_start())
}

/// Whether one of the challenges in a value of `WWW-Authenticate` asks for that (RFC 9110 §11.6.1).
pub fn challenges_connection(challenges: &[u8]) -> bool {
    let mut quoted = false;
    let mut escaped = false;
    let elements = challenges.split(|byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' => return !quoted,
            _ => {}
        }
        false
    });
    elements.map(<[u8]>::trim_ascii_start).any(is_scheme)
}

/// Whether `element` begins with one of the schemes. A parameter of that name has a `=` behind it.
fn is_scheme(element: &[u8]) -> bool {
    let end = element.iter().position(|byte| matches!(byte, b' ' | b'\t' | b'=')).unwrap_or(element.len());
    let (token, rest) = element.split_at(end);
    SCHEMES.iter().any(|scheme| token.eq_ignore_ascii_case(scheme.as_bytes()))
        && !rest.trim_ascii_start().starts_with(b"=")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_for_a_connection_are_known_by_their_scheme() {
        for yes in ["NTLM TlRMTVNTUAAB", "negotiate YIIZ", "  Negotiate abc", "Kerberos x", "ntlm"] {
            assert!(authenticates_connection(yes.as_bytes()), "{yes}");
        }
        for no in ["Basic TlRMTQ==", "Bearer ntlm", "NTLMv9 a", "Digest username=\"NTLM\"", "", "NTLM=x"] {
            assert!(!authenticates_connection(no.as_bytes()), "{no}");
        }
    }

    #[test]
    fn a_challenge_is_found_wherever_it_stands_and_not_where_it_is_only_named() {
        for yes in [
            "NTLM",
            "Negotiate YII=",
            "Basic realm=\"a\", NTLM",
            "Basic realm=\"a, \\\"b\", negotiate",
            "Bearer,NTLM abc",
        ] {
            assert!(challenges_connection(yes.as_bytes()), "{yes}");
        }
        for no in ["Basic realm=\"x, NTLM\"", "Bearer realm=\"a\", ntlm=1", "Digest nonce=\"Negotiate\"", ""] {
            assert!(!challenges_connection(no.as_bytes()), "{no}");
        }
    }
}
