//! The challenges of bearer tokens (RFC 6750 §3).

use http::HeaderValue;

use crate::decision::outcome::Cause;
use crate::decision::request::fields::FieldName;

/// For a request without a token. `header`: where it is read, if not in `Authorization`.
pub(super) fn invitation(header: Option<&FieldName>) -> String {
    match header {
        None => r#"Bearer realm="portcullis""#.to_owned(),
        Some(header) => format!(r#"Bearer realm="portcullis", header="{header}""#),
    }
}

/// For a valid token that lacks one of `scopes`. `None` where a scope can't be written in a header; compiling refuses those.
pub(super) fn insufficient_scope(scopes: &[String]) -> Option<HeaderValue> {
    if scopes.is_empty() {
        return None;
    }
    let scopes = scopes.join(" ");
    HeaderValue::try_from(format!(r#"Bearer realm="portcullis", error="insufficient_scope", scope="{scopes}""#)).ok()
}

/// For a token refused for `cause`. It says no more than the cause's title.
pub(super) fn refusal(cause: Cause) -> HeaderValue {
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
            let challenge = refusal(*cause);
            assert!(
                challenge.to_str().unwrap().ends_with(&format!("error_description=\"{}\"", cause.title())),
                "{cause}"
            );
        }
    }
}
