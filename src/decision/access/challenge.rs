//! `WWW-Authenticate` (RFC 9110 §11.6.1, RFC 6750 §3), made when the configuration is compiled.

use std::sync::Arc;

use http::HeaderValue;

use super::{Identity, Method};
use crate::decision::outcome::Cause;
use crate::decision::request::fields::FieldName;

/// One challenge for each of `identities`, for a request without credentials.
pub(super) fn missing(identities: &[Arc<Identity>]) -> Option<HeaderValue> {
    let mut challenges: Vec<String> = Vec::new();
    for identity in identities {
        let challenge = match &identity.method {
            Method::Jwt(rules) => match &rules.header {
                None => r#"Bearer realm="portcullis""#.to_owned(),
                Some(header) => format!(r#"Bearer realm="portcullis", header="{header}""#),
            },
            Method::ApiKey(rules) => api_key_text(&rules.header),
        };
        if !challenges.contains(&challenge) {
            challenges.push(challenge);
        }
    }
    if challenges.is_empty() { None } else { HeaderValue::try_from(challenges.join(", ")).ok() }
}

/// The challenge of an API key in `header`.
pub(super) fn api_key(header: &FieldName) -> HeaderValue {
    HeaderValue::try_from(api_key_text(header)).expect("BUG: a header name is always fit for a header value")
}

fn api_key_text(header: &FieldName) -> String {
    format!(r#"ApiKey realm="portcullis", header="{header}""#)
}

/// A valid token that lacks one of `scopes`. `None` where a scope can't be written in a header; compiling refuses those.
pub(super) fn insufficient_scope(scopes: &[String]) -> Option<HeaderValue> {
    if scopes.is_empty() {
        return None;
    }
    let scopes = scopes.join(" ");
    HeaderValue::try_from(format!(r#"Bearer realm="portcullis", error="insufficient_scope", scope="{scopes}""#)).ok()
}

/// The challenge that goes with a token refused for `cause`. It says no more than the cause's title.
pub(super) fn bearer(cause: Cause) -> HeaderValue {
    HeaderValue::from_static(match cause {
        Cause::CredentialsAmbiguous => {
            r#"Bearer realm="portcullis", error="invalid_request", error_description="The request carries more than one credential""#
        }
        Cause::TokenExpired => {
            r#"Bearer realm="portcullis", error="invalid_token", error_description="The token has expired""#
        }
        Cause::TokenNotYetValid => {
            r#"Bearer realm="portcullis", error="invalid_token", error_description="The token is not yet valid""#
        }
        _ => r#"Bearer realm="portcullis", error="invalid_token", error_description="The token is not valid""#,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_challenge_says_what_the_title_says() {
        for cause in Cause::ALL.iter().filter(|cause| cause.code().starts_with("token_")) {
            let challenge = bearer(*cause);
            assert!(
                challenge.to_str().unwrap().ends_with(&format!("error_description=\"{}\"", cause.title())),
                "{cause}"
            );
        }
    }
}
